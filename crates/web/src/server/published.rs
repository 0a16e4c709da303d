//! A small organisation whose three months are published, made by the jobs themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use application::{Context, CreditSnapshot, Failure, ReferenceSource, runtime};
use async_trait::async_trait;
use credit_ledger::{BillingPeriod, Money, Text};
use lake::{CurrencyTotal, Generation, JobContext, Lake, ReferenceFiles, Run, Settings, stream_of};
use schemas::records::{Detected, DetectedPeriod, PeriodSource};
use schemas::reference::{parse_budgets, parse_cost_rules, parse_hierarchy};
use schemas::tables::{AllocationLogRow, CostLine, CreditLine, ExportTotal};
use schemas::{PeriodNotes, TableRow};
use tokio::sync::Mutex;

const MONTHS: [&str; 3] = ["2026-08", "2026-09", "2026-10"];
pub(super) const AS_OF: &str = "2026-10-31";
pub(super) const NOW: &str = "2026-11-02T09:00:00";
const RUN: &str = "night-1";

const HIERARCHY: &str = "business_unit,department,portfolio,owner_email
Retail,,,retail@example.com
Retail,Online,Shop,
Retail,Stores,,
Media,,,media@example.com
Q&A <new>,,,
";
const RULES: &str = "rule_id,priority,account_id,business_unit,department,portfolio
shop,1,111111111111,Retail,Online,Shop
media,2,222222222222,Media,,
qa,3,333333333333,Q&A <new>,,
";
const BUDGETS: &str = "billing_period,business_unit,currency,amount\n2026-10,Retail,USD,2000\n";

/// Day, account, service, currency, rule; charges, tax, refunds, credits of AWS.
const COST: &str = "2026-08-10 111111111111 AmazonEC2 USD shop 1000 10 0 -30
2026-08-10 222222222222 AmazonS3 USD media 50 0 0 -20
2026-09-10 111111111111 AmazonEC2 USD shop 2000.005 10 0 -30
2026-09-10 222222222222 AmazonS3 USD media 50 0 -5 -5
2026-10-10 111111111111 AmazonEC2 EUR shop 40 0 0 -4
2026-10-10 111111111111 AmazonEC2 USD shop 3000 10 0 -45
2026-10-10 222222222222 AmazonS3 USD media 50 0 0 0
2026-10-10 333333333333 - USD qa 7 0 0 0
2026-10-10 444444444444 AmazonSQS USD - 12.34 0 0 0";

/// Key, day, account, currency, amount.
const CREDITS: &str = "id:1 2026-08-02 111111111111 USD -30
id:2 2026-08-05 222222222222 USD -20
id:1 2026-09-01 111111111111 USD -30
id:4 2026-09-05 222222222222 USD -5
id:1 2026-10-01 111111111111 USD -30
id:3 2026-10-05 111111111111 USD -15
id:5 2026-10-05 111111111111 EUR -4";

fn name_of(key: &str) -> Text {
    let names = ["MAP <b>2026</b>", "=Spring", "Goodwill", "Broken", "Euro"];
    let number: usize = key.trim_start_matches("id:").parse().unwrap();
    names[number - 1].into()
}

/// Credit, currency, amount, node, end, reference.
type Allocation = (&'static str, &'static str, &'static str, [&'static str; 2], &'static str, &'static str);

const ALLOCATIONS: [Allocation; 4] = [
    ("id:1", "USD", "7500.5", ["Retail", "Online"], "2026-12-15", "=PO-1"),
    ("id:2", "USD", "120", ["Media", ""], "2026-09-15", ""),
    ("id:4", "USD", "10", ["Gone", ""], "", ""),
    ("id:5", "EUR", "500", ["Retail", ""], "", ""),
];

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn stated(text: &str) -> Option<Text> {
    (!["", "-"].contains(&text)).then(|| text.into())
}

fn of_month<'a>(lines: &'a str, day: usize, month: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    let words = lines.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.filter(move |words| words[day].starts_with(month))
}

fn cost_lines(month: &str) -> Vec<CostLine> {
    let line = |words: Vec<&str>| CostLine {
        usage_date: words[0].parse().unwrap(),
        payer_account_id: "999999999999".into(),
        account_id: words[1].into(),
        service: stated(words[2]),
        currency: words[3].into(),
        rule_id: stated(words[4]),
        charges: money(words[5]),
        tax: money(words[6]),
        refunds: money(words[7]),
        aws_credits: money(words[8]),
        eligible_charges: money(words[5]),
        unblended_charges: money(words[5]),
    };
    of_month(COST, 0, month).map(line).collect()
}

fn credit_lines(month: &str) -> Vec<CreditLine> {
    let line = |words: Vec<&str>| CreditLine {
        credit_key: words[0].into(),
        usage_date: words[1].parse().unwrap(),
        payer_account_id: "999999999999".into(),
        account_id: words[2].into(),
        service: None,
        currency: words[3].into(),
        description: Some(name_of(words[0])),
        promotion_code: name_of(words[0]),
        credit_account_id: words[2].into(),
        owner_account_id: None,
        credit_id: stated(words[0].trim_start_matches("id:")),
        credit_class: "promotion".into(),
        amount: money(words[4]),
    };
    of_month(CREDITS, 1, month).map(line).collect()
}

fn allocations() -> Vec<AllocationLogRow> {
    let row =
        |(key, currency, amount, [unit, department], end, reference): (&str, &str, &str, [&str; 2], &str, &str)| {
            AllocationLogRow {
                allocation_id: key.replace("id:", "alc-").into(),
                lot: 1,
                credit_key: key.into(),
                action: "allocate".into(),
                business_unit: stated(unit),
                department: stated(department),
                portfolio: None,
                product: None,
                amount: Some(money(amount)),
                currency: Some(currency.into()),
                end_date: end.parse().ok(),
                reference: stated(reference),
                recorded_by: Some("jane".into()),
                recorded_at: "2026-10-20T08:00:00".parse().unwrap(),
                note: None,
                from_period: None,
                continues_lot: None,
            }
        };
    ALLOCATIONS.into_iter().map(row).collect()
}

/// A folder that goes when nobody looks at its lake any more.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("finops-credits-web-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// The lake of the organisation.
pub(super) struct Published {
    settings: Settings,
    reference: Arc<ReferenceFiles>,
    _folder: Folder,
}

#[async_trait]
impl ReferenceSource for Published {
    async fn reference_files(&self, _settings: &Settings) -> Result<Arc<ReferenceFiles>, Failure> {
        Ok(Arc::clone(&self.reference))
    }
}

fn reference_files() -> ReferenceFiles {
    let hierarchy = parse_hierarchy("hierarchy.csv", HIERARCHY.as_bytes()).unwrap();
    ReferenceFiles {
        cost_rules: parse_cost_rules("cost_rules.csv", RULES.as_bytes(), &hierarchy).unwrap(),
        budgets: parse_budgets("budgets.csv", BUDGETS.as_bytes(), &hierarchy).unwrap(),
        hierarchy,
        ..ReferenceFiles::default()
    }
}

impl Published {
    /// One that nobody else looks at: for what is recorded.
    pub(super) async fn own() -> Arc<Self> {
        let folder = Folder::new();
        let location = folder.0.join("lake");
        let text = format!(
            "source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = {:?}",
            location.display().to_string()
        );
        let settings = Settings::parse(&text, "settings", ".").unwrap();
        let published = Arc::new(Self { settings, reference: Arc::new(reference_files()), _folder: folder });
        published.run().await;
        published
    }

    /// One that all look at who record nothing.
    pub(super) async fn shared() -> Arc<Self> {
        static KNOWN: Mutex<Weak<Published>> = Mutex::const_new(Weak::new());
        let mut known = KNOWN.lock().await;
        if let Some(made) = known.upgrade() {
            return made;
        }
        let made = Self::own().await;
        *known = Arc::downgrade(&made);
        made
    }

    pub(super) async fn open(self: &Arc<Self>) -> Result<Context, Failure> {
        let lake = Arc::new(Lake::open_existing_local(&self.settings).await?);
        let moment = (AS_OF.parse().unwrap(), NOW.parse().unwrap());
        let reference = Arc::<Self>::clone(self);
        Ok(Context::new(self.settings.clone(), lake, moment, reference, runtime(&self.settings)?))
    }

    /// A night.
    async fn run(self: &Arc<Self>) {
        Lake::open_local(&self.settings).await.unwrap();
        let context = self.open().await.unwrap();
        let lake = &context.lake;
        let generations = read_export(lake).await;
        lake.switch_generations(&generations).await.unwrap();
        lake.logs().append(&allocations()).await.unwrap();
        let run = Run::new(Arc::clone(lake), RUN);
        run.begin().await.unwrap();
        let register = CreditSnapshot::of(&context).await.unwrap().register;
        run.write(None, &register.credits).await.unwrap();
        run.write(None, &register.applied).await.unwrap();
        run.write(None, &export_totals(&generations)).await.unwrap();
        let job = JobContext {
            run,
            session: context.session().unwrap(),
            settings: context.settings.clone(),
            as_of: context.as_of,
            now: context.now,
        };
        let detected = detected(&generations);
        job.run.finish_job(Detected::JOB, &detected).await.unwrap();
        let joined = join_allocations::join_allocations(&job, &detected, &self.reference, false).await.unwrap();
        apply_fifo::apply_fifo(&job, &detected, joined).await.unwrap();
        write_net_cost::write_net_cost(&job, &detected, joined, &self.reference).await.unwrap();
        lake.publish(RUN, context.now).await.unwrap();
    }
}

/// Writes the lines of each month.
async fn read_export(lake: &Lake) -> BTreeMap<BillingPeriod, Generation> {
    let mut generations = BTreeMap::new();
    for month in MONTHS {
        let (period, fingerprint) = (month.parse().unwrap(), format!("f-{month}"));
        let folder = lake.new_generation_folder(&fingerprint);
        let (costs, credits) = (cost_lines(month), credit_lines(month));
        let mut tables = BTreeMap::new();
        for (table, rows) in
            [(CostLine::TABLE, stream_of(&costs).unwrap()), (CreditLine::TABLE, stream_of(&credits).unwrap())]
        {
            let sum = lake.write_generation(period, &folder, &table, rows).await.unwrap();
            tables.insert(table.name.to_owned(), sum);
        }
        let generation = Generation {
            fingerprint,
            folder,
            format: "CUR 2.0".to_owned(),
            files: Vec::new(),
            totals: totals(&costs),
            blank_costs: 0,
            unknown_line_types: BTreeMap::new(),
            notes: PeriodNotes::default(),
            tables,
        };
        generations.insert(period, generation);
    }
    generations
}

fn totals(costs: &[CostLine]) -> Vec<CurrencyTotal> {
    let mut totals: BTreeMap<&Text, CurrencyTotal> = BTreeMap::new();
    for line in costs {
        let total = totals.entry(&line.currency).or_insert_with(|| CurrencyTotal {
            currency: line.currency.to_string(),
            export_total: Money::ZERO,
            lines: 0,
            invoice_ids: ["INV-1".to_owned()].into(),
            lines_without_invoice: 0,
        });
        let parts = [total.export_total, line.unblended_charges, line.tax, line.refunds, line.aws_credits];
        (total.export_total, total.lines) = (Money::total(parts).unwrap(), total.lines + 1);
    }
    totals.into_values().collect()
}

fn export_totals(generations: &BTreeMap<BillingPeriod, Generation>) -> Vec<ExportTotal> {
    let of_month = |(period, generation): (&BillingPeriod, &Generation)| {
        let row = |total: &CurrencyTotal| ExportTotal {
            billing_period: *period,
            currency: total.currency.as_str().into(),
            export_total: total.export_total,
            rows_read: i64::try_from(total.lines).unwrap(),
            invoice_ids: total.invoice_ids.first().map(Text::from),
            lines_without_invoice: 0,
        };
        generation.totals.iter().map(row).collect::<Vec<_>>()
    };
    generations.iter().flat_map(of_month).collect()
}

fn detected(generations: &BTreeMap<BillingPeriod, Generation>) -> Detected {
    let period = |(period, generation): (&BillingPeriod, &Generation)| DetectedPeriod {
        period: *period,
        fingerprint: generation.fingerprint.clone(),
        lines: generation.lines(),
        source: PeriodSource::Read,
        blank_costs: 0,
        unknown_line_types: BTreeMap::new(),
        notes: PeriodNotes::default(),
    };
    Detected {
        as_of: AS_OF.parse().unwrap(),
        format: "CUR 2.0".to_owned(),
        periods: generations.iter().map(period).collect(),
        later_periods: Vec::new(),
        left_out: Vec::new(),
        fetched: None,
        inbox: schemas::records::InboxFiles::default(),
    }
}
