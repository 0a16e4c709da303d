"""What load.py runs in its environment.

  peers.py journal LAKE FILE      net cost of every cell as a transaction of a Beancount journal
  peers.py duckdb-ui LAKE PORT    the server of DuckDB's UI, a view for each published table
"""
import pathlib
import re
import signal
import sys

import duckdb

LEVELS = ("business_unit", "department", "portfolio", "product")


def open_lake(lake):
    """A view for each published table."""
    con = duckdb.connect()
    for table in sorted(pathlib.Path(lake, "published").iterdir()):
        if table.is_dir() and any(table.rglob("*.parquet")):
            files = f"read_parquet('{table}/**/*.parquet', hive_partitioning=true, hive_types_autocast=false)"
            con.execute(f"create view {table.name} as from {files}")
    return con


def account(levels):
    """A node as an account of Beancount."""
    return ":".join(["Expenses", *(re.sub(r"[^A-Za-z0-9]+", "-", level) for level in levels if level)])


def journal(lake, file):
    rows = open_lake(lake).execute(
        f"select usage_date, account_id, service, net_cost, {', '.join(LEVELS)} from net_cost order by all").fetchall()
    opened = min(row[0] for row in rows)
    with open(file, "w") as out:
        out.write('option "title" "load"\noption "operating_currency" "USD"\n')
        for name in ["Liabilities:AWS", *sorted({account(row[4:]) for row in rows})]:
            out.write(f"{opened} open {name} USD\n")
        for date, payee, service, amount, *levels in rows:
            postings = f"  {account(levels)}  {amount:f} USD\n  Liabilities:AWS  {-amount:f} USD\n"
            out.write(f'{date} * "{payee}" "{service}"\n{postings}')


def duckdb_ui(lake, port):
    import duckdb_extension_ui
    con = open_lake(lake)
    extension = next(pathlib.Path(duckdb_extension_ui.__file__).parent.rglob("ui.duckdb_extension"))
    con.execute(f"load '{extension}'")
    con.execute(f"set ui_local_port = {int(port)}")
    print(con.execute("call start_ui_server()").fetchall(), flush=True)
    signal.sigwait([signal.SIGTERM])


if __name__ == "__main__":
    command, *words = sys.argv[1:]
    {"journal": journal, "duckdb-ui": duckdb_ui}[command](*words)
