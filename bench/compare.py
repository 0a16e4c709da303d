#!/usr/bin/env python3
"""compare.py LAKE OUT: the cost lines, credit lines and cells of a lake equal another engine's, row by row."""
import sys

import duckdb

lake, out = sys.argv[1:3]
con = duckdb.connect()
KEYS = "billing_period, usage_date, payer_account_id, account_id, service, currency"
SUMS = "charges, tax, refunds, aws_credits, eligible_charges, unblended_charges"
period = "regexp_extract(filename, '/generations/([0-9-]+)/', 1) as billing_period"
TABLES = {
    "cost_lines": (f"select *, {period} from read_parquet('{lake}/generations/*/*/cost_lines/*.parquet', filename=true)",
                   f"{KEYS}, rule_id, {SUMS}"),
    "credit_lines": (f"select *, {period} from read_parquet('{lake}/generations/*/*/credit_lines/*.parquet', filename=true)",
                     f"{KEYS}, description, amount"),
    "cells": (f"from read_parquet('{lake}/work/bench/cells/*/*.parquet', hive_partitioning=true, hive_types_autocast=false)",
              f"{KEYS}, business_unit, department, portfolio, product, {SUMS}"),
}
wrong = False
for name, (ours, columns) in TABLES.items():
    con.execute(f"create or replace temp table ours as select {columns} from ({ours})")
    con.execute(f"create or replace temp table theirs as select {columns} from read_parquet('{out}/{name}.parquet')")
    rows = con.execute("select (select count(*) from ours), (select count(*) from theirs)").fetchone()
    differ = con.execute("select count(*) from ((from ours except all from theirs) union all (from theirs except all from ours))").fetchone()[0]
    print(f"{out} {name}: {rows[0]:,} rows, {rows[1]:,} theirs, {differ} differ")
    if differ:
        for row in con.execute("(from ours except all from theirs) limit 2").fetchall() + con.execute("(from theirs except all from ours) limit 2").fetchall():
            print("  ", row)
    wrong |= differ > 0 or rows[0] == 0
sys.exit(wrong)
