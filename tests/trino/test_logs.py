"""The Iceberg logs with two writers: the program, and Trino in the place of Athena."""

import itertools
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from conftest import LAKE
from server import FILES

NAMESPACE = "finops_credits"
LOGS = ("allocations_log", "credits_log", "runs_log")
IN_TRINO = {"string": "varchar", "int": "integer", "timestamp": "timestamp(6)"}
PARSED = {"decimal(38,10)": Decimal, "date": date.fromisoformat, "timestamp": datetime.fromisoformat}
LITERALS = {"decimal(38,10)": "DECIMAL '{}'", "date": "DATE '{}'", "timestamp": "TIMESTAMP '{}'", "int": "{}"}
NUMBERS = itertools.count()
ALLOCATIONS, TRINO_INSERTS = 40, 15
DAY = 24 * 60 * 60


class Book:
    """A lake of the sample organisation whose logs Trino opens by the lake's own catalogue file."""

    def __init__(self, trino, folder: Path, types: dict[str, dict[str, str]]):
        self.trino, self.types, self.catalog = trino, types, f"book_{next(NUMBERS)}"
        self.lake = LAKE.publish_sample(folder, "unblended")
        trino.add_catalog(self.catalog, "iceberg", {
            "iceberg.catalog.type": "jdbc",
            "iceberg.jdbc-catalog.catalog-name": NAMESPACE,
            "iceberg.jdbc-catalog.driver-class": "org.sqlite.JDBC",
            "iceberg.jdbc-catalog.connection-url": f"jdbc:sqlite:{self.lake}/catalog.db",
            "iceberg.jdbc-catalog.connection-user": "nobody",
            "iceberg.jdbc-catalog.connection-password": "none",
            "iceberg.jdbc-catalog.schema-version": "V1",
            "iceberg.jdbc-catalog.default-warehouse-dir": f"file://{self.lake}/warehouse",
            "iceberg.expire-snapshots.min-retention": "0s",
            **FILES,
        })  # fmt: skip

    def ask(self, sql: str):
        return self.trino.ask(sql, NAMESPACE, self.catalog)

    def program(self, *arguments: str):
        """What the program answers."""
        return json.loads(LAKE.program(self.lake.parent / "credits.toml", "--format", "json", *arguments))

    def run(self) -> None:
        LAKE.publish(self.lake.parent / "credits.toml", LAKE.AS_OF)

    def allocate(self, credit: str, *arguments: str) -> list[dict]:
        """The rows that the program has recorded."""
        return self.program("allocate", "--key", credit, "--by", "jane@example.com", "--yes", *arguments)["recorded"]

    def insert(self, rows: list[dict]) -> None:
        """Records rows by Trino."""
        types = self.types["allocations_log"]

        def literal(column: str, value) -> str:
            text = str(value).replace("'", "''").replace("T", " " if types[column] == "timestamp" else "T")
            return "NULL" if value is None else LITERALS.get(types[column], "'{}'").format(text)

        values = ", ".join(f"({', '.join(literal(column, row[column]) for column in types)})" for row in rows)
        self.ask(f"INSERT INTO allocations_log ({', '.join(types)}) VALUES {values}")

    def rows(self, log: str) -> list[tuple]:
        """The rows of a log as the program reads them."""
        parsed = {column: PARSED.get(kind, lambda value: value) for column, kind in self.types[log].items()}
        rows = self.program("query", f"SELECT * FROM {log}")
        return sorted(
            (tuple(None if row[name] is None else parse(row[name]) for name, parse in parsed.items()) for row in rows), key=repr
        )

    def rows_on_trino(self, log: str) -> list[tuple]:
        return sorted(self.ask(f"SELECT {', '.join(self.types[log])} FROM {log}").rows, key=repr)

    def published(self) -> dict[str, list[tuple]]:
        connection = LAKE.opened(self.lake, self.types, [])
        tables = [path.name for path in (self.lake / "published").iterdir() if path.is_dir()]
        return {table: sorted(connection.execute(f"FROM {table}").fetchall(), key=repr) for table in tables}


@pytest.fixture
def books(trino, tmp_path_factory, schema):
    return lambda: Book(trino, tmp_path_factory.mktemp("book"), schema)


def test_trino_reads_every_log_as_the_program_does(books, schema):
    book = books()
    book.allocate(waiting(book)[0], "--amount", "12.0000000001", "--to", "Logistics", "--end-date", "2027-03-31")
    for log in LOGS:
        types = {column: IN_TRINO.get(kind, kind) for column, kind in schema[log].items()}
        assert book.ask(f"SELECT * FROM {log}").columns == types
        assert book.rows_on_trino(log) == book.rows(log) != []


def waiting(book: Book) -> list[str]:
    return [row["credit_key"] for row in book.program("query", "SELECT credit_key FROM credit_queue ORDER BY 1")]


def test_what_trino_inserts_counts_in_the_next_run_as_if_the_program_had_recorded_it(books):
    recorded, inserted = books(), books()
    before = inserted.published()
    assert before == recorded.published()
    for number, credit in enumerate(waiting(recorded)):
        lots = ["--to", f"Logistics={20 + number}.0000000001,2027-03-31", "--to", "Logistics/Transport=30"]
        rows = recorded.allocate(credit, *lots, "--recorded-at", "2026-10-31T09:00:00.000001Z", "--reference", "it's new")
        inserted.insert(rows)
    assert inserted.published() == before
    recorded.run()
    inserted.run()
    assert inserted.published() == recorded.published() != before
    assert waiting(inserted) == []


def test_nothing_is_lost_while_both_write_and_trino_tends_the_logs(books):
    book = books()
    credits = waiting(book)
    before = book.rows("allocations_log")
    example = book.allocate(credits[0], "--amount", "1", "--to", "Logistics")[0]
    orphans = [left_behind(book, log) for log in LOGS]

    def by_program() -> list[str]:
        ids = []
        for number in range(ALLOCATIONS):
            credit = credits[number % len(credits)]
            ids += [row["allocation_id"] for row in book.allocate(credit, "--amount", f"{number + 1}", "--to", "Logistics")]
            if number % 10 == 9:
                book.run()
        return ids

    def by_trino() -> list[str]:
        ids = []
        for number in range(TRINO_INSERTS):
            ids.append(f"trino-{number}")
            book.insert([{**example, "allocation_id": ids[-1], "recorded_at": f"2026-10-01T00:00:{number:02}"}])
            tend(book)
        return ids

    with ThreadPoolExecutor(2) as writers:
        both = [writers.submit(by_program), writers.submit(by_trino)]
        ids = [example["allocation_id"], *(row[0] for row in before), *(id for writer in both for id in writer.result())]
    tend(book)
    for log in LOGS:
        assert book.rows_on_trino(log) == book.rows(log)
        assert book.ask(f'SELECT count(*) FROM "{log}$snapshots"').rows == [(1,)], "older ones have expired"
        assert book.ask(f"""SELECT count(*) FROM "{log}$files" """).rows == [(1,)], "small files are one"
    assert sorted(row[0] for row in book.rows("allocations_log")) == sorted(ids)
    assert [orphan for orphan in orphans if orphan.exists()] == []
    book.run()


def left_behind(book: Book, log: str) -> Path:
    """A file of a writer that was killed long ago."""
    file = next((book.lake / "warehouse").rglob(f"{log}/data")) / "left-behind.parquet"
    file.write_text("nobody names it")
    os.utime(file, (time.time() - 30 * DAY,) * 2)
    return file


def tend(book: Book) -> None:
    for log in LOGS:
        book.ask(f"ALTER TABLE {log} EXECUTE optimize")
        book.ask(f"ALTER TABLE {log} EXECUTE expire_snapshots(retention_threshold => '0s')")
        book.ask(f"ALTER TABLE {log} EXECUTE remove_orphan_files(retention_threshold => '7d')")
