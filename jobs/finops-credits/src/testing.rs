//! What unit tests begin with: command lines, a small organisation with its lake, the report of a night.

use std::collections::BTreeMap;
use std::sync::Arc;

use application::{Context, ExportRead, ReferenceSource, TieOut};
use chrono::{NaiveDate, NaiveDateTime};
use clap::Parser;
use credit_ledger::{Money, Node};
use lake::Settings;
use tempfile::TempDir;

use crate::app::App;
use crate::cli::{Cli, Command, Format, Join};
use crate::freshness::Freshness;
use crate::jobs::{detect, fifo, join, net_cost, publish};
use crate::locations::Locations;
use crate::report::{CreditAmount, CreditsPart, Report};
use crate::screen::Screen;

/// Every command with what it cannot do without.
pub(crate) const COMMANDS: [&str; 33] = [
    "run",
    "detect-credits",
    "join-allocations",
    "apply-fifo",
    "write-net-cost",
    "athena-check",
    "publish",
    "queue",
    "allocate",
    "move id:42 --from 2026-09 --to Retail",
    "revoke --key id:42",
    "allocations import allocations.csv",
    "allocations export",
    "allocations list",
    "allocations history id:42",
    "credits",
    "credits show id:42",
    "diff",
    "check",
    "lake repair",
    "lake backup backup.zip",
    "lake restore backup.zip",
    "lake relocate",
    "lake drop-period 2019-03",
    "query SELECT",
    "serve",
    "scheduler",
    "executor --scheduler df://localhost:50050 --work-dir work",
    "report --out report.html",
    "export net_cost --out net_cost.csv",
    "init",
    "completions bash",
    "man",
];

/// A command line whose words are set apart by blanks.
pub(crate) fn parsed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("finops-credits").chain(line.split_whitespace()))
}

pub(crate) fn command(line: &str) -> Command {
    parsed(line).unwrap_or_else(|error| panic!("{line}: {error}")).command
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) fn instant(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

pub(crate) fn money(text: &str) -> Money {
    text.parse().unwrap()
}

pub(crate) fn node(text: &str) -> Node {
    application::typed::node(text).unwrap()
}

/// A credit of a report; `end` may be none.
pub(crate) fn amount(credit_key: &str, amount: &str, end: Option<&str>) -> CreditAmount {
    let (credit_key, end_date) = (credit_key.into(), end.map(date));
    CreditAmount { credit_key, currency: "USD".into(), amount: money(amount), end_date, provisional: false }
}

/// The report of a quiet night as of 2026-10-31: one month read, nothing found, published.
pub(crate) fn quiet_report() -> Report {
    let period = schemas::records::DetectedPeriod {
        period: "2026-10".parse().unwrap(),
        fingerprint: String::new(),
        lines: 7012,
        source: schemas::records::PeriodSource::Read,
        blank_costs: 0,
        unknown_line_types: BTreeMap::new(),
        notes: schemas::PeriodNotes::default(),
    };
    let detected = schemas::records::Detected {
        as_of: date("2026-10-31"),
        format: "CUR 2.0".to_owned(),
        periods: vec![period],
        later_periods: Vec::new(),
        left_out: Vec::new(),
        fetched: None,
        inbox: schemas::records::InboxFiles::default(),
    };
    let tie_out = TieOut {
        currency: "USD".to_owned(),
        export_total: money("1234567.895"),
        invoice_net: money("1234567.895"),
        difference: Money::ZERO,
        net_cost: money("1234000"),
        clearing: money("567.895"),
    };
    Report {
        run_id: "night-42".to_owned(),
        as_of: date("2026-10-31"),
        export: ExportRead::of(&detected),
        inbox: detected.inbox.clone(),
        credits: CreditsPart {
            registered: 3,
            new: Vec::new(),
            waiting: Vec::new(),
            expiring_soon: Vec::new(),
            expired: Vec::new(),
            newly_expiring: 0,
            newly_expired: 0,
            oldest_waiting_days: 0,
        },
        allocation_issues: Vec::new(),
        changes: None,
        changes_unknown: None,
        checks: Vec::new(),
        edited_allocations: Vec::new(),
        freshness: Freshness::default(),
        latest_period: "2026-10".parse().ok(),
        net_cost_by_business_unit: Vec::new(),
        tie_out: vec![tie_out],
        published: true,
        not_published: None,
    }
}

pub(crate) const AS_OF: &str = "2026-01-31";

const EXPORT: &str = "\
bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,line_item_usage_start_date,\
line_item_line_item_type,line_item_product_code,line_item_currency_code,line_item_unblended_cost,\
line_item_line_item_description
2026-01-01,999999999999,111111111111,2026-01-05,Usage,AmazonEC2,USD,100,
2026-01-01,999999999999,222222222222,2026-01-30,Usage,AmazonS3,USD,40,
2026-01-01,999999999999,111111111111,2026-01-10,Credit,AmazonEC2,USD,-30,\"Spring Credits, credit id: 42\"
2026-01-01,999999999999,222222222222,2026-01-13,Credit,AmazonS3,USD,-7,Activate
";

const HIERARCHY: &str = "\
business_unit,department,portfolio,product,owner_email
Retail,,,,rosa@shop.example
Retail,Online,,,
Media,,,,
";

const RULES: &str = "\
rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,cost_category_value,\
business_unit,department,portfolio,product,share
online,10,,111111111111,,,,,,,Retail,Online,,,
media,20,,222222222222,,,,,,,Media,,,,
";

const ALLOCATIONS: &str = "\
promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product,\
allocation_id,recorded_at,recorded_by
,,id:42,130,USD,2026-02-28,INV-1,Retail,Online,,,a-1,2026-01-20T09:30:00Z,ann
";

/// Two accounts, two credits, January 2026: of 130 for Retail/Online 100 are used; what is left ends with February.
pub(crate) struct Shop {
    folder: TempDir,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        for (name, text) in [
            ("cur/january.csv", EXPORT),
            ("reference/hierarchy.csv", HIERARCHY),
            ("reference/cost_rules.csv", RULES),
            ("reference/allocations.csv", ALLOCATIONS),
        ] {
            shop.write(name, text);
        }
        shop
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The settings, with further lines.
    pub(crate) fn settings_with(&self, more: &str) -> Settings {
        let text = format!(
            "source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"lake\"\n\
             run.threads = 2\nrun.memory_limit = \"512 MiB\"\n{more}"
        );
        Settings::parse(&text, "settings file credits.toml", self.folder.path().to_str().unwrap()).unwrap()
    }

    /// What a command of a run works with.
    pub(crate) async fn app(&self, run_id: &str, as_of: &str) -> App {
        let settings = self.settings_with("");
        let locations = Arc::new(Locations::of(&settings).await.unwrap());
        let lake = Arc::new(locations.open_lake(&settings, true).await.unwrap());
        let reference: Arc<dyn ReferenceSource> = Arc::<Locations>::clone(&locations);
        let runtime = application::runtime(&settings).unwrap();
        App {
            context: Context::new(settings, lake, (date(as_of), crate::run::clock()), reference, runtime),
            locations,
            as_of_pinned_in: None,
            run_id: run_id.to_owned(),
            format: Format::Table,
            raw: false,
            screen: Screen::default(),
            watched: false,
        }
    }

    /// A whole night: what it found. It is published unless published months would go.
    pub(crate) async fn night(&self, run_id: &str, as_of: &str) -> Report {
        let app = self.app(run_id, as_of).await;
        let done = app.locked(async |lock| {
            detect::detect_credits(&app, lock).await?;
            join::join_allocations(&app, lock, Join { accept_removed_nodes: false }).await?;
            fifo::apply_fifo(&app, lock).await?;
            let report = net_cost::write_net_cost(&app, lock).await?;
            let not_published = publish::publish_unless_shorter(&app, lock).await?;
            Ok(Report { published: not_published.is_none(), not_published, ..report })
        });
        done.await.unwrap()
    }
}
