use schemas::settings::CostColumn;

use super::*;

/// The least that a file must say: a line per section, so that a section's line is known.
const LEAST: &str =
    "[source]\nlocation = \"cur\"\n[reference]\nlocation = \"reference\"\n[lake]\nlocation = \"lake\"\n";

fn parsed(text: &str) -> Result<Settings, String> {
    Settings::parse(text, "settings file credits.toml", "/etc/finops").map_err(|error| match error {
        LakeError::BadInput(text) => text.replace("settings file credits.toml", "<settings>"),
        other => panic!("{other:?}"),
    })
}

fn wrong(text: &str) -> String {
    let message = parsed(text).unwrap_err();
    assert!(!message.contains('\n'), "more than a line: {message}");
    message
}

/// What is wrong with a line that is added to a section.
fn wrong_in(section: &str, line: &str) -> String {
    let header = format!("[{section}]\n");
    match LEAST.contains(&header) {
        true => wrong(&LEAST.replace(&header, &format!("{header}{line}\n"))),
        false => wrong(&format!("{LEAST}{header}{line}\n")),
    }
}

#[test]
fn half_of_the_memory_is_the_limit_unless_one_is_set() {
    let of = |run: &str| parsed(&format!("{LEAST}[run]\n{run}")).unwrap().memory_limit();
    assert_eq!(of("memory_limit = \"1 GiB\""), Some(ByteSize::gib(1)));
    assert_eq!(of("memory_limit = 268435456"), Some(ByteSize::mib(256)), "a number is bytes");
    let half = available_memory().map(|bytes| ByteSize(bytes / 2).max(LEAST_MEMORY));
    assert_eq!(of(""), half);
    assert_eq!(half.is_some(), cfg!(target_os = "linux"));
}

#[test]
fn what_is_not_said_is_as_most_have_it() {
    let settings = parsed(LEAST).unwrap();
    assert_eq!(settings.name, "settings file credits.toml");
    let locations = [&settings.source.locations(), &settings.reference.location, &settings.lake.location];
    assert_eq!(locations, ["/etc/finops/cur", "/etc/finops/reference", "/etc/finops/lake"]);
    assert_eq!((settings.lake.catalog, settings.lake.database.as_str()), (CatalogKind::Sqlite, "finops_credits"));
    assert_eq!((settings.source.cost(), settings.run.keep_runs, settings.run.as_of), (CostColumn::Unblended, 30, None));
    let source = settings.source.iter().next().unwrap();
    assert!([&source.currency, &source.region, &source.payer, &settings.run.notify].iter().all(|said| said.is_none()));
    assert_eq!(settings.athena.workgroup, "finops-credits");
    assert_eq!((settings.credits.policy.as_str(), settings.credits.expiring_soon_days), ("fifo_issue_date/v1", 60));
    assert!(settings.web.is_none());
    assert!(!settings.credits.ineligible_services.is_set && settings.credits.ineligible_services.len() == 1);
}

#[test]
fn list_that_somebody_set_replaces_the_default_also_where_it_is_empty() {
    let settings = parsed(&format!("{LEAST}[credits]\nineligible_services = []\nineligible_line_types = [\"Fee\"]"));
    let credits = settings.unwrap().credits;
    assert!(credits.ineligible_services.is_set && credits.ineligible_services.is_empty());
    assert_eq!(credits.ineligible_line_types.to_vec(), ["Fee"]);
    assert!(!credits.ineligible_billing_entities.is_set, "what nobody set stays");
}

#[test]
fn relative_location_is_seen_from_the_folder_of_the_file_and_no_other_is_changed() {
    let text = "source.location = \"../cur\"\nreference.location = \"/srv/reference\"\nlake.location = \"s3://b/lake\"\n\
                lake.catalog = \"glue\"\n";
    let settings = parsed(text).unwrap();
    let locations = [&settings.source.locations(), &settings.reference.location, &settings.lake.location];
    assert_eq!(locations, ["/etc/finops/../cur", "/srv/reference", "s3://b/lake"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/credits.toml");
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::write(&file, LEAST).unwrap();
    let settings = Settings::load(&file).unwrap();
    assert_eq!(settings.lake.location, folder.path().join("deep/lake").display().to_string());
    assert_eq!(settings.name, format!("settings file {}", file.display()));
}

#[test]
fn relative_location_of_settings_on_s3_is_below_their_prefix_and_never_above_the_bucket() {
    for (location, expected) in [
        ("cur", "s3://bucket/a/b/cur"),
        ("./cur/", "s3://bucket/a/b/cur"),
        ("../cur", "s3://bucket/a/cur"),
        ("../../cur", "s3://bucket/cur"),
        ("../../../../cur", "s3://bucket/cur"),
        ("x/../y//z", "s3://bucket/a/b/y/z"),
    ] {
        assert_eq!(below("s3://bucket/a/b/", location), expected, "{location}");
    }
    let text = LEAST.replace("\"lake\"", "\"lake\"\ncatalog = \"glue\"");
    let settings = Settings::parse(&text, "settings", "s3://bucket/conf").unwrap();
    assert_eq!(settings.lake.location, "s3://bucket/conf/lake", "which needs the catalogue of S3, and has it");
    let refused = Settings::parse(LEAST, "settings", "s3://bucket/conf").unwrap_err().to_string();
    assert_eq!(refused, "settings: [lake] catalog must be \"glue\" for a location on S3");
}

#[test]
fn value_that_cannot_be_is_named_by_its_key() {
    for (section, line, message) in [
        ("source", "currency = \"usd\"", "[source] currency \"usd\" is no currency code (USD)"),
        ("source", "currency = \"US\"", "[source] currency \"US\" is no currency code (USD)"),
        ("source", "region = \"\"", "[source] region \"\" is no AWS region (eu-central-1)"),
        ("source", "region = \"EU Frankfurt\"", "[source] region \"EU Frankfurt\" is no AWS region (eu-central-1)"),
        ("run", "threads = 0", "[run] threads must be at least 1"),
        ("run", "keep_runs = 0", "[run] keep_runs must be at least 1"),
        ("run", "memory_limit = 1000", "[run] memory_limit 1000 B is too little; give at least 256.0 MiB"),
        ("run", "memory_limit = \"255 MiB\"", "[run] memory_limit 255.0 MiB is too little; give at least 256.0 MiB"),
        (
            "credits",
            "policy = \"fifo\"",
            "[credits] policy: \"fifo\" is not a policy; one of fifo_issue_date/v1, fifo_issue_day/v1, \
             fifo_applied_month/v1",
        ),
        (
            "lake",
            "catalog = \"glue\"",
            "[lake] location \"/etc/finops/lake\": catalog \"glue\" needs a location on S3 (s3://bucket/prefix)",
        ),
    ] {
        assert_eq!(wrong_in(section, line), format!("<settings>: {message}"), "{line}");
    }
}

#[test]
fn location_that_can_be_no_place_is_named_by_its_section() {
    for (location, what) in [
        ("", "is empty"),
        (" \\t ", "is empty"),
        ("a\\u0007b", "\"a\\u{7}b\" holds a control character"),
        ("gs://bucket/x", "\"gs://bucket/x\" is neither a folder nor s3://bucket/prefix"),
        ("s3://", "\"s3://\" is neither a folder nor s3://bucket/prefix"),
        ("s3:///prefix", "\"s3:///prefix\" is neither a folder nor s3://bucket/prefix"),
    ] {
        for (section, standing) in [("source", "cur"), ("reference", "reference"), ("lake", "lake")] {
            let text = LEAST.replace(&format!("\"{standing}\""), &format!("\"{location}\""));
            assert_eq!(wrong(&text), format!("<settings>: [{section}] location {what}"), "{location}");
        }
    }
}

#[test]
fn pattern_that_is_none_is_quoted_with_what_is_wrong_with_it() {
    let long = format!("class_patterns = [{{ pattern = '{}', class = 'c' }}]", "(".repeat(150));
    let quoted = format!("class_patterns: \"{}\"…: unclosed group", "(".repeat(100));
    for (line, message) in [
        ("description_patterns = ['(?<code>']", "description_patterns: \"(?<code>\": unclosed group"),
        ("description_patterns = ['(?<id>.)']", "description_patterns: \"(?<id>.)\" has no group named code"),
        (
            "treat_as_refund = ['goodwill', 'pricing_adjustmnt']",
            "treat_as_refund: no credit has the class \"pricing_adjustmnt\"; the classes are contractual, goodwill, \
             pricing_adjustment, promotion",
        ),
        (
            "description_patterns = ['(?<code>.)(?<name>.)']",
            "description_patterns: \"(?<code>.)(?<name>.)\" names name; known are code, id, account",
        ),
        (
            "class_patterns = [{ pattern = '[z-a]', class = 'c' }]",
            "class_patterns: \"[z-a]\": invalid character class range, the start must be <= the end",
        ),
        (long.as_str(), quoted.as_str()),
    ] {
        assert_eq!(wrong_in("credits", line), format!("<settings>: [credits] {message}"));
    }
    let known = format!("{LEAST}[credits]\ndescription_patterns = ['(?<code>.+) (?<id>\\d+) (?<account>\\d+)']\n");
    parsed(&known).unwrap();
}

#[test]
fn what_toml_or_a_key_refuses_is_named_with_line_and_column() {
    for (section, line, message) in [
        (
            "source",
            "regoin = \"eu-central-1\"",
            "2, column 1: unknown field `regoin`, expected one of `name`, `location`, `payer`, `cost`, `currency`, `region`, `role_arn`",
        ),
        (
            "source",
            "cost = \"blended\"",
            "2, column 8: unknown variant `blended`, expected one of `unblended`, `net_unblended`, `amortized`, `net_amortized`",
        ),
        ("lake", "catalog = \"hive\"", "6, column 11: unknown variant `hive`, expected `sqlite` or `glue`"),
        ("run", "threads = -1", "8, column 11: invalid value: integer `-1`, expected usize"),
        ("run", "keep_runs = \"many\"", "8, column 13: invalid type: string \"many\", expected usize"),
        ("run", "as_of = \"31.10.2026\"", "8, column 9: as_of \"31.10.2026\" is not a date (YYYY-MM-DD)"),
        ("run", "as_of = 2026-10-31T08:00:00", "8, column 9: as_of \"2026-10-31T08:00:00\" is not a date (YYYY-MM-DD)"),
        ("run", "as_of = 20261031", "8, column 9: as_of \"20261031\" is not a date (YYYY-MM-DD)"),
        ("run", "as_of = 2005-12-31", "8, column 9: as_of 2005-12-31 is not in the years 2006 to 2100"),
        ("athena", "work_group = \"x\"", "8, column 1: unknown field `work_group`, expected `workgroup`"),
        ("credits", "class_patterns = [{ pattern = 'x' }]", "8, column 19: missing field `class`"),
        (
            "credits",
            "ineligible_upfront_fees = ['rent']",
            "8, column 28: unknown variant `rent`, expected `reservation` or `savings_plan`",
        ),
        (
            "recredits",
            "",
            "7, column 2: unknown field `recredits`, expected one of `source`, `reference`, `lake`, `credits`, `run`, `engine`, `athena`, `web`",
        ),
    ] {
        assert_eq!(wrong_in(section, line), format!("<settings>, line {message}"), "{line}");
    }
}

#[test]
fn place_of_a_mistake_counts_characters_and_lines_as_an_editor_does() {
    let others = "reference = { location = \"reference\" }\nlake = { location = \"lake\" }\n";
    let told = wrong(&format!("# Größe\r\nsource = {{ location = \"Größe\", regoin = \"x\" }}\n{others}"));
    assert!(told.starts_with("<settings>, line 2, column 32: unknown field `regoin`"), "{told}");
    assert!(wrong("[source]\nlocation = \"cur\n").starts_with("<settings>, line 2, column "));
    let without = LEAST.split("[lake]").next().unwrap();
    assert!(wrong(without).ends_with(": missing field `lake`"));
    assert!(
        wrong(&format!("{LEAST}location = \"twice\"\n")).starts_with("<settings>, line 7, column 1: duplicate key")
    );
}

#[test]
fn date_stands_quoted_or_as_toml_writes_it() {
    for (date, expected) in [
        ("2026-10-31", "2026-10-31"),
        ("\"2026-10-31\"", "2026-10-31"),
        ("2006-01-01", "2006-01-01"),
        ("2100-12-31", "2100-12-31"),
    ] {
        let settings = parsed(&format!("{LEAST}[run]\nas_of = {date}\n")).unwrap();
        assert_eq!(settings.run.as_of, expected.parse().ok(), "{date}");
    }
}

#[test]
fn more_threads_than_four_for_each_core_are_not_started() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let threads = |run: &str| parsed(&format!("{LEAST}[run]\n{run}")).unwrap().threads();
    assert_eq!([threads(""), threads("threads = 1"), threads("threads = 1000000")], [cores, 1, cores * 4]);
}

#[test]
fn file_that_cannot_be_read_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str| {
        let message = Settings::load(&folder.path().join(name)).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "<folder>")
    };
    let not_there = "settings file <folder>/credits.toml does not exist; name one with --config";
    assert_eq!(told("credits.toml"), not_there);
    std::fs::write(folder.path().join("latin.toml"), b"# Gr\xf6\xdfe").unwrap();
    assert_eq!(told("latin.toml"), "settings file <folder>/latin.toml is not UTF-8; save it as UTF-8");
    let below_a_file = "settings file <folder>/latin.toml/credits.toml does not exist; name one with --config";
    assert_eq!(told("latin.toml/credits.toml"), below_a_file);
    std::fs::create_dir(folder.path().join("conf")).unwrap();
    assert_eq!(told("conf"), "settings file <folder>/conf is a folder; name the file in it with --config");
    std::fs::write(folder.path().join("bom.toml"), format!("\u{feff}{LEAST}")).unwrap();
    Settings::load(&folder.path().join("bom.toml")).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn folder_whose_name_is_no_text_is_refused_as_catalogues_could_not_name_it() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join(std::ffi::OsStr::from_bytes(b"Z\xfcrich"));
    std::fs::create_dir(&conf).unwrap();
    std::fs::write(conf.join("credits.toml"), LEAST).unwrap();
    let told = Settings::load(&conf.join("credits.toml")).unwrap_err().to_string();
    assert_eq!(told, format!("the name of the folder {} is not UTF-8; rename it", conf.display()));
}

#[test]
fn page_that_people_share_is_checked_with_the_rest_and_finds_its_files_from_the_settings() {
    let web = "[web]\nurl = \"https://credits.example.com\"\nissuer = \"https://login.example.com\"\nclient_id = \"c\"\n\
               client_secret = \"file:secret\"\nsession_key = \"file:/run/key\"\naccess = \"access.csv\"\n\
               roles.viewer = [\"finance\"]\n";
    let settings = parsed(&format!("{LEAST}{web}")).unwrap().web.unwrap();
    let file = |path: &str| Some(crate::web_settings::SecretReference::File(path.to_owned()));
    assert_eq!(settings.client_secret, file("/etc/finops/secret"));
    assert_eq!(settings.session_key, file("/run/key"), "an absolute path stays");
    assert_eq!(settings.access.as_deref(), Some("/etc/finops/access.csv"));
    let plain = web.replace("https://credits", "http://credits");
    let message = "<settings>: [web] url must begin with https://; http:// is for this machine only";
    assert_eq!(wrong(&format!("{LEAST}{plain}")), message);
    let secret = web.replace("file:secret", "hunter2");
    let told = wrong(&format!("{LEAST}{secret}"));
    assert!(told.starts_with("<settings>, line 11, column 17: client_secret: a secret does not stand"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}
