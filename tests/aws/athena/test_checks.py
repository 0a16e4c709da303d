"""Every check of a staged run finds nothing in the sample, and finds it when a staged run is damaged."""

import pytest
from sqlglot import exp, parse_one

import athena_sql
from damage import DAMAGE, damaged
from files import check_files

CHECKS = check_files()

checks = pytest.mark.parametrize("name", sorted(CHECKS))


def found(connection, sql: str, damage: str) -> list[tuple[str]]:
    """What a check finds in a damaged run."""
    with damaged(connection, damage):
        return connection.execute(sql).fetchall()


def weakened(sql: str) -> list[tuple[str, str]]:
    """The check without one of its conditions, for each of them."""
    results = []
    for number, _ in enumerate(parse_one(sql, read="athena").find_all(exp.Or)):
        for kept, dropped in (("this", "expression"), ("expression", "this")):
            query = parse_one(sql, read="athena")
            either = list(query.find_all(exp.Or))[number]
            if not isinstance(either.args[dropped], exp.Or):
                text = either.args[dropped].sql("athena")
                either.replace(either.args[kept])
                results.append((text, query.sql("duckdb")))
    return results


@checks
def test_it_finds_nothing_in_the_sample(name, connection):
    cursor = connection.execute(CHECKS[name])
    assert [column[0] for column in cursor.description] == ["problem"]
    assert cursor.fetchall() == []


def test_none_finds_anything_in_the_golden_scenarios(scenario):
    assert {name: problems for name in CHECKS if (problems := scenario.execute(CHECKS[name]).fetchall())} == {}


def test_only_the_invoice_does_not_hold_on_another_cost_column(amortized):
    assert [name for name in CHECKS if amortized.execute(CHECKS[name]).fetchall()] == ["invoice"]


@pytest.mark.parametrize(("name", "damage"), [(name, damage) for name, all in DAMAGE.items() for damage in all])
def test_it_finds_a_damage(name, damage, connection):
    problems = found(connection, CHECKS[name], damage)
    assert problems
    assert all(text and text.strip() for (text,) in problems), "a problem without a text"


@checks
def test_each_of_its_conditions_is_the_only_one_that_finds_some_damage(name, connection):
    useless = [
        condition
        for condition, sql in weakened(CHECKS[name])
        if all(found(connection, sql, damage) for damage in DAMAGE[name])
    ]
    assert useless == []


@checks
def test_it_means_the_same_in_athena(name, schema):
    assert athena_sql.problems(CHECKS[name], schema) == []
    assert all(table.startswith("staged_") and table in schema for table in athena_sql.tables(CHECKS[name]))


@checks
def test_it_runs_unchanged_as_it_does_translated(name, schema, scratch):
    scratch.execute("UPDATE staged_net_cost SET net_cost = 1, invoice_net = 2, credits_applied = 3")
    scratch.execute("UPDATE staged_credit_balances SET used = 4, opening = 5, department = 'Nobody'")
    scratch.execute("DELETE FROM staged_credit_queue")
    unchanged = scratch.execute(CHECKS[name]).fetchall()
    assert sorted(unchanged) == sorted(scratch.execute(athena_sql.duckdb(CHECKS[name], schema)).fetchall())
