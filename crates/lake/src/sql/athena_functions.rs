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

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;

    use super::*;

    async fn answer(sql: &str) -> Result<Vec<String>> {
        let context = SessionContext::new();
        register(&context);
        let batches = context.sql(sql).await?.collect().await?;
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let values = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
                rows.push(values.collect::<Vec<_>>().join(" "));
            }
        }
        Ok(rows)
    }

    #[tokio::test]
    async fn days_between_dates_count_as_athena_counts_them() {
        let days = async |from: &str, to: &str| {
            answer(&format!("SELECT date_diff('day', {from}, {to})")).await.map(|rows| rows.concat())
        };
        assert_eq!(days("DATE '2026-01-31'", "DATE '2026-03-01'").await.unwrap(), "29");
        assert_eq!(days("DATE '2024-01-31'", "DATE '2024-03-01'").await.unwrap(), "30", "a leap year");
        assert_eq!(days("DATE '2026-03-01'", "DATE '2026-02-28'").await.unwrap(), "-1");
        assert_eq!(days("DATE '2026-03-01'", "CAST(NULL AS DATE)").await.unwrap(), "");
        let of_column =
            "SELECT date_diff('DAY', d, DATE '2026-01-03') FROM (VALUES (DATE '2026-01-01'), (DATE '2026-01-02')) t(d)";
        assert_eq!(answer(of_column).await.unwrap(), ["2", "1"]);
        let month = answer("SELECT date_diff('month', DATE '2026-01-01', DATE '2026-03-01')").await.unwrap_err();
        let expected = "date_diff counts in days ('day') here, not in \"month\"";
        assert!(month.to_string().contains(expected), "{month}");
    }

    #[tokio::test]
    async fn value_of_the_greatest_row_is_taken_per_group_before_that_of_a_row_without_an_order() {
        let rows = "(VALUES ('g', 'a', 1), ('g', 'b', 3), ('g', 'c', NULL), ('h', NULL, 9), ('h', 'd', 8)) \
                    t(name, x, y)";
        let each = answer(&format!("SELECT name, max_by(x, y) FROM {rows} GROUP BY name ORDER BY name")).await.unwrap();
        assert_eq!(each, ["g b", "h "]);
        let some = "max_by(x, y) FILTER (WHERE x IS NOT NULL)";
        let each = answer(&format!("SELECT name, {some} FROM {rows} GROUP BY name ORDER BY name")).await.unwrap();
        assert_eq!(each, ["g b", "h d"]);
        let none = answer(&format!("SELECT max_by(x, y) FROM {rows} WHERE name = 'z'")).await.unwrap();
        assert_eq!(none, [""]);
        assert!(answer(&format!("SELECT max_by(x) FROM {rows}")).await.is_err(), "of what?");
    }
}
