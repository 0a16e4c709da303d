"""Views and checks over whole runs say on Trino what they say on DuckDB, to the last digit."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

import athena_sql
from conftest import WRITTEN
from files import check_files, view_files
from server import CLIENTS
from tables import install_views

VIEWS = {view.name: view for view in view_files()}
CHECKS = check_files()


def difference(found: Iterable[tuple], expected: Iterable[tuple]) -> str | None:
    """Rows that only one engine has, in any order."""
    found, expected = Counter(found), Counter(expected)
    return None if found == expected else f"{[*(found - expected)][:3]}, not {[*(expected - found)][:3]}"


def in_parallel(names: Iterable[str], problem: Callable[[str], str | None]) -> dict[str, str]:
    """What is wrong, by name."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        found = dict(zip(names, clients.map(problem, names), strict=True))
    return {name: text for name, text in found.items() if text}


def differences(run, schema: str) -> dict[str, str]:
    """Views whose columns are not the declared ones, or whose rows are not those of DuckDB."""

    def problem(name: str) -> str | None:
        found = run.trino.ask(f"SELECT * FROM {name}", schema)
        # Trino says how long a text is where all its values stand in the view.
        types = {column: re.sub(r"varchar\(\d+\)", "varchar", kind) for column, kind in found.columns.items()}
        if types != VIEWS[name].columns:
            return f"columns {types}"
        return difference(found.rows, run.duckdb.cursor().execute(f"FROM {name}").fetchall())

    return in_parallel(VIEWS, problem)


@pytest.mark.parametrize("run", WRITTEN, indirect=True, scope="module")
def test_views_made_from_their_files(run):
    for name in athena_sql.in_order({name: view.text for name, view in VIEWS.items()}):
        run.trino.ask(f"CREATE VIEW {name} AS {VIEWS[name].text}", run.schema)
    assert differences(run, run.schema) == {}


def test_views_as_the_template_installs_them(run):
    installed = install_views(run.trino, run.schema)
    assert differences(run, installed) == {}


def test_checks(run):
    def problem(name: str) -> str | None:
        expected = run.duckdb.cursor().execute(CHECKS[name]).fetchall()
        return difference(run.trino.ask(CHECKS[name], run.schema).rows, expected)

    assert in_parallel(CHECKS, problem) == {}
