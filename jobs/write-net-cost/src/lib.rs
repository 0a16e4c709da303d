//! **write-net-cost**: cells + draws -> net cost, its roll-up, the credits' standing, the reconciliation.
//!
//! * reads, from this run: `cells`, `credit_consumption`, `credit_balances`, `credit_register`, `applied_by_aws`,
//!   `allocated_credits`, `lots`, `export_totals`; `budgets.csv`
//! * writes: `net_cost`, `net_cost_summary`, `credit_impact`, `reconciliation` per billing period, `credits`,
//!   `credit_queue`; then the manifest, which says what the run is of: it is staged
//! * grain: `net_cost` day, payer, account, service, currency, node; `net_cost_summary` node, currency, per period
//! * invariants, checked before the run counts as staged: the tie-out to the export to the last decimal, parent = own
//!   + children at every level, no cell drawn beyond what is eligible
//! * a re-run writes the same bytes; a table of a month is reused where it is made from the same
//!
//! Both books per cell:
//!
//! ```text
//! invoice_net = gross_cost + refunds + aws_credits       AWS book, unblended; equals the export's own total
//! net_cost    = gross_cost + refunds + credits_applied   internal book
//! clearing    = invoice_net - net_cost
//! ```

pub mod changes;
pub mod check;
mod error;
mod job;
mod month;
pub mod plan;
pub mod roll_up;
pub mod standing;
pub mod whose;

pub use error::NetCostError;
pub use job::{WrittenCredits, write_net_cost};
