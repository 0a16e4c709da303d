//! What `allocate`, `move` and `revoke` take, keep and say.

use super::*;
use crate::cli::Command;
use crate::testing::{AS_OF, Shop, command, date, money};

fn allocate(line: &str) -> Allocate {
    match command(&format!("allocate {line}")) {
        Command::Allocate(allocate) => allocate,
        other => panic!("{other:?}"),
    }
}

/// A lot that is replaced.
fn lot(business_unit: &str, end: Option<&str>, reference: Option<&str>) -> Replaced {
    Replaced {
        node: Node::from_levels([Some(business_unit), None, None, None]).ok(),
        end_date: end.map(date),
        reference: reference.map(Into::into),
    }
}

#[test]
fn what_is_missing_is_named_all_at_once_where_nobody_can_be_asked() {
    let said = |line: &str| check_complete(&allocate(line)).map_err(|failure| failure.to_string());
    let missing = |what: &str| Err(format!("allocate: missing {what}"));
    assert_eq!(said(""), missing("--key (or --code and --account), --amount, --to"));
    assert_eq!(said("--key id:42 --to Retail"), missing("--amount"));
    assert_eq!(said("--key id:42 --amount 5"), missing("--to"));
    assert_eq!(said("--to Retail=5"), missing("--key (or --code and --account)"));
    for whole in ["--key id:42 --amount 5 --to Retail", "--key id:42 --to Retail=5", "--key id:42 --to A=1 --to B=2"] {
        assert_eq!(said(whole), Ok(()), "{whole}");
    }
    let either = "allocate: give one --to with --amount, or an amount with each: --to NODE=AMOUNT";
    for mixed in ["--key k --amount 5 --to A=5", "--key k --to A=1 --to B", "--key k --amount 5 --to A --to B"] {
        let failure = check_complete(&allocate(mixed)).unwrap_err();
        assert_eq!((failure.kind, failure.to_string().as_str()), (Kind::Usage, either), "{mixed}");
    }
}

#[test]
fn end_and_reference_stay_unless_others_are_stated() {
    let replaced = [lot("Retail", Some("2026-12-31"), Some("INV-1"))];
    let kept = |line: &str| {
        let arguments = allocate(&format!("--key id:42 {line}"));
        let end = end_date(&arguments.to[0], &arguments, &replaced).unwrap().map(|end| end.to_string());
        (end, reference(&arguments.to[0], &arguments, &replaced).map(|reference| reference.to_string()))
    };
    let (end, invoice) = (Some("2026-12-31".to_owned()), Some("INV-1".to_owned()));
    assert_eq!(kept("--amount 5 --to Media"), (end.clone(), invoice.clone()));
    assert_eq!(kept("--amount 5 --to Media --no-end-date"), (None, invoice.clone()));
    assert_eq!(kept("--amount 5 --to Media --end-date 2027-01-31"), (Some("2027-01-31".to_owned()), invoice.clone()));
    assert_eq!(kept("--to Media=5,2027-02-28 --end-date 2027-01-31"), (Some("2027-02-28".to_owned()), invoice));
    assert_eq!(kept("--amount 5 --to Media --reference PO-7"), (end, Some("PO-7".to_owned())));
    let mut none = allocate("--key id:42 --amount 5 --to Media");
    none.reference = Some(String::new());
    assert_eq!(reference(&none.to[0], &none, &replaced), None, "an empty one is none");
}

#[test]
fn of_several_lots_the_one_on_the_node_counts_and_ends_that_differ_must_be_stated() {
    let replaced = [lot("Retail", Some("2026-12-31"), Some("INV-1")), lot("Media", Some("2027-12-31"), Some("INV-2"))];
    let arguments = allocate("--key id:42 --to Media=5 --to Press=7");
    let [media, press] = arguments.to.as_slice() else { panic!() };
    assert_eq!(end_date(media, &arguments, &replaced).unwrap(), Some(date("2027-12-31")));
    assert_eq!(reference(media, &arguments, &replaced).as_deref(), Some("INV-2"));
    let differ = end_date(press, &arguments, &replaced).unwrap_err();
    let said = "allocate: the lots that it replaces end on different days; state an end: --end-date, --no-end-date, or --to \
                NODE=AMOUNT,END";
    assert_eq!((differ.kind, differ.to_string().as_str()), (Kind::Usage, said));
    assert_eq!(reference(press, &arguments, &replaced), None, "neither reference is guessed");
    assert_eq!(end_date(press, &arguments, &[]).unwrap(), None, "a first allocation is open-ended");
    let same = [lot("Retail", Some("2026-12-31"), None), lot("Media", Some("2026-12-31"), None)];
    assert_eq!(end_date(press, &arguments, &same).unwrap(), Some(date("2026-12-31")));
}

#[test]
fn credit_is_named_by_key_or_by_name_and_account() {
    let of = |line: &str| credit_name(&allocate(line).credit);
    assert_eq!(of("--key id:42").unwrap(), CreditName::Key("id:42".into()));
    let by_name = CreditName::Code { promotion_code: "Activate".into(), account_id: "111111111111".into() };
    assert_eq!(of("--code Activate --account 111111111111").unwrap(), by_name);
    assert_eq!(of("").unwrap_err().to_string(), "name the credit: --key, or --code and --account");
}

/// A person is told what was recorded; a lot is found by its key with its number, also where keys hold a colon.
#[tokio::test(flavor = "multi_thread")]
async fn recorded_allocation_is_told_and_its_lots_can_be_named() {
    let shop = Shop::new();
    shop.night("night-1", AS_OF).await;
    let app = shop.app("asking", AS_OF).await;
    let snapshot = CreditSnapshot::of(&app.context).await.unwrap();
    let lot_of = |key: &str| {
        let found = found_lot(key, &snapshot).map(|(credit, lot)| (credit.credit_key.to_string(), lot));
        found.map_err(|failure| failure.to_string())
    };
    assert_eq!(lot_of("id:42"), Ok(("id:42".to_owned(), None)));
    assert_eq!(lot_of("id:42:2"), Ok(("id:42".to_owned(), Some(2))));
    assert_eq!(lot_of("code:Activate@222222222222:1"), Ok(("code:Activate@222222222222".to_owned(), Some(1))));
    assert_eq!(lot_of("id:4"), Err("credit id:4 is not registered; did you mean id:42?".to_owned()));
    assert!(lot_of("id:42:two").is_err());
    let (credit, _) = found_lot("id:42", &snapshot).unwrap();
    let row = |amount: &str, to: &str, end: Option<&str>| AllocationRow {
        amount: Some(money(amount)),
        end_date: end.map(date),
        node: Some(crate::testing::node(to)),
        ..revision::row("allocate", CreditName::Key("id:42".into()), Action::Allocate)
    };
    let one = allocated(credit, &[row("2500", "Retail/Online", Some("2026-12-31"))]).unwrap();
    assert_eq!(one, "Allocated 2,500.00 USD of id:42 to Retail/Online, until 2026-12-31. It counts from the next run.");
    let two = allocated(credit, &[row("3000.24", "Retail", Some("2026-08-31")), row("1000", "Media", None)]).unwrap();
    let expected = "Allocated 4,000.24 USD of id:42: 3,000.24 to Retail, until 2026-08-31; 1,000.00 to Media. It counts from \
                    the next run.";
    assert_eq!(two, expected);
}
