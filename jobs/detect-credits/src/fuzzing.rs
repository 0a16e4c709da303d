//! What the fuzz targets in `fuzz/` call: untrusted bytes in, nothing out. Whatever the bytes are, these return.

use std::sync::{Arc, LazyLock};

use chrono::NaiveDate;
use credit_ledger::{BillingPeriod, ExportPeriods, Text};
use cur_reader::listing::{ExportFile, ExportLocation, Manifests, current_files, list};
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use schemas::reference::{parse_cost_rules, parse_hierarchy};
use schemas::settings::{CostColumn, CreditSettings};
use tokio::runtime::{Builder, Runtime};

use crate::deliveries::Delivery;
use crate::error::DetectError;
use crate::interner::StringInterner;
use crate::line_counts;
use crate::lines::{LineReader, LineSettings, LineState, PartReader};
use crate::stated::StatedOfExport;

const HIERARCHY: &[u8] = b"business_unit,department,portfolio,product\nRetail,,,\n";
/// Rules that ask for all that a line can say.
const RULES: &[u8] =
    b"rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,\
cost_category_value,business_unit,department,portfolio,product,share
tag,1,,,,,user_cost_center,retail-*,,,Retail,,,,
category,2,,,,,,,team,*,Retail,,,,
place,3,9*,1*,Amazon*,eu-*,,,,,Retail,,,,
";

static RUNTIME: LazyLock<Option<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).build().ok());
static READER: LazyLock<Option<LineReader>> = LazyLock::new(|| {
    let hierarchy = parse_hierarchy("hierarchy.csv", HIERARCHY).ok()?;
    let rules = parse_cost_rules("cost_rules.csv", RULES, &hierarchy).ok()?;
    let exports = vec![StatedOfExport { currency: Some("USD".to_owned()), ..StatedOfExport::default() }];
    let (cost, credits) = (CostColumn::Unblended, CreditSettings::default());
    LineReader::new(LineSettings { periods: periods(), exports, cost, credits, rules: rules.conditions() }).ok()
});

fn periods() -> ExportPeriods {
    ExportPeriods::read_on(NaiveDate::default(), NaiveDate::MAX)
}

/// A Parquet file of the export: footer, pages, values, lines.
pub fn pages(bytes: &[u8]) {
    export(bytes, "may.parquet");
}

/// A CSV file of the export, plain and as what a gzip file unpacks to.
pub fn csv(bytes: &[u8]) {
    export(bytes, "may.csv");
}

/// A packed CSV file of the export: by what it begins with gzip, ZIP or plain text.
pub fn gzip(bytes: &[u8]) {
    export(bytes, "may.csv.gz");
}

fn export(bytes: &[u8], name: &str) {
    let (Some(runtime), Some(reader)) = (RUNTIME.as_ref(), READER.as_ref()) else { return };
    let _good_or_refused = runtime.block_on(read(bytes, name, reader));
}

async fn read(bytes: &[u8], name: &str, reader: &LineReader) -> Result<(), DetectError> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    store.put(&Path::from(name), bytes.to_vec().into()).await.map_err(cur_reader::ReadError::from)?;
    let file = ExportFile::new(name.to_owned(), bytes.len() as u64, String::new());
    let counted = line_counts::count(&store, &file, reader).await?;
    let periods: Vec<BillingPeriod> = counted.line_counts.keys().copied().collect();
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    let names = StringInterner::new(&pool);
    let mut state = LineState::new(&reader.rules, &names);
    for part in 0..counted.parts() {
        let delivery = Delivery::of_each(std::iter::once(counted.file())).remove(0);
        let mut lines = PartReader::new(reader, &names, (name, &counted.layout), (&periods, (0, &delivery)));
        let mut batches = counted.open.read(&store, part, &counted.layout.projection);
        while let Some(batch) = batches.try_next().await? {
            lines.read(&batch, &mut state)?;
        }
    }
    Ok(())
}

/// The description of a credit line; its key must be stable: what it names is named again by the same name.
///
/// # Panics
/// Where a name that was read off a description reads back as another one.
#[expect(clippy::panic, reason = "a finding of the fuzzer")]
pub fn description(text: &str) {
    let Some(reader) = READER.as_ref() else { return };
    let names = reader.descriptions.parse(Some(text));
    let spaced = reader.descriptions.parse(Some(&format!(" {text}\n")));
    let account = Text::new_static("111111111111");
    if names.promotion_code.is_empty() || names.key(&account) != spaced.key(&account) {
        panic!("{text:?} is {names:?}, with white space around it {spaced:?}");
    }
}

/// A manifest of a delivery, of Data Exports and of CUR 1.0.
pub fn manifest(bytes: &[u8]) {
    let Some(runtime) = RUNTIME.as_ref() else { return };
    for (manifest, data) in [
        ("acme/metadata/BILLING_PERIOD=2026-05/acme-Manifest.json", "acme/data/BILLING_PERIOD=2026-05/acme-1.csv"),
        ("acme/20260501-20260601/acme-Manifest.json", "acme/20260501-20260601/acme-1.csv"),
        ("acme-Manifest.json", "acme-1.csv"),
    ] {
        let _good_or_refused = runtime.block_on(async {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            store.put(&Path::from(manifest), bytes.to_vec().into()).await?;
            store.put(&Path::from(data), b"x".to_vec().into()).await?;
            let location = ExportLocation { folder: String::new(), location: "cur".to_owned() };
            let listing = list(&store, &[location]).await?;
            let manifests = Manifests::fetch(&store, &listing, &Manifests::default(), 1).await?;
            current_files(&listing, &manifests, periods()).map(drop)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((self.0 >> 33) % end.max(1) as u64).unwrap()
        }
    }

    /// The files of a folder of the fixtures with one of these endings.
    fn seeds(folder: &str, ending: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/../../tests/fixtures/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.to_string_lossy().ends_with(ending));
        paths.sort();
        let seeds: Vec<Vec<u8>> = paths.into_iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(!seeds.is_empty());
        seeds
    }

    /// Every seed as it is, then damaged.
    fn play(seeds: &[Vec<u8>], runs: usize, target: impl Fn(&[u8])) {
        seeds.iter().for_each(|seed| target(seed));
        let mut random = Random(1);
        for _ in 0..runs {
            let mut bytes = seeds[random.below(seeds.len())].clone();
            for _ in 0..1 + random.below(4) {
                let (at, value) = (random.below(bytes.len()), random.below(256));
                match random.below(4) {
                    0 => bytes[at] ^= 1 << (value % 8),
                    1 => bytes[at] = u8::try_from(value).unwrap(),
                    2 if random.below(9) == 0 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, u8::try_from(value).unwrap()),
                }
            }
            target(&bytes);
        }
    }

    #[test]
    fn the_targets_read_their_seeds() {
        let reader = READER.as_ref().unwrap();
        let read = |seed: &Vec<u8>, name: &str| RUNTIME.as_ref().unwrap().block_on(read(seed, name, reader));
        seeds("fuzz", ".parquet").iter().for_each(|seed| read(seed, "may.parquet").unwrap());
        let csv = seeds("formats", "cur-2.0.csv");
        csv.iter().for_each(|seed| read(seed, "may.csv").unwrap());
    }

    #[test]
    fn damaged_pages_end_in_an_error_or_in_other_values() {
        play(&seeds("fuzz", ".parquet"), 5000, pages);
    }

    #[test]
    fn damaged_text_ends_in_an_error_or_in_other_values() {
        let mut seeds = seeds("formats", ".csv");
        seeds.retain(|seed| seed.len() > 1000);
        play(&seeds, 1000, csv);
        play(&seeds, 200, gzip);
    }

    #[test]
    fn damaged_manifests_are_refused_or_name_files() {
        let seeds = [
            r#"{"billingPeriod": {"start": "20260501T000000.000Z"}, "reportKeys": ["/r/acme/20260501-20260601/acme-1.csv"]}"#,
            r#"{"dataFiles": [{"key": "s3://b/acme/data/BILLING_PERIOD=2026-05/acme-1.csv"}, "acme-1.csv"]}"#,
        ];
        play(&seeds.map(|seed| seed.as_bytes().to_vec()), 1000, manifest);
    }

    #[test]
    fn descriptions_are_named_the_same_whatever_white_space_is_around() {
        let seeds =
            ["Spring, credit from account: 111122223333 , credit id: 9", "MAP \u{a0}credit - 1/3,, credit id: 5"];
        let text = |bytes: &[u8]| description(&String::from_utf8_lossy(bytes));
        play(&seeds.map(|seed| seed.as_bytes().to_vec()), 2000, text);
    }
}
