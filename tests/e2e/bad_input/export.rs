//! The billing export.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use arrow::datatypes::DataType;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{AS_OF, CREDIT, HEADER, Published, USAGE, cur_2, good_input, refuses};
use crate::formats::parquet_file::{Types, parquet};
use crate::formats::{fixture, without_column};
use crate::support::SETTINGS;

/// A file with one good line and then `USAGE` with `from` replaced.
fn second_line(from: &str, to: &str) -> String {
    assert!(USAGE.contains(from), "{from} is not in the line");
    cur_2(&[USAGE, &USAGE.replacen(from, to, 1)])
}

fn one_file(published: &Published, name: &str, content: impl AsRef<[u8]>, message: &str) {
    published.refuses_export(&[(name, content.as_ref())], 3, message);
}

#[test]
fn missing_required_columns_are_named_with_file_and_format() {
    let published = Published::new();
    let text = without_column(&cur_2(&[USAGE]), "line_item_unblended_cost");
    let message = "CUR 2.0 export without the required column line_item_unblended_cost; add it to the export";
    one_file(&published, "may.csv", &text, &format!("may.csv: {message}"));
    one_file(&published, "may.parquet", parquet(&text, &Types::of_aws()), &format!("may.parquet: {message}"));
    one_file(
        &published,
        "focus.csv",
        "BilledCost,ChargeCategory,ChargePeriodStart,BillingCurrency\n1,Usage,2026-01-01,USD\n",
        "focus.csv: FOCUS export without the required columns BillingPeriodStart, BillingAccountId, SubAccountId, \
         ChargeDescription; add them to the export",
    );
    one_file(
        &published,
        "old.csv",
        without_column(&fixture("cur-1.0.csv"), "lineItem/CurrencyCode"),
        "old.csv: CUR 1.0 export without the required column line_item_currency_code (or set [source] currency); \
         add it to the export",
    );
}

#[test]
fn file_of_an_unknown_format_is_named_with_its_columns() {
    let published = Published::new();
    one_file(
        &published,
        "sums.csv",
        "date,amount\n2026-01-01,5\n",
        "sums.csv: unknown format: the columns (date, amount) are not those of CUR 2.0 or 1.0, which needs \
         bill_billing_period_start_date, bill_payer_account_id, line_item_usage_account_id, line_item_usage_start_date, \
         line_item_line_item_type, line_item_line_item_description, line_item_unblended_cost, or of FOCUS, which needs \
         BillingPeriodStart, BillingAccountId, SubAccountId, ChargePeriodStart, ChargeCategory, ChargeDescription, BilledCost",
    );
    one_file(
        &published,
        "excel.csv",
        cur_2(&[USAGE]).replace(',', ";"),
        "excel.csv: the columns are separated by semicolons; deliver the file with commas",
    );
    let message =
        "x.zip: is no ZIP archive that can be read (invalid Zip archive: Could not find EOCD); copy the file again";
    one_file(&published, "x.zip", "PK\u{3}\u{4}", message);
}

#[test]
fn amount_that_is_none_is_named_with_row_and_column() {
    let published = Published::new();
    let at = "may.csv, row 3, column line_item_unblended_cost";
    for (cost, wrong) in [
        ("sixty", "\"sixty\" is not an amount (1234.56)"),
        ("\"1,060.00\"", "\"1,060.00\" is not an amount (1234.56)"),
        ("1e30", "\"1e30\" is too large: more than 38 digits"),
        ("-99999999999999999999999999999", "\"-99999999999999999999999999999\" is too large: more than 38 digits"),
    ] {
        let text = second_line(",60,", &format!(",{cost},"));
        one_file(&published, "may.csv", text, &format!("{at}: {wrong}"));
    }
}

#[test]
fn amount_that_sums_could_not_bear_is_named_with_row_and_column() {
    let published = Published::new();
    let at = "may.csv, row 3, column line_item_unblended_cost";
    for (cost, shown) in [
        ("-1e27", "-1000000000000000000000000000.0000000000"),
        ("9999999999999999999999999999", "9999999999999999999999999999.0000000000"),
        ("1000000000000000000.0000000001", "1000000000000000000.0000000001"),
    ] {
        let text = second_line(",60,", &format!(",{cost},"));
        one_file(&published, "may.csv", text, &format!("{at}: {shown} is too large for a line: more than 10^18"));
    }
    let text = second_line(",60,", ",-1e28,");
    one_file(&published, "may.csv", text, &format!("{at}: \"-1e28\" is too large: more than 38 digits"));
}

#[test]
fn largest_amounts_add_up() {
    let workspace = good_input();
    let large = USAGE.replace(",60,", ",1000000000000000000,");
    workspace.write("cur/good.csv", cur_2(&[&large, &large, &large.replace(",1000", ",-1000")]));
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let rows = workspace.query(AS_OF, "SELECT net_cost FROM reconciliation").expect("a query");
    assert_eq!(rows[0]["net_cost"], "1000000000000000000.0000000000");
}

#[test]
fn parquet_file_whose_costs_are_no_numbers_is_named_with_row_and_column() {
    let published = Published::new();
    let text_costs = Types { cost: DataType::Utf8, ..Types::of_aws() };
    let file = parquet(&second_line(",60,", ",n/a,"), &text_costs);
    let message = "may.parquet, row 2, column line_item_unblended_cost: \"n/a\" is not an amount (1234.56)";
    one_file(&published, "may.parquet", file, message);
    let file =
        parquet(&cur_2(&[&USAGE.replace(",60,", ",true,")]), &Types { cost: DataType::Boolean, ..Types::of_aws() });
    let message = "may.parquet, column line_item_unblended_cost: has type Boolean, not an amount";
    one_file(&published, "may.parquet", file, message);
}

#[test]
fn files_that_are_cut_off_are_said_to_be_so() {
    let published = Published::new();
    let whole = parquet(&cur_2(&[USAGE, CREDIT]), &Types::of_aws());
    let cut = &whole[..whole.len() - 100];
    let message = "a.parquet: is not a complete Parquet file (Parquet error: Invalid Parquet file. Corrupt footer); \
                   copy the file again";
    one_file(&published, "a.parquet", cut, message);

    let mut writer = GzEncoder::new(Vec::new(), Compression::none());
    writer.write_all(cur_2(&[USAGE; 1000]).as_bytes()).expect("packed text");
    let packed = writer.finish().expect("a gzip file");
    let message = "a.csv.gz: is cut off after row 499: what is packed has no end; copy the file again";
    one_file(&published, "a.csv.gz", &packed[..packed.len() / 2], message);
    one_file(&published, "a.csv.gz", &packed[..15], "a.csv.gz: is cut off before its first row; copy the file again");
    let more = [&packed[..], b"more than a header"].concat();
    one_file(&published, "a.csv.gz", more, "a.csv.gz: cannot be unpacked (invalid gzip header); copy the file again");

    for name in ["a.csv", "a.csv.gz", "a.parquet"] {
        one_file(&published, name, "", &format!("{name}: is empty (0 bytes); copy the file again"));
    }
}

#[test]
fn rows_that_cannot_be_read_are_named() {
    let published = Published::new();
    let message = "a.csv, row 3: has 3 fields where the header has 10; the file may be cut off";
    one_file(&published, "a.csv", cur_2(&[USAGE, "2026-01-01,999999999999,Pay"]), message);
    let latin_1 = [cur_2(&[USAGE]).as_bytes(), &USAGE.replace("Payer", "Zahler \u{1}").into_bytes(), b"\n"].concat();
    let latin_1: Vec<u8> = latin_1.into_iter().map(|byte| if byte == 1 { 0xfc } else { byte }).collect();
    one_file(&published, "a.csv", latin_1, "a.csv, row 3: is not UTF-8");
}

#[test]
fn dates_that_are_none_are_named_with_row_and_column() {
    let published = Published::new();
    let (period, start) = ("bill_billing_period_start_date", "line_item_usage_start_date");
    let no_date = "is not a date (2026-01-31, with or without a time)";
    let blank = "is blank; every line needs a value here";
    for (from, to, column, wrong) in [
        ("2026-01-01", "01/01/2026", period, format!("\"01/01/2026\" {no_date}")),
        ("2026-01-01", "2026-13-01", period, format!("\"2026-13-01\" {no_date}")),
        ("2026-01-01", "", period, blank.to_owned()),
        ("2026-01-10", "10 January 2026", start, format!("\"10 January 2026\" {no_date}")),
        ("2026-01-10", "", start, blank.to_owned()),
    ] {
        one_file(&published, "a.csv", second_line(from, to), &format!("a.csv, row 3, column {column}: {wrong}"));
    }
}

#[test]
fn periods_that_no_bill_can_have_are_named_with_row_and_column() {
    let published = Published::new();
    let at = "row 3, column bill_billing_period_start_date: billing period";
    let again = "correct the date or deliver the file again";
    let early = "is before 2006-01: AWS billed nothing then";
    for (date, wrong) in [
        ("0026-01-01", format!("0026-01 {early}")),
        ("0026-01-01T00:00:00Z", format!("0026-01 {early}")),
        ("2005-12-31", format!("2005-12 {early}")),
        ("2999-01-01", "2999-01 is more than 13 months ahead".to_owned()),
    ] {
        let text = second_line("2026-01-01", date);
        one_file(&published, "a.csv", text, &format!("a.csv, {at} {wrong}; {again}"));
    }
    let file = parquet(&second_line("2026-01-01", "0026-01-01"), &Types::of_aws());
    let message =
        format!("a.parquet, row 2, column bill_billing_period_start_date: billing period 0026-01 {early}; {again}");
    one_file(&published, "a.parquet", file, &message);
    // All rows of the row group are of that period.
    let file = parquet(&cur_2(&[&USAGE.replacen("2026-01-01", "0026-01-01", 1)]), &Types::of_aws());
    let message =
        format!("a.parquet, row 1, column bill_billing_period_start_date: billing period 0026-01 {early}; {again}");
    one_file(&published, "a.parquet", file, &message);
}

#[test]
fn paths_and_manifests_of_periods_that_no_bill_can_have_are_named() {
    let published = Published::new();
    let good = cur_2(&[USAGE]);
    let wrong = "billing period 0026-09 is before 2006-01: AWS billed nothing then; move what is not part of the export \
                 elsewhere";
    for path in ["data/BILLING_PERIOD=0026-09/x-1.csv", "year=0026/month=9/x-1.csv", "00260901-00261001/x-1.csv"] {
        one_file(&published, path, &good, &format!("{path}: {wrong}"));
    }
    let manifest = r#"{"dataFiles": ["x-1.csv"], "billingPeriod": {"start": "0026-09-01T00:00:00.000Z"}}"#;
    let files: [(&str, &[u8]); 2] = [("x-1.csv", good.as_bytes()), ("x-Manifest.json", manifest.as_bytes())];
    published.refuses_export(&files, 3, &format!("x-Manifest.json: {wrong}"));
}

#[test]
fn lines_that_start_years_from_their_period_are_named_with_row_and_column() {
    let published = Published::new();
    let at = "a.csv, row 3, column line_item_usage_start_date";
    let again = "correct the date or deliver the file again";
    for (date, wrong) in [
        ("0026-01-10", "0026-01-10 is more than 3 years before billing period 2026-01"),
        ("2022-12-31", "2022-12-31 is more than 3 years before billing period 2026-01"),
        ("2027-02-01", "2027-02-01 is more than a year after billing period 2026-01"),
        ("2062-01-10", "2062-01-10 is more than a year after billing period 2026-01"),
    ] {
        one_file(&published, "a.csv", second_line("2026-01-10", date), &format!("{at}: {wrong}; {again}"));
    }
}

#[test]
fn late_refunds_and_fees_of_terms_that_begin_later_count() {
    let workspace = good_input();
    let refund = USAGE.replace("2026-01-10,Usage", "2023-01-01,Refund").replace(",60,", ",-7,");
    let fee = USAGE.replace("2026-01-10,Usage", "2027-01-31,Fee");
    workspace.write("cur/good.csv", cur_2(&[USAGE, &refund, &fee]));
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let rows = workspace.query(AS_OF, "SELECT net_cost FROM reconciliation").expect("a query");
    assert_eq!(rows[0]["net_cost"], "113.0000000000");
}

#[test]
fn run_as_of_a_past_date_reads_an_export_that_goes_on_after_it() {
    let workspace = good_input();
    let later = |year: &str| USAGE.replace("2026-", &format!("{year}-"));
    workspace.write("cur/good.csv", cur_2(&[&later("2024"), USAGE]));
    workspace.try_run("2024-01-31", &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let rows = workspace.query("2024-01-31", "SELECT billing_period FROM reconciliation").expect("a query");
    assert_eq!(rows.len(), 1);
}

#[test]
fn blank_payer_or_currency_is_named_and_the_setting_that_helps() {
    let published = Published::new();
    let message = "a.csv, row 3, column line_item_currency_code: is blank; set [source] currency if the export leaves it \
                   out";
    one_file(&published, "a.csv", second_line("USD", ""), message);
    let message = "a.csv, row 3, column bill_payer_account_id: is blank; every line needs a value here";
    one_file(&published, "a.csv", second_line("999999999999", ""), message);
}

#[test]
fn bad_lines_of_several_files_are_listed_at_once() {
    let (bad, place) = (second_line(",60,", ",sixty,"), "row 3, column line_item_unblended_cost");
    let wrong =
        ["a.csv", "b.csv", "c.csv"].map(|file| format!("{file}, {place}: \"sixty\" is not an amount (1234.56)"));
    let months = ["2026-03", "2026-01", "2026-02"].map(|month| bad.replace("2026-01", month));
    let files = [("b.csv", months[0].as_bytes()), ("a.csv", months[1].as_bytes()), ("c.csv", months[2].as_bytes())];
    Published::new().refuses_export(&files, 3, &wrong.join("\n"));
}

#[test]
fn manifests_that_do_not_lead_to_files_are_named() {
    let published = Published::new();
    let (good, folder) = (cur_2(&[USAGE]), "BILLING_PERIOD=2026-01");
    let data = format!("data/{folder}/x-00002.csv");
    let manifest = format!("metadata/{folder}/x-Manifest.json");
    let refuses = |json: &str, exit_code, message: &str| {
        let files = [(data.as_str(), good.as_bytes()), (manifest.as_str(), json.as_bytes())];
        published.refuses_export(&files, exit_code, &format!("{manifest}: {message}"));
    };
    refuses(
        r#"{"dataFiles": ["s3://bucket/x/data/BILLING_PERIOD=2026-01/x-00001.csv"]}"#,
        4,
        "names s3://bucket/x/data/BILLING_PERIOD=2026-01/x-00001.csv, which is not there; wait for the delivery or copy \
         the file",
    );
    refuses(r#"{"dataFiles": []}"#, 4, "names no data file; wait for the delivery");
    refuses(
        r#"{"dataFiles": ["#,
        3,
        "is no JSON manifest (EOF while parsing a list at line 1 column 15); copy the file again",
    );
}

#[test]
fn deliveries_that_would_count_twice_are_refused() {
    let published = Published::new();
    let good = cur_2(&[USAGE]);
    let refuses = |paths: [&str; 2], message: &str| {
        published.refuses_export(&paths.map(|path| (path, good.as_bytes())), 3, message);
    };
    refuses(
        [
            "data/BILLING_PERIOD=2026-01/2026-02-01T09:00:00.000Z-a/x-00001.csv",
            "data/BILLING_PERIOD=2026-01/2026-02-02T09:00:00.000Z-b/x-00001.csv",
        ],
        "export: billing period 2026-01 has 2 executions and no manifest says which one counts: \
         2026-02-01T09:00:00.000Z-a, 2026-02-02T09:00:00.000Z-b; copy the metadata folder too, or remove the old ones",
    );
    refuses(
        ["one/data/BILLING_PERIOD=2026-01/x-00001.csv", "two/data/BILLING_PERIOD=2026-01/x-00001.csv"],
        "one: billing period 2026-01 of payer 999999999999 is delivered here and in two too: every line would count twice; \
         move one of them elsewhere, or set [source] location to one of them",
    );
    refuses(
        ["one/data/BILLING_PERIOD=2026-01/x-00001.csv", "x.csv"],
        "the location itself: billing period 2026-01 of payer 999999999999 is delivered here and in one too: every line \
         would count twice; move one of them elsewhere, or set [source] location to one of them",
    );
    refuses(
        ["x.csv", "x.parquet"],
        "x.csv: billing period 2026-01 of payer 999999999999 is delivered here and in x.parquet too: every line would count \
         twice; move one of them elsewhere, or set [source] location to one of them",
    );
}

#[test]
fn export_that_is_not_there_yet_is_exit_code_4() {
    let published = Published::new();
    let none = "no billing export at <workspace>/cur yet: no Parquet, CSV, gzip or ZIP file";
    published.refuses_export(&[], 4, none);
    let none = "no data file of a billing export yet: readme.txt holds no columns of a billing export";
    published.refuses_export(&[("readme.txt", b"soon")], 4, none);
    std::fs::remove_dir_all(published.workspace.path("cur")).expect("a removed folder");
    let message = "no billing export at <workspace>/cur: the folder does not exist; set [source] location";
    published.refuses(&["run"], 4, message);

    let workspace = good_input();
    workspace.write("cur/good.csv", format!("{HEADER}\n"));
    refuses(&workspace, &["run"], 4, "the billing export at <workspace>/cur holds no lines up to 2026-03 yet");
    workspace.write("cur/good.csv", cur_2(&[&USAGE.replace("2026-01", "2026-04")]));
    refuses(&workspace, &["run"], 4, "the billing export at <workspace>/cur holds no lines up to 2026-03 yet");
}

#[test]
fn one_credit_in_two_currencies_is_named_with_both() {
    let message = "credit code:Credit A@111111111111: has lines in EUR and USD, but a credit has one currency; if these \
                   are two credits, tell them apart with [credits] description_patterns";
    one_file(&Published::new(), "a.csv", cur_2(&[USAGE, CREDIT, &CREDIT.replace("USD", "EUR")]), message);
}

#[test]
fn line_that_needs_a_cost_column_that_is_not_there_is_named_also_in_files_read_before() {
    let workspace = good_input();
    let covered = USAGE.replace(",Usage,", ",SavingsPlanCoveredUsage,");
    workspace.write("cur/good.csv", cur_2(&[USAGE, &covered]));
    workspace.try_run(AS_OF, &["run"]).unwrap_or_else(|problem| panic!("{problem}"));
    let with_cost = |cost: &str| SETTINGS.replacen('\n', &format!("\ncost = \"{cost}\"\n"), 1);
    workspace.write("credits.toml", with_cost("amortized"));
    refuses(
        &workspace,
        &["run"],
        3,
        "good.csv, row 3, column line_item_line_item_type: SavingsPlanCoveredUsage: the amortized cost of such a line depends \
         on the column savings_plan_savings_plan_effective_cost, which is not there; add it to the export, or set another \
         [source] cost",
    );
    let published = Published::new();
    published.workspace.write("credits.toml", with_cost("net_unblended"));
    let message = "focus.csv: FOCUS has no net_unblended cost; set [source] cost to unblended or amortized";
    one_file(&published, "focus.csv", fixture("focus-1.2.csv"), message);
}

#[test]
fn export_that_lost_all_its_lines_after_a_good_run_is_not_there_yet() {
    let published = Published::new();
    published.workspace.write("cur/good.csv", cur_2(&[]));
    let message = "the billing export at <workspace>/cur holds no lines up to 2026-03 yet";
    published.refuses(&["run"], 4, message);
}

#[test]
fn file_that_goes_away_while_the_export_is_read_is_exit_code_4() {
    let workspace = good_input();
    let lines = vec![USAGE; 300_000];
    workspace.write("cur/good.csv", cur_2(&lines));
    workspace.write("cur/late.csv", cur_2(&[USAGE]));
    workspace.write("credits.toml", format!("{SETTINGS}\n[run]\nthreads = 1\n"));
    let mut run = workspace.command_with(&workspace.path("credits.toml"));
    let run = run.args(["--as-of", AS_OF, "-vv", "run"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut run = run.spawn().expect("a started binary");
    let mut said = BufReader::new(run.stderr.take().expect("its log"));
    let mut line = String::new();
    while !line.contains("listed") {
        line.clear();
        assert!(said.read_line(&mut line).expect("a log") > 0, "no word of the listing");
    }
    std::fs::remove_file(workspace.path("cur/late.csv")).expect("a removed file");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("the rest of the log");
    assert!(rest.ends_with("error: late.csv: the export changed while it was read; try again\n"), "{rest}");
    assert_eq!(run.wait().expect("an end").code(), Some(4));
    assert!(!workspace.path("lake/published").exists());
}
