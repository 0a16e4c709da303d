//! `credits show`.

use serde_json::Value;

use crate::sample::{AS_OF, sample, says};
use crate::support::Workspace;

fn lake() -> Workspace {
    let workspace = sample();
    says(&workspace, &["--run-id", "night-1", "run"]);
    workspace
}

/// Times of recording are those of the run.
fn timeless(text: &str) -> String {
    let is_digit = |character: char| character.is_ascii_digit();
    let words = text.split_inclusive([' ', '\n']);
    let hide = |word: &str| {
        let clock = word.trim_end();
        match clock.split_once(':') {
            Some((hour, minute))
                if hour.len() == 2 && minute.len() == 2 && clock.replace(':', "").chars().all(is_digit) =>
            {
                word.replace(clock, "hh:mm")
            }
            _ => word.to_owned(),
        }
    };
    words.map(hide).collect()
}

#[test]
fn credits_of_the_sample_say_where_they_went_and_why_something_was_left() {
    let workspace = lake();
    for (name, key) in [
        ("expired", "AWS Summit Workshop Credits"),
        ("two_lots", "code:DBA_MAP"),
        ("no_end", "id:10063541877"),
        ("exhausted", "MAP credit - 1/3"),
        ("waiting", "AWS Free Tier"),
    ] {
        insta::assert_snapshot!(
            format!("sample_credit_{name}"),
            timeless(&says(&workspace, &["credits", "show", key]))
        );
    }
}

#[test]
fn revision_that_the_figures_do_not_have_yet_is_a_finding() {
    let workspace = lake();
    let revoke = ["revoke", "--key", "id:10063541877", "--by", "jane"];
    let outcome = workspace.run(AS_OF, &revoke);
    assert_eq!(outcome.exit_code, Some(0), "{}", outcome.stderr);
    let shown: Value =
        serde_json::from_str(&says(&workspace, &["--format", "json", "credits", "show", "id:10063541877"]))
            .expect("JSON");
    let newest = shown["history"].as_array().expect("revisions").last().expect("a revision");
    assert_eq!((&newest["action"], &newest["is_newest"]), (&"revoke".into(), &true.into()));
    let later = serde_json::json!({
        "finding": "recorded_later", "recorded_at": newest["recorded_at"], "recorded_by": "jane"
    });
    assert!(shown["findings"].as_array().expect("findings").contains(&later), "{}", shown["findings"]);
}

#[test]
fn credit_that_nobody_knows_is_told_with_those_that_are_like_it() {
    let workspace = lake();
    let fails = |key: &str| {
        let outcome = workspace.run(AS_OF, &["credits", "show", key]);
        assert_eq!(outcome.stdout, "");
        (outcome.exit_code, outcome.stderr)
    };
    let like = "error: no credit fits AWS Sumit Workshop Credit; did you mean code:AWS Summit Workshop Credits@410000000104?\n";
    assert_eq!(fails("AWS Sumit Workshop Credit"), (Some(3), like.to_owned()));
    let held = "error: no credit fits northwind; `queue` and `credits` list those that are registered\n";
    assert_eq!(fails("northwind"), (Some(3), held.to_owned()));
    let two = "error: 2 credits fit AWS Proof of Concept Credits: code:AWS Proof of Concept Credits@410000000103, code:AWS \
               Proof of Concept Credits@410000000402; give the key of one\n";
    assert_eq!(fails("AWS Proof of Concept Credits"), (Some(3), two.to_owned()));
    assert_eq!(fails("").0, Some(3));
    assert_eq!(workspace.run(AS_OF, &["credits", "show"]).exit_code, Some(2));
    let empty = sample();
    assert_eq!(empty.run(AS_OF, &["credits", "show", "id:1"]).exit_code, Some(4));
}
