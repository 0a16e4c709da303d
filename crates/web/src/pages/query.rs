//! SQL over every table and view, read-only.

mod examples;

use std::time::Duration;

use application::money_text::count;
use application::{Failure, Kind, queries};
use arrow::record_batch::RecordBatch;
use axum::response::Response;
use maud::{Markup, html};
use schemas::athena::{PARTITION_KEY, VIEWS, View};
use schemas::tables::ALL;
use schemas::{Place, Table};

use crate::answer::answer;
use crate::asked::Asked;
use crate::error::told;
use crate::filter::Filter;
use crate::page::Page;
use crate::sheet::Sheet;
use examples::EXAMPLES;

/// Rows of a result, on the page and in its files.
const MOST_ROWS: usize = 100_000;

/// How long a statement may take.
const LONGEST: Duration = Duration::from_secs(30);

pub(crate) async fn show(asked: Asked) -> Response {
    let page = build(&asked).await;
    answer(&asked, page).await
}

async fn build(asked: &Asked) -> Result<Page, Failure> {
    let sql = asked.filter.stated("sql");
    if asked.is_led_here && asked.filter.stated("download").is_some() {
        return Err(Failure::new(
            Kind::Usage,
            "query: a page of another site led here; run the statement on this page",
        ));
    }
    // Whoever made a link elsewhere does not have somebody's statements run by it.
    let result = match sql {
        Some(sql) if !asked.is_led_here => Some(result(asked, sql).await),
        _ => None,
    };
    let mut page = Page::new("Query", &[]).takes("sql");
    let sheet = match result {
        // Of a file that is asked for, the failure is the answer.
        Some(Err(failure)) if asked.filter.stated("download").is_some() => return Err(failure),
        Some(Err(failure)) => {
            page = page.text(told(&failure));
            None
        }
        Some(Ok(sheet)) => Some(sheet),
        None => None,
    };
    if asked.is_led_here && sql.is_some() {
        page = page.text(html! {
            p.note role="status" { "A page of another site led here, so this was not run. Look at it, and run it if it is yours." }
        });
    }
    page = page.text(form(sql));
    if let Some((sheet, is_cut)) = sheet {
        page = page.text(html! {
            @if is_cut {
                p.note.warning role="status" {
                    "It gives more than " (count(MOST_ROWS as u64)) " rows: the rest is left out, here and in the files. Ask for less: "
                    "by a condition, or a sum."
                }
            }
        });
        page = page.sheet(sheet);
    }
    Ok(page.text(html! {
        section {
            h2 { "Ready-made" }
            ul { @for (question, sql) in EXAMPLES { li { a href=(address(sql)) { (question) } } } }
        }
        (tables())
    }))
}

/// What a statement gives, and whether that is all but the rest.
async fn result(asked: &Asked, sql: &str) -> Result<(Sheet, bool), Failure> {
    let answer = tokio::time::timeout(LONGEST, queries::query_up_to(&asked.context, sql, MOST_ROWS)).await;
    let (batches, is_cut) = answer.map_err(|_too_long| {
        let message = format!("query: it took more than {} seconds and was ended; ask for less", LONGEST.as_secs());
        Failure::new(Kind::Usage, message)
    })??;
    let title = match batches.iter().map(RecordBatch::num_rows).sum::<usize>() {
        1 => "1 row".to_owned(),
        rows => format!("{} rows", count(rows as u64)),
    };
    Ok((Sheet::of_batches(("query", &title, "No rows."), &batches)?, is_cut))
}

/// The address of a statement.
fn address(sql: &str) -> String {
    Filter::default().address("/query", &[("sql", sql)])
}

fn form(sql: Option<&str>) -> Markup {
    html! {
        form method="get" action="/query" {
            label for="sql" { "SQL" }
            textarea.sql id="sql" name="sql" rows="7" spellcheck="false" autocomplete="off" required
                aria-describedby="bounds" { (sql.unwrap_or_default()) }
            p.buttons {
                button.primary { "Run" }
                @if let Some(sql) = sql { a href=(address(sql)) { "Link to this query" } }
                span.small id="bounds" {
                    "It only reads; up to " (count(MOST_ROWS as u64)) " rows and " (LONGEST.as_secs()) " seconds. "
                    kbd { "Ctrl" } " " kbd { "Enter" } " runs it. To save a query, bookmark its link."
                }
            }
        }
    }
}

/// Every table and view with its columns.
fn tables() -> Markup {
    let tables = ALL.iter().filter(|table| table.place != Place::Intermediate);
    html! {
        section {
            h2 { "Tables" }
            @for table in tables { (listed(table.name, table.doc, &columns_of_table(table))) }
        }
        section {
            h2 { "Views" }
            @for view in VIEWS { (listed(view.name, view.question(), &columns_of_view(view))) }
        }
    }
}

/// Name, type, meaning.
type ListedColumn = (&'static str, &'static str, &'static str);

fn columns_of_table(table: &Table) -> Vec<ListedColumn> {
    let partition = table.partitioned.then_some((PARTITION_KEY.name, PARTITION_KEY.sql_type, PARTITION_KEY.doc));
    let columns = table.columns.iter().map(|column| (column.name, column.column_type.sql(), column.doc.trim()));
    partition.into_iter().chain(columns).collect()
}

fn columns_of_view(view: &View) -> Vec<ListedColumn> {
    view.columns().iter().map(|column| (column.name, column.trino_type, column.comment)).collect()
}

fn listed(name: &str, doc: &str, columns: &[ListedColumn]) -> Markup {
    html! {
        details {
            summary { code { (name) } " " span.small { (doc.trim()) } }
            p { a href=(address(&format!("SELECT * FROM {name} LIMIT 100"))) { "Show 100 rows of " (name) } }
            dl.keys {
                @for (name, column_type, doc) in columns { dt { code { (name) } " " span.small { (column_type) } } dd { (doc) } }
            }
        }
    }
}
