//! Where settings, export, lake and reference files are found, and what is said where they are not.

use super::*;
use crate::testing::Shop;

const TEXT: &str = "source.location = \"cur\"\nreference.location = \"reference\"\nlake.location = \"lake\"\n";

fn said<T>(result: Result<T, Failure>) -> (Kind, String) {
    let failure = result.err().unwrap();
    (failure.kind, failure.to_string())
}

#[test]
fn settings_are_those_of_the_file_else_of_the_text() {
    let shop = Shop::new();
    shop.write("credits.toml", TEXT);
    let file = shop.path("credits.toml");
    let found = settings(Some(&file), Some("nonsense")).unwrap();
    assert_eq!(found.lake.location, shop.path("lake").display().to_string(), "relative to the file");
    let of_text = settings(None, Some(TEXT)).unwrap();
    assert_eq!(of_text.name, "settings (FINOPS_CREDITS_SETTINGS)");
    let (kind, message) = said(settings(None, Some(&format!("{TEXT}run.keep = 5\n"))));
    assert_eq!(kind, Kind::BadInput);
    assert!(message.starts_with("settings (FINOPS_CREDITS_SETTINGS), line 4, column "), "{message}");
    assert!(message.contains("unknown field `keep`"), "{message}");
    let missing = shop.path("other.toml");
    let expected = format!("settings file {} does not exist; name one with --config", missing.display());
    assert_eq!(said(settings(Some(&missing), None)), (Kind::BadInput, expected));
    let nowhere = "there is no no-such-settings.toml here or in a folder above; `finops-credits init` makes one, --config names \
                   one elsewhere";
    assert_eq!(said(nearest_settings(Path::new("no-such-settings.toml"))), (Kind::BadInput, nowhere.to_owned()));
}

/// The folder is the person's own: its command may be run.
#[test]
fn command_of_the_settings_of_this_folder_is_kept() {
    let shop = Shop::new();
    shop.write("credits.toml", &format!("{TEXT}run.notify = \"mail finops\"\n"));
    assert_eq!(nearest_settings(&shop.path("credits.toml")).unwrap().run.notify.as_deref(), Some("mail finops"));
}

#[tokio::test(flavor = "multi_thread")]
async fn export_and_lake_that_are_not_there_yet_are_told_apart_from_wrong_places() {
    let shop = Shop::new();
    let settings = shop.settings_with("");
    let locations = Locations::of(&settings).await.unwrap();
    locations.open_exports(&settings).await.unwrap();
    assert!(locations.fetched().is_none(), "nothing of a folder goes over a wire");
    std::fs::rename(shop.path("cur"), shop.path("elsewhere")).unwrap();
    let location = shop.path("cur").display().to_string();
    let expected = format!("no billing export at {location}: the folder does not exist; set [source] location");
    assert_eq!(said(locations.open_exports(&settings).await), (Kind::NotYet, expected));
    shop.write("cur", "a file");
    let expected = format!("{location} is a file; set [source] location to the folder that it lies in");
    assert_eq!(said(locations.open_exports(&settings).await), (Kind::BadInput, expected));
    let lake = shop.path("lake").display().to_string();
    let expected = format!("there is no lake at {lake} yet; `run` makes it");
    assert_eq!(said(locations.open_lake(&settings, false).await), (Kind::NotYet, expected));
    assert!(!shop.path("lake").exists(), "a command that reads makes nothing");
    locations.open_lake(&settings, true).await.unwrap();
    locations.open_lake(&settings, false).await.unwrap();
    let (kind, message) = said(locations.read_file("/no/access.csv", "[web] access").await);
    assert_eq!(kind, Kind::BadInput);
    assert!(message.starts_with("[web] access /no/access.csv cannot be read: "), "{message}");
    let needs_s3 = (Kind::Usage, "this needs a lake on S3; see [lake] location".to_owned());
    assert_eq!(said(locations.aws().map(|_aws| ())), needs_s3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_reads_reference_files_once_and_a_server_again_where_they_changed() {
    let shop = Shop::new();
    let settings = shop.settings_with("");
    let locations = Locations::of(&settings).await.unwrap();
    let first = locations.reference_files(&settings).await.unwrap();
    assert!(Arc::ptr_eq(&first, &locations.again().reference_files(&settings).await.unwrap()), "nothing changed");
    shop.write("reference/hierarchy.csv", &(shop.read("reference/hierarchy.csv") + "Press,,,,\n"));
    assert!(
        Arc::ptr_eq(&first, &locations.reference_files(&settings).await.unwrap()),
        "this command has begun with them"
    );
    let second = locations.again().reference_files(&settings).await.unwrap();
    assert_eq!((first.hierarchy.nodes().count(), second.hierarchy.nodes().count()), (3, 4));
    std::fs::remove_file(shop.path("reference/cost_rules.csv")).unwrap();
    let (kind, message) = said(locations.again().reference_files(&settings).await);
    let folder = shop.path("reference").display().to_string();
    let expected = format!("reference file {folder}/cost_rules.csv does not exist; see [reference] location");
    assert_eq!((kind, message), (Kind::BadInput, expected));
}

#[cfg(not(feature = "aws"))]
#[tokio::test(flavor = "multi_thread")]
async fn place_on_s3_is_refused_with_how_to_build_the_program_for_it() {
    let settings = Settings::parse(&TEXT.replace("\"cur\"", "\"s3://bucket/cur\""), "settings", ".").unwrap();
    let expected =
        "this needs S3, but the program is built without AWS; build it with `cargo build --release --features aws`";
    assert_eq!(said(Locations::of(&settings).await), (Kind::Usage, expected.to_owned()));
    let file = Path::new("s3://bucket/credits.toml");
    assert_eq!(said(super::settings(Some(file), None)), (Kind::Usage, expected.to_owned()));
}
