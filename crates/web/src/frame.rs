//! The frame of a document.

use maud::{DOCTYPE, Markup, html};

use crate::assets::{ICON, SCRIPT, STYLE};

/// The head of a document: what it is called, how it looks.
pub(crate) fn html_head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · finops-credits" }
            link rel="stylesheet" href=(STYLE.address());
            link rel="icon" href=(ICON.address()) type="image/svg+xml";
            script defer src=(SCRIPT.address()) {}
        }
    }
}

/// A page without anything around it, for errors.
pub(crate) fn plain(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (html_head(title))
            body.plain { main id="main" { h1 { (title) } (body) p { a href="/" { "Overview" } } } }
        }
    }
}
