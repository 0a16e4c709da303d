//! Lists and tables as people, spreadsheets and programs get them.

use std::sync::Arc;

use arrow::array::{BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, StringArray, new_null_array};
use schemas::ColumnValue;

use super::*;
use crate::cli::ListArgs;
use crate::testing::{date, money};

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true))).unwrap()
}

fn texts<const N: usize>(texts: [&str; N]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn amounts<const N: usize>(amounts: [Option<&str>; N]) -> ArrayRef {
    let amounts = amounts.map(|amount| amount.map(money));
    ColumnValue::to_array(amounts.iter())
}

fn credits() -> RecordBatch {
    let ends = [None, Some("2026-02-28"), Some("2026-12-31")].map(|end| end.map(date));
    table([
        ("credit_key", texts(["code:AWS Activate@222222222222", "id:42", "id:7"])),
        ("nodes", texts(["Media", "Retail/Online", "Retail/Stores/Point of Sale"])),
        ("currency", texts(["USD", "EUR", "USD"])),
        ("status", texts(["active", "expired", "expiring_soon"])),
        ("used", amounts([Some("1234567.895"), Some("0.004"), None])),
        ("remaining", amounts([Some("500"), Some("-0.005"), Some("99.995")])),
        ("days_left", Arc::new(Int32Array::from(vec![None, Some(-3), Some(1234)]))),
        ("end_date", ColumnValue::to_array(ends.iter())),
        ("credit_class", texts(["promotion", "promotion", "goodwill"])),
    ])
}

fn list(batch: RecordBatch, arguments: &ListArgs) -> List<'_> {
    List {
        batch,
        arguments,
        all: &["credit_key", "nodes", "currency", "status", "used", "remaining", "days_left", "end_date"],
        shown: &["credit_key", "nodes", "currency", "status", "used", "remaining", "days_left"],
        expendable: &["days_left", "used", "status"],
        summed: &["used", "remaining"],
        empty: "No credit is allocated.",
    }
}

fn arguments(columns: &[&str], sort: &[&str], wide: bool) -> ListArgs {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ListArgs { columns: owned(columns), sort: owned(sort), wide }
}

/// The list as `print_list` makes it of a table for people.
fn shown(batch: RecordBatch, arguments: &ListArgs, width: Option<usize>) -> String {
    let list = list(batch, arguments);
    let chosen = list.sorted().unwrap().project(&list.chosen(Format::Table).unwrap()).unwrap();
    let mut screen = Screen::default();
    screen.width = width;
    list_text(&screen, &list, &chosen).unwrap()
}

#[test]
fn amounts_and_counts_stand_to_the_right_and_sums_are_by_currency() {
    insta::assert_snapshot!(shown(credits(), &ListArgs::default(), None), @r"
    credit_key                      nodes                        currency  status                 used  remaining  days_left
    code:AWS Activate@222222222222  Media                        USD       active         1,234,567.90     500.00
    id:42                           Retail/Online                EUR       expired                0.00      -0.01         -3
    id:7                            Retail/Stores/Point of Sale  USD       expiring_soon                   100.00      1,234
    Total EUR                                                                                     0.00      -0.01
    Total USD                                                                             1,234,567.90     600.00
    ");
}

#[test]
fn one_currency_is_named_by_its_sum_alone_unless_somebody_asks_for_it() {
    let dollars = || arrow::compute::take_record_batch(&credits(), &Int32Array::from(vec![0, 2])).unwrap();
    let usual = shown(dollars(), &ListArgs::default(), None);
    assert!(!usual.contains("currency") && usual.contains("Total USD"), "{usual}");
    let asked = shown(dollars(), &arguments(&["currency", "remaining"], &[], false), None);
    insta::assert_snapshot!(asked, @r"
    currency   remaining
    USD           500.00
    USD           100.00
    Total USD     600.00
    ");
    let one = shown(credits().slice(1, 1), &ListArgs::default(), None);
    assert!(one.contains("EUR") && !one.contains("Total"), "one row is its own sum: {one}");
}

#[test]
fn what_a_narrow_terminal_leaves_out_is_named_below() {
    insta::assert_snapshot!(shown(credits(), &ListArgs::default(), Some(80)), @r"
    credit_key       nodes          currency  status                 used  remaining
    code:AWS …22222  Media          USD       active         1,234,567.90     500.00
    id:42            Retail/Online  EUR       expired                0.00      -0.01
    id:7             Retail/S…Sale  USD       expiring_soon                   100.00
    Total EUR                                                        0.00      -0.01
    Total USD                                                1,234,567.90     600.00
    Left out at this width: days_left (--wide, --columns)
    ");
    let narrow = shown(credits(), &ListArgs::default(), Some(54));
    assert!(narrow.ends_with("Left out at this width: 3 columns (--wide, --columns)\n"), "{narrow}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 54), "{narrow}");
    assert!(narrow.contains("-0.01") && narrow.contains("600.00"), "amounts are never shortened: {narrow}");
}

#[test]
fn columns_that_somebody_asks_for_are_never_left_out_and_wide_shortens_nothing() {
    let asked = shown(credits(), &arguments(&["status", "used", "days_left", "nodes"], &[], false), Some(30));
    let header: Vec<&str> = asked.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["status", "used", "days_left", "nodes"]);
    assert!(!asked.contains("Left out"), "{asked}");
    let wide = shown(credits(), &arguments(&[], &[], true), Some(30));
    assert!(wide.contains("code:AWS Activate@222222222222") && wide.contains("end_date"), "{wide}");
    assert!(wide.contains("currency"), "all columns are all: {wide}");
}

#[test]
fn rows_are_ordered_as_asked_missing_values_last_and_equal_ones_as_they_were() {
    let keys = |sort: &[&str]| -> Vec<String> {
        let sorted = list(credits(), &arguments(&[], sort, false)).sorted().unwrap();
        sorted
            .column(0)
            .as_string::<i32>()
            .iter()
            .map(|key| key.unwrap().split('@').next().unwrap().to_owned())
            .collect()
    };
    let (activate, of_42, of_7) = ("code:AWS Activate".to_owned(), "id:42".to_owned(), "id:7".to_owned());
    assert_eq!(keys(&[]), [&activate, &of_42, &of_7].map(Clone::clone));
    assert_eq!(keys(&["end_date"]), [&of_42, &of_7, &activate].map(Clone::clone));
    assert_eq!(keys(&["-end_date"]), [&of_7, &of_42, &activate].map(Clone::clone));
    assert_eq!(keys(&["credit_class"]), [&of_7, &activate, &of_42].map(Clone::clone), "by a column that is not shown");
    assert_eq!(keys(&["-credit_class", " -remaining"]), [&activate, &of_42, &of_7].map(Clone::clone));
}

#[test]
fn name_of_no_column_is_answered_with_those_that_there_are() {
    let there_are = "there are credit_key, nodes, currency, status, used, remaining, days_left, end_date, credit_class";
    let (columns, sort) = (arguments(&["credit_key", "balance"], &[], false), arguments(&[], &["-Status"], false));
    let failure = list(credits(), &columns).chosen(Format::Csv).unwrap_err();
    let said = format!("--columns: there is no column \"balance\"; {there_are}");
    assert_eq!((failure.kind, failure.to_string()), (Kind::Usage, said));
    let failure = list(credits(), &sort).sorted().unwrap_err();
    assert_eq!(failure.to_string(), format!("--sort: there is no column \"Status\"; {there_are}"));
}

#[test]
fn programs_get_all_columns_whatever_people_are_shown() {
    let nothing = ListArgs::default();
    let list = list(credits(), &nothing);
    let names = |format: Format| -> Vec<String> {
        let schema = list.batch.schema();
        list.chosen(format).unwrap().iter().map(|place| schema.field(*place).name().clone()).collect()
    };
    assert_eq!(names(Format::Json), list.all);
    assert_eq!(names(Format::Csv), list.all);
    assert_eq!(names(Format::Table), list.shown);
}

#[test]
fn sum_past_what_money_holds_is_no_wrong_figure() {
    let huge = Some("9999999999999999999999999999");
    let batch = table([("currency", texts(["USD", "USD"])), ("used", amounts([huge, huge]))]);
    let nothing = ListArgs::default();
    let failure = list(batch.clone(), &nothing).sums(&batch).unwrap_err();
    assert_eq!(
        (failure.kind, failure.to_string().as_str()),
        (Kind::CheckFailed, "amount out of range: more than 38 digits at 10 decimals")
    );
}

/// What others named, with what a terminal would obey and what makes two lines of one.
fn named_by_others() -> RecordBatch {
    table([
        ("description", texts(["=HYPERLINK(\"x\")", "a\nerror: b\u{1b}[2J\u{202e}"])),
        ("rows", Arc::new(Int64Array::from(vec![Some(-1_234_567), None]))),
        ("share", Arc::new(Float64Array::from(vec![0.5, 1e21]))),
        ("is_new", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(20_543), None]))),
        ("net_cost", amounts([Some("-1234.5678901234"), None])),
    ])
}

#[test]
fn nothing_in_a_text_is_obeyed_by_a_terminal() {
    let columns = columns(&[named_by_others()], Shown::Exact).unwrap();
    insta::assert_snapshot!(render(&columns, 0, false), @r#"
    description                         rows  share  is_new  day                  net_cost
    =HYPERLINK("x")               -1,234,567    0.5  true    2026-03-31  -1,234.5678901234
    a\nerror: b\u{1b}[2J\u{202e}               1e21
    "#);
    let long = table([("description", texts([&"x".repeat(1_000)]))]);
    let cell = columns_of(&long).remove(0).cells.remove(0);
    assert_eq!((cell.chars().count(), cell.contains('…')), (501, true));
    let hidden = table([("\u{1b}[31mname", texts(["a"]))]);
    assert_eq!(columns_of(&hidden)[0].name, "\\u{1b}[31mname");
}

fn columns_of(batch: &RecordBatch) -> Vec<Column> {
    columns(std::slice::from_ref(batch), Shown::Cents).unwrap()
}

#[test]
fn json_has_money_as_exact_text_numbers_as_numbers_and_texts_as_they_are() {
    let rows: serde_json::Value = serde_json::from_str(&json(&[named_by_others()]).unwrap()).unwrap();
    let expected = serde_json::json!([
        {
            "description": "=HYPERLINK(\"x\")", "rows": -1_234_567, "share": 0.5, "is_new": true, "day": "2026-03-31",
            "net_cost": "-1234.5678901234"
        },
        {
            "description": "a\nerror: b\u{1b}[2J\u{202e}", "rows": null, "share": 1e21, "is_new": null, "day": null,
            "net_cost": null
        }
    ]);
    assert_eq!(rows, expected);
    assert_eq!(json(&[named_by_others().slice(0, 0)]).unwrap(), "[]\n");
}

#[test]
fn csv_guards_texts_unless_raw_and_batches_share_one_header() {
    let batches = [named_by_others().slice(0, 1), named_by_others().slice(0, 1)];
    let text = csv_text(&batches, false).unwrap();
    let row = "\"'=HYPERLINK(\"\"x\"\")\",-1234567,0.5,true,2026-03-31,-1234.5678901234\n";
    assert_eq!(text, format!("description,rows,share,is_new,day,net_cost\n{row}{row}"));
    assert_eq!(csv_text(&batches, true).unwrap(), text.replace('\'', ""));
    assert_eq!(csv_text(&[], false).unwrap(), "");
}

#[test]
fn money_is_rounded_to_cents_in_tables_and_exact_where_somebody_queries() {
    let batch = table([("net_cost", amounts([Some("-1234567.885"), Some("0.0000000001"), None]))]);
    let cells = |shown| columns(std::slice::from_ref(&batch), shown).unwrap().remove(0).cells;
    assert_eq!(cells(Shown::Cents), ["-1,234,567.89", "0.00", ""]);
    assert_eq!(cells(Shown::Exact), ["-1,234,567.8850000000", "0.0000000001", ""]);
}

#[test]
fn texts_that_a_command_adds_stand_behind_the_columns_and_may_be_missing() {
    let owners = vec![Some("rosa@shop.example".into()), None, None];
    let batch = with_texts(&credits(), [("owner_email", owners)]).unwrap();
    assert_eq!(batch.num_columns(), credits().num_columns() + 1);
    let added = batch.column_by_name("owner_email").unwrap();
    assert_eq!((added.null_count(), for_people(added, 0, Shown::Cents).unwrap().as_str()), (2, "rosa@shop.example"));
    let nothing = new_null_array(&DataType::Utf8, 1);
    assert_eq!(for_people(&nothing, 0, Shown::Exact).unwrap(), "");
}
