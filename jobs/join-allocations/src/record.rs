//! What people record, checked before it goes to the log.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use credit_ledger::{BillingPeriod, Money, Node, Quoted, Text};
use schemas::NodeColumns;
use schemas::reference::{Action, AllocationRow, CreditName, Hierarchy, Problem, Problems, nearest};
use schemas::tables::{AllocationLogRow, RegisteredCredit};
use sha2::{Digest, Sha256};

pub use crate::recording::{Recording, Stamp};

use crate::lots::{move_problem, row_problems};
use crate::recording::said;
use crate::renamed::by_present_names;

/// Rows for the log, and what a person should know about them.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Revisions {
    /// To append, all at once.
    #[serde(rename = "recorded")]
    pub rows: Vec<AllocationLogRow>,
    /// Nothing is wrong, but it may not be meant.
    pub warnings: Vec<String>,
    /// Rows that stand in the log already, to the letter.
    pub already_recorded: usize,
}

/// Turns entered rows into revisions: rows of one credit with one `recorded_at` are the lots of one.
///
/// # Errors
/// [`Problems`] of all rows; then nothing may be recorded.
pub fn revisions(
    entered: &[AllocationRow],
    register: &[RegisteredCredit],
    hierarchy: &Hierarchy,
    log: &[AllocationLogRow],
    recording: &Recording,
) -> Result<Revisions, Problems> {
    let log = &by_present_names(log, hierarchy);
    let (groups, mut problems) = grouped(entered, register, recording);
    let mut found = Revisions::default();
    for ((recorded_at, _), group) in &groups {
        let rows = revision(*recorded_at, group, hierarchy, recording);
        for ((entered, credit), row) in group.iter().zip(&rows) {
            let mut wrong = row_problems(row, credit, hierarchy);
            wrong.extend(move_problem(row, credit, &rows.iter().collect::<Vec<_>>()));
            wrong.extend(whole_problem(entered, group));
            suggest_node(&mut wrong, row, hierarchy);
            if *recorded_at > recording.now {
                wrong.push(format!("recorded_at {recorded_at} is in the future"));
            }
            if entered.recorded_at.is_none() && recording.stamp == Stamp::Clock {
                wrong.extend(clock_is_behind(row, log));
            }
            problems.0.extend(wrong.into_iter().map(|message| Problem { message, ..entered.at.clone() }));
        }
        let is_id_stated = group.iter().any(|(entered, _)| entered.allocation_id.is_some());
        let (known, new): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| is_recorded(row, is_id_stated, log, recording));
        found.already_recorded += known.len();
        found.warnings.extend(warnings(&new, group, log));
        found.rows.extend(new);
    }
    problems.0.sort_by_key(|problem| problem.row);
    problems.or(found)
}

/// Adds the node that may have been meant to what is wrong with one that is not there.
fn suggest_node(problems: &mut [String], row: &AllocationLogRow, hierarchy: &Hierarchy) {
    let Some(problem) = problems.iter_mut().find(|problem| problem.starts_with("node ")) else { return };
    let missing = row.node().ok().filter(|node| !hierarchy.contains(node));
    if let Some(similar) = missing.and_then(|node| hierarchy.similar(&node)) {
        problem.push_str(&format!("; did you mean {similar}?"));
    }
}

/// The rows of a revision after which what is left of a lot sits elsewhere from a billing period on. `current` are the rows
/// that count now, by lot; without a number the one lot is meant that has not gone on elsewhere.
///
/// # Errors
/// What to tell the person.
pub fn move_lot(
    current: &[&AllocationLogRow],
    lot: Option<i32>,
    from_period: BillingPeriod,
    to: &Node,
) -> Result<Vec<AllocationRow>, String> {
    let goes_on = |row: &AllocationLogRow| current.iter().any(|other| other.continues_lot == Some(row.lot));
    let here: Vec<&AllocationLogRow> = current.iter().copied().filter(|row| !goes_on(row)).collect();
    let told = || {
        let node = |row: &AllocationLogRow| row.node().map(|node| node.to_string()).unwrap_or_default();
        here.iter().map(|row| format!("{} on {}", row.lot, node(row))).collect::<Vec<_>>().join(", ")
    };
    let from = match (lot, here.as_slice()) {
        (None, [one]) => one,
        (None, []) => return Err("it has no lot".to_owned()),
        (None, _) => return Err(format!("it has several lots; name one as KEY:LOT: {}", told())),
        (Some(number), _) => here
            .iter()
            .find(|row| row.lot == number)
            .ok_or_else(|| format!("lot {number} is not there, or has gone on elsewhere; there are {}", told()))?,
    };
    if from.node().is_ok_and(|node| node == *to) {
        return Err(format!("lot {} is on {to} already", from.lot));
    }
    let mut rows: Vec<AllocationRow> = current.iter().map(|row| entered_again(row)).collect();
    let moved = AllocationRow {
        amount: None,
        node: Some(to.clone()),
        from_period: Some(from_period),
        continues_lot: Some(from.lot),
        ..entered_again(from)
    };
    rows.push(moved);
    Ok(rows)
}

/// A recorded row as it would be entered for another revision.
fn entered_again(row: &AllocationLogRow) -> AllocationRow {
    AllocationRow {
        at: Problem { file: "move".to_owned(), row: None, column: None, message: String::new() },
        credit: CreditName::Key(row.credit_key.clone()),
        action: Action::Allocate,
        amount: row.amount,
        currency: row.currency.clone(),
        end_date: row.end_date,
        reference: row.reference.clone(),
        node: row.node().ok(),
        allocation_id: None,
        recorded_at: None,
        recorded_by: None,
        note: None,
        from_period: row.from_period.as_ref().and_then(|period| period.parse().ok()),
        continues_lot: row.continues_lot,
    }
}

/// A row and the credit that it names.
type Entered<'a> = (&'a AllocationRow, &'a RegisteredCredit);

/// The rows by revision: those of one credit with one `recorded_at`. And what is wrong with those that name no credit.
pub(crate) fn grouped<'a>(
    entered: &'a [AllocationRow],
    register: &'a [RegisteredCredit],
    recording: &Recording,
) -> (BTreeMap<(NaiveDateTime, &'a str), Vec<Entered<'a>>>, Problems) {
    let (mut groups, mut problems) = (BTreeMap::new(), Problems::default());
    for row in entered {
        match find(&row.credit, register) {
            Ok(credit) => {
                let recorded_at = row.recorded_at.unwrap_or(recording.recorded_at);
                let group: &mut Vec<Entered<'a>> = groups.entry((recorded_at, credit.credit_key.as_str())).or_default();
                group.push((row, credit));
            }
            Err(message) => problems.0.push(Problem { message, ..row.at.clone() }),
        }
    }
    (groups, problems)
}

/// The registered credit that a name stands for.
///
/// # Errors
/// What to tell the person.
pub fn find<'a>(name: &CreditName, register: &'a [RegisteredCredit]) -> Result<&'a RegisteredCredit, String> {
    match name {
        CreditName::Key(key) => register.iter().find(|credit| credit.credit_key == *key).ok_or_else(|| {
            match nearest(key, register, |credit| credit.credit_key.to_string()) {
                Some(similar) => format!("credit {key} is not registered; did you mean {}?", similar.credit_key),
                None => format!("credit {key} is not registered; `queue` and `credits` list those that are"),
            }
        }),
        CreditName::Code { promotion_code, account_id } => {
            let quoted = Quoted(promotion_code);
            let matches: Vec<&RegisteredCredit> = register
                .iter()
                .filter(|credit| credit.promotion_code == *promotion_code && credit.account_id == *account_id)
                .collect();
            match matches.as_slice() {
                [credit] => Ok(credit),
                [] => Err(format!(
                    "no credit {quoted} of account {account_id} is registered; `queue` and `credits` list those that are"
                )),
                several => {
                    let keys: Vec<&str> = several.iter().map(|credit| credit.credit_key.as_str()).collect();
                    Err(format!(
                        "{quoted} of account {account_id} stands for {} credits: {}; name one by its key",
                        several.len(),
                        keys.join(", ")
                    ))
                }
            }
        }
    }
}

pub(crate) fn revision(
    recorded_at: NaiveDateTime,
    group: &[Entered<'_>],
    hierarchy: &Hierarchy,
    recording: &Recording,
) -> Vec<AllocationLogRow> {
    let mut rows: Vec<AllocationLogRow> = (1..)
        .zip(group)
        .map(|(lot, (entered, credit))| {
            let meant = entered.node.as_ref().map(|node| hierarchy.renames().meant(node));
            let levels = meant.as_ref().map(credit_ledger::Node::levels).unwrap_or_default();
            let [business_unit, department, portfolio, product] = levels;
            AllocationLogRow {
                allocation_id: entered.allocation_id.clone().unwrap_or_default(),
                lot,
                credit_key: credit.credit_key.clone(),
                action: Text::new_static(entered.action.name()),
                business_unit,
                department,
                portfolio,
                product,
                amount: entered.amount,
                currency: entered.currency.clone(),
                end_date: entered.end_date,
                reference: entered.reference.clone(),
                recorded_by: recording.signed(entered.recorded_by.as_ref()),
                recorded_at,
                note: entered.note.clone(),
                from_period: entered.from_period.map(|period| period.to_string().into()),
                continues_lot: entered.continues_lot,
            }
        })
        .collect();
    let stated = rows.iter().map(|row| row.allocation_id.clone()).find(|id| !id.is_empty());
    let id = stated.unwrap_or_else(|| content_id(&rows));
    for row in &mut rows {
        row.allocation_id.clone_from(&id);
    }
    rows
}

/// An id that is the same for the same content, so that recording twice is seen. People's data carry it, so its encoding
/// is frozen: columns that came later are in it only where they have a value.
///
/// `alc-` and the first 10 bytes, in hexadecimal, of the SHA-256 of all lots' fields in this order. A field is 0 where it is
/// null, else 1, the length of its text (u64, little endian) and the text.
fn content_id(rows: &[AllocationLogRow]) -> Text {
    let mut digest = Sha256::new();
    for row in rows {
        let fields = [
            Some(row.lot.to_string()),
            Some(row.credit_key.to_string()),
            Some(row.action.to_string()),
            row.business_unit.as_ref().map(Text::to_string),
            row.department.as_ref().map(Text::to_string),
            row.portfolio.as_ref().map(Text::to_string),
            row.product.as_ref().map(Text::to_string),
            row.amount.map(|amount| amount.to_string()),
            row.currency.as_ref().map(Text::to_string),
            row.end_date.map(|date| date.format("%Y-%m-%d").to_string()),
            row.reference.as_ref().map(Text::to_string),
            row.recorded_by.as_ref().map(Text::to_string),
            Some(row.recorded_at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()),
            row.note.as_ref().map(Text::to_string),
        ];
        let later = [row.from_period.as_ref().map(Text::to_string), row.continues_lot.map(|lot| lot.to_string())];
        for field in fields.into_iter().chain(later.into_iter().flatten().map(Some)) {
            digest.update([u8::from(field.is_some())]);
            if let Some(text) = field {
                digest.update((text.len() as u64).to_le_bytes());
                digest.update(text);
            }
        }
    }
    let hex: String = digest.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    format!("alc-{hex}").into()
}

/// True if the log has the row, whoever carried it over. An id that nobody stated may be of an older version of the program.
fn is_recorded(
    row: &AllocationLogRow,
    is_id_stated: bool,
    log: &[AllocationLogRow],
    Recording { caller, .. }: &Recording,
) -> bool {
    let caller = caller.as_deref();
    let mut known = log.iter().filter(|known| known.credit_key == row.credit_key && known.lot == row.lot);
    known.any(|known| {
        let id = if is_id_stated { &row.allocation_id } else { &known.allocation_id };
        let by = |row: &AllocationLogRow| row.recorded_by.as_deref().and_then(|by| said(by, caller)).map(str::to_owned);
        let recorded_by = if by(known) == by(row) { &known.recorded_by } else { &row.recorded_by };
        *known == AllocationLogRow { allocation_id: id.clone(), recorded_by: recorded_by.clone(), ..row.clone() }
    })
}

/// What is wrong between the rows of one revision.
fn whole_problem(entered: &AllocationRow, group: &[(&AllocationRow, &RegisteredCredit)]) -> Option<String> {
    let (first, _) = group.first()?;
    if entered.action != first.action || (entered.action == Action::Revoke && group.len() > 1) {
        return Some("a revocation is one row of its own".to_owned());
    }
    (entered.allocation_id != first.allocation_id).then(|| "the lots of one credit share allocation_id".to_owned())
}

/// When a revision of the row's credit was recorded that is newer than the row: the row would never count.
fn newer_revision(row: &AllocationLogRow, log: &[AllocationLogRow]) -> Option<NaiveDateTime> {
    let of_credit = log.iter().filter(|known| known.credit_key == row.credit_key);
    of_credit.map(|known| known.recorded_at).max().filter(|newest| *newest > row.recorded_at)
}

/// Clocks differ by as much, and people may record at once: of two such revisions the later one counts.
const AT_ONCE: TimeDelta = TimeDelta::minutes(1);

/// What is wrong with a row that is recorded now, where the log has a later one.
fn clock_is_behind(row: &AllocationLogRow, log: &[AllocationLogRow]) -> Option<String> {
    let newer = newer_revision(row, log).filter(|newer| *newer > row.recorded_at + AT_ONCE)?;
    Some(format!(
        "credit {} has a revision recorded at {newer}, but now is {}: this one would never count; set the clock, or wait",
        row.credit_key, row.recorded_at
    ))
}

fn warnings(
    rows: &[AllocationLogRow],
    group: &[(&AllocationRow, &RegisteredCredit)],
    log: &[AllocationLogRow],
) -> Vec<String> {
    let (Some(row), Some((_, credit))) = (rows.first(), group.first()) else { return Vec::new() };
    let mut warnings = Vec::new();
    let newer = newer_revision(row, log);
    if let Some(newer) = newer {
        warnings.push(format!(
            "credit {}: a revision recorded at {newer} is newer and stays the one that counts",
            row.credit_key
        ));
    }
    let total = Money::total(rows.iter().filter_map(|row| row.amount)).unwrap_or_default();
    if row.action == Action::Allocate.name() && total < credit.aws_applied {
        warnings.push(format!(
            "credit {}: {total} {} is less than the {} that AWS has applied already",
            row.credit_key, credit.currency, credit.aws_applied
        ));
    }
    if let Some(end) = lost_end(rows, log).filter(|_| newer.is_none()) {
        let key = &row.credit_key;
        warnings.push(format!("credit {key}: it had an end, {end}, and has none any more: it will not lapse"));
    }
    warnings
}

/// The end of a credit's newest revision, where the new one has none.
fn lost_end(rows: &[AllocationLogRow], log: &[AllocationLogRow]) -> Option<NaiveDate> {
    let is_open_ended = |row: &AllocationLogRow| row.action == Action::Allocate.name() && row.end_date.is_none();
    let key = &rows.first().filter(|_| rows.iter().all(is_open_ended))?.credit_key;
    let of_credit = || log.iter().filter(|row| row.credit_key == *key);
    let newest = of_credit().max_by_key(|row| (row.recorded_at, &row.allocation_id))?;
    of_credit().filter(|row| row.allocation_id == newest.allocation_id).filter_map(|row| row.end_date).max()
}

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tests {
    use schemas::reference::{parse_hierarchy, parse_renames};

    use super::*;
    use crate::fixtures::{credit, entered};

    fn applied(key: &str) -> RegisteredCredit {
        RegisteredCredit { aws_applied: "40".parse().unwrap(), ..credit(key) }
    }

    fn recorded(rows: &[&str], log: &[AllocationLogRow], at: &str) -> Result<Revisions, Problems> {
        let nodes = b"business_unit,department,portfolio,product\nRetail,,,\nMedia,,,\n";
        let hierarchy = parse_hierarchy("hierarchy.csv", nodes).unwrap();
        let at: NaiveDateTime = at.parse().unwrap();
        let by = Recording {
            caller: None,
            recorded_by: Some("jane".into()),
            recorded_at: at,
            stamp: Stamp::Stated,
            now: at,
        };
        revisions(&entered(rows), &[applied("id:1"), applied("id:2")], &hierarchy, log, &by)
    }

    const AT: &str = "2026-03-05T09:00:00.5";
    const TWO_LOTS: [&str; 2] =
        ["id:1,100,USD,2026-12-31,MAP-1,Retail,,,", "id:1,50.25,USD,,\"Gr\u{f6}\u{df}e \"\"A\"\"\",Media,,,"];

    #[test]
    fn id_of_an_allocation_stays_as_people_have_it() {
        let found = recorded(&TWO_LOTS, &[], AT).unwrap();
        let ids: Vec<(&str, i32)> = found.rows.iter().map(|row| (row.allocation_id.as_str(), row.lot)).collect();
        assert_eq!(ids, [("alc-b8ec2820fd47b30c5482", 1), ("alc-b8ec2820fd47b30c5482", 2)]);
    }

    #[test]
    fn an_old_name_is_recorded_as_the_new_one_and_is_known_again_when_the_log_has_the_old_one() {
        let old = recorded(&TWO_LOTS, &[], AT).unwrap().rows;
        let raw = parse_hierarchy("hierarchy.csv", b"business_unit\nShops\nMedia\n").unwrap();
        let renames = b"old_business_unit,business_unit\nRetail,Shops\n";
        let renames = parse_renames("renames.csv", renames, &raw.nodes().map(|(node, _)| node).collect()).unwrap();
        let (hierarchy, at) = (raw.renamed(renames), AT.parse().unwrap());
        let by = Recording {
            caller: None,
            recorded_by: Some("jane".into()),
            recorded_at: at,
            stamp: Stamp::Stated,
            now: at,
        };
        let found = |log| revisions(&entered(&TWO_LOTS), &[applied("id:1")], &hierarchy, log, &by).unwrap();
        let again = found(&old[..]);
        assert_eq!((again.rows.len(), again.already_recorded), (0, 2));
        let new: Vec<Option<Text>> = found(&[]).rows.into_iter().map(|row| row.business_unit).collect();
        assert_eq!(new, [Some("Shops".into()), Some("Media".into())]);
    }

    #[test]
    fn what_is_recorded_twice_is_recorded_once_whatever_id_it_got_then() {
        let mut log = recorded(&TWO_LOTS, &[], AT).unwrap().rows;
        for id in ["alc-of-today", "alc-of-an-older-version"] {
            log.iter_mut().for_each(|row| row.allocation_id = id.into());
            let again = recorded(&TWO_LOTS, &log, AT).unwrap();
            assert_eq!((again.rows.len(), again.already_recorded), (0, 2), "{id}");
        }
        let later = recorded(&TWO_LOTS, &log, "2026-03-06T09:00:00").unwrap();
        assert_eq!((later.rows.len(), later.already_recorded), (2, 0), "another revision");
    }

    #[test]
    fn amount_below_what_aws_has_applied_is_a_warning() {
        let found = recorded(&["id:1,30,USD,,,Retail,,,"], &[], AT).unwrap();
        let warning = "credit id:1: 30.0000000000 USD is less than the 40.0000000000 that AWS has applied already";
        assert_eq!(found.warnings, [warning]);
        assert_eq!(recorded(&["id:1,40,USD,,,Retail,,,"], &[], AT).unwrap().warnings, Vec::<String>::new());
    }

    #[test]
    fn end_that_a_revision_takes_from_a_credit_is_a_warning() {
        let log =
            recorded(&["id:1,40,USD,2026-03-31,,Retail,,,", "id:1,40,USD,2026-12-31,,Media,,,"], &[], AT).unwrap().rows;
        let later = "2026-03-06T09:00:00";
        let warnings = |row: &str| recorded(&[row], &log, later).unwrap().warnings;
        let lost = "credit id:1: it had an end, 2026-12-31, and has none any more: it will not lapse";
        assert_eq!(warnings("id:1,40,USD,,,Retail,,,"), [lost]);
        assert_eq!(warnings("id:1,40,USD,2027-12-31,,Retail,,,"), Vec::<String>::new());
        assert_eq!(warnings("id:2,40,USD,,,Retail,,,"), Vec::<String>::new(), "it had none");
        let earlier = recorded(&["id:1,40,USD,,,Retail,,,"], &log, "2026-03-04T09:00:00").unwrap().warnings;
        assert!(earlier.len() == 1 && earlier[0].contains("is newer and stays"), "{earlier:?}");
    }

    #[test]
    fn all_rows_that_cannot_be_recorded_are_told_and_none_is_recorded() {
        let rows = ["id:1,30,USD,,,Retail,,,", "id:3,30,USD,,,Retail,,,", "id:2,30,EUR,,,Platform,,,"];
        let problems = recorded(&rows, &[], AT).unwrap_err();
        let told: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("row 3") && told[0].contains("credit id:3 is not registered"), "{told:?}");
        assert!(told[1..].iter().all(|problem| problem.contains("row 4")), "{told:?}");
    }
}
