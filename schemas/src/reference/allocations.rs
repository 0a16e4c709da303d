//! `allocations.csv`: allocations entered in bulk, or a history carried over from elsewhere.

use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime};
use credit_ledger::{BillingPeriod, Money, Node, Quoted, Text, within_years};

use super::csv_file::{CsvFile, Problem, Problems, Row};
use crate::TableRow;
use crate::tables::CreditQueue;

/// What a revision does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// Allocates the credit, or replaces its allocation.
    #[default]
    Allocate,
    /// Ends its allocation.
    Revoke,
}

impl Action {
    /// As the log spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allocate => "allocate",
            Self::Revoke => "revoke",
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "allocate" => Ok(Self::Allocate),
            "revoke" => Ok(Self::Revoke),
            _ => Err(format!("{} is not an action; allocate or revoke", Quoted(text))),
        }
    }
}

/// How a person names a credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreditName {
    /// By key.
    Key(Text),
    /// By promotion code and account.
    Code {
        /// The credit's name.
        promotion_code: Text,
        /// The credit's account.
        account_id: Text,
    },
}

/// One row: one lot of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationRow {
    /// File and row, for messages about it.
    pub at: Problem,
    /// The credit.
    pub credit: CreditName,
    /// Allocate or revoke.
    pub action: Action,
    /// Amount; `None` on revoke.
    pub amount: Option<Money>,
    /// ISO 4217 code; `None` on revoke.
    pub currency: Option<Text>,
    /// Last day; `None`: open-ended.
    pub end_date: Option<NaiveDate>,
    /// As recorded.
    pub reference: Option<Text>,
    /// Node; `None` on revoke.
    pub node: Option<Node>,
    /// Id carried over, if any.
    pub allocation_id: Option<Text>,
    /// Instant carried over, UTC, if any.
    pub recorded_at: Option<NaiveDateTime>,
    /// Person carried over, if any.
    pub recorded_by: Option<Text>,
    /// Free text.
    pub note: Option<Text>,
    /// The lot continues another from this period on; then it has no amount.
    pub from_period: Option<BillingPeriod>,
    /// The lot that it continues.
    pub continues_lot: Option<i32>,
}

/// Reads `allocations.csv`. Whether the credits and nodes exist is checked where they are known.
///
/// # Errors
/// All [`Problems`] of the file, of rows that were left empty too.
pub fn parse_allocations(file: &str, bytes: &[u8]) -> Result<Vec<AllocationRow>, Problems> {
    let EnteredAllocations { rows, left_empty, mut problems } = read_allocations(file, bytes);
    problems.0.extend(left_empty);
    problems.0.sort_by_key(|problem| problem.row);
    problems.or(rows)
}

/// What a file of allocations holds: a caller that checks the rows further reports both kinds of problems at once, and takes
/// nothing if there are any.
#[derive(Debug, Default)]
pub struct EnteredAllocations {
    /// The rows that can be read.
    pub rows: Vec<AllocationRow>,
    /// Rows that name a credit and say nothing of it, as those of a queue that nobody filled in; each with what it lacks.
    pub left_empty: Vec<Problem>,
    /// What is wrong with the others.
    pub problems: Problems,
}

/// Columns that somebody fills in.
const FILLED_IN: [&str; 12] = [
    "amount",
    "end_date",
    "reference",
    "business_unit",
    "department",
    "portfolio",
    "product",
    "allocation_id",
    "recorded_at",
    "recorded_by",
    "action",
    "note",
];

/// Reads a file of allocations. A queue that somebody filled in is one, too.
#[must_use]
pub fn read_allocations(file: &str, bytes: &[u8]) -> EnteredAllocations {
    let required = [&["credit_key", "amount", "currency", "end_date", "reference"], &Node::LEVELS[..]].concat();
    let of_log =
        ["allocation_id", "lot", "recorded_at", "recorded_by", "action", "note", "from_period", "continues_lot"];
    // `allocations list` and `queue` show whom to ask, too.
    let shown = ["promotion_code", "account_id", "owner_email", "likely_node", "likely_owner_email"];
    let mut optional = [&shown[..], &of_log[..]].concat();
    // What a queue says of a credit is for whoever fills it in.
    let of_queue = CreditQueue::TABLE.column_names().filter(|name| !required.contains(name));
    optional.extend(of_queue.filter(|name| !["promotion_code", "account_id"].contains(name)));
    let csv = match CsvFile::parse(file, bytes, &required, &optional) {
        Ok(csv) => csv,
        Err(problems) => return EnteredAllocations { problems, ..EnteredAllocations::default() },
    };
    let is_queue = csv.has("days_waiting");
    let mut entered = EnteredAllocations::default();
    let mut rows = Vec::new();
    for row in csv.rows() {
        if FILLED_IN.iter().all(|column| row.get(column).is_none()) && row.get("credit_key").is_some() {
            entered.left_empty.push(row.problem("amount", "is empty"));
            continue;
        }
        let lot = row.number::<u32>("lot", "a whole number");
        match lot.and_then(|lot| Ok((lot, allocation_row(&row, is_queue)?))) {
            Ok(parsed) => rows.push(parsed),
            Err(problem) => entered.problems.0.push(problem),
        }
    }
    // Lots that are not numbered are in the order of the file.
    rows.sort_by_key(|(lot, _)| *lot);
    entered.rows = rows.into_iter().map(|(_, row)| row).collect();
    entered.problems = csv.or(entered.problems, ()).err().unwrap_or_default();
    entered
}

fn allocation_row(row: &Row<'_>, is_queue: bool) -> Result<AllocationRow, Problem> {
    let text = |column| row.get(column).map(Text::new);
    let action: Action = row.parse("action")?.unwrap_or_default();
    let mut parsed = AllocationRow {
        at: row.problem("", ""),
        credit: credit_name(row, is_queue)?,
        action,
        amount: None,
        currency: None,
        end_date: None,
        reference: text("reference"),
        node: None,
        allocation_id: text("allocation_id"),
        recorded_at: instant(row)?,
        recorded_by: text("recorded_by"),
        note: text("note"),
        from_period: row.parse("from_period")?,
        continues_lot: row.number("continues_lot", "a whole number")?,
    };
    if action == Action::Allocate {
        // What is left of the lot that it continues is no amount to state.
        if parsed.continues_lot.is_none() || row.get("amount").is_some() {
            let amount = row.money("amount")?;
            if !amount.is_positive() {
                return Err(row.problem("amount", format!("{amount} is not above zero")));
            }
            parsed.amount = Some(amount);
        }
        parsed.currency = Some(row.currency()?);
        let end_date = row.date("end_date")?.map(within_years).transpose();
        parsed.end_date = end_date.map_err(|wrong| row.problem("end_date", format!("{wrong}; empty: open-ended")))?;
        parsed.node = Some(row.node()?.ok_or_else(|| row.problem(Node::LEVELS[0], "is empty"))?);
    }
    Ok(parsed)
}

fn credit_name(row: &Row<'_>, is_queue: bool) -> Result<CreditName, Problem> {
    let text = |column| row.get(column).map(Text::new);
    // In a queue name and account are for whoever fills it in, and spreadsheets damage account ids in CSV.
    if let Some(key) = text("credit_key").filter(|_| is_queue) {
        return Ok(CreditName::Key(key));
    }
    match (text("credit_key"), text("promotion_code"), row.account_id("account_id")?) {
        (Some(key), _, _) => Ok(CreditName::Key(key)),
        (None, Some(promotion_code), Some(account_id)) => Ok(CreditName::Code { promotion_code, account_id }),
        _ => {
            Err(row.problem("credit_key", "is empty; name the credit by its key, or by promotion_code and account_id"))
        }
    }
}

fn instant(row: &Row<'_>) -> Result<Option<NaiveDateTime>, Problem> {
    let Some(text) = row.get("recorded_at") else { return Ok(None) };
    let zoned = chrono::DateTime::parse_from_rfc3339(text.trim()).map(|instant| instant.naive_utc());
    // Without a zone it is UTC, as the log itself is printed.
    let instant = zoned.or_else(|_| NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%dT%H:%M:%S%.f")).ok();
    let problem = |wrong: String| row.problem("recorded_at", wrong);
    let no_instant = || problem(format!("{} is not an instant (2026-03-05T09:00:00Z)", Quoted(text)));
    let instant = instant.ok_or_else(no_instant)?;
    within_years(instant.date()).map_err(|wrong| problem(wrong.to_string()))?;
    Ok(Some(instant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_id_that_a_spreadsheet_has_damaged_is_named_also_where_the_key_names_the_credit() {
        let header = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                      portfolio,product\n";
        let rows = "Spring,4.1E+11,,5,USD,,,Retail,,,\n,33333,id:7,5,USD,,,Retail,,,\n";
        let problems = parse_allocations("allocations.csv", format!("{header}{rows}").as_bytes()).unwrap_err();
        let expected = "allocations.csv, row 2, column account_id: \"4.1E+11\" is a number as a spreadsheet shows it: \
                        write all 12 digits as text\n\
                        allocations.csv, row 3, column account_id: \"33333\" has 5 digits where an account id has 12: a \
                        spreadsheet drops leading zeros";
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn queue_that_somebody_filled_in_is_read_without_the_rows_left_empty() {
        let header = "credit_key,promotion_code,account_id,credit_class,currency,first_cur_date,days_waiting,amount,end_date,\
                      reference,business_unit,department,portfolio,product\n";
        let rows = "id:1,A,4.1E+11,promotion,USD,2026-01-01,9,,,,,,,\n\
                    id:2,B,33333,promotion,USD,2026-01-01,9,5,,,Retail,,,\n\
                    id:3,B,33333,promotion,USD,2026-01-01,9,,2026-12-31,,,,,\n";
        let file = format!("{header}{rows}");
        let entered = read_allocations("queue.csv", file.as_bytes());
        let keys: Vec<&CreditName> = entered.rows.iter().map(|row| &row.credit).collect();
        assert_eq!(keys, [&CreditName::Key("id:2".into())], "the key counts, whatever became of the account id");
        assert_eq!(entered.left_empty.len(), 1);
        assert_eq!(entered.problems.to_string(), "queue.csv, row 4, column amount: is empty");
        let strict = parse_allocations("allocations.csv", file.as_bytes()).unwrap_err().to_string();
        assert!(strict.starts_with("allocations.csv, row 2, column amount: is empty\n"), "nobody is told: {strict}");
    }

    const HEADER: &str = "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,\
                          portfolio,product,allocation_id,lot,recorded_at,recorded_by,action,note,from_period,\
                          continues_lot\n";

    fn parse(rows: &str) -> Result<Vec<AllocationRow>, Problems> {
        parse_allocations("allocations.csv", format!("{HEADER}{rows}").as_bytes())
    }

    #[test]
    fn a_history_is_carried_over_with_who_when_and_which_lots() {
        let rows = ",,id:7,60.5,USD,2026-12-31,PO 12,Retail,Online,,,a-1,2,2026-03-05T10:00:00+01:00,ann,,by mail,,\n\
                    ,,id:7,40,USD,,,Media,,,,a-1,1,2026-03-05T09:00:00.25,ann,allocate,,,\n\
                    ,,id:7,,USD,2026-12-31,PO 12,Logistics,,,,a-1,3,2026-03-05T09:00:00Z,ann,,,2026-06,2\n\
                    Spring,410000000001,,ignored,,,,,,,,a-2,,2026-04-01T00:00:00Z,bob,revoke,,,\n";
        let found = parse(rows).unwrap();
        let lots: Vec<_> = found.iter().map(|row| (row.at.row, row.amount.map(|amount| amount.to_string()))).collect();
        let amount = |text: &str| Some(text.to_owned());
        // A revocation has no lot; the others come by their numbers.
        let expected =
            [(Some(5), None), (Some(3), amount("40.0000000000")), (Some(2), amount("60.5000000000")), (Some(4), None)];
        assert_eq!(lots, expected);
        let [revoked, first, second, continued] = &found[..] else { panic!("{found:?}") };
        let code = CreditName::Code { promotion_code: "Spring".into(), account_id: "410000000001".into() };
        assert_eq!((&revoked.credit, revoked.action, revoked.node.as_ref()), (&code, Action::Revoke, None));
        assert_eq!(first.recorded_at, "2026-03-05T09:00:00.25".parse().ok(), "UTC where no zone is stated");
        assert_eq!(second.recorded_at, "2026-03-05T09:00:00".parse().ok(), "UTC");
        assert_eq!((first.end_date, second.end_date), (None, "2026-12-31".parse().ok()));
        assert_eq!((second.note.as_deref(), second.recorded_by.as_deref()), (Some("by mail"), Some("ann")));
        let node = second.node.as_ref().map(ToString::to_string);
        assert_eq!((node.as_deref(), second.action), (Some("Retail/Online"), Action::Allocate));
        assert_eq!((continued.from_period, continued.continues_lot), ("2026-06".parse().ok(), Some(2)));
    }

    #[test]
    fn bad_rows_are_all_named() {
        let rows = ",,id:1,0,USD,,,Retail,,,,,,,,,,,\n,,id:1,5,,,,Retail,,,,,,,,,,,\n,,id:1,5,USD,31.12.2026,,Retail,,,,,,,,,,,\n\
                    ,,id:1,5,USD,2026-02-29,,Retail,,,,,,,,,,,\n,,id:1,5,USD,,,,,,,,,,,,,,\n,,id:1,5,USD,,,Retail,,,Web,,,,,,,,\n\
                    Spring,,,5,USD,,,Retail,,,,,,,,,,,\n,410000000001,,5,USD,,,Retail,,,,,,,,,,,\n\
                    ,,id:1,5,USD,,,Retail,,,,,,,,Allocate,,,\n,,id:1,5,USD,,,Retail,,,,,first,,,,,,\n\
                    ,,id:1,5,USD,,,Retail,,,,,,yesterday,,,,,\n,,id:1,,USD,,,Retail,,,,,,,,,,,\n\
                    ,,id:1,,USD,,,Retail,,,,,,,,,,2026-6,1\n,,id:1,-5,USD,,,Retail,,,,,,,,,,2026-06,1\n";
        let wrong = [
            (2, "amount: 0.0000000000 is not above zero"),
            (3, "currency: is empty"),
            (4, "end_date: \"31.12.2026\" is not a date (YYYY-MM-DD)"),
            (5, "end_date: \"2026-02-29\" is not a date (YYYY-MM-DD)"),
            (6, "business_unit: is empty"),
            (7, "business_unit: product is set but department is empty"),
            (8, "credit_key: is empty; name the credit by its key, or by promotion_code and account_id"),
            (9, "credit_key: is empty; name the credit by its key, or by promotion_code and account_id"),
            (10, "action: \"Allocate\" is not an action; allocate or revoke"),
            (11, "lot: \"first\" is not a whole number"),
            (12, "recorded_at: \"yesterday\" is not an instant (2026-03-05T09:00:00Z)"),
            (13, "amount: is empty"),
            (14, "from_period: \"2026-6\" is not a billing period (YYYY-MM)"),
            (15, "amount: -5.0000000000 is not above zero"),
        ];
        let expected = wrong.map(|(row, wrong)| format!("allocations.csv, row {row}, column {wrong}"));
        assert_eq!(parse(rows).unwrap_err().to_string(), expected.join("\n"));
    }

    #[test]
    fn what_a_list_of_allocations_shows_besides_may_stay_in_the_file_and_nothing_else() {
        let header = "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product";
        let shown =
            format!("{header},owner_email,likely_node,likely_owner_email\nid:1,5,USD,,,Retail,,,,rosa,Media,mia\n");
        let node = parse_allocations("list.csv", shown.as_bytes()).unwrap()[0].node.clone();
        assert_eq!(node.map(|node| node.to_string()).as_deref(), Some("Retail"), "a guess counts for nothing");
        let other = format!("{header},owner\nid:1,5,USD,,,Retail,,,,rosa\n");
        let problems = parse_allocations("list.csv", other.as_bytes()).unwrap_err().to_string();
        assert!(
            problems.starts_with("list.csv, row 1, column owner: unknown in this file; known are credit_key, amount")
        );
        let keyless = "amount,currency,end_date,reference,business_unit,department,portfolio,product\n";
        let problems = parse_allocations("list.csv", keyless.as_bytes()).unwrap_err().to_string();
        assert_eq!(problems, "list.csv, row 1, column credit_key: missing in the header");
    }

    #[test]
    fn a_note_that_was_guarded_against_formulas_comes_back_as_it_was_recorded() {
        let rows = ",,id:1,5,USD,,'=SUM(A1),Retail,,,,,,,'@ann,,'-- see mail,,\n";
        let row = &parse(rows).unwrap()[0];
        let texts = [&row.reference, &row.recorded_by, &row.note].map(|text| text.as_deref().unwrap_or_default());
        assert_eq!(texts, ["=SUM(A1)", "@ann", "-- see mail"]);
    }
}
