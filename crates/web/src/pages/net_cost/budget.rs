//! Budgets, and why net cost is another than in the month before.

use application::Failure;
use credit_ledger::{BillingPeriod, Money, MoneyError};
use maud::{Markup, html};
use schemas::tables::NetCostSummary;

use super::address::Places;
use super::tree::{Branch, Tree};
use crate::asked::Asked;
use crate::page::Page;
use crate::sheet::column;

/// How net cost changed from one month to the next: `usage_effect + credit_effect = change`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Variance {
    before: Money,
    change: Money,
    /// Change of gross cost and refunds.
    usage_effect: Money,
    /// Change of credits applied.
    credit_effect: Money,
}

impl Variance {
    /// A month without a row costs nothing.
    fn between(before: Option<&NetCostSummary>, after: Option<&NetCostSummary>) -> Result<Self, MoneyError> {
        let amount = |row: Option<&NetCostSummary>, of: fn(&NetCostSummary) -> Money| row.map(of).unwrap_or_default();
        let change = |of: fn(&NetCostSummary) -> Money| amount(after, of).checked_sub(amount(before, of));
        Ok(Self {
            before: amount(before, |row| row.net_cost),
            change: change(|row| row.net_cost)?,
            usage_effect: change(|row| row.gross_cost)?.checked_add(change(|row| row.refunds)?)?,
            credit_effect: change(|row| row.credits_applied)?,
        })
    }
}

/// A budget beside the net cost of the same months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    budget_amount: Money,
    net_cost: Money,
    budget_remaining: Money,
}

impl Kept {
    /// Of the rows that have a budget; none where no row has one.
    fn of<'a>(rows: impl IntoIterator<Item = &'a NetCostSummary>) -> Result<Option<Self>, MoneyError> {
        let mut kept: Option<Self> = None;
        for row in rows {
            let Some((budget, remaining)) = row.budget_amount.zip(row.budget_remaining) else { continue };
            let [budget_before, cost_before, remaining_before] =
                kept.map_or([Money::ZERO; 3], |kept| [kept.budget_amount, kept.net_cost, kept.budget_remaining]);
            kept = Some(Self {
                budget_amount: budget_before.checked_add(budget)?,
                net_cost: cost_before.checked_add(row.net_cost)?,
                budget_remaining: remaining_before.checked_add(remaining)?,
            });
        }
        Ok(kept)
    }
}

/// What the table says of one branch.
struct Row {
    net_cost: Money,
    of_last: Option<Kept>,
    of_all: Option<Kept>,
    variance: Option<Variance>,
}

impl Row {
    fn of(branch: &Branch, tree: &Tree, last: BillingPeriod) -> Result<Self, MoneyError> {
        let after = branch.rows.get(&last);
        let shown = branch.rows.iter().filter(|(month, _)| tree.months.contains(month)).map(|(_, row)| row);
        let variance = tree.before.map(|before| Variance::between(branch.rows.get(&before), after));
        Ok(Self {
            net_cost: after.map(|row| row.net_cost).unwrap_or_default(),
            of_last: Kept::of(after)?,
            of_all: Kept::of(shown)?,
            variance: variance.transpose()?,
        })
    }
}

/// Adds the table: the last month against its budget and against the month before, and all months against theirs.
pub(super) fn add_to(page: Page, asked: &Asked, tree: &Tree) -> Result<Page, Failure> {
    let Some(last) = tree.months.last().copied() else { return Ok(page) };
    let rows = tree.branches.iter().map(|branch| Row::of(branch, tree, last));
    let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
    let mut sheet = tree
        .sheet_of_branches("budget", format!("Budget and variance, {last}"), &Places::of(asked))
        .column("budget_amount", "Budget", column(&rows, |row| row.of_last.map(|kept| kept.budget_amount)))
        .column("net_cost", "Net cost", column(&rows, |row| row.net_cost))
        .column(
            "budget_remaining",
            "Left of budget",
            column(&rows, |row| row.of_last.map(|kept| kept.budget_remaining)),
        );
    if let Some(before) = tree.before {
        let of = |amount: fn(Variance) -> Money| column(&rows, |row| row.variance.map(amount));
        sheet = sheet
            .column("net_cost_before", format!("Net cost {before}"), of(|variance| variance.before))
            .column("change", "Change since", of(|variance| variance.change))
            .column("usage_effect", "Usage effect", of(|variance| variance.usage_effect))
            .column("credit_effect", "Credit effect", of(|variance| variance.credit_effect));
    }
    if tree.months.len() > 1 {
        let of = |amount: fn(Kept) -> Money| column(&rows, |row| row.of_all.map(amount));
        sheet = sheet
            .column("budget_of_months", "Budget, all months", of(|kept| kept.budget_amount))
            .column("net_cost_of_months", "Net cost of these", of(|kept| kept.net_cost))
            .column("remaining_of_months", "Left of these", of(|kept| kept.budget_remaining));
    }
    Ok(page.sheet(sheet).text(explained(tree, last)))
}

fn explained(tree: &Tree, last: BillingPeriod) -> Markup {
    html! {
        p.small {
            "A budget is the node's own, set by month; nothing is summed up the hierarchy. "
            @if let Some(before) = tree.before {
                "The change from " (before) " to " (last) " is split: the usage effect is the change of gross cost and refunds, the \
                credit effect that of credits applied. They add up to the change, to the last decimal. "
            } @else {
                "The run has no month before " (last) " to compare it with. "
            }
            @if tree.months.len() > 1 { "All months are those shown that have a budget, on both sides." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::summary;
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn usage_and_credit_effect_add_up_to_the_change() {
        let before = summary("Retail", ["100.0000000001", "-3", "-40"], None);
        let after = summary("Retail", ["130.5", "-1.25", "-90.0000000007"], None);
        let variance = Variance::between(Some(&before), Some(&after)).unwrap();
        assert_eq!(variance.usage_effect, money("32.2499999999"));
        assert_eq!(variance.credit_effect, money("-50.0000000007"));
        for (before, after) in
            [(Some(&before), Some(&after)), (None, Some(&after)), (Some(&before), None), (None, None)]
        {
            let variance = Variance::between(before, after).unwrap();
            assert_eq!(variance.usage_effect.checked_add(variance.credit_effect).unwrap(), variance.change);
            let now = after.map(|row| row.net_cost).unwrap_or_default();
            assert_eq!(variance.before.checked_add(variance.change).unwrap(), now);
        }
    }

    #[test]
    fn budget_of_several_months_stands_beside_the_cost_of_the_same_months() {
        let (with, without) =
            (summary("Retail", ["70", "0", "-20"], Some("60")), summary("Retail", ["500", "0", "0"], None));
        let kept = Kept::of([&with, &without, &with]).unwrap().unwrap();
        assert_eq!(kept, Kept { budget_amount: money("120"), net_cost: money("100"), budget_remaining: money("20") });
        assert_eq!(Kept::of([&without]).unwrap(), None);
    }
}
