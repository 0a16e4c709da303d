//! SUM that fails where DataFusion's wraps.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

static CHECKED_SUM: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(CheckedSum { plain: sum_udaf() })));

/// SUM, exact or an error for `decimal(p,s)`, DataFusion's own for everything else.
#[must_use]
pub fn checked_sum_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&CHECKED_SUM)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    plain: Arc<AggregateUDF>,
}

/// Precision and scale where this sum is ours to check.
fn decimal(args: &AccumulatorArgs<'_>) -> Option<(u8, i8)> {
    match args.return_field.data_type() {
        DataType::Decimal128(precision, scale) if !args.is_distinct => Some((*precision, *scale)),
        _ => None,
    }
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.plain.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.plain.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match decimal(&args) {
            Some((precision, scale)) => Ok(Box::new(Total { units: 0, values: 0, precision, scale })),
            None => self.plain.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.plain.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.plain.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match decimal(&args) {
            Some((precision, scale)) => Ok(Box::new(Totals { units: Vec::new(), precision, scale })),
            None => self.plain.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match decimal(&args) {
            Some(_) => self.accumulator(args),
            None => self.plain.create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// The least amount that has too many digits.
const LIMITS: [u128; 39] = {
    let mut limits = [1; 39];
    let mut digits = 1;
    while digits < limits.len() {
        limits[digits] = limits[digits - 1] * 10;
        digits += 1;
    }
    limits
};

fn add(sum: i128, units: i128, precision: u8) -> Result<i128> {
    let limit = LIMITS.get(usize::from(precision)).copied().unwrap_or(u128::MAX);
    match sum.checked_add(units).filter(|sum| sum.unsigned_abs() < limit) {
        Some(sum) => Ok(sum),
        None => exec_err!("SUM of money overflows {precision} digits"),
    }
}

fn column(values: &[ArrayRef]) -> Result<&Decimal128Array> {
    match values.first().and_then(|values| values.as_primitive_opt::<Decimal128Type>()) {
        Some(column) => Ok(column),
        None => exec_err!("checked SUM takes one decimal column"),
    }
}

/// One sum; null while it is of no value.
#[derive(Debug)]
struct Total {
    units: i128,
    /// Values that are in the sum: those of a window may all go again.
    values: u64,
    precision: u8,
    scale: i8,
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for units in column(values)?.iter().flatten() {
            self.units = add(self.units, units, self.precision)?;
            self.values += 1;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for units in column(values)?.iter().flatten() {
            self.units = add(self.units, -units, self.precision)?;
            self.values = self.values.saturating_sub(1);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let units = (self.values > 0).then_some(self.units);
        Ok(ScalarValue::Decimal128(units, self.precision, self.scale))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// The sum of no value: no amount, as it has too many digits.
const NOTHING: i128 = i128::MAX;

/// One sum per group; null until a value comes.
#[derive(Debug)]
struct Totals {
    /// [`NOTHING`] for null.
    units: Vec<i128>,
    precision: u8,
    scale: i8,
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.units.resize(total_num_groups, NOTHING);
        let amounts = column(values)?;
        for (row, (units, group)) in amounts.values().iter().zip(group_indices).enumerate() {
            let kept = opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            if let (true, true, Some(sum)) = (kept, amounts.is_valid(row), self.units.get_mut(*group)) {
                let before = if *sum == NOTHING { 0 } else { *sum };
                *sum = add(before, *units, self.precision)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.units);
        let nulls: NullBuffer = sums.iter().map(|sum| *sum != NOTHING).collect();
        let sums = Decimal128Array::try_new(sums.into(), Some(nulls).filter(|nulls| nulls.null_count() > 0))?;
        Ok(Arc::new(sums.with_precision_and_scale(self.precision, self.scale)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, opt_filter, total_num_groups)
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    /// Each amount is the sum of its own row: rows that are mostly groups of one need no table.
    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let amounts = match opt_filter {
            None => column(values)?.clone(),
            Some(filter) => {
                let rows = column(values)?.iter().zip(filter);
                rows.map(|(units, kept)| units.filter(|_| kept == Some(true))).collect()
            }
        };
        Ok(vec![Arc::new(amounts.with_precision_and_scale(self.precision, self.scale)?)])
    }

    fn size(&self) -> usize {
        self.units.capacity() * size_of::<i128>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRECISION: u8 = 38;
    const SCALE: i8 = 10;
    /// The largest amount: 38 nines.
    const MOST: i128 = 10_i128.pow(38) - 1;

    fn amounts(units: &[Option<i128>]) -> [ArrayRef; 1] {
        let amounts = Decimal128Array::from(units.to_vec());
        [Arc::new(amounts.with_precision_and_scale(PRECISION, SCALE).unwrap())]
    }

    fn total(units: &[Option<i128>]) -> Total {
        let mut total = Total { units: 0, values: 0, precision: PRECISION, scale: SCALE };
        total.update_batch(&amounts(units)).unwrap();
        total
    }

    fn sum_of(total: &mut Total) -> Option<i128> {
        match total.evaluate().unwrap() {
            ScalarValue::Decimal128(units, PRECISION, SCALE) => units,
            other => panic!("{other:?} is no money"),
        }
    }

    fn totals() -> Totals {
        Totals { units: Vec::new(), precision: PRECISION, scale: SCALE }
    }

    fn sums_of(column: &ArrayRef) -> Vec<Option<i128>> {
        assert_eq!(*column.data_type(), DataType::Decimal128(PRECISION, SCALE));
        column.as_primitive::<Decimal128Type>().iter().collect()
    }

    fn overflows(done: Result<()>) {
        let error = done.unwrap_err().strip_backtrace();
        assert_eq!(error, "Execution error: SUM of money overflows 38 digits");
    }

    #[test]
    fn sums_of_partitions_are_the_sum_of_all_and_a_partition_without_values_adds_none() {
        let mut whole = total(&[]);
        assert_eq!(sum_of(&mut whole), None);
        for part in [&[Some(5), None, Some(-7)][..], &[], &[None, None], &[Some(3)]] {
            let state = total(part).state().unwrap();
            let state: Vec<ArrayRef> = state.iter().map(|state| state.to_array().unwrap()).collect();
            whole.merge_batch(&state).unwrap();
        }
        assert_eq!(sum_of(&mut whole), Some(1));
        let mut nothing = total(&[None]);
        nothing.merge_batch(&amounts(&[None, None])).unwrap();
        assert_eq!(sum_of(&mut nothing), None, "no value anywhere: null, not zero");
        assert_eq!(sum_of(&mut total(&[Some(5), Some(-5)])), Some(0), "values that cancel: zero, not null");
    }

    #[test]
    fn what_leaves_a_window_leaves_its_sum_and_the_last_value_leaves_null() {
        let mut window = total(&[Some(5), None]);
        window.update_batch(&amounts(&[Some(-2)])).unwrap();
        window.retract_batch(&amounts(&[Some(5), None])).unwrap();
        assert_eq!(sum_of(&mut window), Some(-2));
        window.retract_batch(&amounts(&[Some(-2)])).unwrap();
        assert_eq!(sum_of(&mut window), None);
        window.update_batch(&amounts(&[None])).unwrap();
        assert_eq!(sum_of(&mut window), None);
        window.update_batch(&amounts(&[Some(0)])).unwrap();
        assert_eq!(sum_of(&mut window), Some(0));
    }

    #[test]
    fn a_sum_holds_38_digits_on_either_side_of_zero_and_not_one_unit_more() {
        for sign in [1, -1] {
            let mut sum = total(&[Some(sign * (MOST - 1)), Some(sign)]);
            assert_eq!(sum_of(&mut sum), Some(sign * MOST));
            overflows(sum.update_batch(&amounts(&[Some(sign)])));
            overflows(total(&[Some(sign * MOST)]).merge_batch(&amounts(&[Some(sign * MOST)])));
            overflows(total(&[Some(-sign)]).retract_batch(&amounts(&[Some(sign * MOST)])));
            let mut groups = totals();
            let values = amounts(&[Some(sign * MOST), Some(sign), Some(sign)]);
            groups.update_batch(&values, &[0, 1, 1], None, 2).unwrap();
            overflows(groups.merge_batch(&amounts(&[Some(sign)]), &[0], None, 2));
        }
        let mut narrow = Total { units: 0, values: 0, precision: 4, scale: 2 };
        narrow.update_batch(&amounts(&[Some(9_999)])).unwrap();
        let error = narrow.update_batch(&amounts(&[Some(1)])).unwrap_err().strip_backtrace();
        assert_eq!(error, "Execution error: SUM of money overflows 4 digits");
    }

    #[test]
    fn groups_are_summed_apart_over_batches_and_those_without_a_value_are_null() {
        let mut groups = totals();
        groups.update_batch(&amounts(&[Some(1), Some(2), None]), &[0, 2, 1], None, 3).unwrap();
        groups.update_batch(&amounts(&[Some(-1), Some(40)]), &[0, 3], None, 4).unwrap();
        let filter = BooleanArray::from(vec![Some(true), Some(false), None]);
        groups.update_batch(&amounts(&[Some(100), Some(1_000), Some(10_000)]), &[2, 2, 1], Some(&filter), 5).unwrap();
        assert_eq!(sums_of(&groups.evaluate(EmitTo::All).unwrap()), [Some(0), None, Some(102), Some(40), None]);
        assert_eq!(sums_of(&groups.evaluate(EmitTo::All).unwrap()), [], "they are given away");
    }

    #[test]
    fn groups_that_are_given_away_first_leave_the_others_as_they_are() {
        let mut groups = totals();
        groups.update_batch(&amounts(&[Some(1), Some(2), None]), &[0, 1, 2], None, 3).unwrap();
        let given = groups.state(EmitTo::First(2)).unwrap();
        assert_eq!(given.iter().map(sums_of).collect::<Vec<_>>(), [[Some(1), Some(2)]]);
        // The third group is the first one now.
        groups.update_batch(&amounts(&[Some(8), Some(9)]), &[0, 1], None, 2).unwrap();
        let mut merged = totals();
        merged.merge_batch(&given, &[1, 0], None, 2).unwrap();
        merged.merge_batch(&groups.state(EmitTo::All).unwrap(), &[1, 2], None, 3).unwrap();
        assert_eq!(sums_of(&merged.evaluate(EmitTo::All).unwrap()), [Some(2), Some(9), Some(9)]);
    }

    #[test]
    fn rows_that_are_passed_on_unsummed_are_sums_of_themselves() {
        let values = amounts(&[Some(1), None, Some(3), Some(4)]);
        let rows = totals().convert_to_state(&values, None).unwrap();
        assert_eq!(sums_of(&rows[0]), [Some(1), None, Some(3), Some(4)]);
        let filter = BooleanArray::from(vec![Some(true), Some(true), Some(false), None]);
        let rows = totals().convert_to_state(&values, Some(&filter)).unwrap();
        assert_eq!(sums_of(&rows[0]), [Some(1), None, None, None]);
        let mut merged = totals();
        merged.merge_batch(&rows, &[0, 0, 1, 1], None, 2).unwrap();
        assert_eq!(sums_of(&merged.evaluate(EmitTo::All).unwrap()), [Some(1), None]);
    }
}
