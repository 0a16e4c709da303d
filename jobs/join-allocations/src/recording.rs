//! Who records something, and when: what rows are stamped with that say neither.

use chrono::NaiveDateTime;
use credit_ledger::Text;

/// Stamps for rows that do not carry their own.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Whom AWS names as the one who records, where the lake is there, or whose folder of the inbox it came by: nobody can say
    /// otherwise.
    pub caller: Option<Text>,
    /// Who, as somebody says.
    pub recorded_by: Option<Text>,
    /// When, UTC.
    pub recorded_at: NaiveDateTime,
    /// What this instant is.
    pub stamp: Stamp,
    /// The latest instant at which anything can have been recorded.
    pub now: NaiveDateTime,
}

/// What the instant is at which something counts as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// What the clock says now.
    Clock,
    /// What somebody stated.
    Stated,
    /// When it came into the inbox.
    Arrival,
}

impl Recording {
    /// Who records what somebody says is of this person.
    pub(crate) fn signed(&self, said: Option<&Text>) -> Option<Text> {
        match (&self.caller, said.or(self.recorded_by.as_ref())) {
            (Some(caller), Some(said)) => Some(format!("{caller} ({said})").into()),
            (caller, said) => caller.as_ref().or(said).cloned(),
        }
    }
}

/// Who somebody said it was, without whom AWS or a folder of the inbox named: `jane` of
/// `arn:aws:sts::1:assumed-role/finops/j (jane)`.
pub(crate) fn said<'a>(mut by: &'a str, caller: Option<&str>) -> Option<&'a str> {
    loop {
        let beside = match caller.and_then(|caller| by.strip_prefix(caller)) {
            Some("") => None,
            Some(rest) if rest.starts_with(" (") => rest.strip_prefix(" ("),
            _ if is_named(by) => by.split_once(" (").map(|(_, rest)| rest),
            _ => return Some(by),
        };
        by = beside?.strip_suffix(')')?;
    }
}

/// True for a name that AWS gave: an ARN, or the id of a user or of a role with its session (`AROA…:jane`).
fn is_named(by: &str) -> bool {
    let id = by.split([':', ' ']).next().unwrap_or_default();
    let is_id = ["AROA", "AIDA"].iter().any(|kind| id.starts_with(kind)) && id.len() > 12;
    by.starts_with("arn:") || (is_id && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_aws_names_stands_first_and_what_was_said_beside_it() {
        let at = "2026-03-05T09:00:00.5".parse().unwrap();
        let by = |caller: Option<&str>, said: &str| {
            let recorded_by = Some(said.into()).filter(|said: &Text| !said.is_empty());
            Recording { caller: caller.map(Into::into), recorded_by, recorded_at: at, stamp: Stamp::Stated, now: at }
        };
        let signed = |caller, said, row: Option<&str>| by(caller, said).signed(row.map(Text::from).as_ref());
        let arn = "arn:aws:sts::1:assumed-role/finops/jane";
        assert_eq!(signed(None, "jane", None).as_deref(), Some("jane"));
        assert_eq!(signed(None, "jane", Some("bob")).as_deref(), Some("bob"));
        assert_eq!(signed(Some(arn), "", None).as_deref(), Some(arn));
        assert_eq!(
            signed(Some(arn), "jane", Some("arn:aws:iam::1:user/boss")),
            Some(format!("{arn} (arn:aws:iam::1:user/boss)").into())
        );
        let user = "AROAEXAMPLEID1234:jane";
        for (by, expected) in [
            ("jane", Some("jane")),
            ("AIDA (ops)", Some("AIDA (ops)")),
            (arn, None),
            (user, None),
            (&format!("{arn} (arn:x (jane (ops)))"), Some("jane (ops)")),
            (&format!("{user} ({arn} (jane))"), Some("jane")),
        ] {
            assert_eq!(said(by, None), expected, "{by}");
        }
        let folder = Some("jane (ops)");
        for (by, expected) in [
            ("jane (ops)", None),
            ("jane (ops) (bob)", Some("bob")),
            ("jane", Some("jane")),
            ("jane (opsy)", Some("jane (opsy)")),
        ] {
            assert_eq!(said(by, folder), expected, "{by}");
        }
    }
}
