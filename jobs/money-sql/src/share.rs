//! `share_of(amount, weights, position)`: a part of a split amount.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Int32Type};
use credit_ledger::Money;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The parts of one amount sum to it: floors of the absolute value first, then one unit each for the largest
/// remainders, ties to the earlier position; the sign is put back.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ShareOf {
    signature: Signature,
}

impl ShareOf {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ShareOf {
    fn name(&self) -> &'static str {
        "share_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(Money::PRECISION, Money::SCALE))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [amounts, weights, positions] = arrays.as_slice() else {
            return exec_err!("share_of takes amount, weights and position");
        };
        let (Some(amounts), Some(weights), Some(positions)) = (
            amounts.as_primitive_opt::<Decimal128Type>(),
            weights.as_list_opt::<i32>(),
            positions.as_primitive_opt::<Int32Type>(),
        ) else {
            return exec_err!("share_of takes decimal, list of decimal and int");
        };
        let mut parts = Vec::with_capacity(amounts.len());
        for row in 0..amounts.len() {
            let Some(list) = weights.value(row).as_primitive_opt::<Decimal128Type>().cloned() else {
                return exec_err!("share_of takes integer weights as decimals");
            };
            parts.push(share(amounts.value(row), &list, positions.value(row)));
        }
        let parts = Decimal128Array::from_iter_values(parts);
        let parts: ArrayRef = Arc::new(parts.with_precision_and_scale(Money::PRECISION, Money::SCALE)?);
        Ok(ColumnarValue::Array(parts))
    }
}

fn share(units: i128, weights: &Decimal128Array, position: i32) -> i128 {
    if weights.len() == 1 {
        return units;
    }
    let weights: Vec<u128> = weights.values().iter().map(|weight| weight.unsigned_abs()).collect();
    let parts = credit_ledger::spread(units.unsigned_abs(), &weights);
    let part = usize::try_from(position).ok().and_then(|position| parts.get(position)).copied().unwrap_or(0);
    // A part is at most |units|, so it fits.
    let part = i128::try_from(part).unwrap_or(i128::MAX);
    if units < 0 { -part } else { part }
}
