//! Tables as text, their columns and keys, and a comparison that names table, row and column.

use std::collections::{BTreeMap, BTreeSet};

/// One row: column name to value as text; null is the empty string.
pub(crate) type Row = BTreeMap<String, String>;
/// Published tables by name.
pub(crate) type Tables = BTreeMap<String, Vec<Row>>;

/// A published table as these tests compare it.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The columns that tell one row from another.
    pub(crate) key: &'static [&'static str],
    /// Every compared column that is no key.
    pub(crate) values: &'static [&'static str],
}

impl Table {
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.key.iter().chain(self.values).copied()
    }
}

/// The tables a run publishes, except the two that only echo inputs (`hierarchy`) or carry free text (`allocation_issues`).
pub(crate) const TABLES: [Table; 8] = [
    Table {
        name: "net_cost",
        key: &[
            "billing_period",
            "usage_date",
            "payer_account_id",
            "account_id",
            "service",
            "currency",
            "business_unit",
            "department",
            "portfolio",
            "product",
        ],
        values: &[
            "charges",
            "tax",
            "gross_cost",
            "refunds",
            "aws_credits",
            "invoice_net",
            "credits_applied",
            "net_cost",
            "clearing",
            "eligible_charges",
        ],
    },
    Table {
        name: "net_cost_summary",
        key: &["billing_period", "level", "business_unit", "department", "portfolio", "product", "currency"],
        values: &[
            "gross_cost",
            "refunds",
            "aws_credits",
            "invoice_net",
            "credits_applied",
            "net_cost",
            "clearing",
            "budget_amount",
            "budget_remaining",
        ],
    },
    Table {
        name: "credit_consumption",
        key: &[
            "billing_period",
            "credit_key",
            "lot",
            "usage_date",
            "payer_account_id",
            "account_id",
            "service",
            "currency",
            "business_unit",
            "department",
            "portfolio",
            "product",
        ],
        values: &[
            "credit_business_unit",
            "credit_department",
            "credit_portfolio",
            "credit_product",
            "used",
            "fifo_rank",
            "policy",
        ],
    },
    Table {
        name: "credit_balances",
        key: &["billing_period", "credit_key", "lot"],
        values: &[
            "promotion_code",
            "account_id",
            "currency",
            "business_unit",
            "department",
            "portfolio",
            "product",
            "issue_date",
            "end_date",
            "opening",
            "issued",
            "moved",
            "used",
            "expired",
            "remaining",
            "aws_applied",
        ],
    },
    Table {
        name: "credits",
        key: &["credit_key"],
        values: &[
            "promotion_code",
            "account_id",
            "owner_account_id",
            "credit_id",
            "payer_account_id",
            "currency",
            "description",
            "credit_class",
            "first_cur_date",
            "issue_date",
            "issue_date_source",
            "issue_period",
            "status",
            "allocated_amount",
            "used",
            "expired",
            "remaining",
            "end_date",
            "reference",
            "recorded_by",
            "recorded_at",
            "aws_applied",
            "last_cur_date",
            "days_left",
        ],
    },
    Table {
        name: "credit_queue",
        key: &["credit_key"],
        values: &[
            "promotion_code",
            "account_id",
            "credit_class",
            "currency",
            "first_cur_date",
            "issue_date",
            "issue_period",
            "aws_applied",
            "days_waiting",
            "reason",
        ],
    },
    Table {
        name: "credit_impact",
        key: &["billing_period", "credit_key"],
        values: &["currency", "issue_period", "aws_applied", "used"],
    },
    Table {
        name: "reconciliation",
        key: &["billing_period", "currency"],
        values: &[
            "export_total",
            "invoice_net",
            "net_cost",
            "clearing",
            "unallocated_aws_credits",
            "difference",
            "rows_read",
        ],
    },
];

/// The table of that name.
pub(crate) fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no table {name}"))
}

/// Rows of a CSV text with a header.
pub(crate) fn csv_rows(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().expect("a CSV header").iter().map(str::to_owned).collect();
    reader
        .records()
        .map(|record| {
            let record = record.unwrap_or_else(|error| panic!("bad CSV: {error}\n{text}"));
            header.iter().cloned().zip(record.iter().map(str::to_owned)).collect()
        })
        .collect()
}

/// The value as it is compared: blank is null, instants without zone, `T` between date and time, no trailing zeros.
fn canonical(column: &str, value: &str) -> String {
    if value.trim().is_empty() {
        return String::new();
    }
    if column != "recorded_at" {
        return value.to_owned();
    }
    let instant = value.trim_end_matches("+00:00").trim_end_matches('Z').replace(' ', "T");
    if instant.contains('.') { instant.trim_end_matches('0').trim_end_matches('.').to_owned() } else { instant }
}

fn cell(row: &Row, column: &str) -> String {
    row.get(column).map_or_else(|| "<no such column>".to_owned(), |value| canonical(column, value))
}

fn by_key<'a>(table: &Table, rows: &'a [Row]) -> BTreeMap<Vec<String>, Vec<&'a Row>> {
    let mut found: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        found.entry(table.key.iter().map(|column| cell(row, column)).collect()).or_default().push(row);
    }
    found
}

/// Every way in which `got` is not `expected`, on the key and the given columns; empty when they are equal.
pub(crate) fn differences(table: &Table, columns: &BTreeSet<String>, expected: &[Row], got: &[Row]) -> Vec<String> {
    let (wanted, found) = (by_key(table, expected), by_key(table, got));
    let name = table.name;
    let mut list = Vec::new();
    if expected.len() != got.len() {
        list.push(format!("{name}: expected {} rows, got {}", expected.len(), got.len()));
    }
    for (key, rows) in &found {
        match wanted.get(key) {
            None => list.push(format!("{name} {key:?}: a row too many: {:?}", rows[0])),
            Some(other) if other.len() != rows.len() => {
                list.push(format!("{name} {key:?}: expected {} rows of this key, got {}", other.len(), rows.len()));
            }
            Some(_) => {}
        }
    }
    for (key, rows) in &wanted {
        let Some(other) = found.get(key) else {
            list.push(format!("{name} {key:?}: the row is missing: {:?}", rows[0]));
            continue;
        };
        for column in columns {
            let (wanted, found) = (cell(rows[0], column), cell(other[0], column));
            if wanted != found {
                list.push(format!("{name} {key:?} {column}: expected {wanted:?}, got {found:?}"));
            }
        }
    }
    list
}

/// Every difference between two sets of whole tables.
pub(crate) fn table_differences(expected: &Tables, got: &Tables) -> Vec<String> {
    TABLES
        .iter()
        .flat_map(|table| {
            let columns = table.columns().map(str::to_owned).collect();
            differences(table, &columns, &expected[table.name], &got[table.name])
        })
        .collect()
}
