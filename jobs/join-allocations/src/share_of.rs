//! `share_of(amount, weights, place)`: the part of an amount that goes to one of several nodes.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, Decimal128Array, ListArray};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int32Type};
use credit_ledger::Money;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::cells::split;

/// Whole numbers as plans have them.
pub(crate) const WEIGHT: DataType = DataType::Decimal128(Money::PRECISION, 0);

static SHARE_OF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(ShareOf)));

/// The part of `amount` at `place` where it is split by `weights`, by largest remainder: the parts sum to the amount.
pub(crate) fn share_of(amount: Expr, weights: Expr, place: Expr) -> Expr {
    SHARE_OF.call(vec![amount, weights, place])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ShareOf;

impl ScalarUDFImpl for ShareOf {
    fn name(&self) -> &'static str {
        "share_of"
    }

    fn signature(&self) -> &Signature {
        static SIGNATURE: LazyLock<Signature> = LazyLock::new(|| {
            let weights = DataType::List(Arc::new(Field::new_list_field(WEIGHT, true)));
            Signature::exact(vec![schemas::money_type(), weights, DataType::Int32], Volatility::Immutable)
        });
        &SIGNATURE
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(schemas::money_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [amounts, weights, places] = &ColumnarValue::values_to_arrays(&arguments.args)?[..] else {
            return exec_err!("share_of takes an amount, weights and a place");
        };
        let (amounts, weights) = (amounts.as_primitive::<Decimal128Type>(), weights.as_list::<i32>());
        let places = places.as_primitive::<Int32Type>();
        let shares = (0..amounts.len()).map(|row| share(amounts, weights, places.value(row), row));
        let shares: Decimal128Array = shares.collect();
        Ok(ColumnarValue::Array(Arc::new(shares.with_precision_and_scale(Money::PRECISION, Money::SCALE)?)))
    }
}

fn share(amounts: &Decimal128Array, weights: &ListArray, place: i32, row: usize) -> Option<i128> {
    let (units, bounds) = (amounts.value(row), weights.value_offsets());
    let (start, end) = (usize::try_from(*bounds.get(row)?).ok()?, usize::try_from(*bounds.get(row + 1)?).ok()?);
    // Mostly a rule has one node, and no rule has none.
    if end <= start + 1 {
        return Some(units);
    }
    let weights = weights.values().as_primitive::<Decimal128Type>().values().get(start..end)?;
    let weights: Vec<u128> = weights.iter().map(|weight| weight.unsigned_abs()).collect();
    split(units, &weights).get(usize::try_from(place).ok()?).copied()
}
