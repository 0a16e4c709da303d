//! What pages and their files say of a small organisation; `published.rs` has its lines.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};

use super::published::Published;
use super::visitor::{Visitor, site};
use crate::{Entrance, LoginToken, report};

async fn jane() -> Visitor {
    Visitor::owner(&Published::shared().await, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn filter_that_fits_nothing_is_refused_with_what_there_is() {
    let jane = jane().await;
    for (address, expected) in [
        (
            "/?period=2027",
            "period: the published run has 2026-08 to 2026-10, and nothing of 2027-01 to 2027-12, so nothing is shown",
        ),
        (
            "/queue?period=2026-07",
            "period: the published run has 2026-08 to 2026-10, and nothing of 2026-07, so nothing is shown",
        ),
        ("/net-cost?period=October", "period: \"October\" names no billing periods"),
        ("/credits?node=Retail/Nowhere", "node: Retail/Nowhere is not in the published run, so nothing is shown"),
        ("/credits?node=retail", "node: retail is not in the published run, so nothing is shown"),
        ("/expiry?node=a/b/c/d/e", "node: has 5 levels; at most 4"),
        (
            "/?status=lost",
            "status: lost is none; there are active, expiring_soon, exhausted, expired, invalid, so nothing is shown",
        ),
        ("/months?currency=gbp", "currency: the published run has no GBP; it has EUR, USD, so nothing is shown"),
        ("/credits?sort=-colour", "sort: no table of this page has a column \"-colour\""),
        ("/credits?download=pdf", "download: csv or xlsx"),
        ("/credits?download=csv&table=net_cost", "table: this page has credits"),
        ("/net-cost?depth=5", "depth: levels below the node, 1 to 4"),
        ("/net-cost?depth=all", "depth: levels below the node, 1 to 4"),
        ("/expiry?end=2026-13", "end: \"2026-13\" is not a billing period (YYYY-MM); or open-ended"),
        ("/credits/id:9", "no credit fits id:9; did you mean id:1, id:2, id:3?"),
        (
            "/credits/nothing%20like%20it",
            "no credit fits nothing like it; `queue` and `credits` list those that are registered",
        ),
        ("/credits/id:9/allocate", "credit id:9 is not registered; did you mean id:1?"),
    ] {
        let answer = jane.get(address).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{address}");
        let words = answer.words();
        assert!(words.contains(&format!("This cannot be answered {expected}")), "{address}: {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filter_of_other_pages_is_named_where_it_changes_nothing() {
    let jane = jane().await;
    let words = jane.words("/queue?period=2026-09&status=expired").await;
    assert!(words.contains("Not applied here: period, status."), "{words}");
    let words = jane.words("/months?period=2026-09").await;
    assert!(!words.contains("Not applied here"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn overview_sums_by_currency_and_says_what_needs_somebody() {
    let jane = jane().await;
    let words = jane.words("/").await;
    for expected in [
        "Gross cost 40.00 EUR 6,199.35 USD 2026-08 to 2026-10",
        "Refunds 0.00 EUR -5.00 USD",
        "Credits applied -40.00 EUR -6,100.01 USD",
        "Net cost 0.00 EUR 94.34 USD",
        "Left of credits 460.00 EUR 1,500.50 USD 2026-10-31",
        "Waiting, applied by AWS 20.00 USD now",
        "Ends soon 1,500.50 USD",
        "Allocate Broken of 222222222222 waits for 56 days; AWS applied 5.00 USD",
        "Allocate Goodwill of 111111111111 waits for 26 days; AWS applied 15.00 USD",
        "MAP <b>2026</b> of Retail/Online ends on 2026-12-15, in 45 days, with 1,500.50 USD left",
        "Broken : what is recorded cannot be used",
        "As of 2026-10-31 (2 days ago) · ties to the invoice , 9 lines · run night-1 · fifo_issue_date/v1",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let september = jane.words("/?period=2026-09&node=Media&currency=usd").await;
    for expected in
        ["Gross cost 50.00 USD 2026-09", "Credits applied -50.00 USD", "Net cost -5.00 USD", "Left of credits 0.00 USD"]
    {
        assert!(september.contains(expected), "{expected}: {september}");
    }
    let gross_to_net = [
        "billing_period,currency,gross_cost,refunds,credits_applied,net_cost,aws_credits,invoice_net",
        "2026-08,USD,1060.0000000000,0.0000000000,-1050.0000000000,10.0000000000,-50.0000000000,1010.0000000000",
        "2026-09,USD,2060.0050000000,-5.0000000000,-2050.0050000000,5.0000000000,-35.0000000000,2020.0050000000",
        "2026-10,EUR,40.0000000000,0.0000000000,-40.0000000000,0.0000000000,-4.0000000000,36.0000000000",
        "2026-10,USD,3079.3400000000,0.0000000000,-3000.0000000000,79.3400000000,-45.0000000000,3034.3400000000",
    ];
    assert_eq!(jane.csv("/", "gross_to_net").await, gross_to_net);
}

const CREDITS: [&str; 5] = [
    "promotion_code,nodes,owner_email,currency,status,end_date,days_left,remaining,allocated_amount,used,expired,\
     aws_applied,account_id,reference,credit_key",
    "'=Spring,Media,media@example.com,USD,expired,2026-09-15,-46,0.0000000000,120.0000000000,100.0000000000,\
     20.0000000000,20.0000000000,222222222222,,id:2",
    "MAP <b>2026</b>,Retail/Online,retail@example.com,USD,expiring_soon,2026-12-15,45,1500.4950000000,7500.5000000000,\
     6000.0050000000,0.0000000000,90.0000000000,111111111111,'=PO-1,id:1",
    "Broken,Gone,,USD,invalid,,,,,,,5.0000000000,222222222222,,id:4",
    "Euro,Retail,retail@example.com,EUR,active,,,460.0000000000,500.0000000000,40.0000000000,0.0000000000,4.0000000000,\
     111111111111,,id:5",
];

#[tokio::test(flavor = "multi_thread")]
async fn file_of_a_table_is_exact_and_guarded_against_formulas_and_kept_in_no_cache() {
    let jane = jane().await;
    assert_eq!(jane.csv("/credits", "credits").await, CREDITS);
    let answer = jane.get("/credits?download=csv").await;
    assert_eq!(answer.header(CONTENT_TYPE), "text/csv; charset=utf-8");
    assert_eq!(answer.header(CONTENT_DISPOSITION), "attachment; filename=\"credits.csv\"");
    assert_eq!(answer.header(CACHE_CONTROL), "no-store");
    let book = jane.get("/credits?download=xlsx&status=expired").await;
    assert!(book.header(CONTENT_TYPE).ends_with("spreadsheetml.sheet") && book.body.starts_with(b"PK"));
    assert_eq!(book.header(CONTENT_DISPOSITION), "attachment; filename=\"credits.xlsx\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_has_the_filters_and_the_order_of_the_page() {
    let jane = jane().await;
    let found = async |query: &str| jane.csv(&format!("/credits?{query}"), "credits").await[1..].to_vec();
    assert_eq!(found("status=invalid").await, CREDITS[3..4]);
    assert_eq!(found("currency=eur").await, CREDITS[4..]);
    assert_eq!(found("q=po-1").await, CREDITS[2..3], "what a reference holds is found");
    assert_eq!(found("q=MEDIA").await, CREDITS[1..2], "and a node");
    let by_used = found("sort=-used").await;
    assert_eq!(by_used, [CREDITS[2], CREDITS[1], CREDITS[4], CREDITS[3]], "what has no value stands last");
    assert_eq!(found("sort=used").await, [CREDITS[4], CREDITS[1], CREDITS[2], CREDITS[3]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_are_escaped_linked_and_summed_by_currency_with_the_exact_amount_beside_cents() {
    let jane = jane().await;
    let answer = jane.get("/credits").await;
    let html = answer.html();
    assert!(!html.contains("<b>"), "{html}");
    for expected in [
        r#"<a href="/credits/id%3A1">MAP &lt;b&gt;2026&lt;/b&gt;</a>"#,
        r#"<span class="money" title="1,500.4950000000">1,500.50</span>"#,
        r#"<span class="badge expiring_soon">expiring soon</span>"#,
        r#"<a href="/credits/id%3A1/allocate">Revise</a>"#,
        r#"href="/credits?sort=-used""#,
        "<td class=\"day\">2026-12-15</td>",
    ] {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    let words = answer.words();
    for expected in [
        "4 credits CSV XLSX",
        "Total EUR 460.00 500.00 40.00 0.00 4.00",
        "Total USD 1,500.50 7,620.50 6,100.01 20.00 115.00",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_at_a_node_say_what_is_left_there_and_a_search_says_what_waits() {
    let jane = jane().await;
    let words = jane.words("/credits?node=Retail/Online").await;
    assert!(words.contains("Credits with a lot at Retail/Online or below."), "{words}");
    assert!(words.contains("1 of 4 credits USD") && words.contains("Left here"), "{words}");
    let words = jane.words("/credits?q=goodwill").await;
    assert!(
        words.contains("1 that waits fits the search") && words.contains("None of them fits the filters."),
        "{words}"
    );
    let stores = jane.words("/credits?node=Retail/Stores").await;
    assert!(stores.contains("0 of 4 credits None of them fits the filters."), "{stores}");
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_says_why_each_credit_waits_and_whose_it_is_likely() {
    let jane = jane().await;
    let rows = jane.csv("/queue", "queue").await;
    let expected = [
        "promotion_code,account_id,credit_class,currency,first_cur_date,days_waiting,aws_applied,likely_node,\
         likely_owner_email,reason,credit_key",
        "Broken,222222222222,promotion,USD,2026-09-05,56,5.0000000000,Media,media@example.com,\
         what is recorded cannot be used,id:4",
        "Goodwill,111111111111,promotion,USD,2026-10-05,26,15.0000000000,Retail/Online/Shop,\
         retail@example.com,never allocated,id:3",
    ];
    assert_eq!(rows, expected);
    assert_eq!(jane.csv("/queue?node=Retail", "queue").await[1..], expected[2..]);
    let words = jane.words("/queue?done=recorded").await;
    assert!(words.contains("Allocation alc-4 lot 1 cannot be used: node Gone is not in hierarchy.csv"), "{words}");
    assert!(words.contains("Recorded. It counts from the next run"), "{words}");
    let elsewhere = jane.words("/queue?node=Retail/Stores").await;
    assert!(elsewhere.contains("0 of 2 credits that wait None of them fits the filters."), "{elsewhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn net_cost_goes_down_the_hierarchy_month_by_month_and_from_an_account_to_its_draws() {
    let jane = jane().await;
    let zero = "0.0000000000";
    let expected = [
        "node,level,currency,2026-08,2026-09,2026-10,total".to_owned(),
        format!("Everything,0,EUR,{zero},{zero},{zero},{zero}"),
        "Everything,0,USD,10.0000000000,5.0000000000,79.3400000000,94.3400000000".to_owned(),
        format!("Media,1,USD,{zero},-5.0000000000,50.0000000000,45.0000000000"),
        format!("Q&A <new>,1,USD,{zero},{zero},7.0000000000,7.0000000000"),
        format!("Retail,1,EUR,{zero},{zero},{zero},{zero}"),
        "Retail,1,USD,10.0000000000,10.0000000000,10.0000000000,30.0000000000".to_owned(),
        format!("Unassigned,1,USD,{zero},{zero},12.3400000000,12.3400000000"),
    ];
    assert_eq!(jane.csv("/net-cost", "net_cost_by_node").await, expected);
    let below = jane.csv("/net-cost?node=Retail&depth=4&currency=USD&period=2026-09", "net_cost_by_node").await;
    let nodes: Vec<&str> = below[1..].iter().map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(nodes, ["Retail", "Retail/Online", "Retail/Online/Shop"]);
    let account = "/net-cost?account=111111111111&service=AmazonEC2&currency=USD&period=2026-09..2026-10";
    let draws = [
        "usage_date,credit_key,lot,credit_node,payer_account_id,account_id,service,node,currency,used,fifo_rank,policy",
        "2026-09-10,id:1,1,Retail/Online,999999999999,111111111111,AmazonEC2,Retail/Online/Shop,USD,2000.0050000000,1,\
         fifo_issue_date/v1",
        "2026-10-10,id:1,1,Retail/Online,999999999999,111111111111,AmazonEC2,Retail/Online/Shop,USD,3000.0000000000,1,\
         fifo_issue_date/v1",
    ];
    let mut found = jane.csv(account, "draws").await;
    found[1..].sort();
    assert_eq!(found, draws);
    let words = jane.words(account).await;
    assert!(words.contains("Cost of account 111111111111, service AmazonEC2"), "{words}");
    assert!(words.contains("The draws add up to credits applied by day, to the last decimal."), "{words}");
    let no_service = jane.csv("/net-cost?service=-", "by_account_and_service").await;
    assert_eq!(no_service.len(), 2, "{no_service:?}");
    assert!(no_service[1].starts_with("333333333333,,USD,7.0000000000"), "{no_service:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn name_of_a_node_is_escaped_in_text_links_and_pictures() {
    let jane = jane().await;
    let answer = jane.get("/net-cost?node=Q%26A%20%3Cnew%3E&period=2026-10").await;
    let html = answer.html();
    assert!(!html.contains("<new>"), "{html}");
    assert!(html.contains("<h1>Net cost of Q&amp;A &lt;new&gt;</h1>"), "{html}");
    assert!(html.contains(r#"href="/net-cost?node=Q%26A+%3Cnew%3E&amp;period=2026-10""#), "{html}");
    assert!(html.contains(r#"Q&A \u003cnew>"#), "the picture's data: {html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_stands_beside_the_cost_of_its_month_and_the_change_is_split() {
    let jane = jane().await;
    let rows = jane.csv("/net-cost?node=Retail&currency=USD&period=2026-10", "budget").await;
    let expected = [
        "node,level,currency,budget_amount,net_cost,budget_remaining,net_cost_before,change,usage_effect,credit_effect",
        "Retail,1,USD,2000.0000000000,10.0000000000,1990.0000000000,10.0000000000,0.0000000000,999.9950000000,\
         -999.9950000000",
        "Retail/Online,2,USD,,10.0000000000,,10.0000000000,0.0000000000,999.9950000000,-999.9950000000",
    ];
    assert_eq!(rows, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn month_ties_to_the_invoice_and_clearing_is_carried_from_month_to_month() {
    let jane = jane().await;
    let expected = [
        "billing_period,currency,brought_forward,clearing,carried_forward",
        "2026-10,EUR,0.0000000000,36.0000000000,36.0000000000",
        "2026-09,USD,1000.0000000000,2015.0050000000,3015.0050000000",
        "2026-10,USD,3015.0050000000,2955.0000000000,5970.0050000000",
    ];
    assert_eq!(jane.csv("/months?period=2026-09..2026-10", "clearing").await, expected);
    let ties = jane.csv("/months?currency=USD&period=2026-09", "tie_out").await;
    let expected = "2026-09,USD,ties,2020.0050000000,2020.0050000000,0.0000000000,5.0000000000,\
                    2015.0050000000,-5.0000000000,2,INV-1,0";
    assert_eq!(ties[1..], [expected]);
    let words = jane.words("/months").await;
    assert!(words.contains("2026-10 EUR ties 36.00"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_shows_what_is_left_by_its_end_and_what_has_lapsed() {
    let jane = jane().await;
    let expected = [
        "node,currency,2026-12,open_ended,total",
        "Retail,EUR,,460.0000000000,460.0000000000",
        "Retail,USD,1500.4950000000,,1500.4950000000",
    ];
    assert_eq!(jane.csv("/expiry", "left_by_end").await, expected);
    let lapsed = jane.csv("/expiry", "lapsed").await;
    assert_eq!(lapsed.len(), 2, "{lapsed:?}");
    assert!(
        lapsed[1].starts_with("2026-09,'=Spring,1,Media,media@example.com,USD,id:2,20.0000000000,2026-09-15"),
        "{lapsed:?}"
    );
    let open = jane.words("/expiry?end=open-ended").await;
    assert!(open.contains("Lots that never end EUR") && open.contains("All lots that end"), "{open}");
    let december = jane.csv("/expiry?end=2026-12", "lots_left").await;
    assert_eq!(december.len(), 2, "{december:?}");
    let none = jane.words("/expiry?end=2027-01").await;
    assert!(none.contains("Lots that end in 2027-01 No lot with something left ends here."), "{none}");
    let october = jane.words("/expiry?period=2026-10").await;
    assert!(october.contains("Lapsed in 2026-10 Nothing lapsed in these months."), "{october}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_tells_its_lots_months_users_findings_and_history() {
    let jane = jane().await;
    let words = jane.words("/credits/id:1").await;
    for expected in [
        "Status expiring soon Amount 7,500.50 Used 6,000.01 Expired 0.00 Left 1,500.50 Applied by AWS 90.00",
        "Ends 2026-12-15 in 45 days",
        "Issued 2026-08-01, the day before its first line",
        "lot 1 ends on 2026-12-15 with 1,500.50 USD left",
        "2026-10-20 08:00 allocate by jane lot 1: 7,500.50 USD to Retail/Online, until 2026-12-15, =PO-1",
        "Revise, move, split or revoke",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let months = jane.csv("/credits/id:1", "months").await;
    let zero = "0.0000000000";
    let expected = [
        "billing_period,currency,opening,issued,used,expired,remaining,aws_applied".to_owned(),
        format!("2026-08,USD,{zero},7500.5000000000,1000.0000000000,{zero},6500.5000000000,30.0000000000"),
        format!("2026-09,USD,6500.5000000000,{zero},2000.0050000000,{zero},4500.4950000000,30.0000000000"),
        format!("2026-10,USD,4500.4950000000,{zero},3000.0000000000,{zero},1500.4950000000,30.0000000000"),
    ];
    assert_eq!(months, expected);
    let used_by = jane.csv("/credits/id:1", "used_by").await;
    let user = "Retail/Online/Shop,111111111111,AmazonEC2,USD,6000.0050000000,2026-08-10,2026-10-10";
    assert_eq!(used_by[1..], [user]);
    let words = jane.words("/credits/id:2").await;
    assert!(words.contains("lot 1 ended on 2026-09-15: 20.00 USD lost"), "{words}");
    let words = jane.words("/credits/id:4").await;
    assert!(words.contains("allocation alc-4 lot 1 cannot be used: node Gone is not in hierarchy.csv"), "{words}");
    assert!(words.contains("Nothing of it is allocated."), "{words}");
    let begun = jane.words("/credits/Goodw").await;
    assert!(
        begun.contains("waits for allocation for 26 days (never_allocated); AWS applied 15.00 USD so far"),
        "{begun}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_is_answered_as_a_table_and_its_mistakes_stand_above_it() {
    let jane = jane().await;
    let sql =
        "SELECT business_unit, sum(charges) AS charges FROM net_cost WHERE currency = 'USD' GROUP BY 1 ORDER BY 2 DESC";
    let path = format!("/query?sql={}", form_urlencoded::byte_serialize(sql.as_bytes()).collect::<String>());
    let expected = [
        "business_unit,charges",
        "Retail,6000.0050000000",
        "Media,150.0000000000",
        "Unassigned,12.3400000000",
        "Q&A <new>,7.0000000000",
    ];
    assert_eq!(jane.csv(&path, "query").await, expected);
    assert!(jane.words(&path).await.contains("4 rows CSV XLSX"));
    for (sql, said) in [
        ("DROP+TABLE+net_cost", "query: "),
        ("INSERT+INTO+net_cost+SELECT+*+FROM+net_cost", "query: "),
        ("SELECT+*+FROM+nothing", "SHOW TABLES lists them"),
        ("SELECT+%3C", "query: "),
    ] {
        let words = jane.words(&format!("/query?sql={sql}")).await;
        assert!(words.contains(said) && words.contains("Ready-made"), "{sql}: {words}");
        let file = jane.get(&format!("/query?sql={sql}&download=csv")).await;
        assert_eq!(file.status, StatusCode::BAD_REQUEST, "{sql}: a file cannot say what is wrong");
    }
    let html = jane.get("/query?sql=%3C%2Ftextarea%3E%3Cscript%3E").await;
    assert!(html.html().contains("&lt;/textarea&gt;&lt;script&gt;</textarea>"), "{}", html.html());
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_of_a_link_on_another_site_is_shown_and_not_run() {
    let jane = jane().await;
    let led = jane.get_led_by("cross-site", "/query?sql=SELECT+1+%2B+41").await;
    assert!(led.html().contains("SELECT 1 + 41</textarea>"), "{}", led.html());
    let words = led.words();
    assert!(words.contains("so this was not run") && !words.contains("1 row"), "{words}");
    let file = jane.get_led_by("cross-site", "/query?sql=SELECT+1+%2B+41&download=csv").await;
    assert!(
        file.status == StatusCode::BAD_REQUEST && file.words().contains("another site led here"),
        "{}",
        file.words()
    );
    let own = jane.get_led_by("same-origin", "/query?sql=SELECT+1+%2B+41").await.words();
    assert!(own.contains("1 row CSV XLSX") && !own.contains("was not run"), "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_offered_by_every_word_that_was_typed() {
    let jane = jane().await;
    let offered = async |text: &str| {
        let answer = jane.get(&format!("/nodes?q={text}")).await;
        let nodes: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let nodes = nodes.as_array().unwrap().iter().map(|node| node["node"].as_str().unwrap().to_owned());
        nodes.collect::<Vec<_>>()
    };
    assert_eq!(offered("ret+sho").await, ["Retail/Online/Shop"]);
    assert_eq!(offered("on").await, ["Retail/Online", "Retail/Online/Shop"], "whose own name fits comes first");
    assert_eq!(offered("retail%2Fonline").await[0], "Retail/Online");
    assert_eq!(offered("%3Cnew").await, ["Q&A <new>"]);
    assert_eq!(offered("nowhere").await, Vec::<String>::new());
    assert_eq!(offered("").await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_say_what_was_read_and_what_somebody_should_mend() {
    let jane = jane().await;
    let runs = jane.csv("/runs", "runs").await;
    assert_eq!(runs[1..], ["night-1,2026-10-31,published,2026-11-02T09:00:00,2026-11-02T09:00:00,3,9"]);
    let issues = jane.csv("/runs", "allocation_issues").await;
    assert_eq!(issues[1..], ["id:4,1,node Gone is not in hierarchy.csv,jane,2026-10-20T08:00:00,alc-4"]);
    let words = jane.words("/runs").await;
    assert!(words.contains("This lake is not run from here: its nightly schedule runs it."), "{words}");
    assert!(words.contains("444444444444 AmazonSQS") && words.contains("12.34"), "what no rule takes: {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn page_that_is_read_only_offers_no_form_and_takes_none() {
    let published = Published::shared().await;
    let reader = Visitor::owner(&published, true).await;
    for path in ["/queue", "/credits", "/credits/id:1", "/"] {
        let answer = reader.get(path).await;
        assert!(!answer.html().contains("/allocate"), "{path}");
        assert!(answer.words().contains("Read-only: nothing can be recorded here."), "{path}");
    }
    let form = reader.get("/credits/id:1/allocate").await;
    assert!(form.words().contains("This page is read-only: nothing can be recorded."));
    assert!(!form.html().contains("form_token"));
    let sent = reader.post("/credits/id:1/allocate", "", &[("action", "revoke")]).await;
    assert_eq!(sent.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn report_stands_alone_and_says_of_what_it_is() {
    let published = Published::shared().await;
    let (token, _) = LoginToken::random().unwrap();
    let site = std::sync::Arc::new(site(&published, true, None, Entrance::Token { token, person: "jane".to_owned() }));
    let made = report(&site, &[("period", "2026-09"), ("node", "Media")]).await.unwrap();
    let html = made.html().unwrap();
    assert!(html.contains("<h1>Credits and net cost, period 2026-09, node Media</h1>"), "{html}");
    let page = html.split("<script>").next().unwrap();
    assert!(!page.contains(" href=") && !page.contains("src="), "it loads nothing and leads nowhere");
    for title in ["Overview", "Queue", "Credits", "Expiry", "Net cost of Media"] {
        assert!(html.contains(&format!("<section><h1>{title}</h1>")), "{title}: {html}");
    }
    assert!(made.workbook().unwrap().starts_with(b"PK"));
    let refused = async |filter: (&str, &str)| report(&site, &[filter]).await.err().unwrap().to_string();
    assert!(refused(("period", "2020")).await.starts_with("period: the published run has 2026-08 to 2026-10"));
    assert!(refused(("perod", "2026")).await.starts_with("perod is no filter of this page"));
}
