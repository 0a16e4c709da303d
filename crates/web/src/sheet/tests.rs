//! Tables on a page and as files.

use super::*;

#[test]
fn rows_past_the_bound_are_in_files_and_counted_on_the_page() {
    let rows: Vec<i32> = (0..=1_000).collect();
    let sheet = Sheet::new("rows", "Rows", "none").column("number", "Number", column(&rows, |row| *row));
    let html = sheet.html(None).unwrap().into_string();
    assert_eq!(html.matches("<tr>").count(), 1_001, "the heading and 1,000 rows");
    assert!(html.contains("These are 1,000 of 1,001 rows."), "{html}");
    assert_eq!(String::from_utf8(sheet.csv().unwrap()).unwrap().lines().count(), 1_002);
}

#[test]
fn tree_has_own_names_until_its_rows_are_sorted() {
    let paths = ["Retail", "Retail/Online"];
    let sheet = Sheet::new("tree", "Tree", "none").column("node", "Node", column(&paths, |path| Text::new(path)));
    let mut sheet = sheet.tree([(0, "Retail".to_owned()), (1, "Online".to_owned())]);
    let html = sheet.html(None).unwrap().into_string();
    assert!(html.contains(r#"<td class="level-1" title="Retail/Online">Online</td>"#), "{html}");
    sheet.sort(&Filter::parse("sort=-node").unwrap()).unwrap();
    let html = sheet.html(None).unwrap().into_string();
    assert!(html.contains("<td>Retail/Online</td>"), "{html}");
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

type Row = (&'static str, &'static str, Option<&'static str>);

/// Name, currency and amount of rows; each name a link.
fn amounts(rows: &[Row]) -> Sheet {
    Sheet::new("amounts", "Amounts", "Nothing here.")
        .column("name", "Name", column(rows, |row| Text::from(row.0)))
        .links(rows.iter().map(|row| Some(format!("/of/{}", row.0))))
        .column("currency", "Currency", column(rows, |row| Text::from(row.1)))
        .summed("amount", "Amount", column(rows, |row| row.2.map(money)))
        .classes(rows.iter().map(|row| row.2.map(|_| "stated")))
}

fn shown(sheet: &Sheet, query: &str) -> String {
    sheet.html(Some(("/page", &Filter::parse(query).unwrap()))).unwrap().into_string()
}

#[test]
fn links_and_classes_follow_their_rows_into_another_order() {
    let rows: [Row; 4] =
        [("b", "USD", Some("5")), ("none", "USD", None), ("a", "USD", Some("-7.25")), ("c", "USD", Some("5"))];
    let names = |query: &str| {
        let mut sheet = amounts(&rows);
        sheet.sort(&Filter::parse(query).unwrap()).unwrap();
        let html = shown(&sheet, query);
        let rows: Vec<&str> = html.split("<tr><td><a href=\"/of/").skip(1).collect();
        let found = rows.iter().map(|row| {
            let (link, rest) = row.split_once("\">").unwrap();
            assert!(rest.starts_with(&format!("{link}</a>")), "{rest}");
            let has_class = rest.split("</tr>").next().unwrap().contains("number stated");
            assert_eq!(has_class, link != "none", "{rest}");
            link.to_owned()
        });
        found.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(""), "b none a c");
    assert_eq!(names("sort=amount"), "a b c none", "rows that are equal stay as they were, and nothing comes last");
    assert_eq!(names("sort=-amount"), "b c a none");
    assert_eq!(names("sort=name"), "a b c none");
    assert_eq!(names("sort=of_another_table"), "b none a c");
}

#[test]
fn headings_lead_from_one_order_to_the_next_and_say_the_present_one() {
    let sheet = amounts(&[("a", "USD", Some("1")), ("b", "EUR", Some("2"))]);
    for (query, order, next) in [
        ("q=x", "", "/page?q=x&amp;sort=-amount"),
        ("q=x&sort=-amount", r#" aria-sort="descending""#, "/page?q=x"),
        ("sort=amount&table=amounts", r#" aria-sort="ascending""#, "/page?sort=-amount"),
    ] {
        let html = shown(&sheet, query);
        let heading = format!(r#"<th scope="col" class="number"{order}><a href="{next}">Amount</a></th>"#);
        assert!(html.contains(&heading), "{query}: {html}");
    }
    assert!(shown(&sheet, "").contains(r#"<a href="/page?sort=name">Name</a>"#), "texts go from the top at first");
}

#[test]
fn one_currency_is_named_above_the_table_and_several_have_a_total_each() {
    let one = amounts(&[("a", "USD", Some("1.005")), ("b", "USD", Some("2"))]);
    let html = shown(&one, "");
    assert!(html.contains(r#"Amounts <span class="currency">USD</span>"#) && !html.contains(">Currency<"), "{html}");
    assert!(html.contains(r#"title="3.0050000000">3.01</span>"#), "{html}");
    let two = amounts(&[("a", "USD", Some("1")), ("b", "EUR", Some("-2")), ("c", "USD", None)]);
    let html = shown(&two, "");
    for expected in
        ["Total EUR</th><td></td>", "Total USD</th><td></td>", r#"<span class="money negative" title="-2.0"#]
    {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    let only = shown(&amounts(&[("a", "USD", Some("1"))]), "");
    assert!(!only.contains("Total"), "one row is its own total: {only}");
    let csv = String::from_utf8(one.csv().unwrap()).unwrap();
    assert!(
        csv.starts_with("name,currency,amount\na,USD,1.0050000000\n"),
        "files have the currency in each row: {csv}"
    );
}

#[test]
fn total_beyond_the_range_of_money_is_an_error_and_not_a_wrong_figure() {
    let sheet = amounts(&[("a", "USD", Some("9e27")), ("b", "USD", Some("9e27"))]);
    assert!(sheet.html(None).err().unwrap().to_string().contains("more than 38 digits"));
}

#[test]
fn text_of_others_shows_what_it_hides_and_files_have_it_as_it_is() {
    let names = ["<script>alert(1)</script>", "a\u{202e}b\nc", "@SUM(1)"];
    let sheet =
        Sheet::new("names", "Names & more", "none").column("name", "Name", column(&names, |name| Text::from(*name)));
    let html = sheet.html(None).unwrap().into_string();
    for expected in ["&lt;script&gt;alert(1)&lt;/script&gt;", r"a\u{202e}b\nc", "<td>@SUM(1)</td>", "Names &amp; more"]
    {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    let csv = String::from_utf8(sheet.csv().unwrap()).unwrap();
    assert_eq!(csv, "name\n<script>alert(1)</script>\n\"a\u{202e}b\nc\"\n'@SUM(1)\n");
}

#[test]
fn table_of_what_was_entered_and_one_without_rows_offer_no_files() {
    let entered = amounts(&[("a", "USD", Some("1"))]).only_shown();
    let html = shown(&entered, "");
    assert!(!html.contains("download") && !html.contains("sort="), "{html}");
    let empty = shown(&amounts(&[]), "");
    assert!(empty.contains(r#"<p class="empty">Nothing here.</p>"#) && !empty.contains("download"), "{empty}");
}
