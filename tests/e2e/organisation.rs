//! Generated organisations: small, but with everything an export, a hierarchy and a finance team come up with.

mod allocations;
mod lines;
mod reference;

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::model::parse::Node;
use crate::model::units::Period;
use crate::model::{Basis, Inputs, Policy, Settings};
use crate::support::Workspace;
use crate::support::compare::Row;
use allocations::RevisionChoice;
use lines::LineChoice;
use reference::{RuleChoice, Shape};

/// Which amounts occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amounts {
    /// Every kind of number, those that need rounding included.
    Any,
    /// Powers of two, so that many splits come out even.
    Coarse,
}

/// A budget of a node (empty: of the whole).
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) period: Period,
    pub(crate) node: Node,
    pub(crate) currency: String,
    pub(crate) amount: String,
}

/// One revision of a credit's allocation.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) id: String,
    pub(crate) credit_key: String,
    /// Name and account, where the row names its credit by them instead of by key.
    pub(crate) by_name: Option<(String, String)>,
    pub(crate) currency: String,
    pub(crate) recorded_at: DateTime<Utc>,
    /// None at all: the revision revokes.
    pub(crate) lots: Vec<RecordedLot>,
}

/// One lot of a revision.
#[derive(Clone, Debug)]
pub(crate) struct RecordedLot {
    pub(crate) node: Node,
    pub(crate) amount: String,
    pub(crate) end_date: Option<NaiveDate>,
    pub(crate) reference: String,
    /// The lot it continues, by number, and from when; then it has no amount.
    pub(crate) continues: Option<(usize, Period)>,
}

/// Everything a run reads.
#[derive(Clone)]
pub(crate) struct Organisation {
    pub(crate) as_of: NaiveDate,
    pub(crate) settings: Settings,
    /// One line of the export each: column to text.
    pub(crate) lines: Vec<Row>,
    pub(crate) hierarchy: Vec<Node>,
    pub(crate) rules: String,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) revisions: Vec<Revision>,
}

/// A CSV text with a header.
pub(crate) fn csv_text<T: AsRef<str>>(header: &[&str], rows: impl IntoIterator<Item = Vec<T>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).expect("a header");
    for row in rows {
        writer.write_record(row.iter().map(AsRef::as_ref)).expect("a row as wide as the header");
    }
    String::from_utf8(writer.into_inner().expect("a whole text")).expect("UTF-8")
}

/// The four columns of a node.
pub(crate) fn node_columns(node: &Node) -> [String; 4] {
    [0, 1, 2, 3].map(|level| node.get(level).cloned().unwrap_or_default())
}

const NODE: [&str; 4] = ["business_unit", "department", "portfolio", "product"];

/// The billing period of a line.
pub(crate) fn period_of(line: &Row) -> Period {
    Period::parse(&line["bill_billing_period_start_date"][..7])
}

/// Lines as a file of the export.
pub(crate) fn export_file<'a>(lines: impl IntoIterator<Item = &'a Row>) -> String {
    csv_text(&lines::COLUMNS, lines.into_iter().map(|line| lines::COLUMNS.map(|column| line[column].as_str()).to_vec()))
}

/// Revisions as a file for `allocations import`.
pub(crate) fn allocations_file<'a>(revisions: impl IntoIterator<Item = &'a Revision>) -> String {
    let header = [
        "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio",
        "product,allocation_id,recorded_at,recorded_by,action,from_period,continues_lot",
    ]
    .join(",");
    let rows = revisions.into_iter().flat_map(Revision::rows);
    csv_text(&header.split(',').collect::<Vec<_>>(), rows)
}

impl Revision {
    fn rows(&self) -> Vec<Vec<String>> {
        let (code, account) = self.by_name.clone().unwrap_or_default();
        let key = if self.by_name.is_some() { String::new() } else { self.credit_key.clone() };
        let named = vec![code, account, key];
        let at = self.recorded_at.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string();
        let recorded =
            |action: &str| vec![self.id.clone(), at.clone(), "ana@example.org".to_owned(), action.to_owned()];
        if self.lots.is_empty() {
            return vec![[named, vec![String::new(); 8], recorded("revoke"), vec![String::new(); 2]].concat()];
        }
        let row = |lot: &RecordedLot| {
            let end = lot.end_date.map(|end| end.to_string()).unwrap_or_default();
            let terms = vec![lot.amount.clone(), self.currency.clone(), end, lot.reference.clone()];
            let moved = lot.continues.map(|(from, period)| vec![period.to_string(), from.to_string()]);
            let moved = moved.unwrap_or_else(|| vec![String::new(); 2]);
            [named.clone(), terms, node_columns(&lot.node).to_vec(), recorded("allocate"), moved].concat()
        };
        self.lots.iter().map(row).collect()
    }
}

impl Organisation {
    /// The hierarchy file.
    pub(crate) fn hierarchy_file(&self) -> String {
        csv_text(&NODE, self.hierarchy.iter().map(|node| node_columns(node).to_vec()))
    }

    /// The budgets file.
    pub(crate) fn budgets_file(&self) -> String {
        let header = [&["billing_period"], NODE.as_slice(), &["currency", "amount"]].concat();
        let row = |budget: &Budget| {
            let ends = vec![budget.currency.clone(), budget.amount.clone()];
            [vec![budget.period.to_string()], node_columns(&budget.node).to_vec(), ends].concat()
        };
        csv_text(&header, self.budgets.iter().map(row))
    }

    /// The settings file; without `threads` the product decides.
    pub(crate) fn settings_file(&self, threads: Option<usize>) -> String {
        let cost = match self.settings.basis {
            Basis::Unblended => "unblended",
            Basis::NetUnblended => "net_unblended",
            Basis::Amortized => "amortized",
            Basis::NetAmortized => "net_amortized",
        };
        let Settings { policy, expiring_soon_days, treat_as_refund, .. } = &self.settings;
        let source = format!("[source]\nlocation = \"cur\"\ncost = \"{cost}\"\n");
        let places = "[reference]\nlocation = \"reference\"\n[lake]\nlocation = \"lake\"\n";
        let credits = format!(
            "[credits]\npolicy = \"{}\"\nexpiring_soon_days = {expiring_soon_days}\ntreat_as_refund = {treat_as_refund:?}\n",
            policy.name()
        );
        let run = threads.map(|threads| format!("[run]\nthreads = {threads}\n")).unwrap_or_default();
        [source, places.to_owned(), credits, run].concat()
    }

    /// The export as one file per billing period.
    pub(crate) fn export_files(&self) -> Vec<(String, String)> {
        let periods: BTreeSet<Period> = self.lines.iter().map(period_of).collect();
        let file = |period: Period| export_file(self.lines.iter().filter(|line| period_of(line) == period));
        periods.into_iter().map(|period| (format!("cur-{period}.csv"), file(period))).collect()
    }

    /// Writes settings, export and reference data, without allocations.
    pub(crate) fn install(&self, workspace: &Workspace) {
        workspace.write("credits.toml", self.settings_file(None));
        for (name, text) in self.export_files() {
            workspace.write(&format!("cur/{name}"), text);
        }
        workspace.write("reference/hierarchy.csv", self.hierarchy_file());
        workspace.write("reference/cost_rules.csv", &self.rules);
        workspace.write("reference/budgets.csv", self.budgets_file());
    }

    /// Leaves the allocations in the reference folder, where a new lake takes them over with its first run.
    pub(crate) fn install_allocations(&self, workspace: &Workspace) {
        if !self.revisions.is_empty() {
            workspace.write("reference/allocations.csv", allocations_file(&self.revisions));
        }
    }

    /// The same for the model.
    pub(crate) fn inputs(&self) -> Inputs {
        Inputs {
            as_of: self.as_of,
            settings: self.settings.clone(),
            export: self.export_files().into_iter().map(|(_, text)| text).collect(),
            hierarchy: self.hierarchy_file(),
            rules: self.rules.clone(),
            budgets: self.budgets_file(),
            allocations: allocations_file(&self.revisions),
        }
    }

    /// The same organisation with all money times `factor`; amounts must be [`Amounts::Coarse`].
    pub(crate) fn scaled(&self, factor: i128) -> Self {
        let times = |amount: &str| match amount.parse::<i128>() {
            Ok(number) => (number * factor).to_string(),
            Err(_) => amount.to_owned(),
        };
        let mut scaled = self.clone();
        for line in &mut scaled.lines {
            for column in lines::MONEY_COLUMNS {
                line.insert(column.to_owned(), times(&line[column]));
            }
        }
        for budget in &mut scaled.budgets {
            budget.amount = times(&budget.amount);
        }
        for lot in scaled.revisions.iter_mut().flat_map(|revision| &mut revision.lots) {
            lot.amount = times(&lot.amount);
        }
        scaled
    }
}

/// The files themselves: what one needs to play a failure by hand.
impl fmt::Debug for Organisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "as of {}\n--- credits.toml\n{}", self.as_of, self.settings_file(None))?;
        for (name, text) in self.export_files() {
            writeln!(f, "--- cur/{name}\n{text}")?;
        }
        writeln!(f, "--- reference/hierarchy.csv\n{}", self.hierarchy_file())?;
        writeln!(f, "--- reference/cost_rules.csv\n{}", self.rules)?;
        writeln!(f, "--- reference/budgets.csv\n{}", self.budgets_file())?;
        writeln!(f, "--- reference/allocations.csv\n{}", allocations_file(&self.revisions))
    }
}

fn settings(amounts: Amounts) -> impl Strategy<Value = Settings> {
    let policy = select(vec![Policy::IssueDate, Policy::IssueDay, Policy::AppliedMonth]);
    let others = [Basis::NetUnblended, Basis::Amortized, Basis::NetAmortized];
    let basis = match amounts {
        Amounts::Any => [[Basis::Unblended; 5].as_slice(), &others].concat(),
        Amounts::Coarse => vec![Basis::Unblended],
    };
    let classes: [&[&str]; 5] =
        [&["pricing_adjustment"], &["pricing_adjustment"], &["pricing_adjustment"], &[], &["goodwill", "contractual"]];
    (policy, select(basis), select(vec![60, 60, 0, 10, 400]), select(classes.to_vec())).prop_map(
        |(policy, basis, expiring_soon_days, classes)| Settings {
            basis,
            policy,
            expiring_soon_days,
            treat_as_refund: classes.iter().map(|class| (*class).to_owned()).collect(),
        },
    )
}

/// A day of one of the months of the export, mostly the last one.
fn as_of() -> impl Strategy<Value = (Option<Index>, Option<u32>)> {
    (proptest::option::weighted(0.4, any::<Index>()), proptest::option::weighted(0.6, 1..=28_u32))
}

/// In a month that the export has lines of, or in a gap: nothing is to be had as of an earlier one.
fn as_of_date(lines: &[Row], (month, day): (Option<Index>, Option<u32>)) -> NaiveDate {
    let periods: BTreeSet<Period> = lines.iter().map(period_of).collect();
    let ends = periods.first().zip(periods.last()).expect("a line");
    let months = ends.0.through(*ends.1);
    let period = month.map_or(*ends.1, |month| *month.get(&months));
    day.map_or(period.last_day(), |day| period.first_day() + chrono::Days::new(u64::from(day - 1)))
}

fn assemble(
    shape: &Shape,
    as_of: (Option<Index>, Option<u32>),
    settings: Settings,
    choices: (Vec<LineChoice>, Vec<RuleChoice>, Vec<reference::BudgetChoice>, Vec<RevisionChoice>),
) -> Organisation {
    let (lines, rules, budgets, revisions) = choices;
    let lines = lines::assemble(shape, &lines);
    let mut organisation = Organisation {
        as_of: as_of_date(&lines, as_of),
        settings,
        lines,
        hierarchy: shape.nodes.clone(),
        rules: reference::rules_file(shape, &rules),
        budgets: reference::budgets(shape, &budgets),
        revisions: Vec::new(),
    };
    organisation.revisions = allocations::assemble(&organisation, shape, &revisions);
    organisation
}

/// Up to six rules, mostly with one for whatever the others leave.
fn rules(amounts: Amounts) -> impl Strategy<Value = Vec<RuleChoice>> {
    let last = proptest::option::weighted(0.75, reference::last_rule(amounts));
    (vec(reference::rule(amounts), 0..6), last).prop_map(|(rules, last)| rules.into_iter().chain(last).collect())
}

/// Organisations of one to three business units and up to forty lines.
pub(crate) fn organisations(amounts: Amounts) -> BoxedStrategy<Organisation> {
    let choices = (
        vec(lines::line(amounts), 1..40),
        rules(amounts),
        vec(reference::budget(amounts), 0..4),
        vec(allocations::revision(amounts), 0..9),
    );
    (reference::shape(), as_of(), settings(amounts), choices)
        .prop_map(|(shape, as_of, settings, choices)| assemble(&shape, as_of, settings, choices))
        .boxed()
}

/// The digits of an amount above zero, of the kinds people and bills come up with.
fn positive(amounts: Amounts) -> BoxedStrategy<String> {
    let powers = (0..12_u32).prop_map(|power| 2_i64.pow(power).to_string());
    if amounts == Amounts::Coarse {
        return powers.boxed();
    }
    prop_oneof![
        4 => (1..500_i64).prop_map(|number| number.to_string()),
        4 => (1..100_000_i64).prop_map(|cents| format!("{}.{:02}", cents / 100, cents % 100)),
        3 => (0..1000_i64, 1..10_000_000_000_i64).prop_map(|(whole, part)| format!("{whole}.{part:010}")),
        1 => (1..20_i64).prop_map(|units| format!("0.{units:010}")),
        1 => (1..9_i64, 0..100_i64).prop_map(|(trillions, cents)| format!("{trillions}000000000000.{cents:02}")),
    ]
    .boxed()
}
