//! `credits.toml`.

use super::{AS_OF, Published, good_input, refuses};
use crate::support::SETTINGS;

/// `run` with a section added to the settings.
fn refuses_section(published: &Published, section: &str, message: &str) {
    published.workspace.write("credits.toml", format!("{SETTINGS}\n{section}\n"));
    published.refuses(&["run"], 3, &format!("settings file <workspace>/credits.toml{message}"));
}

#[test]
fn unknown_key_is_named_with_line_and_the_known_ones() {
    refuses_section(
        &Published::new(),
        "[run]\nasof = \"2026-03-31\"",
        ", line 11, column 1: unknown field `asof`, expected one of `as_of`, `threads`, `memory_limit`, `keep_runs`, `notify`",
    );
}

#[test]
fn bad_values_are_named_with_their_key() {
    let published = Published::new();
    for (section, message) in [
        (
            "[credits]\npolicy = \"lifo/v1\"",
            ": [credits] policy: \"lifo/v1\" is not a policy; one of fifo_issue_date/v1, fifo_issue_day/v1, \
             fifo_applied_month/v1",
        ),
        ("[run]\nthreads = 0", ": [run] threads must be at least 1"),
        ("[run]\nkeep_runs = 0", ": [run] keep_runs must be at least 1"),
        ("[run]\nmemory_limit = \"1 MiB\"", ": [run] memory_limit 1.0 MiB is too little; give at least 256.0 MiB"),
        (
            "[credits]\ndescription_patterns = [\"(?P<name>.*)\"]",
            ": [credits] description_patterns: \"(?P<name>.*)\" has no group named code",
        ),
        ("[credits]\ndescription_patterns = [\"(\"]", ": [credits] description_patterns: \"(\": unclosed group"),
    ] {
        refuses_section(&published, section, message);
    }
    published.workspace.write("credits.toml", SETTINGS.replacen('\n', "\ncost = \"blended\"\n", 1));
    published.refuses(
        &["run"],
        3,
        "settings file <workspace>/credits.toml, line 2, column 8: \
         unknown variant `blended`, expected one of `unblended`, `net_unblended`, `amortized`, `net_amortized`",
    );
    published.workspace.write("credits.toml", SETTINGS.replacen('\n', "\ncurrency = \"dollar\"\n", 1));
    let message = "settings file <workspace>/credits.toml: [source] currency \"dollar\" is no currency code (USD)";
    published.refuses(&["run"], 3, message);
}

#[test]
fn malformed_date_is_named_with_its_line() {
    let published = Published::new();
    published.workspace.write("credits.toml", format!("{SETTINGS}\n[run]\nas_of = \"31.10.2026\"\n"));
    let outcome = published.workspace.run(super::AS_OF, &["run"]);
    assert_eq!(outcome.exit_code, Some(3));
    assert!(outcome.stderr.contains("credits.toml, line 11, column 9: "), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("as_of \"31.10.2026\" is not a date (YYYY-MM-DD)"), "{}", outcome.stderr);
}

#[test]
fn mistyped_year_of_the_as_of_date_is_refused() {
    let published = Published::new();
    for date in ["0026-03-31", "2206-03-31"] {
        published.workspace.write("credits.toml", format!("{SETTINGS}\n[run]\nas_of = \"{date}\"\n"));
        let outcome = published.workspace.run(super::AS_OF, &["run"]);
        assert_eq!(outcome.exit_code, Some(3));
        let message = format!("as_of {date} is not in the years 2006 to 2100\n");
        assert!(outcome.stderr.ends_with(&message), "{}", outcome.stderr);
        let usage = published.workspace.run(date, &["run"]);
        assert_eq!(usage.exit_code, Some(2));
        let message = format!("invalid value '{date}' for '--as-of <DATE>': {date} is not in the years 2006 to 2100");
        assert!(usage.stderr.contains(&message), "{}", usage.stderr);
    }
    let outcome = published.workspace.run("20026-03-31", &["run"]);
    assert_eq!(outcome.exit_code, Some(2), "{}", outcome.stderr);
}

#[test]
fn more_threads_than_anybody_can_use_are_as_good_as_many() {
    let published = Published::new();
    for threads in ["1000", "9223372036854775807"] {
        published.workspace.write("credits.toml", format!("{SETTINGS}\n[run]\nthreads = {threads}\n"));
        published.workspace.try_run(super::AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(published.workspace.published() == published.files);
    }
}

#[test]
fn date_may_be_quoted_or_not() {
    let published = Published::new();
    for date in ["\"2026-03-31\"", "2026-03-31"] {
        published.workspace.write("credits.toml", format!("{SETTINGS}\n[run]\nas_of = {date}\n"));
        published.workspace.try_run(super::AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    }
}

#[test]
fn file_that_is_no_toml_is_named_with_the_line() {
    let published = Published::new();
    published.workspace.write("credits.toml", "source: cur\n");
    published.refuses(
        &["run"],
        3,
        "settings file <workspace>/credits.toml, line 1, column 9: \
         key with no value, expected `=`",
    );
}

#[test]
fn missing_section_is_named() {
    let published = Published::new();
    let without_lake = SETTINGS.split("[lake]").next().expect("what comes before");
    published.workspace.write("credits.toml", without_lake);
    let outcome = published.workspace.run(super::AS_OF, &["run"]);
    assert_eq!(outcome.exit_code, Some(3));
    assert!(outcome.stderr.ends_with("missing field `lake`\n"), "{}", outcome.stderr);
}

#[test]
fn missing_settings_file_is_named_with_the_option() {
    let workspace = super::good_input();
    std::fs::remove_file(workspace.path("credits.toml")).expect("a removed file");
    let message = "settings file <workspace>/credits.toml does not exist; name one with --config";
    refuses(&workspace, &["run"], 3, message);
}

#[test]
fn settings_that_are_no_text_file_are_named() {
    let workspace = super::good_input();
    std::fs::remove_file(workspace.path("credits.toml")).expect("a removed file");
    std::fs::create_dir(workspace.path("credits.toml")).expect("a folder");
    let named = "settings file <workspace>/credits.toml";
    refuses(&workspace, &["run"], 3, &format!("{named} is a folder; name the file in it with --config"));
    std::fs::remove_dir(workspace.path("credits.toml")).expect("a removed folder");
    workspace.write("credits.toml", b"[source]\nlocation = \"Z\xfcrich\"\n");
    refuses(&workspace, &["run"], 3, &format!("{named} is not UTF-8; save it as UTF-8"));
    let outcome = workspace.run_with(&workspace.path("credits.toml/x"), &["run"]);
    assert_eq!(outcome.exit_code, Some(3));
    assert!(outcome.stderr.ends_with("credits.toml/x does not exist; name one with --config\n"), "{}", outcome.stderr);
}

#[test]
fn location_with_a_line_break_is_refused() {
    let workspace = good_input();
    workspace.write("credits.toml", SETTINGS.replace("\"lake\"\n", "\"a\\r\\nb\"\n"));
    let outcome = workspace.run(AS_OF, &["run"]);
    assert_eq!(outcome.exit_code, Some(3));
    assert!(outcome.stderr.contains("[lake] location"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("holds a control character"), "{}", outcome.stderr);
}

#[test]
fn location_that_is_a_file_is_named_with_its_setting() {
    let published = Published::new();
    for (section, message) in [
        ("cur", "<workspace>/file is a file; set [source] location to the folder that it lies in"),
        ("reference", "<workspace>/file is a file; set [reference] location to the folder that it lies in"),
        ("lake", "the lake cannot be at <workspace>/file: that is or lies below a file; set [lake] location"),
    ] {
        published.workspace.write("file", "");
        let (from, to) = (format!("location = \"{section}\""), "location = \"file\"");
        published.workspace.write("credits.toml", SETTINGS.replace(&from, to));
        published.refuses(&["run"], 3, message);
    }
}

#[test]
fn a_lake_on_s3_needs_the_glue_catalogue_and_a_folder_its_own() {
    let published = Published::new();
    let on_s3 = SETTINGS.replace("location = \"lake\"", "location = \"s3://bucket/lake\"");
    published.workspace.write("credits.toml", &on_s3);
    let message = "settings file <workspace>/credits.toml: [lake] catalog must be \"glue\" for a location on S3";
    published.refuses(&["run"], 3, message);
    published
        .workspace
        .write("credits.toml", SETTINGS.replace("location = \"lake\"", "location = \"lake\"\ncatalog = \"glue\""));
    let outcome = published.workspace.run(super::AS_OF, &["run"]);
    assert_eq!(outcome.exit_code, Some(3));
    assert!(
        outcome.stderr.contains("catalog \"glue\" needs a location on S3 (s3://bucket/prefix)"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_location_that_is_neither_folder_nor_s3_is_refused() {
    let published = Published::new();
    for location in ["gs://bucket/cur", "s3://", "s3:///prefix"] {
        published
            .workspace
            .write("credits.toml", SETTINGS.replace("location = \"cur\"", &format!("location = \"{location}\"")));
        let message = format!(
            "settings file <workspace>/credits.toml: [source] location \"{location}\" is neither a folder nor s3://bucket/prefix"
        );
        published.refuses(&["run"], 3, &message);
    }
}
