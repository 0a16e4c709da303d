"""The common work in DuckDB: peer.py DATA OUT THREADS.

Tuned: lines are grouped by the raw tag values first and the rules joined to the groups; no insertion order. Exact: each
cost is rounded to ten decimals and summed as decimal(38,10).
"""
import os
import sys

import duckdb

from common import CHARGE, COST, ELIGIBLE, KEYS, SUMS, TYPE

data, out, threads = sys.argv[1:4]
os.makedirs(out, exist_ok=True)
con = duckdb.connect()
con.execute(f"set threads={threads}; set preserve_insertion_order=false")
con.execute(f"create temp table rules as select * from read_csv('{data}/reference/cost_rules.csv', all_varchar=true)")
con.execute(f"""create temp table lines as
  select strftime(bill_billing_period_start_date, '%Y-%m') as billing_period, line_item_usage_start_date::date as usage_date,
         bill_payer_account_id as payer_account_id, line_item_usage_account_id as account_id,
         line_item_product_code as service, line_item_currency_code as currency,
         resource_tags['user_cost_center'] as t1, resource_tags['user_app'] as t2, cost_category['BusinessUnit'] as t3,
         {TYPE} = 'Credit' as is_credit, case when {TYPE} = 'Credit' then line_item_line_item_description end as description,
         sum({COST}) filter ({CHARGE}) as charges,
         sum({COST}) filter ({TYPE} = 'Tax') as tax, sum({COST}) filter ({TYPE} = 'Refund') as refunds,
         sum({COST}) filter ({TYPE} = 'Credit') as aws_credits,
         sum({COST}) filter ({CHARGE} and {ELIGIBLE}) as eligible_charges
  from read_parquet('{data}/cur/data/*/*.parquet', hive_partitioning=false)
  group by all""")
con.execute("""create temp table ruled as
  select l.*, charges as unblended_charges, coalesce(r1.rule_id, r2.rule_id, r3.rule_id, r4.rule_id) as rule_id
  from lines l
  left join (select * from rules where tag_key = 'user_cost_center') r1 on r1.tag_value = t1
  left join (select * from rules where tag_key = 'user_app') r2 on r2.tag_value = t2
  left join (select * from rules where cost_category_key = 'BusinessUnit') r3 on r3.cost_category_value = t3
  left join (select * from rules where account_id is not null) r4 on r4.account_id = l.account_id""")


def write(name, sql):
    con.execute(f"copy ({sql}) to '{out}/{name}.parquet' (format parquet, codec 'zstd', compression_level 1)")


write("cost_lines", f"select {KEYS}, rule_id, {SUMS} from ruled group by {KEYS}, rule_id")
write("credit_lines", f"""select {KEYS}, description, sum(aws_credits)::decimal(38,10) as amount from ruled
  where is_credit group by {KEYS}, description""")
write("cells", f"""select {', '.join('l.' + k for k in KEYS.split(', '))}, coalesce(r.business_unit, 'Unassigned') as business_unit,
  r.department, r.portfolio, r.product, {SUMS} from ruled l left join rules r using (rule_id) group by all""")
print(duckdb.__version__)
