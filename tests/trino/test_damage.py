"""Every damage of a staged run is found by its check on Trino, in the words in which DuckDB finds it."""

import itertools

import pytest

import athena_sql
from damage import DAMAGE, damaged
from files import check_files
from tables import create_table

CHECKS = check_files()
NUMBERS = itertools.count()


@pytest.mark.parametrize(("name", "damage"), [(name, damage) for name, all in DAMAGE.items() for damage in all])
def test_a_damage_is_found(name, damage, connection, trino, schema, tmp_path):
    into = f"damaged_{next(NUMBERS)}"
    trino.ask(f"CREATE SCHEMA {into}")
    with damaged(connection, damage):
        expected = connection.execute(CHECKS[name]).fetchall()
        for table in athena_sql.tables(CHECKS[name]):
            folder = tmp_path / table
            folder.mkdir()
            connection.execute(f"COPY {table} TO '{folder}/rows.parquet'")
            trino.ask(create_table(table, schema[table], folder), into)
    found = trino.ask(CHECKS[name], into).rows
    assert found and sorted(found) == sorted(expected)
