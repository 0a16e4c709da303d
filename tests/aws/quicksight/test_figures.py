"""What each visual asks of its data set, answered by DuckDB on the published sample."""

import pytest

LATEST = "2026-10"


@pytest.fixture
def ask(imported, dashboard):
    def rows(visual: str, **chosen) -> list[tuple]:
        return imported.execute(dashboard.sql(visual, **chosen)).fetchall()

    return rows


@pytest.fixture
def figure(ask):
    def value(visual: str, **chosen):
        ((only,),) = ask(visual, **chosen)
        return only

    return value


def exact(connection, sql: str):
    ((value,),) = connection.execute(sql).fetchall()
    return pytest.approx(float(value), abs=1e-6)


def test_every_visual_has_an_answer(ask, dashboard):
    for visual in dashboard.visuals:
        rows = ask(visual)
        assert rows and any(value is not None for value in rows[0]), visual


def test_texts_that_filters_and_colours_name_exist(imported, dashboard):
    """But for what the sample happens not to have."""
    missing = []
    for visual in dashboard.visuals:
        for it in dashboard.filters(visual):
            column = it["Column"]["ColumnName"]
            for value in it["Configuration"].get("FilterListConfiguration", {}).get("CategoryValues", []):
                if (dashboard.data_set(visual), column) not in dashboard.calculated:
                    found = imported.execute(
                        f'FROM spice.{dashboard.data_set(visual)} WHERE "{column}" = ?', [value]
                    ).fetchall()
                    missing += [] if found else [(visual, value)]
    assert missing == []


@pytest.mark.parametrize("month, period", [("latest", LATEST), ("2026-08", "2026-08")])
def test_executive_figures_are_those_of_the_exact_view(figure, imported, month, period):
    overview = f"FROM executive_overview_view WHERE currency = 'USD' AND billing_period = '{period}'"
    of = {"gross": "gross_cost", "credits": "credits_applied", "net": "net_cost", "remaining": "remaining"}
    for visual, column in of.items():
        assert figure(f"executive-{visual}", Month=month) == exact(imported, f"SELECT {column} {overview}"), visual
    assert figure("executive-month", Month=month).strftime("%Y-%m") == period


def test_expiring_credits_are_those_of_the_exact_view(figure, imported):
    expected = exact(imported, "SELECT sum(remaining) FROM expiring_credits_view WHERE status = 'expiring_soon'")
    assert figure("executive-expiring") == figure("expiry-soon") == expected
    assert figure("executive-expiring") > 0


def test_waterfall_ends_at_net_cost(ask, figure):
    steps = dict(ask("executive-waterfall"))
    assert list(sorted(steps)) == ["Credits applied", "Gross cost", "Refunds"]
    assert sum(steps.values()) == pytest.approx(figure("executive-net"))


def test_trend_has_every_month(ask, imported):
    months = imported.execute("SELECT count(DISTINCT billing_period) FROM executive_overview_view").fetchone()[0]
    assert len(ask("executive-trend")) == months == 6


def test_queue_is_the_queue(ask, figure, imported):
    queue = imported.execute("SELECT count(*), max(days_waiting), sum(aws_applied) FROM credit_queue_view").fetchone()
    assert (figure("queue-waiting"), figure("queue-oldest")) == queue[:2]
    assert figure("queue-amount") == pytest.approx(float(queue[2]))
    assert [row[0] for row in ask("queue-credits")] == [1, 2, 3, 4]


def test_what_is_left_of_credits_agrees_between_sheets(ask, figure):
    by_credit = sum(row[-2] for row in ask("burn-down-credits"))
    assert by_credit == pytest.approx(figure("executive-remaining")) == pytest.approx(figure("expiry-remaining"))
    owners = sum(row[-1] for row in ask("expiry-owners"))
    assert owners == pytest.approx(figure("expiry-remaining"))


@pytest.mark.parametrize("level, label", [(0, "Everything"), (1, "Business unit"), (2, "Department"), (4, "Product")])
def test_variance_is_split_into_usage_and_credits(figure, imported, level, label):
    budget = f"FROM budget_variance_view WHERE billing_period = '{LATEST}' AND level = {level}"
    if not imported.execute(f"SELECT count(*) {budget}").fetchone()[0]:
        pytest.fail(f"the sample has no budgets of level {level}")
    assert figure("budget-variance", BudgetLevel=label) == exact(imported, f"SELECT sum(variance) {budget}")
    parts = figure("budget-usage", BudgetLevel=label) + figure("budget-credit", BudgetLevel=label)
    assert parts == pytest.approx(figure("budget-variance", BudgetLevel=label))
    left = figure("budget-budget", BudgetLevel=label) - figure("budget-net", BudgetLevel=label)
    assert left == pytest.approx(figure("budget-variance", BudgetLevel=label))


def test_earned_and_benefited_are_the_same_credits(ask, figure, imported):
    used = f"SELECT sum(used) FROM earned_vs_benefited_view WHERE billing_period = '{LATEST}'"
    assert figure("earned-paid") == exact(imported, used)
    assert figure("earned-own") + figure("earned-below") == pytest.approx(figure("earned-paid"))
    assert figure("earned-paid") == pytest.approx(-figure("executive-credits"))
    for visual in ("earned-earners", "earned-beneficiaries", "earned-pairs"):
        assert sum(row[-1] for row in ask(visual)) == pytest.approx(figure("earned-paid")), visual


def test_reconciliation_ties_out(ask, figure):
    assert figure("reconciliation-failures") == 0
    assert {row[2] for row in ask("reconciliation-months")} == {"ties out"}


def test_choosing_business_units_narrows_and_adds_up(figure, imported):
    units = [row[0] for row in imported.execute('SELECT DISTINCT "Business unit" FROM spice.overview').fetchall()]
    assert len(units) > 2
    parts = [figure("executive-gross", BusinessUnit=unit) for unit in units]
    assert sum(parts) == pytest.approx(figure("executive-gross")) and max(parts) < figure("executive-gross")


# --- another currency


@pytest.fixture
def euros(imported, scratch):
    """The sample a second time, in euros, until the test ends."""
    tables = scratch.execute("SELECT table_name FROM duckdb_tables() WHERE table_name NOT LIKE 'staged%'").fetchall()
    for (table,) in tables:
        columns = {row[0] for row in scratch.execute(f"DESCRIBE {table}").fetchall()}
        if "currency" in columns:
            key = ", credit_key || ' in euros' AS credit_key" if "credit_key" in columns else ""
            scratch.execute(f"INSERT INTO {table} SELECT * REPLACE ('EUR' AS currency{key}) FROM {table}")
    return scratch


def amounts(rows: list[tuple]) -> list[float]:
    return sorted(value for row in rows for value in row if isinstance(value, float))


def test_a_second_currency_changes_no_amount_of_the_first(request, ask, dashboard):
    with_money = [visual for visual in dashboard.visuals if dashboard.money(visual)]
    before = {visual: amounts(ask(visual)) for visual in with_money}
    assert len(with_money) > 30 and all(before.values())
    request.getfixturevalue("euros")
    for visual in with_money:
        assert amounts(ask(visual)) == pytest.approx(before[visual]), visual
        # The other has its own, and without a choice there are none, e.g. by a link that asks for all.
        assert amounts(ask(visual, Currency="EUR")) == pytest.approx(before[visual]), visual
        assert amounts(ask(visual, Currency=None)) == [], visual


def test_a_month_that_fails_in_another_currency_is_seen(euros, figure, ask):
    month = f"currency = 'EUR' AND billing_period = '{LATEST}'"
    euros.execute(f"UPDATE reconciliation SET export_total = export_total + 1 WHERE {month}")
    assert figure("reconciliation-failures") == 1
    assert {row[2] for row in ask("reconciliation-months")} == {"ties out"}
    failed = [row[:3] for row in ask("reconciliation-months", Currency="EUR") if row[2] != "ties out"]
    assert failed == [(LATEST, "EUR", "does not tie out")]
