use credit_ledger::ExportPeriods;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::*;

async fn read(objects: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>), String> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for (path, text) in objects {
        store.put(&Path::from(*path), text.as_bytes().to_vec().into()).await.unwrap();
    }
    let location = ExportLocation { folder: String::new(), location: "cur".to_owned() };
    let listing = list(&store, &[location]).await.map_err(|error| error.to_string())?;
    let manifests = Manifests::fetch(&store, &listing, &Manifests::default(), 2).await;
    let manifests = manifests.map_err(|error| error.to_string())?;
    let day = "2026-10-31".parse().unwrap();
    let files = current_files(&listing, &manifests, ExportPeriods::read_on(day, day));
    let files = files.map_err(|error| error.to_string())?;
    let (files, left_out) = files.by_content(&store).await.map_err(|error| error.to_string())?;
    let left_out = left_out.into_iter().map(|file| format!("{} ({}): {}", file.path, file.files, file.reason));
    Ok((files.into_iter().map(|file| file.path).collect(), left_out.collect()))
}

async fn current(objects: &[(&str, &str)]) -> Result<Vec<String>, String> {
    read(objects).await.map(|(files, _)| files)
}

const TWO: &str = r#"{"dataFiles": ["s3://bucket/p/x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet"]}"#;

#[tokio::test]
async fn a_manifest_names_the_current_execution_and_old_ones_do_not_count() {
    let files = [
        ("x/data/BILLING_PERIOD=2026-05/e1/x-1.parquet", "."),
        ("x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet", "."),
        ("x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json", TWO),
        ("x/metadata/BILLING_PERIOD=2026-05/e1/x-Manifest.json", r#"{"dataFiles": ["nowhere"]}"#),
    ];
    let found = current(&files).await;
    assert_eq!(found.unwrap(), ["x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet"]);
}

#[tokio::test]
async fn of_dated_executions_with_a_manifest_each_the_newest_counts() {
    let entry = |name: &str| format!(r#"{{"dataFiles": ["s3://b/x/data/BILLING_PERIOD=2026-05/{name}/x-1.csv"]}}"#);
    let (old, new) = (entry("2026-05-02T01-a"), entry("2026-05-09T01-b"));
    let files = [
        ("data/BILLING_PERIOD=2026-05/2026-05-02T01-a/x-1.csv", "."),
        ("data/BILLING_PERIOD=2026-05/2026-05-09T01-b/x-1.csv", "."),
        ("metadata/BILLING_PERIOD=2026-05/2026-05-02T01-a/x-Manifest.json", &old),
        ("metadata/BILLING_PERIOD=2026-05/2026-05-09T01-b/x-Manifest.json", &new),
    ];
    let found = current(&files).await;
    assert_eq!(found.unwrap(), ["data/BILLING_PERIOD=2026-05/2026-05-09T01-b/x-1.csv"]);
}

#[tokio::test]
async fn cur_1_layouts_resolve_their_report_keys() {
    let manifest = r#"{"reportKeys": ["pre/r/20260501-20260601/a2/r-1.csv.gz"], "billingPeriod": {"start": "20260501T000000.000Z"}}"#;
    let files = [
        ("r/20260501-20260601/a1/r-1.csv.gz", "."),
        ("r/20260501-20260601/a2/r-1.csv.gz", "."),
        ("r/20260501-20260601/r-Manifest.json", manifest),
        ("r/20260501-20260601/a1/r-Manifest.json", "{\"reportKeys\": []}"),
        ("r/cost_and_usage_data_status/s.parquet", "."),
    ];
    let found = current(&files).await;
    assert_eq!(found.unwrap(), ["r/20260501-20260601/a2/r-1.csv.gz"]);
    let athena = current(&[("r/year=2026/month=5/r-1.parquet", "."), ("r/year=2026/month=12/r-1.parquet", ".")]).await;
    assert_eq!(athena.unwrap().len(), 2);
}

#[tokio::test]
async fn a_manifest_and_its_file_side_by_side_resolve_by_name() {
    let manifest =
        r#"{"dataFiles": [{"key": "some/where/x-1.csv"}], "billingPeriod": {"start": "2026-05-01T00:00:00.000Z"}}"#;
    let files = [("x-1.csv", "."), ("x-Manifest.json", manifest), ("x-0.csv", ".")];
    let (found, left_out) = read(&files).await.unwrap();
    assert_eq!(found, ["x-1.csv"]);
    assert_eq!(left_out, ["x-0.csv (1): x-Manifest.json does not name it"]);
}

#[tokio::test]
async fn what_cannot_be_decided_is_an_error_that_names_it() {
    let two = [("d/BILLING_PERIOD=2026-05/e1/x-1.csv", "."), ("d/BILLING_PERIOD=2026-05/e2/x-1.csv", ".")];
    assert_eq!(
        current(&two).await.unwrap_err(),
        "d: billing period 2026-05 has 2 executions and no manifest says which one counts: e1, e2; \
         copy the metadata folder too, or remove the old ones"
    );
    let missing = [("x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json", TWO)];
    assert_eq!(
        current(&missing).await.unwrap_err(),
        "x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json: names \
         s3://bucket/p/x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet, which is not there; wait for the delivery or copy the file"
    );
    assert_eq!(
        current(&[("readme.txt", ".")]).await.unwrap_err(),
        "no data file of a billing export yet: readme.txt holds no columns of a billing export"
    );
    assert_eq!(
        current(&[(".cache/x.csv", ".")]).await.unwrap_err(),
        "no billing export at cur yet: no Parquet, CSV, gzip or ZIP file; .cache/ is not read: hidden names are no part of \
         an export"
    );
}

const HEADER: &str = "bill_payer_account_id,line_item_unblended_cost\n";

#[tokio::test]
async fn what_is_no_data_is_left_out_by_name_and_a_data_file_is_known_by_its_content() {
    let (files, left_out) = read(&[
        ("x.csv", "."),
        ("20260903_101112_00012_abcde", HEADER),
        ("notes.txt", "buy milk"),
        ("a/.ipynb_checkpoints/x-checkpoint.csv", "."),
        ("a/.ipynb_checkpoints/y-checkpoint.csv", "."),
        ("a/_SUCCESS", ""),
        ("a", ""),
        ("x-RedshiftManifest.json", "{}"),
        ("odd-Manifest.json", "{}"),
    ])
    .await
    .unwrap();
    assert_eq!(files, ["20260903_101112_00012_abcde", "x.csv"]);
    let hidden = "hidden names are no part of an export";
    assert_eq!(
        left_out,
        [
            format!("a/.ipynb_checkpoints/ (2): {hidden}"),
            format!("a/_SUCCESS (1): {hidden}"),
            "notes.txt (1): holds no columns of a billing export".to_owned(),
            "odd-Manifest.json (1): is named as a manifest, but names no data files".to_owned(),
        ]
    );
    let cut = read(&[("x.csv", "."), ("part-0", "PAR1 and no more")]).await.unwrap_err();
    assert!(cut.starts_with("part-0: is not a complete Parquet file"), "{cut}");
    let zip = "PK\u{3}\u{4} and no more";
    let cut = read(&[("x.csv", "."), ("y.zip", zip)]).await.unwrap_err();
    assert!(cut.starts_with("y.zip: is no ZIP archive that can be read"), "{cut}");
    let (_, left_out) = read(&[("x.csv", "."), ("plan.xlsx", zip)]).await.unwrap();
    assert_eq!(left_out, ["plan.xlsx (1): is no Parquet, CSV, gzip or ZIP file"]);
}

#[tokio::test]
async fn once_a_period_has_a_manifest_one_without_is_a_delivery_in_progress() {
    let august = r#"{"dataFiles": ["s3://b/x/data/BILLING_PERIOD=2026-08/x-1.csv"]}"#;
    let (files, left_out) = read(&[
        ("x/data/BILLING_PERIOD=2026-08/x-1.csv", "."),
        ("x/metadata/BILLING_PERIOD=2026-08/x-Manifest.json", august),
        ("x/data/BILLING_PERIOD=2026-09/x-1.csv", "."),
        ("y/data/BILLING_PERIOD=2026-09/y-1.csv", "."),
        ("x/notes/september.csv", "."),
    ])
    .await
    .unwrap();
    // Another export is none of its business.
    assert_eq!(files, ["x/data/BILLING_PERIOD=2026-08/x-1.csv", "y/data/BILLING_PERIOD=2026-09/y-1.csv"]);
    let reason = "2026-09 has no manifest yet: its delivery is in progress";
    assert_eq!(
        left_out,
        [
            format!("x/data/BILLING_PERIOD=2026-09/ (1): {reason}"),
            "x/notes/september.csv (1): no manifest names it".to_owned(),
        ]
    );
}

#[tokio::test]
async fn what_lies_beside_a_file_that_a_manifest_names_is_left_out() {
    let august = r#"{"reportKeys": ["pre/r/r/year=2026/month=8/r-1.parquet"]}"#;
    let (files, left_out) = read(&[
        ("pre/r/20260801-20260901/r-Manifest.json", august),
        ("pre/r/r/year=2026/month=8/r-1.parquet", "."),
        ("pre/r/r/year=2026/month=8/r-2.parquet", "."),
        ("pre/r/r/year=2026/month=9/r-1.parquet", "."),
    ])
    .await
    .unwrap();
    assert_eq!(files, ["pre/r/r/year=2026/month=8/r-1.parquet"]);
    assert_eq!(
        left_out,
        [
            "pre/r/r/year=2026/month=8/r-2.parquet (1): pre/r/20260801-20260901/r-Manifest.json does not name it",
            "pre/r/r/year=2026/month=9/ (1): 2026-09 has no manifest yet: its delivery is in progress",
        ]
    );
}

#[tokio::test]
async fn of_assemblies_dated_without_hyphens_the_newest_counts() {
    let entry = |name: &str| format!(r#"{{"reportKeys": ["pre/r/20260901-20261001/{name}/r-1.csv"]}}"#);
    let (old, new) = (entry("20260903T081120Z"), entry("20260905T165709Z"));
    let files = [
        ("r/20260901-20261001/20260903T081120Z/r-1.csv", "."),
        ("r/20260901-20261001/20260903T081120Z/r-Manifest.json", old.as_str()),
        ("r/20260901-20261001/20260905T165709Z/r-1.csv", "."),
        ("r/20260901-20261001/20260905T165709Z/r-Manifest.json", &new),
    ];
    assert_eq!(current(&files).await.unwrap(), ["r/20260901-20261001/20260905T165709Z/r-1.csv"]);
}

#[tokio::test]
async fn exports_of_several_payers_may_lie_under_one_location() {
    let files = [("a/data/BILLING_PERIOD=2026-05/x.csv", "."), ("b/data/BILLING_PERIOD=2026-05/x.csv", ".")];
    assert_eq!(current(&files).await.unwrap(), files.map(|(path, _)| path));
}

#[tokio::test]
async fn a_period_that_cannot_be_is_named_with_the_path_or_the_manifest() {
    let refused = async |files: &[(&str, &str)]| current(files).await.unwrap_err();
    let early = "is before 2006-01: AWS billed nothing then; move what is not part of the export elsewhere";
    for (path, period) in [
        ("x/data/BILLING_PERIOD=0026-09/x-1.parquet", "0026-09"),
        ("r/year=1970/month=1/r-1.parquet", "1970-01"),
        ("r/00260901-00261001/r-1.csv.gz", "0026-09"),
        ("x/metadata/BILLING_PERIOD=0026-09/x-Manifest.json", "0026-09"),
    ] {
        assert_eq!(refused(&[(path, TWO)]).await, format!("{path}: billing period {period} {early}"));
    }
    assert_eq!(
        refused(&[("BILLING_PERIOD=2062-01/x-1.csv", ".")]).await,
        "BILLING_PERIOD=2062-01/x-1.csv: billing period 2062-01 is more than 13 months ahead; move what is not part \
         of the export elsewhere"
    );
}
