"""Reads the published tables of a lake with DuckDB, by glob, as any Parquet reader would. The link is resolved once: all
that is read then is of one run, whatever is published meanwhile.

    published.py LAKE

Prints, as JSON and per table: columns with their types, the number of rows, and the exact total of each decimal column.
"""

import json
import pathlib
import sys

import duckdb


def describe(folder: pathlib.Path) -> dict:
    source = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    columns = {name: kind for name, kind, *_ in duckdb.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    money = [name for name, kind in columns.items() if kind.startswith("DECIMAL")]
    sums = ", ".join(["count(*)"] + [f"sum({name})" for name in money])
    rows, *totals = duckdb.sql(f"SELECT {sums} FROM {source}").fetchone()
    texts = ["" if total is None else format(total, "f") for total in totals]
    return {"columns": columns, "rows": rows, "totals": dict(zip(money, texts))}


def main() -> None:
    published = pathlib.Path(sys.argv[1], "published").resolve()
    tables = sorted(folder for folder in published.iterdir() if folder.is_dir())
    print(json.dumps({folder.name: describe(folder) for folder in tables}))


main()
