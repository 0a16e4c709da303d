//! A small organisation in a folder of its own, and its lake as the jobs leave it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{ExportPeriods, Money, Node};
use cur_reader::listing::ExportLocation;
use detect_credits::{ExportSource, Progress};
use lake::{JobContext, Lake, ReferenceFiles, Run, Settings, open_folder};
use schemas::reference::{Action, AllocationRow, CreditName};
use tokio::sync::Mutex;

use crate::context::{Context, ReferenceSource, runtime};
use crate::failure::Failure;
use crate::proposal::Proposal;
use crate::revision::{found, row};
use crate::snapshot::CreditSnapshot;

pub(crate) const AS_OF: &str = "2026-01-31";

const EXPORT: &str = "\
bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,line_item_usage_start_date,\
line_item_line_item_type,line_item_product_code,line_item_currency_code,line_item_unblended_cost,\
line_item_line_item_description
2026-01-01,999999999999,111111111111,2026-01-05,Usage,AmazonEC2,USD,100,
2026-01-01,999999999999,222222222222,2026-01-06,Usage,AmazonS3,USD,40,
2026-01-01,999999999999,333333333333,2026-01-07,Usage,AmazonS3,USD,2.5,
2026-01-01,999999999999,111111111111,2026-01-10,Credit,AmazonEC2,USD,-30,\"Spring Credits, credit id: 42\"
2026-01-01,999999999999,111111111111,2026-01-12,Credit,AmazonEC2,USD,-5,Activate
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

/// The files, in a folder that goes with it.
pub(crate) struct Shop {
    folder: PathBuf,
    settings: Settings,
    reference: Arc<Files>,
}

/// Reference files that are read once until somebody says that they have changed.
#[derive(Default)]
struct Files(Mutex<Option<Arc<ReferenceFiles>>>);

#[async_trait]
impl ReferenceSource for Files {
    async fn reference_files(&self, settings: &Settings) -> Result<Arc<ReferenceFiles>, Failure> {
        let mut known = self.0.lock().await;
        if let Some(files) = known.as_ref() {
            return Ok(Arc::clone(files));
        }
        let folder = open_folder(&settings.reference.location, "[reference] location")?;
        let files = Arc::new(ReferenceFiles::load(&settings.reference.location, folder.as_ref()).await?);
        *known = Some(Arc::clone(&files));
        Ok(files)
    }
}

impl Shop {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("finops-credits-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let text = "source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"lake\"\n\
                    run.threads = 2\nrun.memory_limit = \"512 MiB\"";
        let settings = Settings::parse(text, "settings", folder.to_str().unwrap()).unwrap();
        let shop = Self { folder, settings, reference: Arc::default() };
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// From now on the reference files are read again.
    pub(crate) async fn reference_changed(&self) {
        *self.reference.0.lock().await = None;
    }

    /// The lake as a command finds it.
    pub(crate) async fn context(&self, as_of: &str) -> Context {
        let lake = Lake::open_local(&self.settings).await.unwrap();
        let reference: Arc<dyn ReferenceSource> = Arc::<Files>::clone(&self.reference);
        let runtime = runtime(&self.settings).unwrap();
        Context::new(self.settings.clone(), Arc::new(lake), (date(as_of), now()), reference, runtime)
    }

    /// Records rows of one credit as `allocate --by jane` does.
    pub(crate) async fn record(&self, rows: &[AllocationRow]) {
        let context = self.context(AS_OF).await;
        let snapshot = CreditSnapshot::of(&context).await.unwrap();
        let credit = found(&rows[0].credit, &snapshot).unwrap();
        let recording = snapshot.recording(&context, (None, Some("jane")), None);
        let proposal = Proposal::of(&context, &snapshot, credit, rows, &recording).await.unwrap();
        proposal.record(&context).await.unwrap();
    }

    /// A whole night: all jobs, told to go on where nodes are gone. The lake as it is then.
    pub(crate) async fn night(&self, id: &str, as_of: &str) -> Context {
        let context = self.context(as_of).await;
        let job = JobContext {
            run: Run::new(Arc::clone(&context.lake), id),
            session: context.session().unwrap(),
            settings: self.settings.clone(),
            as_of: context.as_of,
            now: context.now,
        };
        let location = self.settings.source.locations();
        let source = ExportSource {
            store: open_folder(&location, "[source] location").unwrap().unwrap(),
            locations: vec![ExportLocation { folder: String::new(), location }],
            periods: ExportPeriods::read_on(context.now.date(), context.as_of),
            fetched_at_once: 1,
            readers: 1,
            engine: None,
        };
        let reference = context.reference_files().await.unwrap();
        let lock = context.lake.lock(id).await.unwrap();
        job.run.begin().await.unwrap();
        let progress = Arc::<Progress>::default();
        let detected = detect_credits::detect_credits(&job, source, &reference, &progress).await.unwrap();
        join_allocations::import_initial_allocations(&job, &reference).await.unwrap();
        let joined = join_allocations::join_allocations(&job, &detected, &reference, true).await.unwrap();
        apply_fifo::apply_fifo(&job, &detected, joined).await.unwrap();
        write_net_cost::write_net_cost(&job, &detected, joined, &reference).await.unwrap();
        context.lake.publish(id, context.now).await.unwrap();
        lock.release().await.unwrap();
        self.context(as_of).await
    }
}

/// The logs stamp what is appended to them, so the commands' clock must be the same.
#[expect(clippy::disallowed_methods, reason = "the one clock of the test, as the binary reads it")]
fn now() -> NaiveDateTime {
    let now = chrono::Utc::now();
    chrono::DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap().naive_utc()
}

/// One lot as somebody enters it.
pub(crate) fn entered(credit_key: &str, amount: &str, to: &str, end_date: Option<&str>) -> AllocationRow {
    AllocationRow {
        amount: Some(money(amount)),
        currency: Some("USD".into()),
        end_date: end_date.map(date),
        node: Some(node(to)),
        ..row("allocate", CreditName::Key(credit_key.into()), Action::Allocate)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _left_to_the_system = std::fs::remove_dir_all(&self.folder);
    }
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
    crate::typed::node(text).unwrap()
}
