//! Values of the export as lines need them: text, days, money, maps.

mod amounts;
mod days;
mod ids;
mod maps;
mod text;

use arrow::datatypes::DataType;

pub use amounts::{AmountColumn, NoAmount};
pub use days::{DayColumn, PeriodMemo, far_away, impossible, no_date};
pub use ids::{account_id, account_ids, invoice_ids, is_short};
pub use maps::{MapColumn, RealMap, json_entries};
pub use text::{Dictionary, DictionaryMemo, NO_CODE, TextColumn};

/// What is wrong with a blank where every line has a value.
pub const BLANK: &str = "is blank; every line needs a value here";

/// A column that holds something else than it should.
pub(crate) type TypeMismatch = String;

/// True for what is read as text: marked as such or not, and columns without any value.
fn is_text(of: &DataType) -> bool {
    of.is_string()
        || of.is_binary()
        || matches!(of, DataType::Dictionary(..) | DataType::FixedSizeBinary(_) | DataType::Null)
}
