//! What people see and may do who are limited to nodes, and by their roles.

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use schemas::tables::AllocationLogRow;

use super::published::Published;
use super::visitor::Visitor;

const OTHERS: &str = "This is of nodes that you do not see here.";

async fn ann(rows: &'static str) -> Visitor {
    Visitor::colleague(&Published::shared().await, Some(rows), "ann:viewers").await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_limited_to_a_node_sees_its_figures_and_nothing_of_others() {
    let ann = ann("ann,,Media,,,\n").await;
    let answer = ann.get("/").await;
    let words = answer.words();
    for expected in
        ["You see Media and what lies below.", "Gross cost 150.00 USD", "Net cost 45.00 USD", "Signed in as ann ."]
    {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    for other in ["Retail", "Everything", "Unassigned", "Goodwill"] {
        assert!(!words.contains(other), "{other}: {words}");
    }
    for page in ["/months", "/runs", "/query"] {
        assert!(!answer.html().contains(page), "{page}: {}", answer.html());
    }
    let credits = ann.csv("/credits", "credits").await;
    assert_eq!(credits.len(), 2, "{credits:?}");
    assert!(credits[1].starts_with("'=Spring,Media,"), "{credits:?}");
    let queue = ann.csv("/queue", "queue").await;
    assert_eq!(queue.len(), 2, "{queue:?}");
    assert!(queue[1].starts_with("Broken,222222222222,"), "its account spends there: {queue:?}");
    assert!(!ann.words("/queue").await.contains("alc-4"), "what is wrong with it is of another node");
    let tree = ann.csv("/net-cost", "net_cost_by_node").await;
    assert_eq!(tree[1..], ["Media,1,USD,0.0000000000,-5.0000000000,50.0000000000,45.0000000000"]);
    let lapsed = ann.csv("/expiry", "lapsed").await;
    assert_eq!(lapsed.len(), 2, "{lapsed:?}");
    let nodes = ann.get("/nodes?q=").await;
    assert_eq!(nodes.html(), r#"[{"node":"Media","level":1,"owner":"media@example.com"}]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_other_nodes_or_of_none_is_refused_whether_it_is_there_or_not() {
    let ann = ann("ann,,Media,,,\n").await;
    for address in [
        "/months",
        "/runs",
        "/query",
        "/query?sql=SELECT+1&download=csv",
        "/net-cost?node=Retail",
        "/net-cost?node=Nowhere",
        "/net-cost?node=Unassigned&download=csv",
        "/credits/id:1",
        "/credits/id:4",
        "/credits/id:9",
        "/credits/id:5/allocate",
        "/credits/MAP",
    ] {
        let answer = ann.get(address).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{address}");
        assert!(answer.words().contains(OTHERS), "{address}: {}", answer.words());
    }
    let own = ann.words("/credits/id:2").await;
    assert!(own.contains("lot 1 ended on 2026-09-15: 20.00 USD lost"), "{own}");
    let help = ann.words("/help").await;
    assert!(help.contains("Keys and words"), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_several_nodes_looks_at_one_at_a_time_and_begins_with_the_first() {
    let ann = ann("ann,,Retail,Stores,,\nann,,Unassigned,,,\nann,,Media,,,\n").await;
    let words = ann.words("/net-cost").await;
    assert!(words.contains("You see Media Retail/Stores Unassigned and what lies below."), "{words}");
    assert!(words.contains("Net cost of Media"), "{words}");
    let unassigned = ann.csv("/net-cost?node=Unassigned", "net_cost_by_node").await;
    assert_eq!(unassigned[1..], ["Unassigned,1,USD,0.0000000000,0.0000000000,12.3400000000,12.3400000000"]);
    let stores = ann.words("/net-cost?node=Retail/Stores").await;
    assert!(stores.contains("No cost in these months."), "{stores}");
    assert_eq!(ann.get("/net-cost?node=Retail").await.status, StatusCode::FORBIDDEN, "it lies above");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_limited_to_nodes_that_are_not_there_sees_nothing() {
    let gone = ann("ann,,Gone,,,\n").await;
    for address in ["/", "/credits", "/net-cost", "/expiry"] {
        let answer = gone.get(address).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{address}");
        assert!(answer.words().contains(OTHERS), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_limited_allocates_to_nodes_of_their_own_only() {
    let published = Published::shared().await;
    let bob = Visitor::colleague(&published, Some("bob,,Media,,,\n"), "bob:allocators").await;
    let form = bob.get("/credits/id:2/allocate").await;
    let (token, seen) = (form.field("form_token"), form.field("seen"));
    let send = async |fields: &[(&str, &str)]| {
        bob.post("/credits/id:2/allocate", &token, &[&[("seen", seen.as_str())], fields].concat()).await.words()
    };
    let elsewhere = "is not among those that you see: Media and what lies below";
    let refused = send(&[("action", "save"), ("amount", "5"), ("node", "Retail")]).await;
    assert!(refused.contains(&format!("node Retail {elsewhere}")), "{refused}");
    let moved = [("action", "move"), ("move_lot", "1"), ("move_from", "2026-10"), ("move_to", "Retail/Stores")];
    let refused = send(&moved).await;
    assert!(refused.contains(&format!("node Retail/Stores {elsewhere}")), "{refused}");
    let own = send(&[("action", "preview"), ("amount", "130"), ("node", "Media")]).await;
    assert!(own.contains("2026-10 Media 0.00 -30.00 50.00 20.00 -30.00"), "{own}");
    let other = bob.post("/credits/id:1/allocate", &token, &[("action", "revoke")]).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
    assert!(other.words().contains(OTHERS), "{}", other.words());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_records_carries_their_name_whatever_a_form_says() {
    let published = Published::own().await;
    let bob = Visitor::colleague(&published, None, "bob@example.com:allocators").await;
    let token = bob.get("/credits/id:3/allocate").await.field("form_token");
    let fields = [("amount", "20"), ("node", "Media"), ("recorded_by", "eve"), ("by", "eve"), ("person", "eve")];
    let looked = bob.post("/credits/id:3/allocate", &token, &[&[("action", "preview")], &fields[..]].concat()).await;
    let previewed = looked.field("previewed");
    let save = [("action", "save"), ("previewed", previewed.as_str())];
    let saved = bob.post("/credits/id:3/allocate", &token, &[&save[..], &fields[..]].concat()).await;
    assert_eq!(saved.header(LOCATION), "/queue?done=recorded", "{}", saved.words());
    let log: Vec<AllocationLogRow> = published.open().await.unwrap().lake.logs().read().await.unwrap();
    let by: Vec<_> = log.iter().filter(|row| row.credit_key == "id:3").map(|row| row.recorded_by.as_deref()).collect();
    assert_eq!(by, [Some("bob@example.com")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_say_who_records_and_who_starts_a_run() {
    let published = Published::shared().await;
    let runs = async |access: Option<&'static str>, who: &str| {
        let visitor = Visitor::colleague(&published, access, who).await;
        let token = visitor.get("/credits/id:2/allocate").await.field("form_token");
        let answer = visitor.post("/runs", &token, &[]).await;
        (answer.status.as_u16(), answer.words())
    };
    for (access, who, status, said) in [
        (None, "ann:viewers", 403, "You may look here, and record nothing."),
        (None, "bob:allocators", 403, "You may start no run."),
        (Some("eve,,Media,,,\n"), "eve:closers", 403, "You may start no run."),
        (None, "eve:closers", 400, "no run can be started here"),
        (Some("eve,,Media,,,\n"), "eve:admins", 400, "no run can be started here"),
    ] {
        let (found, words) = runs(access, who).await;
        assert_eq!(found, status, "{who}: {words}");
        assert!(words.contains(said), "{who}: {words}");
    }
    let viewer = Visitor::colleague(&published, None, "ann:viewers").await;
    let page = viewer.get("/credits").await;
    assert!(!page.html().contains("/allocate") && page.words().contains("You may look here, and record nothing."));
}
