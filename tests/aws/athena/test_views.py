"""Every view: Athena SQL with the declared columns, whose rows over the sample organisation are the golden ones."""

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

import athena_sql
from files import templates_views, view_files

VIEWS = {view.name: view for view in view_files()}
GOLDEN = Path(__file__).parent / "golden"
#: Rows of large views that make the golden results.
SHOWN = {
    "net_cost_daily_view": "usage_date = DATE '2026-10-15'",
    "dashboard_net_cost_daily_view": "usage_date = DATE '2026-10-15'",
    "dashboard_overview_view": "is_latest_period = 'yes'",
    "dashboard_waterfall_view": "is_latest_period = 'yes'",
}
DUCKDB_TYPES = {"decimal(38,10)": "DECIMAL(38,10)"}

views = pytest.mark.parametrize("name", sorted(VIEWS))


def as_csv(connection, query: str) -> str:
    cursor = connection.execute(query)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(column[0] for column in cursor.description)
    rows.writerows([shown(value) for value in row] for row in cursor.fetchall())
    return text.getvalue()


def shown(value) -> str:
    """Exact amounts to the last decimal, doubles to the sixth: the next ones are not theirs."""
    match value:
        case None:
            return ""
        case float():
            return f"{value:.6f}"
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


@views
def test_its_rows_over_the_sample_are_the_golden_ones(name, connection, request):
    order = ", ".join(f"{column} NULLS FIRST" for column in VIEWS[name].grain)
    result = as_csv(connection, f"SELECT * FROM {name} WHERE {SHOWN.get(name, 'true')} ORDER BY {order}")
    golden = GOLDEN / f"{name}.csv"
    if request.config.getoption("update_golden"):
        golden.write_text(result)
    assert result.count("\n") > 1, "no rows: the golden result shows nothing"
    assert result == golden.read_text()


def test_there_is_no_golden_result_without_a_view():
    assert {path.stem for path in GOLDEN.glob("*.csv")} == VIEWS.keys()


@views
def test_its_columns_are_the_declared_ones(name, connection, schema):
    found = {column: kind for column, kind, *_ in connection.execute(f"DESCRIBE {name}").fetchall()}
    assert found == {column: DUCKDB_TYPES.get(kind, kind.upper()) for column, kind in VIEWS[name].columns.items()}
    in_athena = athena_sql.resolved(templates_views()[name]["originalSql"], schema).selects
    assert [column.alias_or_name for column in in_athena] == list(VIEWS[name].columns)


@views
def test_its_grain_identifies_a_row(name, connection):
    grain = ", ".join(VIEWS[name].grain)
    twice = connection.execute(f"SELECT {grain}, count(*) FROM {name} GROUP BY {grain} HAVING count(*) > 1").fetchall()
    assert twice == []


@views
def test_nothing_in_it_means_something_else_in_athena(name, schema):
    assert athena_sql.problems(VIEWS[name].text, schema) == []


@views
def test_amounts_are_exact_for_analysts_and_doubles_for_dashboards(name):
    types = set(VIEWS[name].columns.values())
    assert not types & ({"decimal(38,10)"} if name.startswith("dashboard_") else {"double"})


@views
def test_a_dashboard_shows_no_missing_name(name, connection):
    if not name.startswith("dashboard_"):
        return
    names = [column for column, kind in VIEWS[name].columns.items() if kind == "varchar"]
    missing = " OR ".join(f"{column} IS NULL" for column in names)
    assert connection.execute(f"SELECT count(*) FROM {name} WHERE {missing}").fetchone() == (0,)


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT net_cost / 3 AS third FROM net_cost", "divides"),
        ("SELECT avg(net_cost) AS mean FROM net_cost", "divides"),
        ("SELECT net_cost * tax AS product FROM net_cost", "multiplies money"),
        ("SELECT approx_distinct(account_id) AS accounts FROM net_cost", "is no function known"),
        ("SELECT date_format(usage_date, '%Y') AS year FROM net_cost", "is no function known"),
        ("SELECT substr(service, 0, 2) AS start FROM net_cost", "does not count characters from 1"),
        ("SELECT service || usage_date AS text FROM net_cost", "joins what is not text"),
        ("SELECT service FROM net_cost WHERE account_id = 12", "compares text with number"),
        ("SELECT min(service) AS first FROM net_cost", "is a reserved word"),
        ("SELECT coalesce(service, 0) AS service FROM net_cost", "mixes types"),
    ],
)
def test_what_means_something_else_in_athena_is_found(sql, problem, schema):
    assert any(found.startswith(problem) for found in athena_sql.problems(sql, schema))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT service AS name, sum(tax) AS tax FROM net_cost GROUP BY name",
        "SELECT service AS name FROM net_cost WHERE name = 'AmazonEC2'",
        "SELECT tax AS amount, amount + tax AS twice FROM net_cost",
    ],
)
def test_an_alias_where_trino_knows_none_is_found(sql, schema):
    with pytest.raises(Exception, match="could not be resolved"):
        athena_sql.resolved(sql, schema)
