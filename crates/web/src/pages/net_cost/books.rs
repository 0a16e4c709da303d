//! Both books, column by column.

use credit_ledger::Money;
use schemas::tables::{NetCost, NetCostSummary};

use crate::sheet::{Sheet, column};

/// The amounts of both books: name in tables and files, heading.
pub(super) const BOOKS: [(&str, &str); 7] = [
    ("gross_cost", "Gross cost"),
    ("refunds", "Refunds"),
    ("credits_applied", "Credits applied"),
    ("net_cost", "Net cost"),
    ("aws_credits", "AWS credits"),
    ("invoice_net", "Invoiced by AWS"),
    ("clearing", "Clearing"),
];

/// Amounts in the order of [`BOOKS`].
pub(super) type Amounts = [Money; BOOKS.len()];

pub(super) const fn of_summary(row: &NetCostSummary) -> Amounts {
    [row.gross_cost, row.refunds, row.credits_applied, row.net_cost, row.aws_credits, row.invoice_net, row.clearing]
}

pub(super) const fn of_cell(row: &NetCost) -> Amounts {
    [row.gross_cost, row.refunds, row.credits_applied, row.net_cost, row.aws_credits, row.invoice_net, row.clearing]
}

/// Adds a column for each amount.
pub(super) fn add_to<T>(sheet: Sheet, rows: &[T], amounts: impl Fn(&T) -> Amounts) -> Sheet {
    BOOKS.into_iter().enumerate().fold(sheet, |sheet, (place, (name, label))| {
        let of_row = |row: &T| amounts(row).get(place).copied().unwrap_or_default();
        sheet.summed(name, label, column(rows, of_row))
    })
}
