//! The command line, and how values on it are read.

use clap::CommandFactory;

use credit_ledger::Money;

use super::values::{amount, node, placed};
use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn nodes_are_read_as_they_are_shown() {
    for shown in
        ["Retail", "Retail/Online", "Retail/\"A/B Testing\"/x", "\"say \"\"hi\"\"\"/y", "\"a=1\"/z", "\"a\"\"=1\""]
    {
        let placed = placed(shown).unwrap();
        assert_eq!((placed.node.to_string().as_str(), placed.amount), (shown, None));
    }
    assert_eq!(node("a//b").unwrap_err(), "has an empty level");
    assert_eq!(node("").unwrap_err(), "no business unit is named");
    assert_eq!(node("a/b/c/d/e").unwrap_err(), "has 5 levels; at most 4");
}

#[test]
fn amounts_are_read_as_tables_show_them() {
    let money = |text: &str| text.parse::<Money>().map_err(|error| error.to_string());
    assert_eq!(amount("2,500.00"), money("2500"));
    assert_eq!(amount("-1,234,567.5"), money("-1234567.5"));
    assert_eq!(amount("2500.1234567891"), money("2500.1234567891"));
    for wrong in ["2,50", "2,5000", ",500", "1234,567", "2.500,00", "1,,000"] {
        assert_eq!(amount(wrong).unwrap_err(), "not an amount; thousands may be set apart as in 2,500.00", "{wrong}");
    }
}

#[test]
fn lots_are_read_with_amount_and_end() {
    let read = |text: &str| {
        placed(text).map(|Placed { node, amount, end_date }| (node.to_string(), amount.unwrap(), end_date))
    };
    let money = |text: &str| text.parse::<Money>().unwrap();
    assert_eq!(read("Retail/Online=3000.24"), Ok(("Retail/Online".to_owned(), money("3000.24"), None)));
    let end = "2027-08-31".parse().ok();
    assert_eq!(read("\"a=1\"/b = 1000, 2027-08-31"), Ok(("\"a=1\"/b".to_owned(), money("1000"), end)));
    assert_eq!(read("a=2,500.00,2027-08-31"), Ok(("a".to_owned(), money("2500"), end)));
    assert_eq!(read("a=2,500"), Ok(("a".to_owned(), money("2500"), None)));
    assert_eq!(read("a=1,31.08.2027").unwrap_err(), "not a date (YYYY-MM-DD)");
    let wrong = read("a=b").unwrap_err();
    assert!(wrong.ends_with("; a name that holds = needs quotes, as in '\"a=b\"'"), "{wrong}");
}
