//! What a credit line says, the register of credits, and which allocation of a credit counts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};

use super::Settings;
use super::cost::{UNASSIGNED, is_refund_class};
use super::parse::{Line, Node, node};
use super::units::{Money, Period, date};
use crate::support::compare::{Row, csv_rows};

/// The parts of a credit line's description.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) name: String,
    pub(crate) owner: Option<String>,
    pub(crate) id: Option<String>,
}

/// `<name>[, credit from account: <12 digits>][, credit id: <digits>]`, suffixes in any order, white space folded.
pub(crate) fn parse_description(description: Option<&str>) -> Parsed {
    let folded = description.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut name, mut owner, mut id) = (folded.as_str(), None, None);
    while let Some((before, suffix)) = name.rsplit_once(',') {
        let value_of = |label: &str| {
            suffix.trim().strip_prefix(label).map(str::trim).filter(|value| value.chars().all(|c| c.is_ascii_digit()))
        };
        if let Some(digits) = value_of("credit id:").filter(|digits| !digits.is_empty() && id.is_none()) {
            id = Some(digits.to_owned());
        } else if let Some(digits) = value_of("credit from account:").filter(|v| v.len() == 12 && owner.is_none()) {
            owner = Some(digits.to_owned());
        } else {
            break;
        }
        name = before.trim_end();
    }
    let name = if name.is_empty() { "(no description)" } else { name };
    Parsed { name: name.to_owned(), owner, id }
}

/// The class of a credit by its name, first match.
pub(crate) fn class_of(name: &str) -> &'static str {
    let name = name.to_lowercase();
    let classes =
        [("pricing adjustment", "pricing_adjustment"), ("goodwill", "goodwill"), ("contractual", "contractual")];
    classes.iter().find(|(words, _)| name.contains(words)).map_or("promotion", |(_, class)| class)
}

impl Parsed {
    /// The account of the credit whose line is on `line_account`.
    pub(crate) fn account(&self, line_account: &str) -> String {
        self.owner.clone().unwrap_or_else(|| line_account.to_owned())
    }

    /// The key of the credit whose line is on `line_account`.
    pub(crate) fn key(&self, line_account: &str) -> String {
        match &self.id {
            Some(id) => format!("id:{id}"),
            None => format!("code:{}@{}", self.name, self.account(line_account)),
        }
    }
}

/// A registered credit, as its earliest line shows it.
#[derive(Clone, Debug)]
pub(crate) struct Credit {
    pub(crate) promotion_code: String,
    pub(crate) account: String,
    pub(crate) owner: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) payer: String,
    pub(crate) currency: String,
    pub(crate) description: Option<String>,
    pub(crate) class: &'static str,
    pub(crate) first_cur_date: NaiveDate,
    pub(crate) last_cur_date: NaiveDate,
    pub(crate) issue_date: NaiveDate,
    /// What AWS took off, positive, by billing period with a line.
    pub(crate) applied: BTreeMap<Period, Money>,
}

/// Every credit of the lines, by key.
pub(crate) fn register(lines: &[Line], settings: &Settings) -> BTreeMap<String, Credit> {
    let mut credit_lines: Vec<&Line> =
        lines.iter().filter(|line| line.line_type == "Credit" && !is_refund_class(line, settings)).collect();
    credit_lines.sort_by_key(|line| (line.usage_date, line.period, &line.payer, &line.account, &line.description));
    let mut register: BTreeMap<String, Credit> = BTreeMap::new();
    for line in credit_lines {
        let parsed = parse_description(line.description.as_deref());
        let credit = register.entry(parsed.key(&line.account)).or_insert_with(|| Credit {
            class: class_of(&parsed.name),
            account: parsed.account(&line.account),
            promotion_code: parsed.name,
            owner: parsed.owner,
            id: parsed.id,
            payer: line.payer.clone(),
            currency: line.currency.clone(),
            description: line.description.clone(),
            first_cur_date: line.usage_date,
            last_cur_date: line.usage_date,
            issue_date: line.usage_date.pred_opt().expect("a date"),
            applied: BTreeMap::new(),
        });
        assert_eq!(credit.currency, line.currency, "one credit in two currencies: {line:?}");
        credit.last_cur_date = line.usage_date;
        let applied = credit.applied.entry(line.period).or_default();
        *applied = *applied - line.unblended;
    }
    register
}

impl Credit {
    /// The month of the issue date.
    pub(crate) fn issue_period(&self) -> Period {
        Period::of(self.issue_date)
    }

    /// What AWS took off in all periods.
    pub(crate) fn applied_to_date(&self) -> Money {
        self.applied.values().copied().sum()
    }
}

/// An allocation that counts.
#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    /// In the order recorded; numbered from 1.
    pub(crate) lots: Vec<AllocatedLot>,
    pub(crate) recorded_by: String,
    pub(crate) recorded_at: Option<DateTime<Utc>>,
}

/// One lot as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct AllocatedLot {
    pub(crate) node: Node,
    pub(crate) amount: Money,
    pub(crate) end_date: Option<NaiveDate>,
    pub(crate) reference: String,
    /// The lot it continues, by number, and from when.
    pub(crate) continues: Option<(usize, Period)>,
}

/// Where a credit stands after the newest revision.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    Never,
    Revoked,
    Invalid,
    Allocated(Allocation),
}

/// The key of the credit that a row of allocations names.
fn named_credit(row: &Row, register: &BTreeMap<String, Credit>) -> String {
    if !row["credit_key"].is_empty() {
        return row["credit_key"].clone();
    }
    let (code, account) = (&row["promotion_code"], &row["account_id"]);
    let mut keys = register.iter().filter(|(_, c)| &c.promotion_code == code && &c.account == account);
    let (key, _) = keys.next().unwrap_or_else(|| panic!("no credit {code} on {account}"));
    assert!(keys.next().is_none(), "{code} on {account} stands for two credits");
    key.clone()
}

/// A revision is valid when all of it is.
fn is_valid(rows: &[Row], credit: &Credit, nodes: &BTreeSet<Node>) -> bool {
    rows.iter().all(|row| {
        let target = node(row);
        let end = &row["end_date"];
        nodes.contains(&target)
            && target[0] != UNASSIGNED
            && (continues(row).is_some() || Money::parse(&row["amount"]).is_some_and(|amount| amount > Money::ZERO))
            && row["currency"] == credit.currency
            && (end.is_empty() || date(end) >= credit.issue_date)
    })
}

fn continues(row: &Row) -> Option<(usize, Period)> {
    let lot = row.get("continues_lot")?.parse().ok()?;
    Some((lot, Period::parse(&row["from_period"])))
}

fn allocation(rows: &[Row], recorded_at: Option<DateTime<Utc>>) -> Allocation {
    let first = &rows[0];
    let lot = |row: &Row| AllocatedLot {
        node: node(row),
        amount: Money::parse(&row["amount"]).unwrap_or_default(),
        end_date: (!row["end_date"].is_empty()).then(|| date(&row["end_date"])),
        reference: row["reference"].clone(),
        continues: continues(row),
    };
    Allocation {
        lots: rows.iter().map(lot).collect(),
        recorded_by: first.get("recorded_by").cloned().unwrap_or_default(),
        recorded_at,
    }
}

/// Where every registered credit stands by the whole history of allocations.
pub(crate) fn standings(
    history: &str,
    register: &BTreeMap<String, Credit>,
    nodes: &BTreeSet<Node>,
) -> BTreeMap<String, Standing> {
    let mut newest: BTreeMap<String, (Option<DateTime<Utc>>, Vec<Row>)> = BTreeMap::new();
    for row in csv_rows(history) {
        let recorded_at = row.get("recorded_at").map(|text| text.parse().expect("an instant"));
        let (at, rows) = newest.entry(named_credit(&row, register)).or_default();
        if rows.is_empty() || *at < recorded_at {
            (*at, *rows) = (recorded_at, vec![row]);
        } else if *at == recorded_at {
            rows.push(row);
        }
    }
    let standing = |(key, credit): (&String, &Credit)| {
        let standing = match newest.get(key) {
            None => Standing::Never,
            Some((_, rows)) if rows[0].get("action").is_some_and(|action| action == "revoke") => Standing::Revoked,
            Some((at, rows)) if is_valid(rows, credit, nodes) => Standing::Allocated(allocation(rows, *at)),
            Some(_) => Standing::Invalid,
        };
        (key.clone(), standing)
    };
    register.iter().map(standing).collect()
}

#[test]
fn suffixes_are_removed_in_any_order_and_white_space_is_folded() {
    let parsed = |name: &str, owner: Option<&str>, id: Option<&str>| Parsed {
        name: name.to_owned(),
        owner: owner.map(str::to_owned),
        id: id.map(str::to_owned),
    };
    let both = parsed("Promo", Some("111111111111"), Some("77"));
    assert_eq!(parse_description(Some("Promo, credit id: 77, credit from account: 111111111111")), both);
    assert_eq!(parse_description(Some(" Promo ,credit  from account: 111111111111 ,\tcredit id: 77")), both);
    assert_eq!(parse_description(Some("EDP,  year 2")), parsed("EDP, year 2", None, None));
    assert_eq!(parse_description(Some("A, credit from account: 12")), parsed("A, credit from account: 12", None, None));
    assert_eq!(parse_description(None), parsed("(no description)", None, None));
}
