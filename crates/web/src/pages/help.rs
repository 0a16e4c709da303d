//! Keys, and what the words mean.

use axum::response::Response;
use maud::html;

use crate::answer::answer;
use crate::asked::Asked;
use crate::page::{PLACES, Page};

/// Words of the pages.
const WORDS: [(&str, &str); 11] = [
    (
        "Credit",
        "A grant of AWS, known by its lines in the billing export: by its id where they state one, else by its name and account.",
    ),
    (
        "Allocation",
        "What somebody recorded about a credit: amount, end date, reference, and whose it is. A new one replaces the one before; both stay in its history.",
    ),
    ("Node", "A place in your hierarchy: business unit, department, portfolio, product."),
    ("Lot", "A part of a credit with its own amount, node and end."),
    ("Gross cost", "Charges and tax, before refunds and credits."),
    ("Refunds", "What AWS paid back; negative."),
    (
        "Credits applied",
        "What credits took off the cost of the node that they are allocated to, first in, first out; negative.",
    ),
    ("Net cost", "Gross cost, refunds and credits applied."),
    ("Applied by AWS", "What AWS took off the invoice, on whatever account it chose: the other book."),
    ("Invoiced by AWS", "The invoice: it equals the export's own total to the last decimal."),
    ("Clearing", "Invoiced by AWS less net cost: what the two books differ by."),
];

pub(crate) async fn show(asked: Asked) -> Response {
    let page = Page::new("Keys and words", &[]).for_everybody().text(html! {
        section {
            h2 { "Keys" }
            dl.keys {
                @for (_, name, key) in PLACES { dt { kbd { "g" } " " kbd { (key) } } dd { (name) } }
                dt { kbd { "/" } } dd { "Search" }
                dt { kbd { "?" } } dd { "This page" }
                dt { kbd { "j" } " " kbd { "k" } } dd { "Next and previous row of a table" }
                dt { kbd { "Enter" } } dd { "Open what the row is about" }
                dt { kbd { "a" } } dd { "Allocate or revise the credit of the row" }
                dt { kbd { "Ctrl" } " " kbd { "Enter" } } dd { "Run the SQL" }
                dt { kbd { "Esc" } } dd { "Leave a field, close a list" }
            }
        }
        section {
            h2 { "Words" }
            dl { @for (word, meaning) in WORDS { dt { (word) } dd { (meaning) } } }
        }
    });
    answer(&asked, Ok(page)).await
}
