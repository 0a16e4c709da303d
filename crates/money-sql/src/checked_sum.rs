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
            Some((precision, scale)) => Ok(Box::new(Total { units: None, precision, scale })),
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

/// One sum; null until a value comes.
#[derive(Debug)]
struct Total {
    units: Option<i128>,
    precision: u8,
    scale: i8,
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for units in column(values)?.iter().flatten() {
            self.units = Some(add(self.units.unwrap_or(0), units, self.precision)?);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for units in column(values)?.iter().flatten() {
            self.units = Some(add(self.units.unwrap_or(0), -units, self.precision)?);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Decimal128(self.units, self.precision, self.scale))
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
