"""Published lakes, and DuckDB in the place of Athena."""

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

import athena_sql
from files import ROOT, ddl_columns, table_ddl, templates_views, view_files

AS_OF = "2026-10-31"
VECTORS = ROOT / "tests/fixtures/vectors"
SCENARIOS = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden results instead of comparing")


def program(settings: Path, *arguments: str) -> str:
    """Runs the program on a settings file, and returns what it printed."""
    binary = Path(os.environ["FINOPS_CREDITS_BINARY"]).resolve(strict=True)
    done = subprocess.run([binary, "--config", settings, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def publish(settings: Path, as_of: str, *options: str) -> Path:
    """Makes a run as of a date; the lake beside the settings file."""
    program(settings, "--as-of", as_of, "run", *options)
    return settings.parent / "lake"


def publish_sample(folder: Path, cost: str) -> Path:
    settings = folder / "credits.toml"
    settings.write_text(
        f'[source]\nlocation = "{ROOT}/data/cur"\ncost = "{cost}"\n'
        f'[reference]\nlocation = "{ROOT}/data/reference"\n[lake]\nlocation = "lake"\n'
    )
    return publish(settings, AS_OF)


def opened(lake: Path, schema: dict, views: list[str]) -> duckdb.DuckDBPyConnection:
    """The published tables, the same as a staged run, and the views."""
    connection = duckdb.connect()
    for table in sorted(path.name for path in (lake / "published").iterdir() if path.is_dir()):
        files = f"'{lake}/published/{table}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false"
        columns = ", ".join(schema[table])
        connection.execute(f"CREATE TABLE {table} AS SELECT {columns} FROM read_parquet({files})")
        connection.execute(f"CREATE TABLE staged_{table} AS FROM {table}")
    for view in views:
        connection.execute(view)
    return connection


@pytest.fixture(scope="session")
def schema() -> dict[str, dict[str, str]]:
    """Columns and Athena types of tables, of staged tables and of views, by name: what the shipped files declare."""
    tables = {name: ddl_columns(ddl) for name, ddl in table_ddl().items()}
    staged = {f"staged_{name}": columns for name, columns in tables.items()}
    return {**tables, **staged, **{view.name: view.columns for view in view_files()}}


@pytest.fixture(scope="session")
def views(schema) -> list[str]:
    """The views as the template installs them, each after those it reads."""
    texts = {name: view["originalSql"] for name, view in templates_views().items()}
    return [f"CREATE VIEW {name} AS {athena_sql.duckdb(texts[name], schema)}" for name in athena_sql.in_order(texts)]


@pytest.fixture(scope="session")
def lake(tmp_path_factory) -> Path:
    """A lake in which the sample organisation is published."""
    return publish_sample(tmp_path_factory.mktemp("sample"), "unblended")


@pytest.fixture(scope="session")
def connection(lake, schema, views) -> duckdb.DuckDBPyConnection:
    return opened(lake, schema, views)


@pytest.fixture
def scratch(connection):
    """The sample, for changes that are taken back."""
    connection.execute("BEGIN TRANSACTION")
    yield connection
    connection.execute("ROLLBACK")


@pytest.fixture(scope="session")
def amortized(tmp_path_factory, schema, views) -> duckdb.DuckDBPyConnection:
    """The sample organisation on the amortized cost column."""
    return opened(publish_sample(tmp_path_factory.mktemp("amortized"), "amortized"), schema, views)


def publish_scenario(name: str, folder: Path) -> Path:
    """A golden scenario of the semantics, its allocations imported by the first run."""
    source = VECTORS / name
    shutil.copytree(source, folder, dirs_exist_ok=True)
    shutil.copy(source / "allocations.csv", folder / "reference")
    return publish(folder / "credits.toml", (source / "as_of.txt").read_text().strip())


@pytest.fixture(scope="session", params=SCENARIOS)
def scenario(request, tmp_path_factory, schema, views) -> duckdb.DuckDBPyConnection:
    return opened(publish_scenario(request.param, tmp_path_factory.mktemp(request.param)), schema, views)
