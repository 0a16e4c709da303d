//! Nights of the job over what the earlier ones have left.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chrono::NaiveDateTime;
use credit_ledger::{Money, Node};
use lake::{Lake, ReferenceFiles, Settings, stream_of};
use schemas::TableRow;
use schemas::records::PeriodSource;
use schemas::reference::Budget;
use schemas::tables::{
    AllocatedCredit, AppliedByAws, Cell, CreditConsumption, CreditImpact, ExportTotal, LotRow, NetCost, NetCostSummary,
    Reconciliation, RegisteredCredit,
};

use super::*;

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn month() -> Option<BillingPeriod> {
    "2026-01".parse().ok()
}

fn cell() -> Cell {
    Cell {
        usage_date: "2026-01-05".parse().unwrap(),
        payer_account_id: "9".into(),
        account_id: "1".into(),
        service: None,
        currency: "USD".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        charges: money("10"),
        tax: money("1"),
        refunds: money("-2"),
        aws_credits: money("-4"),
        eligible_charges: money("10"),
        unblended_charges: money("10"),
    }
}

fn draw(used: &str) -> CreditConsumption {
    CreditConsumption {
        credit_key: "id:1".into(),
        lot: 1,
        credit_business_unit: Some("Retail".into()),
        credit_department: None,
        credit_portfolio: None,
        credit_product: None,
        usage_date: "2026-01-05".parse().unwrap(),
        payer_account_id: "9".into(),
        account_id: "1".into(),
        service: None,
        currency: "USD".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        used: money(used),
        fifo_rank: 1,
        policy: "fifo_issue_date/v1".into(),
    }
}

fn balance(used: &str) -> CreditBalance {
    CreditBalance {
        credit_key: "id:1".into(),
        lot: 1,
        promotion_code: "Spring".into(),
        account_id: "1".into(),
        currency: "USD".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        issue_date: "2026-01-04".parse().unwrap(),
        end_date: None,
        opening: Money::ZERO,
        issued: money("50"),
        moved: Money::ZERO,
        used: money(used),
        expired: Money::ZERO,
        remaining: money("50").checked_sub(money(used)).unwrap(),
        aws_applied: money("3"),
    }
}

fn export_total(currency: &str, total: &str) -> ExportTotal {
    ExportTotal {
        billing_period: month().unwrap(),
        currency: currency.into(),
        export_total: money(total),
        rows_read: 4,
        invoice_ids: None,
        lines_without_invoice: 4,
    }
}

fn registered(key: &str, aws_applied: &str) -> RegisteredCredit {
    RegisteredCredit {
        credit_key: key.into(),
        promotion_code: "Spring".into(),
        account_id: "1".into(),
        owner_account_id: None,
        credit_id: None,
        payer_account_id: "9".into(),
        currency: "USD".into(),
        description: None,
        credit_class: "promotion".into(),
        first_cur_date: "2026-01-05".parse().unwrap(),
        issue_date: "2026-01-04".parse().unwrap(),
        issue_date_source: "cur_inferred".into(),
        last_cur_date: "2026-01-05".parse().ok(),
        aws_applied: money(aws_applied),
    }
}

fn applied(key: &str, aws_applied: &str) -> AppliedByAws {
    AppliedByAws { billing_period: month().unwrap(), credit_key: key.into(), aws_applied: money(aws_applied) }
}

/// What the earlier jobs of a night have left: all of it in January 2026.
#[derive(Debug, Clone, Default)]
struct Night {
    cells: Vec<Cell>,
    draws: Vec<CreditConsumption>,
    balances: Vec<CreditBalance>,
    totals: Vec<ExportTotal>,
    register: Vec<RegisteredCredit>,
    allocated: Vec<AllocatedCredit>,
    lots: Vec<LotRow>,
    applied: Vec<AppliedByAws>,
    budgets: Vec<Budget>,
    /// December is in the run too, without lines.
    has_december: bool,
}

impl Night {
    /// An export that adds up to `total`, with one cell of which so much is drawn.
    fn of(total: &str, used: &str) -> Self {
        let (cells, draws) = (vec![cell()], vec![draw(used)]);
        Self { cells, draws, totals: vec![export_total("USD", total)], ..Self::default() }
    }

    /// The night of one credit of 50 that is allocated, of which 3 are used, and of one of which AWS applied 1 that waits.
    fn of_two_credits() -> Self {
        let allocated = |key: &str, waiting: Option<&str>| AllocatedCredit {
            credit_key: key.into(),
            waiting: waiting.map(Into::into),
            allocated_amount: money("50").into(),
            recorded_by: Some("ann".into()),
            recorded_at: None,
        };
        let CreditBalance { credit_key, promotion_code, account_id, business_unit, issue_date, .. } = balance("3");
        let lot = LotRow {
            credit_key,
            lot: 1,
            promotion_code,
            account_id,
            business_unit,
            department: None,
            portfolio: None,
            product: None,
            currency: "USD".into(),
            amount: money("50"),
            issue_date,
            first_cur_date: "2026-01-05".parse().unwrap(),
            end_date: None,
            reference: None,
            from_period: None,
            continues_lot: None,
        };
        Self {
            balances: vec![balance("3")],
            register: vec![registered("id:1", "3"), registered("id:2", "1")],
            allocated: vec![allocated("id:1", None), allocated("id:2", Some("never_allocated"))],
            lots: vec![lot],
            applied: vec![applied("id:1", "3"), applied("id:2", "1")],
            ..Self::of("5", "3")
        }
    }

    fn first_period(&self) -> BillingPeriod {
        if self.has_december { "2025-12".parse().unwrap() } else { month().unwrap() }
    }

    /// Writes it.
    async fn leave(&self, run: &Run) {
        run.write(None, &self.register).await.unwrap();
        run.write(None, &self.allocated).await.unwrap();
        run.write(None, &self.lots).await.unwrap();
        run.write(None, &self.applied).await.unwrap();
        run.write(None, &self.totals).await.unwrap();
        let inputs = format!("{:?}", self.cells);
        run.write_reusable::<Cell>(month(), &inputs, stream_of(&self.cells).unwrap()).await.unwrap();
        for period in self.first_period().through(month().unwrap()) {
            let is_january = Some(period) == month();
            let (draws, balances) = if is_january { (&self.draws[..], &self.balances[..]) } else { Default::default() };
            let (inputs, period) = (format!("{draws:?} {balances:?}"), Some(period));
            run.write_reusable::<CreditConsumption>(period, &inputs, stream_of(draws).unwrap()).await.unwrap();
            run.write_reusable::<CreditBalance>(period, &inputs, stream_of(balances).unwrap()).await.unwrap();
        }
    }

    fn detected(&self) -> Detected {
        let period = DetectedPeriod {
            period: month().unwrap(),
            fingerprint: "f".to_owned(),
            lines: 4,
            source: PeriodSource::Read,
            blank_costs: 0,
            unknown_line_types: BTreeMap::new(),
            notes: schemas::PeriodNotes::default(),
        };
        Detected {
            as_of: "2026-01-31".parse().unwrap(),
            format: String::new(),
            periods: vec![period],
            later_periods: Vec::new(),
            left_out: Vec::new(),
            fetched: None,
            inbox: schemas::records::InboxFiles::default(),
        }
    }

    async fn stage(&self, folder: &Path, id: &str) -> Result<(Run, WrittenCredits), NetCostError> {
        let location = folder.display();
        let text =
            format!("source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"{location}\"");
        let settings = Settings::parse(&text, "settings", ".").unwrap();
        let lake = Arc::new(Lake::open_local(&settings).await.unwrap());
        let runtime = datafusion::execution::runtime_env::RuntimeEnvBuilder::new().build_arc().unwrap();
        let session = money_sql::session(1, runtime);
        lake.register_with(&session).unwrap();
        let run = Run::new(lake, id);
        run.begin().await.unwrap();
        self.leave(&run).await;
        let detected = self.detected();
        let now = NaiveDateTime::default();
        let context = JobContext { run: run.clone(), session, settings, as_of: detected.as_of, now };
        let reference = Arc::new(ReferenceFiles { budgets: self.budgets.clone(), ..ReferenceFiles::default() });
        let joined = Joined { first_period: self.first_period() };
        let credits = write_net_cost(&context, &detected, joined, &reference).await?;
        Ok((run, credits))
    }

    async fn publish(&self, folder: &Path, id: &str) -> Run {
        let (run, _) = self.stage(folder, id).await.unwrap();
        // The log of runs goes by the machine's clock.
        run.lake().publish(id, "2100-01-01T00:00:00".parse().unwrap()).await.unwrap();
        run
    }

    /// Why the night is not staged.
    async fn breaches(&self) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let Err(NetCostError::Breaches(breaches)) = self.stage(folder.path(), "night").await else {
            panic!("a night that does not tie out")
        };
        assert!(!folder.path().join("runs/night/manifest.json").exists());
        breaches
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_books_tie_to_the_export_and_the_run_is_staged() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = Night::of("5", "3").stage(folder.path(), "night").await.unwrap();
    let summary: Vec<NetCostSummary> = run.rows(month()).await.unwrap();
    let shown: Vec<String> =
        summary.iter().map(|row| format!("{} {} {}", row.level, row.invoice_net, row.net_cost)).collect();
    assert_eq!(shown, ["0 5.0000000000 6.0000000000", "1 5.0000000000 6.0000000000"]);
    let reconciliation: Vec<Reconciliation> = run.rows(month()).await.unwrap();
    assert_eq!((reconciliation[0].difference, reconciliation[0].clearing), (Money::ZERO, money("-1")));
    assert_eq!(run.rows::<CreditQueue>(None).await.unwrap(), []);
    assert_eq!(run.staged().await.unwrap().periods[0].lines, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn net_cost_keeps_the_order_of_cells_without_a_sort_however_many_draws_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = Night::of("5", "3").stage(folder.path(), "night").await.unwrap();
    let draws: Vec<_> =
        (0..50).map(|credit| CreditConsumption { credit_key: format!("id:{credit}").into(), ..draw("0.1") }).collect();
    run.write_reusable::<CreditConsumption>(month(), "more", stream_of(&draws).unwrap()).await.unwrap();
    let runtime = datafusion::execution::runtime_env::RuntimeEnvBuilder::new().build_arc().unwrap();
    let session = money_sql::with_partitions(&money_sql::session(2, runtime), 1);
    run.lake().register_with(&session).unwrap();
    let cells = run.ordered_frame::<Cell>(&session, month()).await.unwrap();
    let draws = run.frame::<CreditConsumption>(&session, month()).await.unwrap();
    let plan = crate::plan::net_cost(cells, draws).unwrap().create_physical_plan().await.unwrap();
    let shown = datafusion::physical_plan::displayable(&*plan).indent(false).to_string();
    assert!(shown.contains("HashJoinExec: mode=CollectLeft, join_type=Right"), "{shown}");
    assert!(!shown.contains("SortExec"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_breaks_invariants_is_not_staged_and_every_breach_is_told() {
    let expected = [
        "2026-01: cell 2026-01-05 1 - USD: credits_applied -11.0000000000 of eligible_charges 10.0000000000",
        "2026-01: the export sums to 5.0000000001 USD but invoice_net to 5.0000000000: 0.0000000001 apart",
    ];
    assert_eq!(Night::of("5.0000000001", "11").breaches().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn draws_on_a_cell_that_is_not_there_or_below_zero_are_told() {
    let elsewhere =
        Night { draws: vec![CreditConsumption { account_id: "2".into(), ..draw("3") }], ..Night::of("5", "0") };
    let expected = "2026-01: what was drawn and what was applied to cells are 3.0000000000 USD apart";
    assert_eq!(elsewhere.breaches().await, [expected]);
    let back = "2026-01: cell 2026-01-05 1 - USD: credits_applied 1.0000000000 of eligible_charges 10.0000000000";
    assert_eq!(Night::of("5", "-1").breaches().await, [back], "a credit that gives back");
    let marketplace = Cell { eligible_charges: Money::ZERO, service: Some("AmazonS3".into()), ..cell() };
    let drawn = CreditConsumption { service: marketplace.service.clone(), ..draw("0.0000000001") };
    let night = Night { cells: vec![marketplace], draws: vec![drawn], ..Night::of("5", "0") };
    let expected =
        "2026-01: cell 2026-01-05 1 AmazonS3 USD: credits_applied -0.0000000001 of eligible_charges 0.0000000000";
    assert_eq!(night.breaches().await, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_in_the_queue_and_in_the_reconciliation_and_each_credit_shows_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let (run, written) = Night::of_two_credits().stage(folder.path(), "night").await.unwrap();
    let told =
        |row: &Credit| format!("{} {} {:?}", row.credit_key, row.status, row.remaining.map(|left| left.to_string()));
    let credits: Vec<String> = written.credits.iter().map(told).collect();
    assert_eq!(credits, ["id:1 active Some(\"47.0000000000\")", "id:2 unallocated None"]);
    assert_eq!(run.rows::<Credit>(None).await.unwrap(), written.credits);
    let queue: Vec<&str> = written.queue.iter().map(|row| row.credit_key.as_str()).collect();
    assert_eq!(queue, ["id:2"]);
    let reconciliation: Vec<Reconciliation> = run.rows(month()).await.unwrap();
    assert_eq!(reconciliation[0].unallocated_aws_credits, money("-1"));
    let impact: Vec<CreditImpact> = run.rows(month()).await.unwrap();
    let impact: Vec<_> = impact.iter().map(|row| (row.credit_key.as_str(), row.aws_applied, row.used)).collect();
    assert_eq!(impact, [("id:1", money("3"), money("3")), ("id:2", money("1"), Money::ZERO)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_without_lines_has_its_tables_without_rows_and_its_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let december: BillingPeriod = "2025-12".parse().unwrap();
    let budget = Budget { billing_period: december, node: None, currency: "USD".into(), amount: money("7") };
    let night = Night { has_december: true, budgets: vec![budget], ..Night::of("5", "3") };
    let (run, _) = night.stage(folder.path(), "night").await.unwrap();
    assert_eq!(run.staged().await.unwrap().months, (december, month().unwrap()));
    assert_eq!(run.rows::<NetCost>(Some(december)).await.unwrap(), []);
    assert_eq!(run.rows::<Reconciliation>(Some(december)).await.unwrap(), []);
    assert_eq!(run.rows::<CreditImpact>(Some(december)).await.unwrap(), []);
    let summary: Vec<NetCostSummary> = run.rows(Some(december)).await.unwrap();
    let shown: Vec<_> = summary.iter().map(|row| (row.level, row.net_cost, row.budget_remaining)).collect();
    assert_eq!(shown, [(0, Money::ZERO, Some(money("7")))]);
    let january: Vec<NetCostSummary> = run.rows(month()).await.unwrap();
    assert!(january.iter().all(|row| row.budget_amount.is_none()), "another month's budget");
}

/// Which tables of January a second night has linked from the first one.
async fn reused(first: &Night, second: &Night) -> Vec<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    first.publish(folder.path(), "first").await;
    second.publish(folder.path(), "second").await;
    let tables =
        [NetCost::TABLE, NetCostSummary::TABLE, CreditImpact::TABLE, Reconciliation::TABLE].map(|table| table.name);
    let file = |run: &str, table: &str| {
        let path = folder.path().join(format!("runs/{run}/{table}/billing_period=2026-01/part-0.parquet"));
        std::fs::metadata(path).unwrap().ino()
    };
    tables.into_iter().filter(|table| file("first", table) == file("second", table)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_night_makes_only_the_tables_again_that_are_made_from_other_things() {
    let night = Night::of_two_credits();
    let all = ["net_cost", "net_cost_summary", "credit_impact", "reconciliation"];
    assert_eq!(reused(&night, &night).await, all);
    let node = Node::from_levels([Some("Retail"), None, None, None]).ok();
    let budget = Budget { billing_period: month().unwrap(), node, currency: "USD".into(), amount: money("7") };
    let of_february = Budget { billing_period: month().unwrap().next(), ..budget.clone() };
    let budgeted = Night { budgets: vec![of_february], ..night.clone() };
    assert_eq!(reused(&night, &budgeted).await, all, "a budget of another month");
    let budgeted = Night { budgets: vec![budget], ..night.clone() };
    assert_eq!(reused(&night, &budgeted).await, ["net_cost", "credit_impact", "reconciliation"]);
    let allocated = night.allocated.iter().map(|row| AllocatedCredit { waiting: None, ..row.clone() }).collect();
    let nobody_waits = Night { allocated, ..night.clone() };
    assert_eq!(reused(&night, &nobody_waits).await, ["net_cost", "net_cost_summary", "credit_impact"]);
    let drawn = Night { draws: vec![draw("4")], balances: vec![balance("4")], ..night.clone() };
    assert_eq!(reused(&night, &drawn).await, [""; 0], "another net cost, and all that follows from it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_does_not_tie_out_leaves_the_published_one_and_the_retry_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let good = Night::of_two_credits();
    good.publish(folder.path(), "first").await;
    let cut_off = Night { totals: vec![export_total("USD", "5.5")], ..good.clone() };
    let failed = cut_off.stage(folder.path(), "second").await.err().unwrap().to_string();
    let expected = "the run does not tie out:\n2026-01: the export sums to 5.5000000000 USD but invoice_net to 5.0000000000: \
                    0.5000000000 apart";
    assert_eq!(failed, expected);
    let published = || std::fs::read_link(folder.path().join("published")).unwrap();
    assert!(published().ends_with("runs/first"), "{:?}", published());
    let retried = good.publish(folder.path(), "second").await;
    assert!(published().ends_with("runs/second"), "{:?}", published());
    let reconciliation: Vec<Reconciliation> = retried.rows(month()).await.unwrap();
    assert_eq!(reconciliation[0].difference, Money::ZERO);
}
