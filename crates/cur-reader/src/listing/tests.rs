use credit_ledger::ExportPeriods;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::*;

/// The only export.
fn cur() -> ExportLocation {
    ExportLocation { folder: String::new(), location: "cur".to_owned() }
}

async fn stored(objects: &[(&str, &str)]) -> Arc<dyn ObjectStore> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for (path, text) in objects {
        store.put(&Path::from(*path), text.as_bytes().to_vec().into()).await.unwrap();
    }
    store
}

async fn read(objects: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>), String> {
    let store = stored(objects).await;
    let listing = list(&store, &[cur()]).await.map_err(|error| error.to_string())?;
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

#[tokio::test]
async fn manifests_of_every_observed_shape_lead_to_their_files() {
    let data = "p/x/data/billing_period=2026-05/x-00001.csv";
    for entries in [
        // A prefix that begins with a slash.
        r#""dataFiles": ["s3://bucket//p/x/data/billing_period=2026-05/x-00001.csv"]"#,
        r#""dataFiles": [{"url": "https://bucket.s3.amazonaws.com/p/x/data/billing_period=2026-05/x-00001.csv"}]"#,
        r#""dataFiles": [{"size": 9, "relativePath": "data/billing_period=2026-05/x-00001.csv"}]"#,
        r#""reportKeys": ["/p/x/data/billing_period=2026-05/x-00001.csv"], "dataFiles": null"#,
        r#""dataFiles": ["x-00001.csv"]"#,
    ] {
        let manifest = format!("{{{entries}}}");
        let (files, left_out) = read(&[
            (data, "."),
            ("p/x/data/billing_period=2026-05/x-00002.csv", "."),
            ("p/x/metadata/billing_period=2026-05/x-Manifest.json", &manifest),
            // Of the same names in another export.
            ("q/y/data/billing_period=2026-05/x-00001.csv", "."),
        ])
        .await
        .unwrap();
        assert_eq!(files, [data, "q/y/data/billing_period=2026-05/x-00001.csv"], "{entries}");
        let manifest = "p/x/metadata/billing_period=2026-05/x-Manifest.json does not name it";
        assert_eq!(left_out, [format!("p/x/data/billing_period=2026-05/x-00002.csv (1): {manifest}")], "{entries}");
    }
}

#[tokio::test]
async fn an_entry_that_could_be_any_of_several_files_is_named() {
    let refused = current(&[
        ("a/copy/x-1.csv", "."),
        ("b/copy/x-1.csv", "."),
        ("c/x-Manifest.json", r#"{"dataFiles": ["s3://bucket/x/copy/x-1.csv"]}"#),
    ]);
    assert_eq!(refused.await.unwrap_err(), "c/x-Manifest.json: s3://bucket/x/copy/x-1.csv could be any of 2 files");
}

#[tokio::test]
async fn of_several_manifests_without_an_instant_none_can_be_chosen() {
    let entry = |name: &str| format!(r#"{{"reportKeys": ["pre/r/20260501-20260601/{name}/r-1.csv"]}}"#);
    let (one, other) = (entry("aa1d"), entry("bb2e"));
    let files = [
        ("r/20260501-20260601/aa1d/r-1.csv", "."),
        ("r/20260501-20260601/aa1d/r-Manifest.json", &one),
        ("r/20260501-20260601/bb2e/r-1.csv", "."),
        ("r/20260501-20260601/bb2e/r-Manifest.json", &other),
    ];
    assert_eq!(
        current(&files).await.unwrap_err(),
        "r/20260501-20260601/bb2e/r-Manifest.json: billing period 2026-05 has several manifests, and it cannot be said \
         which one counts: r/20260501-20260601/aa1d/r-Manifest.json, r/20260501-20260601/bb2e/r-Manifest.json; keep one \
         of them"
    );
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_named_and_says_why() {
    let path = "x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json";
    let refused = async |json: &str| {
        let files = [(path, json), ("x/data/BILLING_PERIOD=2026-05/x-1.csv", ".")];
        current(&files).await.unwrap_err().strip_prefix(&format!("{path}: ")).unwrap().to_owned()
    };
    let long = format!(r#"{{"dataFiles": ["{}"]}}"#, "x".repeat(2_049));
    for json in [&long[..], r#"{"dataFiles": [{"size": 9}]}"#, r#"{"reportKeys": ["x-1.csv", 5]}"#] {
        assert_eq!(refused(json).await, "manifest with an entry that names no file");
    }
    assert_eq!(refused("<html>").await, "is no JSON manifest (expected value at line 1 column 1); copy the file again");
    assert_eq!(refused(r#"{"dataFiles": []}"#).await, "names no data file; wait for the delivery");
    let large = " ".repeat((16 << 20) + 1);
    assert_eq!(refused(&large).await, "is no manifest: it has 16777217 bytes, at most 16777216");
}

#[tokio::test]
async fn names_in_capitals_are_data_and_what_aws_writes_for_other_programs_is_not_mentioned() {
    let files = [
        ("R/APRIL.PARQUET", "."),
        ("R/MAY.CSV.GZ", "."),
        ("R/crawler-cfn.yml", "."),
        ("R/r-QuickSightManifest.json", "{}"),
        ("R/r-RedshiftCommands.sql", "."),
        ("R/r-create-table.sql", "."),
        ("R/cost_and_usage_data_status/part-0.csv", "status\nREADY\n"),
    ];
    let expected = ["R/APRIL.PARQUET", "R/MAY.CSV.GZ"].map(str::to_owned).to_vec();
    assert_eq!(read(&files).await.unwrap(), (expected, Vec::new()));
}

#[tokio::test]
async fn an_empty_file_stands_for_a_folder_unless_it_is_named_as_data() {
    assert_eq!(current(&[("r", ""), ("r/x.csv", "."), ("r/notes.txt", "")]).await.unwrap(), ["r/x.csv"]);
    // Whoever reads it says that it is empty.
    assert_eq!(current(&[("r/may.parquet", ""), ("r/x.csv", ".")]).await.unwrap(), ["r/may.parquet", "r/x.csv"]);
    let refused = current(&[("r/may.zip", ""), ("r/x.csv", ".")]).await.unwrap_err();
    assert_eq!(refused, "r/may.zip: is empty (0 bytes); copy the file again");
}

#[tokio::test]
async fn a_month_that_lies_in_two_folders_without_a_manifest_is_refused() {
    for (one, other, folders) in [
        ("r/year=2026/month=5/r-1.csv", "r/year=2026/month=05/r-1.csv", "year=2026/month=05, year=2026/month=5"),
        (
            "r/data/BILLING_PERIOD=2026-05/r-1.csv",
            "r/BILLING_PERIOD=2026-05/r-1.csv",
            "BILLING_PERIOD=2026-05, data/BILLING_PERIOD=2026-05",
        ),
        (
            "r/BILLING_PERIOD=2026-05/r-1.csv",
            "r/20260501-20260601/a1/r-1.csv",
            "20260501-20260601/a1, BILLING_PERIOD=2026-05",
        ),
    ] {
        assert_eq!(
            current(&[(one, "."), (other, ".")]).await.unwrap_err(),
            format!(
                "r: billing period 2026-05 has 2 executions and no manifest says which one counts: {folders}; copy the \
                 metadata folder too, or remove the old ones"
            )
        );
    }
    // Partitions of one table are no executions.
    let files = [("r/year=2026/month=5/a=1/r-1.csv", "."), ("r/year=2026/month=5/a=2/r-1.csv", ".")];
    assert_eq!(current(&files).await.unwrap(), files.map(|(path, _)| path));
}

async fn status(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let store = stored(files).await;
    let listing = list(&store, &[cur()]).await.unwrap();
    let unread = check_status(&store, &listing).await.map_err(|error| error.to_string())?;
    Ok(unread.into_iter().map(|file| format!("{} ({}): {}", file.path, file.files, file.reason)).collect())
}

#[tokio::test]
async fn an_export_is_not_read_while_aws_says_that_it_is_updating() {
    let data = ("r/r/year=2026/month=5/r-1.csv", ".");
    let of = |name: &str| format!("r/r/cost_and_usage_data_status/{name}");
    let (one, other) = (of("part-0.csv"), of("part-1.csv"));
    for ready in ["status\nREADY\n", "status\n", "another\nUPDATING\n"] {
        assert_eq!(status(&[data, (&one, ready)]).await, Ok(Vec::new()), "{ready}");
    }
    for updating in ["status\nUPDATING\n", "id,Status\n1,READY\n2, updating \n"] {
        assert_eq!(
            status(&[data, (&one, "status\nREADY\n"), (&other, updating)]).await.unwrap_err(),
            "r/r/cost_and_usage_data_status/part-1.csv: AWS is still delivering (status UPDATING); try again later"
        );
    }
    let reason = "cannot be read: whether AWS is still delivering is not known";
    let damaged = of("part-0.parquet");
    assert_eq!(status(&[data, (&damaged, "PAR1")]).await, Ok(vec![format!("{damaged} (1): {reason}")]));
}

#[tokio::test]
async fn a_file_that_was_delivered_anew_meanwhile_is_found_when_the_export_is_listed_again() {
    let (data, manifest) =
        ("x/data/BILLING_PERIOD=2026-05/e2/x-1.parquet", "x/metadata/BILLING_PERIOD=2026-05/x-Manifest.json");
    let store = stored(&[(data, "."), (manifest, TWO)]).await;
    let current = async |known: &Manifests| {
        let listing = list(&store, &[cur()]).await.unwrap();
        let manifests = Manifests::fetch(&store, &listing, known, 1).await.unwrap();
        let day = "2026-10-31".parse().unwrap();
        let files = current_files(&listing, &manifests, ExportPeriods::read_on(day, day)).unwrap();
        (listing, manifests, files)
    };
    let (listing, manifests, before) = current(&Manifests::default()).await;
    let (_, _, same) = current(&manifests).await;
    assert_eq!(before.first_other(&same), None);
    let (files, _) = before.by_content(&store).await.unwrap();
    let file = &files[0];
    assert!(listing.has(data, file.size, &file.version));
    assert!(!listing.has(data, file.size + 1, &file.version) && !listing.has(data, file.size, "another"));
    store.put(&Path::from(data), b"+".to_vec().into()).await.unwrap();
    let (listing, _, after) = current(&manifests).await;
    assert_eq!(before.first_other(&after).map(|file| file.path.as_str()), Some(data));
    assert!(!listing.has(data, file.size, &file.version), "as large as before, but another one");
    // A manifest that is known is not read again; one that went away while the export was listed says so.
    store.delete(&Path::from(manifest)).await.unwrap();
    assert!(Manifests::fetch(&store, &listing, &manifests, 1).await.is_ok());
    let gone = Manifests::fetch(&store, &listing, &Manifests::default(), 1).await.unwrap_err();
    assert_eq!(gone.to_string(), format!("{manifest}: the export changed while it was read; try again"));
}

#[test]
fn names_are_told_apart_from_how_a_file_is_written_and_packed() {
    for (path, expected) in [
        ("r/may-00001.snappy.parquet", "r/may-00001"),
        ("r/may-00001.csv.gz", "r/may-00001"),
        ("r/may-00001.csv.zip", "r/may-00001"),
        ("r.csv/may", "r.csv/may"),
        ("r/v1.2.parq", "r/v1.2"),
    ] {
        assert_eq!(stem(path), expected);
    }
}
