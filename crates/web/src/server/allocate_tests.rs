//! The form that allocates, moves and revokes: what is wrong at its field, what would change, what is recorded.

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use schemas::tables::AllocationLogRow;

use super::published::Published;
use super::visitor::{Answer, Visitor};

/// The form of a credit as somebody opened it.
struct Opened<'a> {
    visitor: &'a Visitor,
    path: String,
    token: String,
    seen: String,
}

impl<'a> Opened<'a> {
    async fn of(visitor: &'a Visitor, key: &str) -> Self {
        let path = format!("/credits/{key}/allocate");
        let page = visitor.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.words());
        Self { visitor, token: page.field("form_token"), seen: page.field("seen"), path }
    }

    /// Sends these fields of it.
    async fn send(&self, action: &str, fields: &[(&str, &str)]) -> Answer {
        let all = [&[("action", action), ("seen", self.seen.as_str())], fields].concat();
        self.visitor.post(&self.path, &self.token, &all).await
    }

    /// Looks at what would change, and records it.
    async fn record(&self, [look, save]: [&str; 2], fields: &[(&str, &str)]) -> Answer {
        let looked = self.send(look, fields).await;
        let previewed = looked.field("previewed");
        assert!(!previewed.is_empty(), "{}", looked.words());
        self.send(save, &[fields, &[("previewed", previewed.as_str())]].concat()).await
    }
}

async fn log(published: &std::sync::Arc<Published>) -> Vec<AllocationLogRow> {
    published.open().await.unwrap().lake.logs().read().await.unwrap()
}

/// What stands at a field that is wrong.
fn wrong(answer: &Answer, field: &str) -> String {
    let after = answer.html().split(&format!("<p class=\"wrong\" id=\"{field}-wrong\" role=\"alert\">")).nth(1);
    after.map_or_else(String::new, |text| text.split("</p>").next().unwrap().replace("&quot;", "\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_at_its_field_and_nothing_that_was_typed_is_lost() {
    let jane = Visitor::owner(&Published::shared().await, false).await;
    let form = Opened::of(&jane, "id:3").await;
    let typed = [
        ("amount", "12,5"),
        ("node", "Retail//Shop"),
        ("end_date", "31.12.2026"),
        ("reference", "\"T\" <1>"),
        ("note", "as the mail of <jane> says"),
    ];
    let answer = form.send("preview", &typed).await;
    assert_eq!(answer.status, StatusCode::OK);
    for (field, expected) in [
        ("amount-1", "not an amount; thousands may be set apart as in 2,500.00"),
        ("node-1", "has an empty level"),
        ("end_date-1", "not a date (YYYY-MM-DD)"),
    ] {
        assert_eq!(wrong(&answer, field), expected, "{field}");
        assert!(
            answer.html().contains(&format!("aria-invalid=\"true\" aria-describedby=\"{field}-wrong\"")),
            "{field}"
        );
    }
    let kept = ["amount", "node", "end_date", "reference", "note"].map(|name| answer.field(name));
    let escaped = ["12,5", "Retail//Shop", "31.12.2026", "&quot;T&quot; &lt;1&gt;", "as the mail of &lt;jane&gt; says"];
    assert_eq!(kept, escaped);
    assert_eq!(answer.field("previewed"), "", "there is nothing to save");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_would_not_take_is_told_at_its_lot() {
    let jane = Visitor::owner(&Published::shared().await, false).await;
    let form = Opened::of(&jane, "id:3").await;
    let two = [
        ("amount", "5"),
        ("node", "Media"),
        ("end_date", ""),
        ("reference", ""),
        ("amount", "0"),
        ("node", "Retial/Online"),
        ("end_date", "2026-10-03"),
        ("reference", ""),
    ];
    let answer = form.send("preview", &two).await;
    assert_eq!(wrong(&answer, "amount-1"), "");
    assert_eq!(wrong(&answer, "amount-2"), "amount 0.0000000000 is not above zero");
    assert_eq!(wrong(&answer, "node-2"), "node Retial/Online is not in hierarchy.csv; did you mean Retail/Online?");
    assert_eq!(wrong(&answer, "end_date-2"), "the end 2026-10-03 is before the issue date 2026-10-04");
    let missing = form.send("preview", &[("amount", "5"), ("node", "Media"), ("amount", "7"), ("node", "")]).await;
    assert_eq!(wrong(&missing, "node-2"), "a node is missing");
    let empty = form.send("preview", &[("amount", " "), ("node", "")]).await;
    assert_eq!(wrong(&empty, "amount-1"), "an amount is missing");
    let unassigned = form.send("save", &[("amount", "5"), ("node", "Unassigned")]).await;
    assert_eq!(wrong(&unassigned, "node-1"), "node Unassigned is not in hierarchy.csv");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_lot_keeps_what_was_typed_and_empty_lots_are_none() {
    let jane = Visitor::owner(&Published::shared().await, false).await;
    let form = Opened::of(&jane, "id:3").await;
    let answer = form.send("more", &[("amount", "1,234.5"), ("node", "Media")]).await;
    assert_eq!(answer.field("amount"), "1,234.5");
    assert!(answer.html().contains("<legend>Lot 2</legend>") && answer.words().contains("Sum 1,234.50 USD"));
    let lots = [("amount", "15"), ("node", "Media"), ("amount", ""), ("node", "")];
    let answer = form.send("preview", &lots).await;
    let words = answer.words();
    assert!(words.contains("Now nothing: it is not allocated."), "{words}");
    assert!(words.contains("Lot 1: 15.00 USD on Media : 15.00 used, 0.00 left"), "{words}");
    assert!(words.contains("2026-10 Media 0.00 -15.00 50.00 35.00 -15.00"), "{words}");
    let large = form.send("preview", &[("amount", "150"), ("node", "Retail/Stores"), ("end_date", "2026-10-30")]).await;
    let words = large.words();
    for expected in [
        "150.00 USD is 10 times what AWS has applied so far, 15.00, or more",
        "lot 1 on Retail/Stores ended on 2026-10-30: what it had not used by then is lost",
        "lot 1: there is no eligible spend at Retail/Stores within its window so far",
        "0.00 used, 150.00 lost, 0.00 left",
        "No month up to 2026-10-31 changes.",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn allocation_is_recorded_once_it_was_looked_at_and_leaves_the_queue() {
    let published = Published::own().await;
    let jane = Visitor::owner(&published, false).await;
    let form = Opened::of(&jane, "id:3").await;
    let fields =
        [("amount", "20"), ("node", "Media"), ("end_date", "2027-03-31"), ("reference", "PO-7"), ("note", "mail")];
    let unseen = form.send("save", &fields).await;
    assert!(unseen.words().contains("What you entered is not what the preview showed. Look at it, then save."));
    let previewed = unseen.field("previewed");
    let changed = [("amount", "21"), ("node", "Media"), ("previewed", previewed.as_str())];
    assert!(form.send("save", &changed).await.words().contains("is not what the preview showed"));
    assert_eq!(log(&published).await.len(), 4, "nothing is recorded yet");
    let saved = form.record(["preview", "save"], &fields).await;
    assert_eq!((saved.status, saved.header(LOCATION)), (StatusCode::SEE_OTHER, "/queue?done=recorded"));
    let log = log(&published).await;
    let row = log.iter().find(|row| row.credit_key == "id:3").unwrap();
    let AllocationLogRow { recorded_by, recorded_at, note, reference, end_date, .. } = row;
    assert_eq!(
        (recorded_by.as_deref(), note.as_deref(), reference.as_deref()),
        (Some("jane"), Some("mail"), Some("PO-7"))
    );
    assert_eq!(
        (recorded_at.to_string(), end_date.unwrap().to_string()),
        ("2026-11-02 09:00:00".to_owned(), "2027-03-31".to_owned())
    );
    let waiting = jane.csv("/queue", "queue").await;
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    let again = jane.get("/credits/id:3/allocate").await;
    assert_eq!(
        ["amount", "node", "end_date", "reference"].map(|name| again.field(name)),
        ["20.00", "Media", "2027-03-31", "PO-7"]
    );
    assert!(again.words().contains("Revise Goodwill"), "{}", again.words());
    let credit = jane.words("/credits/id:3").await;
    assert!(credit.contains("the revision of 2026-11-02 09:00 by jane is not in these figures"), "{credit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_of_two_people_sees_what_the_first_recorded_and_is_asked() {
    let published = Published::own().await;
    let (jane, bob) = (Visitor::owner(&published, false).await, Visitor::owner(&published, false).await);
    let (of_jane, of_bob) = (Opened::of(&jane, "id:3").await, Opened::of(&bob, "id:3").await);
    let saved = of_jane.record(["preview", "save"], &[("amount", "20"), ("node", "Media")]).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    let fields = [("amount", "30"), ("node", "Retail")];
    let asked = of_bob.send("preview", &fields).await;
    let words = asked.words();
    assert!(words.contains("Somebody else recorded something about this credit since you opened the form"), "{words}");
    assert!(words.contains("Now lot 1: 20.00 USD on Media, recorded by jane on 2026-11-02."), "{words}");
    assert_eq!(log(&published).await.len(), 5);
    let seen = [("seen", asked.field("seen")), ("previewed", asked.field("previewed"))];
    let seen: Vec<(&str, &str)> = seen.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let insisted = [&[("action", "save")], &seen[..], &fields].concat();
    let insisted = bob.post(&of_bob.path, &of_bob.token, &insisted).await;
    assert_eq!((insisted.status, insisted.header(LOCATION)), (StatusCode::SEE_OTHER, "/credits/id%3A3?done=recorded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn move_shows_both_nodes_from_its_month_on() {
    let jane = Visitor::owner(&Published::shared().await, false).await;
    let form = Opened::of(&jane, "id:1").await;
    let to = |month: &'static str, node: &'static str| [("move_lot", "1"), ("move_from", month), ("move_to", node)];
    let moved = form.send("move", &to("2026-10", "Media")).await;
    let words = moved.words();
    for expected in [
        "Lot 1: 7,500.50 USD on Retail/Online , until 2026-12-15: 3,000.01 used, 4,500.50 moved on, 0.00 left",
        "Lot 2: 4,500.50 USD on Media , until 2026-12-15: 50.00 used, 4,450.50 left",
        "2026-10 Media 0.00 -50.00 50.00 0.00 -50.00",
        "2026-10 Retail -3,000.00 0.00 10.00 3,010.00 3,000.00",
        "Save the move",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let later = form.send("move", &to("2026-12", "Media")).await.words();
    assert!(later.contains("Lot 2: what is then left of lot 1, on Media from 2026-12, until 2026-12-15"), "{later}");
    for (month, node, field, expected) in [
        ("October", "Media", "move_from-0", "not a month (YYYY-MM)"),
        ("2026-10", "", "move_to-0", "a node is missing"),
        ("2026-10", "Retail/Online", "move_to-0", "lot 1 is on Retail/Online already"),
        (
            "2026-08",
            "Media",
            "move_from-0",
            "the month 2026-08 is not after 2026-08, from which lot 1 counts: allocate it there instead",
        ),
    ] {
        let answer = form.send("save-move", &to(month, node)).await;
        assert_eq!(wrong(&answer, field), expected, "{month} {node}");
        assert!(answer.html().contains("<details open>"), "the fields that are wrong can be seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_gives_the_credit_back_to_the_queue_and_only_what_is_allocated_can_be_revoked() {
    let published = Published::own().await;
    let jane = Visitor::owner(&published, false).await;
    let form = Opened::of(&jane, "id:5").await;
    let looked = form.send("revoke", &[]).await.words();
    assert!(looked.contains("2026-10 Retail -40.00 0.00 0.00 40.00 40.00"), "{looked}");
    let revoked = form.record(["revoke", "save-revoke"], &[("note", "sold")]).await;
    assert_eq!(revoked.header(LOCATION), "/credits/id%3A5?done=recorded");
    let waiting = jane.csv("/queue?currency=EUR", "queue").await;
    assert!(waiting[1].starts_with("Euro,111111111111") && waiting[1].contains(",revoked,"), "{waiting:?}");
    let again = Opened::of(&jane, "id:5").await;
    let refused = again.send("revoke", &[]).await;
    assert!(refused.words().contains("it is not allocated (revoked)"), "{}", refused.words());
    let never = Opened::of(&jane, "id:3")
        .await
        .send("move", &[("move_lot", "1"), ("move_from", "2026-10"), ("move_to", "Media")])
        .await;
    assert!(never.words().contains("it is not allocated (never_allocated)"), "{}", never.words());
}
