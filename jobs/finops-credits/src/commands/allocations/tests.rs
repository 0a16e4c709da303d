//! Allocations in bulk: which count, what an import says, what an export can be imported from.

use schemas::reference::EnteredAllocations;

use super::*;
use crate::output::csv_text;
use crate::testing::{AS_OF, Shop, instant, money};

fn row(credit_key: &str, allocation_id: &str, lot: i32, recorded_at: &str) -> AllocationLogRow {
    AllocationLogRow {
        allocation_id: allocation_id.into(),
        lot,
        credit_key: credit_key.into(),
        action: "allocate".into(),
        business_unit: Some("Retail".into()),
        department: None,
        portfolio: None,
        product: None,
        amount: Some(money("100")),
        currency: Some("USD".into()),
        end_date: None,
        reference: None,
        recorded_by: Some("=ann".into()),
        recorded_at: instant(recorded_at),
        note: None,
        from_period: None,
        continues_lot: None,
    }
}

fn revoked(row: AllocationLogRow) -> AllocationLogRow {
    AllocationLogRow { action: "revoke".into(), business_unit: None, amount: None, currency: None, ..row }
}

fn told(rows: &[AllocationLogRow]) -> Vec<String> {
    rows.iter().map(|row| format!("{} {}/{}", row.credit_key, row.allocation_id, row.lot)).collect()
}

const JANUARY: &str = "2026-01-20T09:30:00";
const MARCH: &str = "2026-03-05T09:00:00";

#[test]
fn newest_revision_of_each_credit_counts_with_all_its_lots_and_a_revocation_ends_it() {
    let log = [
        row("id:2", "b", 2, MARCH),
        row("id:2", "b", 1, MARCH),
        row("id:2", "z", 1, JANUARY),
        row("id:1", "a", 1, JANUARY),
        revoked(row("id:3", "d", 1, MARCH)),
        row("id:3", "c", 1, JANUARY),
        row("id:4", "e", 1, MARCH),
        row("id:4", "f", 1, MARCH),
        row("id:1", "a", 1, JANUARY),
    ];
    let expected = ["id:1 a/1", "id:2 b/1", "id:2 b/2", "id:4 f/1"];
    assert_eq!(told(&counting(&log, None)), expected, "ties by id; appended twice is there once");
    let history = ["id:1 a/1", "id:2 z/1", "id:2 b/1", "id:2 b/2", "id:3 c/1", "id:3 d/1", "id:4 e/1", "id:4 f/1"];
    assert_eq!(told(&in_order(log.to_vec())), history);
}

/// The run that somebody asks for counts what counted then, and what is exported can be imported again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_says_name_and_account_and_reads_back_as_it_was_recorded() {
    let shop = Shop::new();
    shop.night("night-1", AS_OF).await;
    let app = shop.app("asking", AS_OF).await;
    let recorded: Vec<AllocationLogRow> = app.context.lake.logs().read().await.unwrap();
    let run: Vec<Credit> = published(&app.context).await.unwrap();
    let log = [recorded.clone(), vec![row("id:42", "later", 1, MARCH), row("gone", "g", 1, MARCH)]].concat();
    assert_eq!(told(&counting(&log, None)), ["gone g/1", "id:42 later/1"]);
    assert_eq!(told(&counting(&log, Some(&run))), ["id:42 a-1/1"], "as it counted in the run");
    let register = &CreditSnapshot::of(&app.context).await.unwrap().register.credits.clone();
    let text = csv_text(&[importable(&in_order(log), register).unwrap()], false).unwrap();
    insta::assert_snapshot!(text, @r"
    promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product,allocation_id,lot,action,recorded_by,recorded_at,note,from_period,continues_lot
    ,,gone,100.0000000000,USD,,,Retail,,,,g,1,allocate,'=ann,2026-03-05T09:00:00,,,
    Spring Credits,111111111111,id:42,130.0000000000,USD,2026-02-28,INV-1,Retail,Online,,,a-1,1,allocate,ann,2026-01-20T09:30:00,,,
    Spring Credits,111111111111,id:42,100.0000000000,USD,,,Retail,,,,later,1,allocate,'=ann,2026-03-05T09:00:00,,,
    ");
    let EnteredAllocations { rows, problems, left_empty } =
        schemas::reference::read_allocations("exported.csv", text.as_bytes());
    assert!(problems.0.is_empty() && left_empty.is_empty(), "{problems}");
    assert_eq!(rows.len(), 3);
    let by: Vec<&str> = rows.iter().filter_map(|row| row.recorded_by.as_deref()).collect();
    assert_eq!(by, ["=ann", "ann", "=ann"], "the guard is taken off again");
}
