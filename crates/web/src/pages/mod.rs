//! The pages, a file each: what is read, and what is shown of it.

pub(crate) mod allocate;
pub(crate) mod credit;
pub(crate) mod credits;
pub(crate) mod expiry;
pub(crate) mod help;
pub(crate) mod months;
pub(crate) mod net_cost;
pub(crate) mod nodes;
pub(crate) mod overview;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod runs;
pub(crate) mod summaries;

use form_urlencoded::byte_serialize;
use maud::{Markup, html};

use crate::asked::Asked;

/// What `done` says after something was recorded.
pub(crate) const DONE: &str = "recorded";

/// What a person is told after something was recorded.
pub(crate) fn done(asked: &Asked) -> Markup {
    html! {
        @if asked.filter.stated("done") == Some(DONE) {
            p.done role="status" {
                "Recorded. It counts from the next run; " a href="/runs" { "Runs" } " starts one."
            }
        }
    }
}

/// The address of a credit's page.
pub(crate) fn credit_address(key: &str) -> String {
    format!("/credits/{}", segment(key))
}

/// The address of the form that allocates a credit.
pub(crate) fn allocate_address(key: &str) -> String {
    format!("/credits/{}/allocate", segment(key))
}

/// A text as one part of a path.
fn segment(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_credit_is_one_part_of_the_path() {
        let address = allocate_address("code:MAP 2/3 + x?@41");
        assert_eq!(address, "/credits/code%3AMAP%202%2F3%20%2B%20x%3F%4041/allocate");
    }
}
