//! Which credit somebody means.

use credit_ledger::Text;
use schemas::tables::Credit;

/// Names that are offered instead of one that is not known.
const NEAR: usize = 3;

/// From which likeness on a name is offered, of 1.
const LIKE: f64 = 0.55;

/// Why a text names no credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfound {
    /// It fits several; their keys.
    Ambiguous(Vec<Text>),
    /// It fits none; keys of those that are like it, the nearest first.
    Unknown(Vec<Text>),
}

/// The credit of this key, else the only one of this name, else the only one whose key or name begins so, whatever the case.
///
/// # Errors
/// [`Unfound`] where that is none, or several.
pub fn find<'a>(credits: &'a [Credit], text: &str) -> Result<&'a Credit, Unfound> {
    if let Some(exact) = credits.iter().find(|credit| credit.credit_key == text) {
        return Ok(exact);
    }
    let named: Vec<&Credit> = credits.iter().filter(|credit| credit.promotion_code == text).collect();
    let folded = text.to_lowercase();
    let begins = |name: &Text| !folded.is_empty() && name.to_lowercase().starts_with(&folded);
    let begun =
        || credits.iter().filter(|credit| begins(&credit.credit_key) || begins(&credit.promotion_code)).collect();
    let fitting: Vec<&Credit> = if named.is_empty() { begun() } else { named };
    match fitting.as_slice() {
        [only] => Ok(only),
        [] => Err(Unfound::Unknown(near(credits, &folded))),
        several => Err(Unfound::Ambiguous(several.iter().map(|credit| credit.credit_key.clone()).collect())),
    }
}

/// Keys of credits whose key or name holds the text or is like it.
fn near(credits: &[Credit], folded: &str) -> Vec<Text> {
    let likeness = |name: &Text| {
        let name = name.to_lowercase();
        let holds = !folded.is_empty() && name.contains(folded);
        if holds { 1.0 } else { strsim::normalized_damerau_levenshtein(&name, folded) }
    };
    let mut near: Vec<(f64, &Text)> = credits
        .iter()
        .map(|credit| (likeness(&credit.credit_key).max(likeness(&credit.promotion_code)), &credit.credit_key))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .collect();
    near.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(right.1)));
    near.into_iter().take(NEAR).map(|(_, key)| key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::credit;

    fn credits() -> Vec<Credit> {
        let named = |key: &str, name: &str| Credit { promotion_code: name.into(), ..credit(key) };
        vec![
            named("code:MAP 2026@111122223333", "MAP 2026"),
            named("code:MAP 2026@444455556666", "MAP 2026"),
            named("id:77", "Activate"),
            named("id:771", "Goodwill"),
            named("id:9", "id:77"),
        ]
    }

    fn found(text: &str) -> Result<String, Unfound> {
        find(&credits(), text).map(|credit| credit.credit_key.to_string())
    }

    #[test]
    fn key_goes_before_a_name_and_a_whole_name_before_a_beginning() {
        assert_eq!(found("id:77").unwrap(), "id:77", "although id:9 is called so and id:771 begins so");
        assert_eq!(found("Activate").unwrap(), "id:77");
        assert_eq!(found("good").unwrap(), "id:771", "whatever the case");
        assert_eq!(found("CODE:map 2026@4").unwrap(), "code:MAP 2026@444455556666");
    }

    #[test]
    fn name_of_several_credits_tells_their_keys() {
        let both: [Text; 2] = ["code:MAP 2026@111122223333".into(), "code:MAP 2026@444455556666".into()];
        assert_eq!(found("MAP 2026"), Err(Unfound::Ambiguous(both.to_vec())));
        assert_eq!(found("map"), Err(Unfound::Ambiguous(both.to_vec())));
    }

    #[test]
    fn what_is_unknown_is_answered_with_the_nearest_and_nothing_with_nothing() {
        assert_eq!(found("Activaet"), Err(Unfound::Unknown(vec!["id:77".into()])));
        let holds: [Text; 2] = ["code:MAP 2026@111122223333".into(), "code:MAP 2026@444455556666".into()];
        assert_eq!(found("2026"), Err(Unfound::Unknown(holds.to_vec())), "what holds the text is near it");
        assert_eq!(found("Enterprise discount"), Err(Unfound::Unknown(vec![])));
        assert_eq!(found(""), Err(Unfound::Unknown(vec![])));
    }
}
