//! Reads AWS billing exports: from a folder's files to columns.
//!
//! It knows deliveries (Data Exports, Cost and Usage Reports, plain files), formats (CUR 1.0 and 2.0, FOCUS), containers
//! (Parquet, CSV, gzip, ZIP) and the spellings of values. What lines mean is for its callers.
//!
//! ```text
//! list ─► Manifests::fetch ─► current_files ─► by_content      which files count, and what is left out, with the reason
//!                                                  │
//! OpenFile::open ─► of_columns ─► read ◄───────────┘           parts of a file as batches of the wanted columns
//!                                  │
//! RawBatch ─► TextColumn, AmountColumn, DayColumn, MapColumn   values, row by row, without a copy
//! ```
//!
//! Files are untrusted: what a footer, a page or a header claims is checked against the bytes that are there before memory
//! is taken for it, and panics of libraries that decode end in one place ([`decoding`]). An error names file, row and
//! column.

mod error;
mod format;
pub mod listing;
mod lock;
mod named_exports;
mod raw;
mod values;

pub use error::{ReadError, bad_column, bad_file};
pub use format::{Format, recognise};
pub use lock::lock;
pub use named_exports::NamedExports;
pub use raw::{OpenFile, RawBatch, RawColumn, RawStream, decoding};
pub use values::{
    AmountColumn, BLANK, DayColumn, Dictionary, DictionaryMemo, MapColumn, NO_CODE, NoAmount, PeriodMemo, RealMap,
    TextColumn, account_id, account_ids, far_away, impossible, invoice_ids, is_short, json_entries, no_date,
};
