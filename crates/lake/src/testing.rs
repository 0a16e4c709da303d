//! What the tests of this crate share: lakes of their own, rows to put into them, and a store that refuses.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::NaiveDateTime;
use credit_ledger::{BillingPeriod, Money};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use schemas::tables::{AllocationLogRow, CreditImpact, RuleRead, RunLogRow};

use crate::error::LakeError;
use crate::lake::Lake;
use crate::local::local_parts;
use crate::manifest::{StagedPeriod, StagedRun};
use crate::parts::EngineStore;
use crate::run::Run;
use crate::settings::Settings;

/// Later than the clock of any machine: Iceberg takes no publication that is older than the log's last change.
pub(crate) const LATER: &str = "2100-01-01T00:00:00";

pub(crate) fn settings(lake: &FilePath) -> Settings {
    let lake = lake.display().to_string();
    let text = format!("source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = {lake:?}");
    Settings::parse(&text, "settings", ".").unwrap()
}

/// The lake in a folder, as a process of its own would open it.
pub(crate) async fn opened(folder: &FilePath) -> Arc<Lake> {
    Arc::new(Lake::open_local(&settings(folder)).await.unwrap())
}

/// A lake whose files are in an object store, as a process of its own would open it; its logs, lock and pointer are in
/// `folder`.
pub(crate) async fn on_store(folder: &FilePath, objects: Arc<dyn ObjectStore>) -> Arc<Lake> {
    let mut parts = local_parts(folder.to_owned()).await.unwrap();
    parts.engine = EngineStore { url: "store://lake/".to_owned(), host: Some(Arc::clone(&objects)) };
    parts.objects = objects;
    parts.folder = None;
    Arc::new(Lake::of_parts(parts, &settings(folder), true).await.unwrap())
}

pub(crate) fn period(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

pub(crate) fn instant(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

/// The kind of a refusal and what it says, in one line; `folder` is `<lake>` there.
pub(crate) fn told<T>(folder: &FilePath, outcome: Result<T, LakeError>) -> String {
    let error = outcome.map(drop).unwrap_err();
    let (whole, text) = (format!("{error:?}"), error.to_string());
    assert!(!text.contains('\n'), "more than a line: {text}");
    let kind = whole.split(['(', ' ']).next().unwrap_or_default();
    format!("{kind}: {}", text.replace(&folder.display().to_string(), "<lake>"))
}

pub(crate) fn lot(allocation_id: &str, lot: i32, amount: &str) -> AllocationLogRow {
    AllocationLogRow {
        allocation_id: allocation_id.into(),
        lot,
        credit_key: "id:1".into(),
        action: "allocate".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        amount: Some(amount.parse().unwrap()),
        currency: Some("USD".into()),
        end_date: None,
        reference: None,
        recorded_by: Some("ann".into()),
        recorded_at: instant("2026-03-01T00:00:00"),
        note: None,
        from_period: None,
        continues_lot: None,
    }
}

pub(crate) fn logged(run_id: &str, month: &str) -> RunLogRow {
    RunLogRow {
        run_id: run_id.into(),
        billing_period: period(month),
        as_of: "2026-03-31".parse().unwrap(),
        source_fingerprint: "f".into(),
        rows_read: 3,
        policy: "fifo_issue_date/v1".into(),
        outcome: "published".into(),
        started_at: instant("2026-04-01T00:00:00"),
        finished_at: instant(LATER),
        exclusions_not_applied: None,
    }
}

pub(crate) fn impact(credit_key: &str, used: &str) -> CreditImpact {
    CreditImpact {
        credit_key: credit_key.into(),
        currency: "USD".into(),
        issue_period: "2026-01".into(),
        aws_applied: Money::ZERO,
        used: used.parse().unwrap(),
    }
}

pub(crate) fn rule(rule_id: &str) -> RuleRead {
    RuleRead { rule_id: rule_id.into(), conditions: "c".into() }
}

/// What a run as of 2026-03-31 is of, whose export has these months.
pub(crate) fn staged(follows: Option<&str>, months: &[&str]) -> StagedRun {
    let of_month = |month: &&str| StagedPeriod {
        billing_period: period(month),
        fingerprint: "f".to_owned(),
        lines: 3,
        payers: [].into(),
        exclusions_not_applied: [].into(),
    };
    StagedRun {
        follows: follows.map(str::to_owned),
        as_of: "2026-03-31".parse().unwrap(),
        policy: "fifo_issue_date/v1".to_owned(),
        started_at: instant("2026-04-01T00:00:00"),
        months: (period("2026-01"), period("2026-03")),
        periods: months.iter().map(of_month).collect(),
    }
}

/// A run of these months with one credit, whose draws are `used`; staged, in a process of its own.
pub(crate) async fn stage(lake: Arc<Lake>, run_id: &str, months: &[&str], used: &str) -> Run {
    let run = Run::new(lake, run_id);
    run.begin().await.unwrap();
    run.write_reusable::<RuleRead>(None, "rules", crate::stream_of(&[rule("all")]).unwrap()).await.unwrap();
    for month in months {
        let rows = crate::stream_of(&[impact("id:1", used)]).unwrap();
        run.write_reusable::<CreditImpact>(Some(period(month)), used, rows).await.unwrap();
    }
    let follows = run.lake().published().await.unwrap();
    run.finish_staging(staged(follows.as_deref(), months)).await.unwrap();
    run.write_summary(&[run_id]).await.unwrap();
    run
}

/// As [`stage`], and published.
pub(crate) async fn night(folder: &FilePath, run_id: &str, months: &[&str], used: &str) {
    stage(opened(folder).await, run_id, months, used).await.lake().publish(run_id, instant(LATER)).await.unwrap();
}

/// Changes one bit of a file, in place.
pub(crate) fn flip(file: &FilePath) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(file, bytes).unwrap();
}

/// Leaves the first half of a file, in place.
pub(crate) fn cut(file: &FilePath) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

/// Names in a folder, in order.
pub(crate) fn entries(folder: &FilePath) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Copies a folder with all that is in it, links as links.
pub(crate) fn copy(from: &FilePath, to: &FilePath) {
    std::fs::create_dir(to).unwrap();
    for name in entries(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        let kind = std::fs::symlink_metadata(&from).unwrap().file_type();
        if kind.is_dir() {
            copy(&from, &to);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&from).unwrap(), &to).unwrap();
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// A store that refuses whatever it is asked of a path that ends so.
#[derive(Debug)]
pub(crate) struct Refusing {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The ending; nothing is refused without one.
    pub(crate) ending: Mutex<Option<&'static str>>,
}

impl Refusing {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { store, ending: Mutex::default() })
    }

    pub(crate) fn refuse(&self, ending: Option<&'static str>) {
        *self.ending.lock().unwrap() = ending;
    }

    fn ask(&self, path: &Path) -> object_store::Result<()> {
        match *self.ending.lock().unwrap() {
            Some(ending) if path.as_ref().ends_with(ending) => {
                Err(object_store::Error::Generic { store: "test", source: format!("refuses {path}").into() })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(formatter)
    }
}

#[async_trait]
impl ObjectStore for Refusing {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, how: PutOptions) -> object_store::Result<PutResult> {
        self.ask(path)?;
        self.store.put_opts(path, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        how: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.ask(path)?;
        self.store.put_multipart_opts(path, how).await
    }

    async fn get_opts(&self, path: &Path, how: GetOptions) -> object_store::Result<GetResult> {
        self.ask(path)?;
        self.store.get_opts(path, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let ending = *self.ending.lock().unwrap();
        let (store, refused) =
            (Arc::clone(&self.store), Self { store: Arc::clone(&self.store), ending: ending.into() });
        let allowed = paths.map(move |path| path.and_then(|path| refused.ask(&path).map(|()| path)));
        store.delete_stream(allowed.boxed())
    }

    fn list(&self, folder: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list(folder)
    }

    async fn list_with_delimiter(&self, folder: Option<&Path>) -> object_store::Result<ListResult> {
        self.store.list_with_delimiter(folder).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> object_store::Result<()> {
        self.ask(to)?;
        self.store.copy_opts(from, to, how).await
    }
}
