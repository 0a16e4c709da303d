"""The common work in ClickHouse local (chDB): peer.py DATA OUT THREADS.

Tuned: lines are grouped by the raw tag values first and the rules joined to the groups, rules in memory. Exact: each cost
is rounded to a whole number of 1e-10 and summed as a 128-bit integer, then written as decimal(38,10).
"""
import os
import sys

import chdb
from chdb import session

from common import CHARGE, KEYS, MEASURES, TYPE

data, out, threads = sys.argv[1:4]
os.makedirs(out, exist_ok=True)
clickhouse = session.Session()
SETTINGS = f"settings max_threads={threads}, join_use_nulls=1, output_format_parquet_compression_method='zstd', output_format_compression_level=1, output_format_parquet_string_as_string=1"
ELIGIBLE = f"""ifNull(bill_billing_entity, '') <> 'AWS Marketplace'
  and not ({TYPE} = 'Fee' and (ifNull(reservation_reservation_a_r_n, '') <> '' or ifNull(savings_plan_savings_plan_a_r_n, '') <> ''))
  and {TYPE} <> 'SavingsPlanUpfrontFee' and ifNull(line_item_product_code, '') <> 'AmazonRegistrar'"""
UNITS = "toInt128(round(assumeNotNull(line_item_unblended_cost) * 1e10))"
COLUMNS = [*KEYS.split(", "), "is_credit", "description", *MEASURES[:-1]]
MONEY = "cast(divideDecimal(toDecimal256(sum({0}), 0), toDecimal256(10000000000, 0), 10) as Decimal(38, 10)) as {0}"
SUMS = ", ".join(MONEY.format(measure) for measure in MEASURES)


def run(sql):
    clickhouse.query(f"{sql} {SETTINGS}")


def write(name, sql):
    run(f"{sql} into outfile '{out}/{name}.parquet' truncate format Parquet")


def rules(column, condition):
    return f"(select rule_id, {column} as value from rules where {condition})"


clickhouse.query("create database bench engine=Atomic")
clickhouse.query("use bench")
run(f"create table rules engine=Memory as select * from file('{data}/reference/cost_rules.csv', CSVWithNames)")
run(f"""create table ruled engine=Memory as
  select {', '.join('l.' + column + ' as ' + column for column in COLUMNS)}, l.charges as unblended_charges, coalesce(r1.rule_id, r2.rule_id, r3.rule_id, r4.rule_id) as rule_id
  from (
    select formatDateTime(bill_billing_period_start_date, '%Y-%m', 'UTC') as billing_period, toDate32(line_item_usage_start_date, 'UTC') as usage_date,
           bill_payer_account_id as payer_account_id, line_item_usage_account_id as account_id,
           line_item_product_code as service, line_item_currency_code as currency,
           resource_tags['user_cost_center'] as t1, resource_tags['user_app'] as t2, cost_category['BusinessUnit'] as t3,
           {TYPE} = 'Credit' as is_credit, if({TYPE} = 'Credit', line_item_line_item_description, null) as description,
           sumIf({UNITS}, {CHARGE}) as charges, sumIf({UNITS}, {TYPE} = 'Tax') as tax, sumIf({UNITS}, {TYPE} = 'Refund') as refunds,
           sumIf({UNITS}, {TYPE} = 'Credit') as aws_credits, sumIf({UNITS}, {CHARGE} and {ELIGIBLE}) as eligible_charges
    from file('{data}/cur/data/*/*.parquet', Parquet) group by all) l
  left join {rules("tag_value", "tag_key = 'user_cost_center'")} r1 on r1.value = l.t1
  left join {rules("tag_value", "tag_key = 'user_app'")} r2 on r2.value = l.t2
  left join {rules("cost_category_value", "cost_category_key = 'BusinessUnit'")} r3 on r3.value = l.t3
  left join {rules("toString(account_id)", "account_id is not null")} r4 on r4.value = l.account_id""")
write("cost_lines", f"select {KEYS}, rule_id, {SUMS} from ruled group by {KEYS}, rule_id")
write("credit_lines", f"""select {KEYS}, description, {MONEY.format('amount')}
  from (select *, aws_credits as amount from ruled where is_credit) group by {KEYS}, description""")
write("cells", f"""select {KEYS}, ifNull(r.business_unit, 'Unassigned') as business_unit, r.department as department, r.portfolio as portfolio,
  r.product as product, {SUMS} from ruled l left join rules r on r.rule_id = l.rule_id group by {KEYS}, business_unit, department, portfolio, product""")
print(chdb.__version__)
