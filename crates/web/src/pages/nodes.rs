//! Nodes that fit what is typed, for the picker.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::asked::Asked;
use crate::error::failed;

/// Nodes that are offered at once.
const MOST: usize = 30;

#[derive(Serialize)]
struct Offered {
    node: String,
    level: usize,
    owner: Option<String>,
}

pub(crate) async fn show(asked: Asked) -> Response {
    let reference = match asked.context.reference_files().await {
        Ok(reference) => reference,
        Err(failure) => return failed(&failure),
    };
    // Every word has to be in the path.
    let search = asked.filter.search.clone().unwrap_or_default().to_lowercase();
    let words: Vec<&str> = search.split(|character: char| character.is_whitespace() || character == '/').collect();
    let mut found: Vec<((bool, bool), Offered)> = Vec::new();
    for (node, owner) in reference.hierarchy.nodes() {
        let text = node.to_string();
        let folded = text.to_lowercase();
        if words.iter().all(|word| folded.contains(word)) && asked.access.sees(node) {
            let in_name = words.iter().all(|word| node.name().to_lowercase().contains(word));
            let owner = owner.owner_email.as_ref().map(ToString::to_string);
            let is_it = folded == asked.filter.search.as_deref().unwrap_or_default().to_lowercase();
            found.push(((!is_it, !in_name), Offered { node: text, level: node.level(), owner }));
        }
    }
    // Those whose own name fits come first, the higher ones before those below them.
    found.sort_by(|left, right| (left.0, left.1.level, &left.1.node).cmp(&(right.0, right.1.level, &right.1.node)));
    let offered: Vec<Offered> = found.into_iter().map(|(_, offered)| offered).take(MOST).collect();
    let json = serde_json::to_string(&offered).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}
