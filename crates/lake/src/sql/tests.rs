use arrow::util::display::array_value_to_string;
use datafusion::prelude::SessionConfig;
use schemas::tables::{AllocationLogRow, CreditImpact, HierarchyRow};

use super::*;
use crate::run::Run;
use crate::testing::{LATER, impact, instant, lot, opened, period, staged, told};

async fn rows_of(frame: DataFrame) -> Vec<String> {
    let batches = frame.collect().await.unwrap();
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    let text = |(batch, row): (&RecordBatch, usize)| {
        let values = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap());
        values.collect::<Vec<_>>().join(",")
    };
    rows.map(text).collect()
}

fn node(department: Option<&str>, owner_email: Option<&str>) -> HierarchyRow {
    HierarchyRow {
        business_unit: Some("Retail".into()),
        department: department.map(Into::into),
        portfolio: None,
        product: None,
        level: if department.is_some() { 2 } else { 1 },
        owner_email: owner_email.map(Into::into),
        cost_center: None,
    }
}

fn credit_line(amount: &str) -> CreditLine {
    CreditLine {
        credit_key: "id:1".into(),
        usage_date: "2026-01-05".parse().unwrap(),
        payer_account_id: "999999999999".into(),
        account_id: "111111111111".into(),
        service: None,
        currency: "USD".into(),
        description: None,
        promotion_code: "Spring".into(),
        credit_account_id: "111111111111".into(),
        owner_account_id: None,
        credit_id: Some("1".into()),
        credit_class: "promotion".into(),
        amount: amount.parse().unwrap(),
    }
}

/// A run of two months and a hierarchy; in the first one the draws are `used`.
async fn night(folder: &std::path::Path, id: &str, used: &str) {
    let run = Run::new(opened(folder).await, id);
    let january = [impact("id:1", used), impact("id:2", "1")];
    run.write(Some(period("2026-01")), &january).await.unwrap();
    run.write(Some(period("2026-02")), &[impact("id:1", "7")]).await.unwrap();
    let nodes =
        [node(Some("Shops"), None), node(None, Some("ann@example.com")), node(Some("Online"), Some("bob@example.com"))];
    run.write::<HierarchyRow>(None, &nodes).await.unwrap();
    let follows = run.lake().published().await.unwrap();
    run.finish_staging(staged(follows.as_deref(), &["2026-01", "2026-02"])).await.unwrap();
    run.lake().publish(id, instant(LATER)).await.unwrap();
}

/// What was read of two months of the export.
async fn read(lake: &Lake) {
    let mut written = BTreeMap::new();
    for (month, amount) in [("2026-01", "-5"), ("2026-02", "-7")] {
        let folder = lake.new_generation_folder("f");
        let rows = crate::stream_of(&[credit_line(amount)]).unwrap();
        let sum = lake.write_generation(period(month), &folder, &CreditLine::TABLE, rows).await.unwrap();
        let generation = Generation {
            fingerprint: "f".to_owned(),
            folder,
            format: "CUR 2.0".to_owned(),
            files: Vec::new(),
            totals: Vec::new(),
            blank_costs: 0,
            unknown_line_types: BTreeMap::new(),
            notes: schemas::PeriodNotes::default(),
            tables: [(CreditLine::TABLE.name.to_owned(), sum)].into(),
        };
        written.insert(period(month), generation);
    }
    lake.switch_generations(&written).await.unwrap();
}

fn context(lake: &Lake) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(true));
    lake.register_with(&context).unwrap();
    context
}

async fn asked(lake: &Lake, sql: &str) -> Result<Vec<String>, LakeError> {
    Ok(rows_of(lake.query(&context(lake), sql).await?).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_reads_tables_views_logs_and_what_was_read_of_the_export_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", "5").await;
    let lake = opened(folder.path()).await;
    read(&lake).await;
    lake.logs().append(&[lot("x", 1, "5")]).await.unwrap();
    let of_view = asked(&lake, "SELECT node, level, owner_email FROM hierarchy_view ORDER BY node").await.unwrap();
    let owners = ["Retail,1,ann@example.com", "Retail / Online,2,bob@example.com", "Retail / Shops,2,ann@example.com"];
    assert_eq!(of_view, owners);
    let both = "SELECT l.billing_period, l.amount, i.used, a.allocation_id FROM credit_lines l JOIN credit_impact i ON \
                i.credit_key = l.credit_key AND i.billing_period = l.billing_period JOIN allocations_log a ON a.credit_key = \
                l.credit_key ORDER BY 1";
    let rows = ["2026-01,-5.0000000000,5.0000000000,x", "2026-02,-7.0000000000,7.0000000000,x"];
    assert_eq!(asked(&lake, both).await.unwrap(), rows);
    let first = asked(&lake, "SELECT * FROM credit_impact ORDER BY 1, 2 LIMIT 1").await.unwrap();
    assert_eq!(first, ["2026-01,id:1,USD,2026-01,0.0000000000,5.0000000000"], "the month comes first");
    let with = "WITH credit_impact AS (SELECT 1 AS one) SELECT * FROM credit_impact";
    assert_eq!(asked(&lake, with).await.unwrap(), ["1"], "a name that the statement itself makes is its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_that_would_change_something_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", "5").await;
    let lake = opened(folder.path()).await;
    for sql in [
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "DROP TABLE credit_impact",
        "INSERT INTO credit_impact SELECT * FROM credit_impact",
        "DELETE FROM credit_impact",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let refused = lake.query(&context(&lake), sql).await.map(drop).unwrap_err();
        assert!(matches!(refused, LakeError::Engine(_)), "{sql}: {refused:?}");
    }
    assert!(lake.query(&context(&lake), "SELECT 1; SELECT 2").await.is_err(), "one statement at a time");
    assert_eq!(asked(&lake, "SELECT count(*) FROM credit_impact").await.unwrap(), ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lake_has_not_yet_is_told_from_what_no_lake_has() {
    let folder = tempfile::tempdir().unwrap();
    let lake = opened(folder.path()).await;
    let selected = async |lake: &Lake, name: &str| {
        told(folder.path(), lake.selected(&context(lake), name, &Selection::default()).await)
    };
    let nothing = "NotYet: nothing is published in the lake <lake> yet; `run` first";
    assert_eq!(selected(&lake, "credit_impact").await, nothing);
    assert_eq!(selected(&lake, "hierarchy_view").await, nothing);
    assert_eq!(told(folder.path(), asked(&lake, "SELECT * FROM credit_impact").await), nothing);
    let logs = "there are credits_log, allocations_log, runs_log";
    for name in ["credit_lines", "cells", "credit_impacts", "credits; DROP TABLE x"] {
        assert_eq!(selected(&lake, name).await, format!("BadInput: there is no table or view {name:?}; {logs}"));
    }
    assert_eq!(asked(&lake, "SELECT count(*) FROM allocations_log").await.unwrap(), ["0"]);
    read(&lake).await;
    let known = selected(&*opened(folder.path()).await, "cells").await;
    assert!(known.ends_with("there are credits_log, allocations_log, runs_log, cost_lines, credit_lines"), "{known}");
    let unknown = told(folder.path(), asked(&lake, "SELECT * FROM nothing").await);
    assert!(unknown.starts_with("Engine: ") && unknown.contains("nothing"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn selection_takes_months_and_what_lies_below_a_node_in_order_of_the_grain() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", "5").await;
    let lake = opened(folder.path()).await;
    lake.logs().append(&[lot("y", 2, "6"), lot("y", 1, "5")]).await.unwrap();
    lake.logs().append(&[lot("x", 1, "7")]).await.unwrap();
    let selected = async |name: &str, months: Option<&str>, below: Option<&[&str]>| {
        let node = |levels: &[&str]| Node::from_levels([0, 1, 2, 3].map(|level| levels.get(level).copied())).unwrap();
        let periods = months.map(|months| months.parse().unwrap());
        let selection = Selection { periods, node: below.map(node) };
        Ok::<_, LakeError>(rows_of(lake.selected(&context(&lake), name, &selection).await?).await)
    };
    let first = |rows: Vec<String>| -> Vec<String> {
        rows.iter().map(|row| row.split(',').take(2).collect::<Vec<_>>().join(",")).collect()
    };
    let of = |rows: Result<Vec<String>, LakeError>| first(rows.unwrap());
    assert_eq!(of(selected("credit_impact", None, None).await), ["2026-01,id:1", "2026-01,id:2", "2026-02,id:1"]);
    assert_eq!(of(selected("credit_impact", Some("2026-02"), None).await), ["2026-02,id:1"]);
    assert_eq!(of(selected("credit_impact", Some("2026-Q2..2026-12"), None).await), [""; 0]);
    assert_eq!(of(selected("hierarchy", None, Some(&["Retail"])).await), ["Retail,", "Retail,Online", "Retail,Shops"]);
    assert_eq!(of(selected("hierarchy", None, Some(&["Retail", "Shops"])).await), ["Retail,Shops"]);
    assert_eq!(of(selected("hierarchy_view", None, Some(&["Retail", "Online"])).await), ["Retail,Online"]);
    assert_eq!(of(selected("allocations_log", None, None).await), ["x,1", "y,1", "y,2"]);
    let months = told(folder.path(), selected("hierarchy", Some("2026"), None).await);
    assert_eq!(months, "BadInput: hierarchy has no billing periods to choose from; take it without a period");
    let below = told(folder.path(), selected("credit_impact", None, Some(&["Retail"])).await);
    assert_eq!(below, "BadInput: credit_impact is not by node; take it without a node");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_somebody_asks_for_answers_with_its_own_rows_and_refuses_what_stands_now_only() {
    let folder = tempfile::tempdir().unwrap();
    night(folder.path(), "a", "5").await;
    night(folder.path(), "b", "9").await;
    let lake = opened(folder.path()).await;
    read(&lake).await;
    let runs = lake.runs_in_lake().await.unwrap();
    lake.answer_from(runs.iter().find(|run| run.id == "a").unwrap()).await;
    let used = "SELECT used FROM credit_impact WHERE credit_key = 'id:1' AND billing_period = '2026-01'";
    assert_eq!(asked(&lake, used).await.unwrap(), ["5.0000000000"]);
    assert_eq!(lake.published_rows::<CreditImpact>(period("2026-01")).await.unwrap()[0], impact("id:1", "5"));
    for table in ["allocations_log", "credit_lines"] {
        let expected = format!(
            "OfNow: {table} is not kept as it was in run a; ask without --run-id and --as-of for what stands now"
        );
        assert_eq!(told(folder.path(), asked(&lake, &format!("SELECT * FROM {table}")).await), expected);
        let selected = lake.selected(&context(&lake), table, &Selection::default()).await;
        assert_eq!(told(folder.path(), selected), expected);
    }
    let names = "SELECT table_name FROM information_schema.tables WHERE table_name IN ('credit_lines', 'runs_log', 'net_cost') \
                 ORDER BY 1";
    assert_eq!(asked(&lake, names).await.unwrap(), ["net_cost"]);
    let now = opened(folder.path()).await;
    assert_eq!(asked(&now, names).await.unwrap(), ["credit_lines", "net_cost", "runs_log"]);
    assert_eq!(asked(&now, used).await.unwrap(), ["9.0000000000"]);
    assert!(now.logs().read::<AllocationLogRow>().await.unwrap().is_empty());
}
