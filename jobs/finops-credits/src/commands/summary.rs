//! What `run` ends with, for a person at a terminal.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use credit_ledger::Money;
use datafusion::error::DataFusionError;
use join_allocations::finding::Kind::UnusableAllocation;
use join_allocations::finding::{Finding, Severity};
use schemas::records::{InboxFile, InboxFiles, LeftOut};

use super::check::{Section, sections};
use super::diff::print_changes;
use super::note;
use crate::Failure;
use crate::app::App;
use crate::cli::Format;
use crate::output::{Shown, print_json, print_lines, print_part};
use crate::report::{CreditAmount, Report};
use application::TieOut;
use application::money_text::{cents, count, exact};

impl Report {
    /// Prints the report in the format that is wanted.
    pub(crate) fn print(&self, app: &App) -> Result<(), Failure> {
        match app.format {
            Format::Json => print_json(serde_json::to_string_pretty(self)),
            Format::Csv => {
                self.print_units(app)?;
                if let Some(line) = self.not_published() {
                    note(&line);
                }
                Ok(())
            }
            Format::Table => {
                print_lines(self.head())?;
                self.print_changes(app)?;
                if let Some(period) = self.latest_period {
                    print_lines([String::new(), format!("Net cost of {period} by business unit")])?;
                    self.print_units(app)?;
                }
                print_lines(self.tie_out_lines().into_iter().chain(self.not_published()))
            }
        }
    }

    fn print_changes(&self, app: &App) -> Result<(), Failure> {
        if let Some(problem) = &self.changes_unknown {
            print_lines([String::new(), format!("Changes since the published run are not known: {problem}")])?;
        }
        let Some(changes) = &self.changes else { return Ok(()) };
        let since = format!("Changes since the published run {} as of {}", changes.from.run_id, changes.from.as_of);
        let nothing = if changes.is_empty() { ": none" } else { "" };
        print_lines([String::new(), since + nothing])?;
        print_changes(app, changes, SHOWN)
    }

    fn print_units(&self, app: &App) -> Result<(), Failure> {
        let batch = schemas::to_batch(&self.net_cost_by_business_unit)?;
        let columns =
            ["business_unit", "currency", "gross_cost", "refunds", "credits_applied", "net_cost", "budget_remaining"];
        let indexes: Vec<usize> = columns.iter().filter_map(|name| batch.schema().index_of(name).ok()).collect();
        let batch = batch.project(&indexes).map_err(DataFusionError::from)?;
        print_part(app, &[batch], Shown::Cents, "(no cost)")
    }

    fn head(&self) -> Vec<String> {
        let mut lines = vec![format!("Run {} as of {}", self.run_id, self.as_of), String::new()];
        let export = &self.export;
        lines.push(format!("Export      {}", export.in_brief()));
        let fresh = [self.freshness.left_out(self.as_of), self.freshness.stale(self.as_of)];
        lines.extend(fresh.into_iter().flatten().map(|said| format!("            {said}")));
        if let Some(fetched) = export.fetched {
            let (requests, bytes) = (count(fetched.requests), ByteSize(fetched.bytes));
            lines.push(format!("            {requests} requests to S3, {bytes} fetched"));
        }
        lines.extend(export.notes().into_iter().map(|note| format!("            {note}")));
        lines.extend(export.left_out.iter().take(SHOWN).map(|LeftOut { path, files, reason }| match files {
            1 => format!("            left out: {path}: {reason}"),
            files => format!("            left out: {path} ({} files): {reason}", count(*files)),
        }));
        if export.left_out.len() > SHOWN {
            lines.push(format!("              and {} more", export.left_out.len() - SHOWN));
        }
        let credits = &self.credits;
        lines.push(format!("Credits     {} registered", credits.registered));
        list(&mut lines, "new", &credits.new, "applied by AWS so far");
        list(&mut lines, "waiting for allocation", &credits.waiting, "applied by AWS so far");
        list(&mut lines, "expiring soon", &credits.expiring_soon, "left");
        list(&mut lines, "expired", &credits.expired, "lost");
        if !self.allocation_issues.is_empty() {
            lines.push(format!("Allocations {} cannot be used:", self.allocation_issues.len()));
            lines.extend(self.allocation_issues.iter().map(|issue| format!("            {issue}")));
        }
        lines.extend(self.inbox_lines());
        lines.extend(self.check_lines());
        lines
    }

    /// What was taken of the inbox, and what not.
    fn inbox_lines(&self) -> Vec<String> {
        let files = |number: usize| format!("{} file{}", count(number as u64), if number == 1 { "" } else { "s" });
        let InboxFiles { taken, refused } = &self.inbox;
        let of_them = if refused.len() == 1 { "it" } else { "them" };
        let parts = [(taken, "taken:".to_owned()), (refused, format!("refused, nothing of {of_them} is recorded:"))];
        let mut lines = Vec::new();
        for (found, what) in parts.into_iter().filter(|(found, _)| !found.is_empty()) {
            let label = if lines.is_empty() { "Inbox" } else { "" };
            lines.push(format!("{label:<12}{} {what}", files(found.len())));
            lines.extend(
                found.iter().take(SHOWN).map(|InboxFile { file, said }| format!("              {file}: {said}")),
            );
            if found.len() > SHOWN {
                lines.push(format!("              and {} more", found.len() - SHOWN));
            }
        }
        lines
    }

    /// Warnings of the check; the notes of it are for `check`, and unusable allocations stand above.
    fn check_lines(&self) -> Vec<String> {
        let is_told = |finding: &&Finding| finding.severity == Severity::Warning && finding.kind != UnusableAllocation;
        let told: Vec<Finding> = self.checks.iter().filter(is_told).cloned().collect();
        let mut lines = Vec::new();
        for Section { heading, entries, .. } in sections(&told, SHOWN) {
            let label = if lines.is_empty() { "Check" } else { "" };
            lines.push(format!("{label:<12}{heading}"));
            lines.extend(entries.into_iter().map(|entry| format!("              {entry}")));
        }
        lines.extend(self.edited_allocations());
        lines
    }

    /// `allocations.csv: 2 rows differ from what is recorded: 3, 7; …`
    fn edited_allocations(&self) -> Option<String> {
        let mut rows: Vec<String> = self.edited_allocations.iter().take(SHOWN).map(ToString::to_string).collect();
        if self.edited_allocations.len() > SHOWN {
            rows.push(format!("and {} more", self.edited_allocations.len() - SHOWN));
        }
        let (what, rows) = match self.edited_allocations.len() {
            0 => return None,
            1 => ("1 row differs".to_owned(), format!("row {}", rows.join(", "))),
            more => (format!("{} rows differ", count(more as u64)), format!("rows {}", rows.join(", "))),
        };
        Some(format!(
            "            allocations.csv: {what} from what is recorded ({rows}); `allocations import` records them"
        ))
    }

    fn not_published(&self) -> Option<String> {
        let why = self.not_published.as_ref()?;
        let id = &self.run_id;
        Some(format!("Not published: {why}; publish it with `publish --run-id {id}`, or run with --publish"))
    }

    fn tie_out_lines(&self) -> Vec<String> {
        let of_currency = |row: &TieOut| {
            format!(
                "Tie-out     export {} {currency} = invoice_net {}, difference {}; net cost {}, clearing {}",
                exact(row.export_total),
                exact(row.invoice_net),
                exact(row.difference),
                exact(row.net_cost),
                exact(row.clearing),
                currency = row.currency,
            )
        };
        std::iter::once(String::new()).chain(self.tie_out.iter().map(of_currency)).collect()
    }
}

/// Entries of a list that are shown; `--format json` has all.
const SHOWN: usize = 10;

/// `  3 waiting for allocation: 1,234.56 USD applied by AWS so far` and the keys below.
fn list(lines: &mut Vec<String>, what: &str, credits: &[CreditAmount], amount: &str) {
    if credits.is_empty() {
        return;
    }
    let mut sums: BTreeMap<&str, Money> = BTreeMap::new();
    for credit in credits {
        let sum = sums.entry(&credit.currency).or_default();
        *sum = sum.checked_add(credit.amount).unwrap_or(*sum);
    }
    let sums: Vec<String> = sums.iter().map(|(currency, sum)| format!("{} {currency}", cents(*sum))).collect();
    lines.push(format!("            {} {what}: {} {amount}", credits.len(), sums.join(", ")));
    for credit in credits.iter().take(SHOWN) {
        let end = credit.end_date.map(|end| format!(", ends {end}")).unwrap_or_default();
        let provisional = if credit.provisional { " (provisional)" } else { "" };
        lines.push(format!(
            "              {}  {} {}{end}{provisional}",
            credit.credit_key,
            cents(credit.amount),
            credit.currency
        ));
    }
    if credits.len() > SHOWN {
        lines.push(format!("              and {} more", credits.len() - SHOWN));
    }
}

#[cfg(test)]
mod tests;
