//! The internal book of credits, as pure domain code: money, billing periods, the hierarchy, lots, FIFO and its
//! invariants.
//!
//! No I/O, no clock, no floats, no Arrow. Amounts are [`Money`], an integer count of 1e-10 currency units; every
//! operation on them is checked. The jobs read tables, fold them through a [`Ledger`] and write tables.
//!
//! ```
//! use credit_ledger::{BillingPeriod, Money};
//! let period: BillingPeriod = "2026-03".parse()?;
//! let half = "0.00000000005".parse::<Money>()?; // rounded half away from zero to 10 decimals
//! assert_eq!((period.next().to_string(), half.to_string()), ("2026-04".into(), "0.0000000001".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::float_arithmetic, clippy::arithmetic_side_effects)]

mod fifo;
mod invariants;
mod lot;
mod money;
mod node;
mod period;
mod periods;
mod policy;
mod quoted;
mod spend;
mod spread;
mod status;

pub use fifo::{Balance, Ledger, LedgerError, Posting, in_fifo_order};
pub use invariants::{Breach, PostingCheck};
pub use lot::{Continues, Lot};
pub use money::{Money, MoneyError};
pub use node::{Node, NodeError};
pub use period::{BeyondYears, BillingPeriod, ExportPeriods, ImpossiblePeriod, PeriodError, YEARS, within_years};
pub use periods::{Periods, PeriodsError};
pub use policy::{Policy, PolicyError};
pub use quoted::Quoted;
pub use spend::{Cell, Draw, Spend};
pub use spread::spread;
pub use status::{CreditPosition, Status};

/// A name, an id or any other text that many rows repeat. Short ones lie in the row itself, copies of long ones share
/// their memory.
pub type Text = smol_str::SmolStr;
