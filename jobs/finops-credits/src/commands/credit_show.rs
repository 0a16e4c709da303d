//! `credits show`: the statement of one credit.

use application::statement::{finding_text, revision_lines, statement, why_unused};
use apply_fifo::statement::CreditStatement;
use apply_fifo::unused::Taken;
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use credit_ledger::{Money, Text};
use datafusion::error::DataFusionError;
use schemas::ColumnValue;

use crate::Failure;
use crate::app::App;
use crate::cli::Format;
use crate::output::{Shown, print, print_json, print_lines};
use application::money_text::cents;

/// Rows of who used it that a terminal shows.
const PLACES: usize = 20;

pub(crate) async fn show(app: &App, key: &str) -> Result<(), Failure> {
    let statement = statement(&app.context, key).await?;
    match app.format {
        Format::Json => print_json(serde_json::to_string_pretty(&statement)),
        Format::Csv => print(app, &[months_table(&statement)?], Shown::Exact, ""),
        Format::Table => print_statement(app, &statement),
    }
}

fn print_statement(app: &App, statement: &CreditStatement) -> Result<(), Failure> {
    print_lines(head(statement))?;
    section(app, "Lots", lots_table(statement)?, "Nothing of it is allocated.")?;
    section(app, "Month by month", months_table(statement)?, "(no month)")?;
    section(app, "Who used it", used_table(statement)?, "Nothing of it was used.")?;
    if let Some(more) = statement.used_by.len().checked_sub(PLACES).filter(|more| *more > 0) {
        print_lines([format!("and {more} more; --format json has all")])?;
    }
    if !statement.unused.is_empty() {
        section(app, "Why something was left", unused_table(statement)?, "")?;
    }
    section_lines("What was recorded", history_lines(statement))?;
    section_lines("Findings", statement.findings.iter().map(|finding| finding_text(finding, statement)).collect())
}

fn section(app: &App, heading: &str, table: RecordBatch, empty: &str) -> Result<(), Failure> {
    print_lines([String::new(), heading.to_owned()])?;
    print(app, &[table], Shown::Cents, empty)
}

fn section_lines(heading: &str, lines: Vec<String>) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    print_lines([String::new(), heading.to_owned()])?;
    print_lines(lines.into_iter().map(|line| format!("  {line}")))
}

/// Who and what it is, and how it stands.
fn head(statement: &CreditStatement) -> Vec<String> {
    let credit = &statement.credit;
    let currency = &credit.currency;
    let line = |name: &str, text: String| format!("{name:<12}{text}");
    let source = match credit.issue_date_source.as_str() {
        "cur_inferred" => "the day before its first line",
        "manual" => "set by hand",
        other => other,
    };
    let owner = credit.owner_account_id.as_ref().map(|owner| format!(", owner {owner}")).unwrap_or_default();
    let amounts = credit.allocated_amount.map(|amount| {
        let of = |amount: Option<Money>| cents(amount.unwrap_or_default());
        let (used, expired, left) = (of(credit.used), of(credit.expired), of(credit.remaining));
        format!(": {} {currency} allocated, {used} used, {expired} expired, {left} left", cents(amount))
    });
    let last = credit
        .last_cur_date
        .map_or_else(|| ", in lines that are gone".to_owned(), |last| format!(", {} to {last}", credit.first_cur_date));
    let mut lines = vec![
        credit.credit_key.to_string(),
        line("name", format!("{} ({})", credit.promotion_code, credit.credit_class)),
        line("account", format!("{}{owner}, payer {}", credit.account_id, credit.payer_account_id)),
        line("issued", format!("{}, {source}", credit.issue_date)),
        line("status", format!("{}{}", credit.status, amounts.unwrap_or_default())),
        line("by AWS", format!("{} {currency} applied{last}", cents(credit.aws_applied))),
    ];
    if let Some((at, by)) = credit.recorded_at.map(|at| (at, credit.recorded_by.as_deref().unwrap_or("unknown"))) {
        lines.push(line("recorded", format!("{} by {by}", at.format("%Y-%m-%d %H:%M"))));
    }
    lines.push(line("figures", format!("run {} as of {}", statement.run_id, statement.as_of)));
    lines
}

/// A column of values that are made on the way.
fn column<T, V: ColumnValue>(rows: &[T], value: impl Fn(&T) -> V) -> ArrayRef {
    let values: Vec<V> = rows.iter().map(value).collect();
    V::to_array(values.iter())
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, Failure> {
    Ok(RecordBatch::try_from_iter(columns).map_err(DataFusionError::from)?)
}

fn lots_table(statement: &CreditStatement) -> Result<RecordBatch, Failure> {
    let lots = &statement.lots;
    table([
        ("lot", column(lots, |lot| lot.lot)),
        ("node", column(lots, |lot| Text::from(lot.node.to_string()))),
        ("amount", column(lots, |lot| lot.amount)),
        ("used", column(lots, |lot| lot.used)),
        ("expired", column(lots, |lot| lot.expired)),
        ("remaining", column(lots, |lot| lot.remaining)),
        ("end_date", column(lots, |lot| lot.end_date)),
        ("fifo", column(lots, |lot| Text::from(format!("{} of {}", lot.fifo_position, lot.fifo_lots)))),
        ("owner", column(lots, |lot| lot.owner_email.clone())),
        ("reference", column(lots, |lot| lot.reference.clone())),
    ])
}

fn months_table(statement: &CreditStatement) -> Result<RecordBatch, Failure> {
    let months = &statement.months;
    table([
        ("billing_period", column(months, |month| Text::from(month.billing_period.to_string()))),
        ("opening", column(months, |month| month.opening)),
        ("issued", column(months, |month| month.issued)),
        ("used", column(months, |month| month.used)),
        ("expired", column(months, |month| month.expired)),
        ("remaining", column(months, |month| month.remaining)),
        ("aws_applied", column(months, |month| month.aws_applied)),
    ])
}

fn used_table(statement: &CreditStatement) -> Result<RecordBatch, Failure> {
    let used_by = statement.used_by.get(..PLACES).unwrap_or(&statement.used_by);
    table([
        ("node", column(used_by, |of| Text::from(of.node.to_string()))),
        ("account_id", column(used_by, |of| of.account_id.clone())),
        ("service", column(used_by, |of| of.service.clone())),
        ("used", column(used_by, |of| of.used)),
        ("first_day", column(used_by, |of| of.first_day)),
        ("last_day", column(used_by, |of| of.last_day)),
    ])
}

fn unused_table(statement: &CreditStatement) -> Result<RecordBatch, Failure> {
    let unused = &statement.unused;
    let taken = |taken: &[Taken]| Money::total(taken.iter().map(|taken| taken.used)).unwrap_or_default();
    table([
        ("month", column(unused, |of| Text::from(of.billing_period.to_string()))),
        ("lot", column(unused, |of| of.lot)),
        ("left", column(unused, |of| of.remaining.max(of.expired))),
        ("cost", column(unused, |of| of.gross_cost)),
        ("eligible", column(unused, |of| of.eligible)),
        ("earlier_lots", column(unused, |of| taken(&of.earlier))),
        ("drawn", column(unused, |of| of.drawn)),
        ("why", column(unused, |of| Text::from(why_unused(of, statement)))),
    ])
}

fn history_lines(statement: &CreditStatement) -> Vec<String> {
    if statement.history.is_empty() {
        return vec!["nothing".to_owned()];
    }
    statement.history.iter().flat_map(|revision| revision_lines(revision, &statement.credit.currency)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::csv_text;
    use crate::testing::{AS_OF, Shop};

    fn csv(table: Result<RecordBatch, Failure>) -> String {
        csv_text(&[table.unwrap()], true).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn statement_of_a_credit_has_its_lots_months_users_and_history() {
        let shop = Shop::new();
        shop.night("night-1", "2026-02-28").await;
        let app = shop.app("asking", "2026-02-28").await;
        let statement = statement(&app.context, "Spring").await.unwrap();
        insta::assert_snapshot!(head(&statement).join("\n"), @r"
        id:42
        name        Spring Credits (promotion)
        account     111111111111, payer 999999999999
        issued      2026-01-09, the day before its first line
        status      expiring_soon: 130.00 USD allocated, 100.00 used, 0.00 expired, 30.00 left
        by AWS      30.00 USD applied, 2026-01-10 to 2026-01-10
        recorded    2026-01-20 09:30 by ann
        figures     run night-1 as of 2026-02-28
        ");
        let lots = "lot,node,amount,used,expired,remaining,end_date,fifo,owner,reference\n\
                    1,Retail/Online,130.0000000000,100.0000000000,0.0000000000,30.0000000000,2026-02-28,1 of 1,\
                    rosa@shop.example,INV-1\n";
        assert_eq!(csv(lots_table(&statement)), lots);
        let months = "billing_period,opening,issued,used,expired,remaining,aws_applied\n\
                      2026-01,0.0000000000,130.0000000000,100.0000000000,0.0000000000,30.0000000000,30.0000000000\n\
                      2026-02,30.0000000000,0.0000000000,0.0000000000,0.0000000000,30.0000000000,0.0000000000\n";
        assert_eq!(csv(months_table(&statement)), months);
        let used = "node,account_id,service,used,first_day,last_day\n\
                    Retail/Online,111111111111,AmazonEC2,100.0000000000,2026-01-05,2026-01-05\n";
        assert_eq!(csv(used_table(&statement)), used);
        let unused = csv(unused_table(&statement));
        assert!(unused.contains("2026-01,1,30.0000000000,100.0000000000,100.0000000000,0.0000000000,100.0000000000,it drew all there was\n"), "{unused}");
        assert!(
            unused.contains("2026-02,1,30.0000000000,0.0000000000,") && unused.contains(",no cost at Retail/Online\n"),
            "{unused}"
        );
        let expected =
            ["2026-01-20 09:30  allocate  by ann", "  lot 1: 130.00 USD to Retail/Online, until 2026-02-28, INV-1"];
        assert_eq!(history_lines(&statement), expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn credit_that_waits_has_neither_amounts_nor_history() {
        let shop = Shop::new();
        shop.night("night-1", AS_OF).await;
        let app = shop.app("asking", AS_OF).await;
        let statement = statement(&app.context, "Activate").await.unwrap();
        let head = head(&statement);
        assert!(head.contains(&"status      unallocated".to_owned()), "{head:?}");
        assert!(!head.iter().any(|line| line.starts_with("recorded")), "{head:?}");
        assert_eq!(history_lines(&statement), ["nothing"]);
        assert_eq!(lots_table(&statement).unwrap().num_rows(), 0);
        let found: Vec<String> = statement.findings.iter().map(|finding| finding_text(finding, &statement)).collect();
        let waits = "waits for allocation for 18 days (never_allocated); AWS applied 7.00 USD so far";
        assert_eq!(found, [waits]);
        let unknown = application::statement::statement(&app.context, "MAP").await.unwrap_err();
        assert_eq!(unknown.kind, crate::Kind::BadInput);
    }
}
