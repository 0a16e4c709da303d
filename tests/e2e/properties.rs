//! Properties of whole runs of the built binary, on generated organisations.
//!
//! `FINOPS_PROPERTY_CASES` (default 128, or 24 where a case starts the binary often) sets how many organisations a property sees. Runs are the same every time,
//! unless `FINOPS_PROPERTY_SEED` says otherwise.

mod cases;
mod changes;
mod checks;
mod previews;
mod renames;
mod statements;

use std::collections::BTreeMap;
use std::io::Write as _;

use chrono::NaiveDate;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::model::credits::register;
use crate::model::parse::{Node, lines};
use crate::model::units::{Money, Period};
use crate::model::{Published, publish};
use crate::organisation::{Amounts, Organisation, Revision, allocations_file, export_file, organisations, period_of};
use crate::support::Workspace;
use crate::support::compare::{Row, Tables, csv_rows, table_differences};
use cases::holds;
use checks::{Verdict, books_are_kept, ended_lots_draw_nothing, names_are_kept_apart_by_account, none, same_files};

fn run(workspace: &Workspace, organisation: &Organisation) -> Verdict {
    workspace.try_run(&organisation.as_of.to_string(), &["run"]).map(drop)
}

/// A new lake that has seen the organisation once.
fn new_lake(organisation: &Organisation) -> Result<Workspace, String> {
    let workspace = Workspace::new();
    organisation.install(&workspace);
    organisation.install_allocations(&workspace);
    run(&workspace, organisation)?;
    Ok(workspace)
}

fn tables(workspace: &Workspace, organisation: &Organisation) -> Result<Tables, String> {
    workspace.tables(&organisation.as_of.to_string())
}

/// The published tables are those of the model.
fn equals_model(workspace: &Workspace, organisation: &Organisation, model: &Published) -> Verdict {
    let published = tables(workspace, organisation)?;
    none(&table_differences(&model.tables, &published))?;
    ended_lots_draw_nothing(&published)?;
    names_are_kept_apart_by_account(&published)
}

#[test]
fn every_published_table_equals_an_independent_calculation_and_running_twice_changes_nothing() {
    holds(
        "model",
        || organisations(Amounts::Any),
        |organisation: Organisation| {
            let workspace = new_lake(&organisation)?;
            equals_model(&workspace, &organisation, &publish(&organisation.inputs()))?;
            let before = workspace.published();
            run(&workspace, &organisation)?;
            same_files(&before, &workspace.published())
        },
    );
}

/// Needs no binary: it keeps the model and the generated organisations honest.
#[test]
fn model_keeps_the_books_of_generated_organisations() {
    holds(
        "books",
        || organisations(Amounts::Any),
        |organisation: Organisation| {
            let model = publish(&organisation.inputs());
            books_are_kept(&model.tables)?;
            ended_lots_draw_nothing(&model.tables)?;
            names_are_kept_apart_by_account(&model.tables)
        },
    );
}

/// Another way of delivering the same lines.
#[derive(Clone, Debug)]
struct Layout {
    /// Where lines go, taken in turn: a sort key and a file.
    places: Vec<(u16, usize)>,
    /// Whether a file may hold lines of several billing periods.
    mixed: bool,
    compressed: Vec<bool>,
    threads: usize,
}

fn layouts() -> impl Strategy<Value = Layout> {
    let compressed = vec(any::<bool>(), 4);
    (vec((any::<u16>(), 0..4_usize), 40), prop::bool::weighted(0.25), compressed, prop::sample::select(vec![1, 2, 7]))
        .prop_map(|(places, mixed, compressed, threads)| Layout { places, mixed, compressed, threads })
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("a compressed text");
    encoder.finish().expect("a whole text")
}

impl Layout {
    /// The export's files: name to content.
    fn files(&self, lines: &[Row]) -> BTreeMap<String, Vec<u8>> {
        let mut placed: Vec<(u16, usize, &Row)> =
            lines.iter().zip(self.places.iter().cycle()).map(|(line, (key, file))| (*key, *file, line)).collect();
        placed.sort_by_key(|(key, _, _)| *key);
        let mut files: BTreeMap<(String, usize), Vec<&Row>> = BTreeMap::new();
        for (_, file, line) in placed {
            let folder = if self.mixed { "all".to_owned() } else { period_of(line).to_string() };
            files.entry((folder, file)).or_default().push(line);
        }
        let mut contents = BTreeMap::new();
        for ((folder, file), lines) in files {
            let text = export_file(lines);
            if self.compressed[file] {
                contents.insert(format!("{folder}/part-{file}.csv.gz"), gzip(&text));
            } else {
                contents.insert(format!("{folder}/part-{file}.csv"), text.into_bytes());
            }
        }
        contents
    }
}

#[test]
fn any_order_of_rows_and_files_and_any_number_of_threads_give_the_same_bytes() {
    let strategy = || (organisations(Amounts::Any), layouts()).boxed();
    holds("layout", strategy, |(organisation, layout): (Organisation, Layout)| {
        let expected = new_lake(&organisation)?;
        let other = Workspace::new();
        organisation.install(&other);
        organisation.install_allocations(&other);
        other.write("credits.toml", organisation.settings_file(Some(layout.threads)));
        other.empty("cur");
        for (name, content) in layout.files(&organisation.lines) {
            other.write(&format!("cur/{name}"), content);
        }
        run(&other, &organisation)?;
        same_files(&expected.published(), &other.published())
    });
}

/// The revisions of credits for which all of them can be recorded as of an earlier date.
fn recordable(organisation: &Organisation, as_of: NaiveDate) -> Vec<bool> {
    let mut known = lines(&organisation.inputs().export, organisation.settings.basis);
    known.retain(|line| line.period <= Period::of(as_of));
    let register = register(&known, &organisation.settings);
    let fits = |key: &String| {
        let of_credit = organisation.revisions.iter().filter(|revision| &revision.credit_key == key);
        register.get(key).is_some_and(|credit| {
            of_credit
                .into_iter()
                .flat_map(|revision| &revision.lots)
                .all(|lot| lot.end_date.is_none_or(|end| end >= credit.issue_date))
        })
    };
    organisation.revisions.iter().map(|revision| fits(&revision.credit_key)).collect()
}

fn import<'a>(workspace: &Workspace, as_of: &str, revisions: impl Iterator<Item = &'a Revision>) -> Verdict {
    let mut revisions = revisions.peekable();
    if revisions.peek().is_none() {
        return Ok(());
    }
    workspace.write("import.csv", allocations_file(revisions));
    let file = workspace.path("import.csv").display().to_string();
    workspace.try_run(as_of, &["allocations", "import", &file]).map(drop)
}

#[test]
fn earlier_as_of_dates_first_and_the_last_one_equal_one_run() {
    let strategy = || (organisations(Amounts::Any), any::<Index>()).boxed();
    holds("stages", strategy, |(mut organisation, stage): (Organisation, Index)| {
        for revision in &mut organisation.revisions {
            revision.by_name = None;
        }
        let first = organisation.lines.iter().map(period_of).min().unwrap_or(Period::of(organisation.as_of));
        let months = first.through(Period::of(organisation.as_of));
        let Some(month) = months.split_last().filter(|(_, earlier)| !earlier.is_empty()).map(|(_, m)| *stage.get(m))
        else {
            return Ok(());
        };
        let workspace = Workspace::new();
        organisation.install(&workspace);
        let early = month.last_day().to_string();
        workspace.try_run(&early, &["run"])?;
        let now = recordable(&organisation, month.last_day());
        let chosen =
            |early: bool| organisation.revisions.iter().zip(&now).filter(move |(_, n)| **n == early).map(|(r, _)| r);
        import(&workspace, &early, chosen(true))?;
        workspace.try_run(&early, &["run"])?;
        run(&workspace, &organisation)?;
        import(&workspace, &organisation.as_of.to_string(), chosen(false))?;
        run(&workspace, &organisation)?;
        same_files(&new_lake(&organisation)?.published(), &workspace.published())
    });
}

#[test]
fn a_new_lake_equals_one_that_saw_other_files_and_rules_before() {
    let strategy = || (organisations(Amounts::Any), vec(any::<bool>(), 40)).boxed();
    holds("new-lake", strategy, |(organisation, kept): (Organisation, Vec<bool>)| {
        let mut before = organisation.clone();
        let mut kept = kept.into_iter().cycle();
        // The first line stays, because without any line there is no export.
        before.lines.retain(|line| line == &organisation.lines[0] || kept.next() == Some(true));
        before.rules = organisation.rules.lines().next().expect("a header").to_owned() + "\n";
        before.budgets.clear();
        before.as_of = organisation.as_of.max(period_of(&before.lines[0]).last_day());
        let workspace = Workspace::new();
        before.install(&workspace);
        run(&workspace, &before)?;
        organisation.install(&workspace);
        workspace.try_run(&organisation.as_of.to_string(), &["run", "--publish"])?;
        import(&workspace, &organisation.as_of.to_string(), organisation.revisions.iter())?;
        run(&workspace, &organisation)?;
        same_files(&new_lake(&organisation)?.published(), &workspace.published())
    });
}

/// The tables with all money times `factor`; what counts days or rows, or names things, stays.
fn scaled(tables: &Tables, factor: i128) -> Tables {
    let is_money = |value: &str| value.split_once('.').is_some_and(|(_, decimals)| decimals.len() == 10);
    let times = |value: &String| match Money::parse(value) {
        Some(amount) if is_money(value) => Money(amount.0 * factor).to_string(),
        _ => value.clone(),
    };
    let row = |row: &Row| row.iter().map(|(column, value)| (column.clone(), times(value))).collect();
    tables.iter().map(|(name, rows)| (name.clone(), rows.iter().map(row).collect())).collect()
}

#[test]
fn scaling_all_money_scales_the_results_where_nothing_rounds() {
    let strategy = || {
        let even = organisations(Amounts::Coarse).prop_filter("an amount rounds", |organisation| {
            let published = publish(&organisation.inputs());
            !published.rounded && !published.tables["credit_consumption"].is_empty()
        });
        (even, prop::sample::select(vec![2_i128, 3, 7, 1000])).boxed()
    };
    holds("scale", strategy, |(organisation, factor): (Organisation, i128)| {
        let expected = scaled(&tables(&new_lake(&organisation)?, &organisation)?, factor);
        let greater = organisation.scaled(factor);
        none(&table_differences(&expected, &tables(&new_lake(&greater)?, &greater)?))
    });
}

#[test]
fn a_credit_later_in_the_order_never_changes_what_earlier_ones_draw() {
    let strategy = || (organisations(Amounts::Any), any::<Index>()).boxed();
    holds("order", strategy, |(organisation, choice): (Organisation, Index)| {
        let order = publish(&organisation.inputs()).order;
        if order.is_empty() {
            return Ok(());
        }
        let (earlier, later) = order.split_at(choice.index(order.len()));
        let mut without = organisation.clone();
        without.revisions.retain(|revision| revision.credit_key != later[0]);
        let of_earlier = |organisation: &Organisation| -> Result<Tables, String> {
            let mut tables = tables(&new_lake(organisation)?, organisation)?;
            for (name, rows) in &mut tables {
                let is_per_credit =
                    ["credit_consumption", "credit_balances", "credits", "credit_impact"].contains(&name.as_str());
                rows.retain(|row| is_per_credit && earlier.contains(&row["credit_key"]));
            }
            Ok(tables)
        };
        none(&table_differences(&of_earlier(&organisation)?, &of_earlier(&without)?))
    });
}

#[test]
fn a_node_that_leaves_the_hierarchy_leaves_its_credit_invalid() {
    let strategy = || (organisations(Amounts::Any), any::<Index>()).boxed();
    holds("node", strategy, |(organisation, choice): (Organisation, Index)| {
        let mut before = organisation.clone();
        if before.revisions.iter().all(|revision| revision.lots.is_empty()) {
            return Ok(());
        }
        let closed: Node = vec!["Closed".to_owned(), "Last year".to_owned()];
        before.hierarchy.push(closed.clone());
        let mut allocating: Vec<_> = before.revisions.iter_mut().filter(|revision| !revision.lots.is_empty()).collect();
        let position = choice.index(allocating.len());
        allocating[position].lots[0].node = closed;
        let mut after = before.clone();
        after.hierarchy = organisation.hierarchy;
        let workspace = new_lake(&before)?;
        equals_model(&workspace, &before, &publish(&before.inputs()))?;
        after.install(&workspace);
        workspace.try_run(&after.as_of.to_string(), &["run", "--accept-removed-nodes"])?;
        let model = publish(&after.inputs());
        equals_model(&workspace, &after, &model)?;
        let sql = "SELECT DISTINCT credit_key FROM allocation_issues ORDER BY credit_key";
        let issues = workspace.query(&after.as_of.to_string(), sql)?;
        let listed: Vec<&String> = issues.iter().map(|row| &row["credit_key"]).collect();
        if listed.iter().copied().eq(&model.invalid_allocations) {
            Ok(())
        } else {
            Err(format!("allocation_issues: expected {:?}, got {listed:?}", model.invalid_allocations))
        }
    });
}

#[test]
fn two_credits_of_one_name_on_two_accounts_are_two_credits() {
    let workspace = Workspace::new();
    let header = "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,\
                  line_item_usage_start_date,line_item_line_item_type,line_item_product_code,line_item_currency_code,\
                  line_item_unblended_cost,line_item_line_item_description";
    let start = "2026-01-01T00:00:00.000Z,999999999999";
    let lines = [
        format!("{start},111111111111,2026-01-05T00:00:00.000Z,Usage,AmazonEC2,USD,50,"),
        format!("{start},111111111111,2026-01-02T00:00:00.000Z,Credit,AmazonEC2,USD,-5,Promo"),
        format!("{start},222222222222,2026-01-03T00:00:00.000Z,Credit,AmazonEC2,USD,-7,Promo"),
    ];
    workspace.write("cur/cur-2026-01.csv", format!("{header}\n{}\n", lines.join("\n")));
    workspace.write("reference/hierarchy.csv", "business_unit,department,portfolio,product\nRetail,,,\n");
    let rules = "rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
                 cost_category_value,business_unit,department,portfolio,product,share\nall,1,,,*,,,,,,Retail,,,,\n";
    workspace.write("reference/cost_rules.csv", rules);
    workspace
        .write("reference/budgets.csv", "billing_period,business_unit,department,portfolio,product,currency,amount\n");
    let must =
        |arguments: &[&str]| workspace.try_run("2026-01-31", arguments).unwrap_or_else(|problem| panic!("{problem}"));
    must(&["run"]);
    must(&[
        "allocate",
        "--code",
        "Promo",
        "--account",
        "222222222222",
        "--amount",
        "20",
        "--to",
        "Retail",
        "--by",
        "ana",
    ]);
    must(&["run"]);
    let sql = "SELECT credit_key, status, aws_applied, allocated_amount, used FROM credits ORDER BY credit_key";
    let rows = csv_rows(&must(&["--format", "csv", "query", sql]));
    let row = |key: &str, status: &str, applied: &str, allocated: &str, used: &str| -> Row {
        let values = [
            ("credit_key", key),
            ("status", status),
            ("aws_applied", applied),
            ("allocated_amount", allocated),
            ("used", used),
        ];
        values.into_iter().map(|(column, value)| (column.to_owned(), value.to_owned())).collect()
    };
    let twenty = "20.0000000000";
    assert_eq!(
        rows,
        [
            row("code:Promo@111111111111", "unallocated", "5.0000000000", "", ""),
            row("code:Promo@222222222222", "exhausted", "7.0000000000", twenty, twenty),
        ]
    );
}
