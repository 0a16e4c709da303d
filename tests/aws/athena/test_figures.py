"""What the views say about the sample, counted again in Python from the published files."""

from collections import Counter, defaultdict
from decimal import Decimal

import pyarrow.dataset as dataset
import pytest

LEVELS = ("business_unit", "department", "portfolio", "product")
LAST = "2026-10"


@pytest.fixture(scope="module")
def published(lake):
    """A published table's rows, read without DuckDB and without SQL."""

    def rows(table: str) -> list[dict]:
        partition = dataset.partitioning(flavor="hive")
        return dataset.dataset(lake / "published" / table, partitioning=partition).to_table().to_pylist()

    return rows


def rows(connection, query: str) -> list[dict]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def total(rows: list[dict], amount: str) -> Decimal:
    return sum((row[amount] for row in rows), Decimal(0))


def path(row: dict, prefix: str = "") -> str:
    return " / ".join(row[prefix + level] for level in LEVELS if row[prefix + level] is not None)


def test_overview_is_the_sum_of_all_cells_and_lots(connection, published):
    overview = {row["billing_period"]: row for row in rows(connection, "FROM executive_overview_view")}
    costs, lots = defaultdict(list), defaultdict(list)
    for row in published("net_cost"):
        costs[row["billing_period"]].append(row)
    for row in published("credit_balances"):
        lots[row["billing_period"]].append(row)
    assert overview.keys() == costs.keys() | lots.keys()
    for period, found in overview.items():
        for amount in (
            "gross_cost",
            "refunds",
            "credits_applied",
            "net_cost",
            "aws_credits",
            "invoice_net",
            "clearing",
        ):
            assert found[amount] == total(costs[period], amount), (period, amount)
        for amount in ("issued", "used", "expired", "remaining"):
            assert found[amount] == total(lots[period], amount), (period, amount)
        assert found["used"] == -found["credits_applied"]
    left = [row["remaining"] for row in published("credits") if row["remaining"] is not None]
    assert overview[LAST]["remaining"] == sum(left)


def test_dashboard_overview_by_node_sums_to_the_overview(connection):
    amounts = ["gross_cost", "refunds", "credits_applied", "net_cost", "clearing"]
    amounts += ["issued", "used", "expired", "remaining"]
    sums = ", ".join(f"sum({amount}) AS {amount}" for amount in amounts)
    by_node = rows(connection, f"SELECT billing_period, {sums} FROM dashboard_overview_view GROUP BY 1 ORDER BY 1")
    whole = rows(connection, "FROM executive_overview_view ORDER BY billing_period")
    for found, expected in zip(by_node, whole, strict=True):
        for amount in amounts:
            assert found[amount] == pytest.approx(float(expected[amount]), abs=1e-6), (
                expected["billing_period"],
                amount,
            )


def test_waterfall_leads_from_gross_cost_to_net_cost(connection):
    steps = rows(
        connection,
        f"SELECT step_order, step, sum(amount) AS amount FROM dashboard_waterfall_view "
        f"WHERE billing_period = '{LAST}' GROUP BY ALL ORDER BY 1",
    )
    (whole,) = rows(connection, f"FROM executive_overview_view WHERE billing_period = '{LAST}'")
    assert [(row["step_order"], row["step"]) for row in steps] == [
        (1, "Gross cost"),
        (2, "Refunds"),
        (3, "Credits applied"),
    ]
    assert sum(row["amount"] for row in steps) == pytest.approx(float(whole["net_cost"]), abs=1e-6)


def test_variance_is_usage_effect_and_credit_effect(connection, published):
    budgets = {
        (row["billing_period"], row["level"], path(row) or "(all)"): row
        for row in published("net_cost_summary")
        if row["budget_amount"] is not None
    }
    found = rows(connection, "FROM budget_variance_view")
    assert len(found) == len(budgets) > 0
    for row in found:
        budget = budgets[row["billing_period"], row["level"], row["node"]]
        spent = budget["gross_cost"] + budget["refunds"]
        assert row["variance"] == budget["budget_remaining"] == row["usage_effect"] + row["credit_effect"]
        assert row["usage_effect"] == budget["budget_amount"] - spent
        assert row["credit_effect"] == -budget["credits_applied"] >= 0
        expected = "within budget by credits" if row["usage_effect"] < 0 else "within budget"
        assert row["status"] == ("over budget" if row["variance"] < 0 else expected)
    assert {row["status"] for row in found} == {"within budget", "within budget by credits", "over budget"}


def test_queue_starts_with_the_longest_waiting_and_names_who_spends_most_on_the_account(connection, published):
    queue = rows(connection, "FROM credit_queue_view ORDER BY queue_position")
    assert [row["queue_position"] for row in queue] == list(range(1, len(published("credit_queue")) + 1))
    assert [row["days_waiting"] for row in queue] == sorted((row["days_waiting"] for row in queue), reverse=True)
    spent = defaultdict(Counter)
    for cost in published("net_cost"):
        if cost["business_unit"] != "Unassigned":
            spent[cost["account_id"]][path(cost)] += cost["gross_cost"]
    for row in queue:
        most = spent[row["account_id"]].most_common(1)
        assert row["likely_node"] == (most[0][0] if most else None), row["credit_key"]


def test_owner_is_the_nearest_at_or_above_a_node(connection):
    owner = {row["node"]: (row["owner_email"], row["cost_center"]) for row in rows(connection, "FROM hierarchy_view")}
    assert owner["Retail / Online / Storefront / A/B Testing"] == ("tom.varga@acme.example", "1130")
    assert owner["Retail / Online / Storefront"] == ("tom.varga@acme.example", "1050")
    assert owner["Media / Studio / Rendering"] == ("noah.williams@acme.example", "3210")
    assert owner["Logistics / Transport"] == ("piet.jansen@acme.example", "2000")


def test_ledger_and_earnings_are_the_draws_by_node(connection, published):
    draws, by_node = Counter(), Counter()
    for row in published("credit_consumption"):
        earner, spender = path(row, "credit_"), path(row)
        draws[row["billing_period"], row["credit_key"], row["lot"], earner, spender] += row["used"]
        by_node[row["billing_period"], earner, spender, "own" if earner == spender else "below"] += row["used"]
    ledger = {
        (row["billing_period"], row["credit_key"], row["lot"], row["credit_node"], row["node"]): row["used"]
        for row in rows(connection, "FROM credit_ledger_view")
    }
    earned = {
        (row["billing_period"], row["credit_node"], row["node"], row["benefit"]): row["used"]
        for row in rows(connection, "FROM earned_vs_benefited_view")
    }
    assert ledger == draws
    assert earned == by_node
    assert {benefit for *_, benefit in earned} == {"own", "below"}


def test_what_expires_is_what_is_left_of_credits_with_an_end(connection, published):
    credits = [row for row in published("credits") if row["remaining"]]
    ending = {row["credit_key"]: row["remaining"] for row in credits if row["end_date"] is not None}
    expiring, calendar = Counter(), rows(connection, "FROM expiry_calendar_view")
    for row in rows(connection, "FROM expiring_credits_view"):
        expiring[row["credit_key"]] += row["remaining"]
        (credit,) = (credit for credit in credits if credit["credit_key"] == row["credit_key"])
        assert (row["days_left"], row["expiry_month"]) == (credit["days_left"], f"{credit['end_date']:%Y-%m}")
    assert expiring == ending
    assert total([row for row in calendar if row["expiry_month"] is not None], "remaining") == sum(ending.values())
    assert total(calendar, "remaining") == total(credits, "remaining")
    lost = {row["expiry_month"]: row["expired"] for row in calendar if row["expired"]}
    assert {month: f"{amount:.2f}" for month, amount in lost.items()} == {"2026-08": "700.60"}


def test_burn_down_of_a_credit_reaches_what_is_left_of_it(connection, published):
    for row in rows(connection, "FROM credit_burn_down_view"):
        assert row["amount"] == row["used_to_date"] + row["expired_to_date"] + row["remaining"]
    last = {
        row["credit_key"]: (row["amount"], row["used_to_date"], row["expired_to_date"], row["remaining"])
        for row in rows(connection, f"FROM credit_burn_down_view WHERE billing_period = '{LAST}'")
    }
    assert last == {
        row["credit_key"]: (row["allocated_amount"], row["used"], row["expired"], row["remaining"])
        for row in published("credits")
        if row["allocated_amount"] is not None
    }


def test_every_month_ties_out(connection, published):
    found = rows(connection, "FROM reconciliation_view ORDER BY billing_period")
    assert len(found) == len(published("reconciliation"))
    assert all(row["tie_out_ok"] and row["difference"] == 0 for row in found)
    assert rows(connection, "SELECT sum(failures) AS failures FROM dashboard_reconciliation_view") == [{"failures": 0}]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE net_cost SET invoice_net = invoice_net + 0.0000000001, clearing = clearing + 0.0000000001 WHERE {one}",
        "UPDATE net_cost SET net_cost = net_cost + 0.0000000001 WHERE {one}",
        "UPDATE reconciliation SET export_total = export_total + 0.0000000001 WHERE billing_period = '2026-07'",
        "UPDATE reconciliation SET difference = 0.0000000001 WHERE billing_period = '2026-07'",
        "DELETE FROM reconciliation WHERE billing_period = '2026-07'",
        "DELETE FROM net_cost WHERE billing_period = '2026-07'",
    ],
)
def test_a_month_that_is_off_by_the_last_decimal_does_not_tie_out(damage, scratch):
    one = "rowid = (SELECT min(rowid) FROM net_cost WHERE billing_period = '2026-07')"
    scratch.execute(damage.format(one=one))
    off = rows(scratch, "FROM dashboard_reconciliation_view WHERE failures > 0")
    assert [(row["billing_period"], row["tie_out"]) for row in off] == [("2026-07", "does not tie out")]


def test_every_month_of_the_golden_scenarios_ties_out(scenario):
    found = rows(scenario, "FROM reconciliation_view")
    assert found and all(row["tie_out_ok"] for row in found)
