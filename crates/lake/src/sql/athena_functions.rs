//! Functions that Athena has and the engine has not, as far as the views use them: `date_diff` of days, and `max_by`.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Date32Type};
use datafusion::common::{Result, exec_err, not_impl_err, plan_err};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ScalarUDF, Signature, Volatility, create_udf,
};
use datafusion::prelude::SessionContext;

/// Lets statements of this session use them.
pub(super) fn register(context: &SessionContext) {
    context.register_udf(date_diff());
    context.register_udaf(AggregateUDF::new_from_impl(MaxBy { signature: Signature::any(2, Volatility::Immutable) }));
}

/// `date_diff('day', from, to)`: days from one date to another.
fn date_diff() -> ScalarUDF {
    let arguments = vec![DataType::Utf8, DataType::Date32, DataType::Date32];
    create_udf("date_diff", arguments, DataType::Int64, Volatility::Immutable, Arc::new(days_between))
}

fn days_between(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let [units, from, to] = arrays.as_slice() else { return exec_err!("date_diff takes a unit and two dates") };
    if let Some(unit) = units.as_string::<i32>().iter().flatten().find(|unit| !unit.eq_ignore_ascii_case("day")) {
        return exec_err!("date_diff counts in days ('day') here, not in {unit:?}");
    }
    let (from, to) = (from.as_primitive::<Date32Type>(), to.as_primitive::<Date32Type>());
    let days = from.iter().zip(to).map(|(from, to)| Some(i64::from(to?) - i64::from(from?)));
    Ok(ColumnarValue::Array(Arc::new(days.collect::<Int64Array>())))
}

/// `max_by(x, y)`: the `x` of the row with the greatest `y`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MaxBy {
    signature: Signature,
}

impl AggregateUDFImpl for MaxBy {
    fn name(&self) -> &'static str {
        "max_by"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [value, _] => Ok(value.clone()),
            _ => plan_err!("max_by takes a value and what it is the greatest by"),
        }
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("max_by is planned as first_value")
    }

    /// `first_value(x ORDER BY y DESC NULLS LAST)`.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(|function: AggregateFunction, _| {
            let AggregateFunctionParams { args, distinct, filter, null_treatment, .. } = function.params;
            let Ok([value, by]) = <[Expr; 2]>::try_from(args) else { return plan_err!("max_by takes two arguments") };
            let order = vec![by.sort(false, false)];
            let first =
                AggregateFunction::new_udf(first_value_udaf(), vec![value], distinct, filter, order, null_treatment);
            Ok(Expr::AggregateFunction(first))
        }))
    }
}
