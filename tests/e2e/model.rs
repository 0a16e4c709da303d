//! A naive model of the whole pipeline: CSV texts in, every published table out.
//!
//! It shares nothing with the engine, on purpose: plain loops over sorted maps, one rule at a time, no concern for speed.
//! Where the two disagree, one of them is wrong.

pub(crate) mod cost;
pub(crate) mod credits;
pub(crate) mod fifo;
mod golden;
pub(crate) mod parse;
pub(crate) mod tables;
pub(crate) mod units;

use chrono::NaiveDate;

use crate::support::compare::Tables;
use units::Period;

/// The cost column that `charges` are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    Unblended,
    NetUnblended,
    Amortized,
    NetAmortized,
}

/// Which order and window a credit's lots get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    IssueDate,
    IssueDay,
    AppliedMonth,
}

impl Policy {
    /// The versioned name that settings and results carry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IssueDate => "fifo_issue_date/v1",
            Self::IssueDay => "fifo_issue_day/v1",
            Self::AppliedMonth => "fifo_applied_month/v1",
        }
    }
}

/// The settings the model knows.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) basis: Basis,
    pub(crate) policy: Policy,
    pub(crate) expiring_soon_days: i64,
    pub(crate) treat_as_refund: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            basis: Basis::Unblended,
            policy: Policy::IssueDate,
            expiring_soon_days: 60,
            treat_as_refund: vec!["pricing_adjustment".to_owned()],
        }
    }
}

/// Everything a run depends on.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) as_of: NaiveDate,
    pub(crate) settings: Settings,
    /// The export's files, CUR 2.0 as CSV.
    pub(crate) export: Vec<String>,
    pub(crate) hierarchy: String,
    pub(crate) rules: String,
    pub(crate) budgets: String,
    /// The whole allocation history as one CSV; rows without `recorded_at` are older than all others.
    pub(crate) allocations: String,
}

/// What the model says a run publishes.
pub(crate) struct Published {
    pub(crate) tables: Tables,
    /// Credits whose newest revision is not valid.
    pub(crate) invalid_allocations: Vec<String>,
    /// Credits with lots in the order in which they are drawn.
    pub(crate) order: Vec<String>,
    /// Whether any amount had to be apportioned with a remainder.
    pub(crate) rounded: bool,
}

/// The run.
pub(crate) fn publish(inputs: &Inputs) -> Published {
    let as_of_period = Period::of(inputs.as_of);
    let mut lines = parse::lines(&inputs.export, inputs.settings.basis);
    lines.retain(|line| line.period <= as_of_period);
    let nodes = parse::nodes(&inputs.hierarchy);
    let rules = cost::rules(&inputs.rules, &nodes);
    let classified = cost::classify(&lines, &rules, &inputs.settings);
    let register = credits::register(&lines, &inputs.settings);
    let standings = credits::standings(&inputs.allocations, &register, &nodes);
    let lots = fifo::lots(&register, &standings, inputs.settings.policy);
    let consumption = fifo::consume(lots, &classified.cells, inputs.as_of);
    let invalid = |standing: &credits::Standing| matches!(standing, credits::Standing::Invalid);
    let mut order: Vec<String> = consumption.lots.iter().map(|lot| lot.credit_key.clone()).collect();
    order.dedup();
    Published {
        order,
        tables: tables::all(&tables::Results {
            inputs,
            lines: &lines,
            cells: &classified.cells,
            register: &register,
            standings: &standings,
            consumption: &consumption,
        }),
        invalid_allocations: standings.iter().filter(|(_, s)| invalid(s)).map(|(key, _)| key.clone()).collect(),
        rounded: classified.rounded || consumption.rounded,
    }
}
