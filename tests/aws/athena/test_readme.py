"""The page about views and checks says what is there, and its examples run."""

import re

import pytest

import athena_sql
from files import SCHEMAS, check_files, view_files

PAGE = (SCHEMAS / "athena/README.md").read_text()
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


def test_it_lists_every_analyst_view_with_its_question_and_grain():
    listed = re.findall(r"^\| `(\w+_view)` \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    views = [view for view in view_files() if not view.name.startswith("dashboard_")]
    assert sorted(listed) == [(view.name, view.question, ", ".join(view.grain)) for view in views]


def test_it_names_every_dashboard_view():
    assert {view.name for view in view_files() if view.name.startswith("dashboard_")} == set(
        re.findall(r"`(dashboard_\w+_view)`", PAGE)
    )


def test_it_lists_every_check():
    listed = re.findall(r"^\| `(\w+)` \| [^|]* \|$", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(check_files())


@pytest.mark.parametrize("sql", EXAMPLES)
def test_an_example_runs_as_athena_sql_and_finds_something(sql, schema, connection):
    assert connection.execute(athena_sql.duckdb(sql, schema)).fetchall()
