//! The register of credits: a function of the current credit lines.
//!
//! `first_cur_date` is the earliest usage date among a credit's lines, `issue_date` the day before, unless somebody
//! set it by hand in `credits_log`. Lines of one key may differ in name, account or payer: the register shows those of
//! the earliest line, by usage date, billing period, payer, account, description.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDateTime};
use credit_ledger::{Money, Text, within_years};
use schemas::reference::{Problem, Problems};
use schemas::tables::{AllocationLogRow, AppliedByAws, CreditLogRow, RegisteredCredit};

use crate::error::DetectError;
use crate::history::{CreditHistory, FirstLine, History, money_error};

/// Source of an issue date inferred from the export.
pub const CUR_INFERRED: &str = "cur_inferred";
/// Source of an issue date set by hand.
pub const MANUAL: &str = "manual";

/// The register and the AWS book by credit, as of a period.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Register {
    /// By key.
    pub credits: Vec<RegisteredCredit>,
    /// By period and key.
    pub applied: Vec<AppliedByAws>,
}

/// Derives the register from the credit lines of all periods.
///
/// A credit without any line, in any period, stays as last known while it is allocated.
///
/// # Errors
/// [`ReadError::BadExport`](cur_reader::ReadError::BadExport) for one key in two currencies or an issue date that cannot be meant,
/// [`DetectError::Money`] where a sum leaves the range of money.
pub fn register(
    history: &CreditHistory,
    log: &[CreditLogRow],
    allocations: &[AllocationLogRow],
) -> Result<Register, DetectError> {
    let credits = history.credits();
    let mut problems = Problems::default();
    let mut newest = newest_revisions(log).into_iter().peekable();
    let mut gone = Vec::new();
    let mut register = Register { credits: Vec::with_capacity(credits.len()), applied: Vec::new() };
    for (credit_key, history) in credits {
        if history.currencies.len() > 1 {
            problems.0.push(several_currencies(credit_key, &history.currencies));
        }
        while let Some(row) = newest.next_if(|row| row.credit_key < *credit_key) {
            gone.push(row);
        }
        let logged = newest.next_if(|row| row.credit_key == *credit_key);
        let Some(first) = &history.first else { continue };
        register.credits.push(registered(first, logged, history)?);
        let applied = history.applied.iter().map(|(period, amount)| AppliedByAws {
            billing_period: *period,
            credit_key: credit_key.clone(),
            aws_applied: *amount,
        });
        register.applied.extend(applied);
    }
    gone.extend(newest);
    let allocated = allocated(allocations);
    let kept = gone.into_iter().filter(|row| allocated.contains(&row.credit_key));
    register.credits.extend(kept.map(last_known));
    problems.0.extend(register.credits.iter().filter_map(wrong_issue_date));
    problems.or(())?;
    register.credits.sort_by(|left, right| left.credit_key.cmp(&right.credit_key));
    // Stable: of one period credits stay in order.
    register.applied.sort_by_key(|row| row.billing_period);
    Ok(register)
}

/// A credit as its first line shows it.
fn registered(
    FirstLine { line, .. }: &FirstLine,
    logged: Option<&CreditLogRow>,
    history: &History,
) -> Result<RegisteredCredit, DetectError> {
    let manual = logged.filter(|row| row.issue_date_source == MANUAL);
    let inferred = line.usage_date.checked_sub_days(Days::new(1)).unwrap_or(line.usage_date);
    let aws_applied = Money::total(history.applied.values().copied());
    Ok(RegisteredCredit {
        credit_key: line.credit_key.clone(),
        promotion_code: line.promotion_code.clone(),
        account_id: line.credit_account_id.clone(),
        owner_account_id: line.owner_account_id.clone(),
        credit_id: line.credit_id.clone(),
        payer_account_id: line.payer_account_id.clone(),
        currency: line.currency.clone(),
        description: line.description.clone(),
        credit_class: line.credit_class.clone(),
        first_cur_date: line.usage_date,
        issue_date: manual.map_or(inferred, |row| row.issue_date),
        issue_date_source: manual.map_or(CUR_INFERRED, |_| MANUAL).into(),
        last_cur_date: history.last_cur_date,
        aws_applied: aws_applied.map_err(|source| money_error(&line.credit_key, source))?,
    })
}

/// The newest row of each key, in order of the key.
fn newest_revisions(log: &[CreditLogRow]) -> Vec<&CreditLogRow> {
    let mut newest: Vec<&CreditLogRow> = log.iter().collect();
    let newest_first = |row: &&CreditLogRow| Reverse((row.revision, row.detected_at));
    newest.sort_by(|left, right| {
        let by_key = left.credit_key.cmp(&right.credit_key);
        let by_age = || newest_first(left).cmp(&newest_first(right)).then_with(|| right.run_id.cmp(&left.run_id));
        by_key.then_with(by_age)
    });
    newest.dedup_by(|older, newer| older.credit_key == newer.credit_key);
    newest
}

/// The credits whose newest allocation is one.
fn allocated(allocations: &[AllocationLogRow]) -> BTreeSet<&Text> {
    let mut newest: BTreeMap<&Text, &AllocationLogRow> = BTreeMap::new();
    for row in allocations {
        let known = newest.entry(&row.credit_key).or_insert(row);
        if (row.recorded_at, &row.allocation_id) >= (known.recorded_at, &known.allocation_id) {
            *known = row;
        }
    }
    newest.into_iter().filter(|(_, row)| row.action == "allocate").map(|(key, _)| key).collect()
}

fn several_currencies(key: &str, currencies: &BTreeSet<Text>) -> Problem {
    let currencies: Vec<&str> = currencies.iter().map(Text::as_str).collect();
    let message = format!(
        "has lines in {}, but a credit has one currency; if these are two credits, tell them apart with \
         [credits] description_patterns",
        currencies.join(" and ")
    );
    Problem { file: format!("credit {key}"), row: None, column: None, message }
}

/// A date that nobody can have meant: balances have a month for every month from it on. No line has one that was read
/// since lines are checked for it.
fn wrong_issue_date(credit: &RegisteredCredit) -> Option<Problem> {
    let wrong = within_years(credit.issue_date).err()?;
    let is_inferred = credit.issue_date_source == CUR_INFERRED && credit.last_cur_date.is_some();
    let remedy = match is_inferred {
        true => "take its billing period out of the lake with `lake drop-period` and run again",
        false => "append a revision with the right date to credits_log",
    };
    let message = format!("issue date {wrong}; {remedy}");
    Some(Problem { file: format!("credit {}", credit.credit_key), row: None, column: None, message })
}

fn last_known(row: &CreditLogRow) -> RegisteredCredit {
    RegisteredCredit {
        credit_key: row.credit_key.clone(),
        promotion_code: row.promotion_code.clone(),
        account_id: row.account_id.clone(),
        owner_account_id: row.owner_account_id.clone(),
        credit_id: row.credit_id.clone(),
        payer_account_id: row.payer_account_id.clone(),
        currency: row.currency.clone(),
        description: row.description.clone(),
        credit_class: row.credit_class.clone(),
        first_cur_date: row.first_cur_date,
        issue_date: row.issue_date,
        issue_date_source: row.issue_date_source.clone(),
        last_cur_date: None,
        aws_applied: Money::ZERO,
    }
}

/// The journal's new rows: a revision for each credit that is new or changed.
#[must_use]
pub fn journal(
    register: &Register,
    log: &[CreditLogRow],
    run_id: &str,
    detected_at: NaiveDateTime,
) -> Vec<CreditLogRow> {
    let mut newest = newest_revisions(log).into_iter().peekable();
    let rows = register.credits.iter().filter_map(|credit| {
        while newest.next_if(|row| row.credit_key < credit.credit_key).is_some() {}
        let known = newest.next_if(|row| row.credit_key == credit.credit_key);
        if known.is_some_and(|known| says(known, credit)) {
            return None;
        }
        Some(CreditLogRow {
            credit_key: credit.credit_key.clone(),
            revision: known.map_or(1, |row| row.revision.saturating_add(1)),
            promotion_code: credit.promotion_code.clone(),
            account_id: credit.account_id.clone(),
            owner_account_id: credit.owner_account_id.clone(),
            credit_id: credit.credit_id.clone(),
            payer_account_id: credit.payer_account_id.clone(),
            currency: credit.currency.clone(),
            description: credit.description.clone(),
            credit_class: credit.credit_class.clone(),
            first_cur_date: credit.first_cur_date,
            issue_date: credit.issue_date,
            issue_date_source: credit.issue_date_source.clone(),
            detected_at,
            run_id: run_id.into(),
        })
    });
    rows.collect()
}

/// True if the row says of the credit what is known now.
fn says(row: &CreditLogRow, credit: &RegisteredCredit) -> bool {
    let logged = (&row.promotion_code, &row.account_id, &row.owner_account_id, &row.credit_id, &row.payer_account_id);
    let known = (
        &credit.promotion_code,
        &credit.account_id,
        &credit.owner_account_id,
        &credit.credit_id,
        &credit.payer_account_id,
    );
    let logged_as = (&row.currency, &row.description, &row.credit_class);
    let known_as = (&credit.currency, &credit.description, &credit.credit_class);
    let logged_dates = (row.first_cur_date, row.issue_date, &row.issue_date_source);
    let known_dates = (credit.first_cur_date, credit.issue_date, &credit.issue_date_source);
    logged == known && logged_as == known_as && logged_dates == known_dates
}

#[cfg(test)]
mod tests {
    use schemas::tables::CreditLine;

    use super::*;

    /// Lines of a period: key, day, currency, amount.
    fn add(history: &mut CreditHistory, period: &str, lines: &[(&str, &str, &str, &str)]) {
        let lines: Vec<CreditLine> = lines
            .iter()
            .map(|(key, day, currency, amount)| CreditLine {
                credit_key: (*key).into(),
                usage_date: format!("{period}-{day}").parse().unwrap(),
                payer_account_id: "1".into(),
                account_id: "1".into(),
                service: None,
                currency: (*currency).into(),
                description: None,
                promotion_code: format!("{key} seen on {day}").into(),
                credit_account_id: "1".into(),
                owner_account_id: None,
                credit_id: None,
                credit_class: "other".into(),
                amount: amount.parse().unwrap(),
            })
            .collect();
        history.add(period.parse().unwrap(), lines).unwrap();
    }

    fn shown(register: &Register) -> (Vec<String>, Vec<String>) {
        let credits = register.credits.iter().map(|credit| format!("{} {}", credit.promotion_code, credit.aws_applied));
        let applied = register.applied.iter();
        let applied = applied.map(|row| format!("{} {} {}", row.billing_period, row.credit_key, row.aws_applied));
        (credits.collect(), applied.collect())
    }

    #[test]
    fn the_register_is_the_same_in_whatever_order_lines_are_added() {
        let january: [&[_]; 2] = [&[("b", "07", "USD", "-1")], &[("b", "08", "USD", "-2"), ("d", "01", "USD", "-4")]];
        let february =
            [("b", "02", "USD", "-6"), ("d", "09", "USD", "-32"), ("a", "03", "USD", "-8"), ("b", "04", "USD", "-10")];
        let registers = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]].map(|order| {
            let mut history = CreditHistory::until("2026-02".parse().unwrap());
            for batch in order {
                match january.get(batch) {
                    Some(lines) => add(&mut history, "2026-01", lines),
                    None => add(&mut history, "2026-02", &february),
                }
            }
            add(&mut history, "2026-03", &[("c", "01", "USD", "-64"), ("b", "01", "USD", "-64")]);
            shown(&register(&history, &[], &[]).unwrap())
        });
        for (credits, applied) in registers {
            let amounts = ["a seen on 03 8.0000000000", "b seen on 07 19.0000000000", "d seen on 01 36.0000000000"];
            assert_eq!(credits, amounts, "lines of later periods do not count");
            let by_period = [
                "2026-01 b 3.0000000000",
                "2026-01 d 4.0000000000",
                "2026-02 a 8.0000000000",
                "2026-02 b 16.0000000000",
                "2026-02 d 32.0000000000",
            ];
            assert_eq!(applied, by_period);
        }
    }

    #[test]
    fn one_credit_in_two_currencies_is_an_error_that_names_both() {
        let mut history = CreditHistory::until("2026-02".parse().unwrap());
        add(&mut history, "2026-02", &[("a", "02", "USD", "-1"), ("b", "01", "EUR", "-1")]);
        add(&mut history, "2026-01", &[("b", "05", "USD", "-1"), ("c", "05", "USD", "-1"), ("c", "05", "GBP", "-1")]);
        let error = register(&history, &[], &[]).unwrap_err().to_string();
        assert!(error.contains("credit b: has lines in EUR and USD, but a credit has one currency"), "{error}");
        assert!(error.contains("credit c: has lines in GBP and USD, but a credit has one currency"), "{error}");
        assert!(!error.contains("credit a"), "{error}");
    }

    #[test]
    fn only_the_newest_revision_of_a_credit_counts_and_only_changes_are_recorded() {
        let mut history = CreditHistory::until("2026-01".parse().unwrap());
        add(&mut history, "2026-01", &[("b", "05", "USD", "-1"), ("c", "05", "USD", "-1")]);
        let made = |key: &str, revision, issue_date: &str, source: &str| CreditLogRow {
            revision,
            issue_date: issue_date.parse().unwrap(),
            issue_date_source: source.into(),
            ..row_of(key)
        };
        let log = [
            made("b", 2, "2026-01-03", MANUAL),
            made("a", 1, "2026-01-01", CUR_INFERRED),
            made("b", 1, "2026-01-02", MANUAL),
        ];
        let register = register(&history, &log, &[]).unwrap();
        let dates = register.credits.iter().map(|credit| format!("{} {}", credit.credit_key, credit.issue_date));
        assert_eq!(dates.collect::<Vec<_>>(), ["b 2026-01-03", "c 2026-01-04"], "what is gone and not allocated goes");
        let new = journal(&register, &log, "r", NaiveDateTime::default());
        let new: Vec<_> = new.iter().map(|row| (row.credit_key.as_str(), row.revision)).collect();
        assert_eq!(new, [("c", 1)]);
    }

    #[test]
    fn issue_date_set_by_hand_to_a_mistyped_year_is_an_error_that_names_the_credit() {
        let mut history = CreditHistory::until("2026-12".parse().unwrap());
        add(&mut history, "2026-01", &[("a", "05", "USD", "-1")]);
        let manual = |issue_date: &str| CreditLogRow {
            issue_date: issue_date.parse().unwrap(),
            issue_date_source: MANUAL.into(),
            ..row_of("a")
        };
        assert_eq!(
            register(&history, &[manual("0026-01-04")], &[]).unwrap_err().to_string(),
            "credit a: issue date 0026-01-04 is not in the years 2006 to 2100; append a revision with the right date to \
             credits_log"
        );
        assert!(register(&history, &[manual("2025-12-04")], &[]).is_ok());
    }

    fn row_of(key: &str) -> CreditLogRow {
        CreditLogRow {
            credit_key: key.into(),
            revision: 1,
            promotion_code: format!("{key} seen on 05").into(),
            account_id: "1".into(),
            owner_account_id: None,
            credit_id: None,
            payer_account_id: "1".into(),
            currency: "USD".into(),
            description: None,
            credit_class: "other".into(),
            first_cur_date: "2026-01-05".parse().unwrap(),
            issue_date: "2026-01-04".parse().unwrap(),
            issue_date_source: CUR_INFERRED.into(),
            detected_at: NaiveDateTime::default(),
            run_id: "r".into(),
        }
    }
}
