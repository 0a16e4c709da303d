//! `allocate`, `move` and `revoke`: what revises a credit's allocation.

use chrono::{NaiveDate, NaiveDateTime};
use clap::Args;
use credit_ledger::{BillingPeriod, Money, Node};

use super::values::{Placed, amount, date, instant, node, period, placed};

/// Which credit.
#[derive(Debug, Clone, Args)]
pub struct CreditArgs {
    /// The credit's key, as `queue` shows it
    #[arg(long, value_name = "KEY", conflicts_with_all = ["code", "account"])]
    pub key: Option<String>,
    /// The credit's promotion code (its name), with --account
    #[arg(long, value_name = "NAME", requires = "account")]
    pub code: Option<String>,
    /// The credit's account, with --code
    #[arg(long, value_name = "ID", requires = "code")]
    pub account: Option<String>,
}

/// Who recorded it and when.
#[derive(Debug, Clone, Args)]
pub struct RecordArgs {
    /// Who records it [default: the login name]
    #[arg(long, value_name = "WHO")]
    pub by: Option<String>,
    /// When it was recorded, for a history carried over: 2026-03-05T09:00:00Z [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub recorded_at: Option<NaiveDateTime>,
}

/// `allocate`
#[derive(Debug, Clone, Args)]
pub struct Allocate {
    /// Which credit.
    #[command(flatten)]
    pub credit: CreditArgs,
    /// Amount in the credit's currency, above zero; with NODE=AMOUNT it is left out
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true, value_parser = amount)]
    pub amount: Option<Money>,
    /// Last day on which it may be used, YYYY-MM-DD [default: that of the allocation it replaces, else open-ended]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub end_date: Option<NaiveDate>,
    /// Open-ended, also where it replaces an allocation that ends
    #[arg(long, conflicts_with = "end_date")]
    pub no_end_date: bool,
    /// Node: "Business unit/Department/Portfolio/Product", fewer levels for a higher node; for several lots NODE=AMOUNT
    /// or NODE=AMOUNT,END of each
    #[arg(long, value_name = "NODE", value_parser = placed)]
    pub to: Vec<Placed>,
    /// Contract, ticket or programme; "" for none [default: that of the allocation it replaces]
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<String>,
    /// Free text
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Who and when.
    #[command(flatten)]
    pub record: RecordArgs,
    /// Whether to record it.
    #[command(flatten)]
    pub consent: Consent,
}

/// Whether a revision is recorded once it is known what it would change.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Only say what would change; nothing is recorded
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Put it into the lake's inbox: the next run records it
    #[arg(long, conflicts_with = "dry_run")]
    pub to_inbox: bool,
}

/// `move`
#[derive(Debug, Clone, Args)]
pub struct Move {
    /// The credit's key, as `credits` shows it; of several lots KEY:LOT
    #[arg(value_name = "KEY[:LOT]")]
    pub key: String,
    /// First billing period at the other node, YYYY-MM
    #[arg(long, value_name = "PERIOD", value_parser = period)]
    pub from: BillingPeriod,
    /// The other node: "Business unit/Department/Portfolio/Product", fewer levels for a higher node
    #[arg(long, value_name = "NODE", value_parser = node)]
    pub to: Node,
    /// Free text
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Who and when.
    #[command(flatten)]
    pub record: RecordArgs,
    /// Whether to record it.
    #[command(flatten)]
    pub consent: Consent,
}

/// `revoke`
#[derive(Debug, Clone, Args)]
pub struct Revoke {
    /// Which credit.
    #[command(flatten)]
    pub credit: CreditArgs,
    /// Free text
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Who and when.
    #[command(flatten)]
    pub record: RecordArgs,
    /// Whether to record it.
    #[command(flatten)]
    pub consent: Consent,
}
