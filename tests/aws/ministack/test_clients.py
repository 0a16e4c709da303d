"""Several writers and foreign readers on a lake in S3 and Glue."""

import datetime
import decimal
from importlib.metadata import files as files_of

import duckdb
import pyarrow
import pytest

from support.emulator import REGION, Emulator
from support.lake import (
    DATABASE,
    PUBLISHED,
    SHOP_DAY,
    Program,
    bucket_settings,
    iceberg,
    locations,
    log_rows,
    make_lake,
    said,
    shop_files,
)

BUCKET = "shop-lake"
CREDIT_B = "code:Credit B@111111111111"
WRITERS = 8


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with Emulator(tmp_path_factory.mktemp("clients") / "state") as running:
        make_lake(running, BUCKET, DATABASE, shop_files())
        yield running


@pytest.fixture(scope="module")
def program(emulator, tmp_path_factory):
    """After the first run."""
    made = Program(tmp_path_factory.mktemp("laptop"), bucket_settings(BUCKET), emulator.environment())
    made.run("run", "--as-of", SHOP_DAY)
    return made


@pytest.fixture(scope="module")
def database(emulator, program):
    """DuckDB with the extensions that read Iceberg from S3."""
    connection = duckdb.connect()
    for name in ("httpfs", "avro", "iceberg"):
        (path,) = [it.locate() for it in files_of(f"duckdb-extension-{name}") if it.suffix == ".duckdb_extension"]
        connection.execute(f"LOAD '{path}'")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID 'test', SECRET 'test', REGION '{REGION}', URL_STYLE 'path', USE_SSL false, "
        f"ENDPOINT '{emulator.endpoint.removeprefix('http://')}')"
    )
    return connection


def metadata_of(emulator, log):
    table = emulator.client("glue").get_table(DatabaseName=DATABASE, Name=log)["Table"]
    assert table["Parameters"]["table_type"].upper() == "ICEBERG"
    return table["Parameters"]["metadata_location"]


def test_allocations_recorded_at_once_are_all_there(emulator, program):
    before = len(log_rows(emulator, "allocations_log"))
    writers = [
        program.start(
            "allocate", "--key", CREDIT_B, "--amount", str(number), "--to", "Retail", "--by", f"writer-{number}"
        )
        for number in range(1, WRITERS + 1)
    ]
    outcomes = [(writer.communicate(timeout=300), writer.returncode) for writer in writers]
    assert [code for _, code in outcomes] == [0] * WRITERS, outcomes
    rows = log_rows(emulator, "allocations_log")
    assert len(rows) == before + WRITERS
    written = {said(row["recorded_by"]): row["amount"] for row in rows if "writer-" in row["recorded_by"]}
    assert written == {f"writer-{number}": decimal.Decimal(number) for number in range(1, WRITERS + 1)}
    assert len({row["allocation_id"] for row in rows}) == len(rows)


def test_allocation_that_pyiceberg_appends_counts_in_the_next_run(emulator, program):
    log = iceberg(emulator).load_table((DATABASE, "allocations_log"))
    log.append(
        pyarrow.Table.from_pylist(
            [
                {
                    "allocation_id": "from-python",
                    "lot": 1,
                    "credit_key": CREDIT_B,
                    "action": "allocate",
                    "business_unit": "Retail",
                    "amount": decimal.Decimal("50.0000000001"),
                    "currency": "USD",
                    "recorded_by": "athena",
                    "recorded_at": datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None),
                }
            ],
            schema=log.schema().as_arrow(),
        )
    )
    program.run("run", "--as-of", SHOP_DAY)
    shown = program.run(
        "--format",
        "csv",
        "query",
        "SELECT allocated_amount, recorded_by FROM credits WHERE promotion_code = 'Credit B'",
    ).stdout
    assert shown.splitlines()[1] == "50.0000000001,athena"


def test_duckdb_reads_the_logs_as_iceberg_tables(emulator, program, database):
    for log in ("credits_log", "allocations_log", "runs_log"):
        expected = log_rows(emulator, log)
        relation = database.sql(f"SELECT * FROM iceberg_scan('{metadata_of(emulator, log)}')")
        found = relation.to_arrow_table().to_pylist()
        assert sorted(found, key=repr) == sorted(expected, key=repr) and found, log


def test_duckdb_reads_every_published_table_by_glob(emulator, program, database):
    tables = locations(emulator)
    assert sorted(tables) == sorted(PUBLISHED)
    for table, location in tables.items():
        source = f"read_parquet('{location}/**/*.parquet', hive_partitioning = true)"
        own = program.run("--format", "csv", "query", f"SELECT count(*) AS n FROM {table}").stdout.splitlines()[1]
        assert str(database.sql(f"SELECT count(*) FROM {source}").fetchone()[0]) == own, table
    source = f"read_parquet('{tables['reconciliation']}/**/*.parquet', hive_partitioning = true)"
    differences = database.sql(f"SELECT DISTINCT difference FROM {source}").fetchall()
    assert differences == [(decimal.Decimal("0E-10"),)]
