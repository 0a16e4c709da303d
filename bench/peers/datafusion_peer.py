"""The common work in DataFusion's own SQL, rules in memory: peer.py DATA OUT THREADS.

Rules are registered in memory, so that the planner knows how few they are; lines are grouped by the raw tag values
first. Sums are of decimal(38,10), which DataFusion does not check for overflow.
"""
import os
import sys

import datafusion
import pyarrow as pa
import pyarrow.csv
from common import CHARGE, COST, ELIGIBLE, KEYS, SUMS, TYPE
from datafusion import DataFrameWriteOptions, SessionConfig, SessionContext

data, out, threads = sys.argv[1:4]
os.makedirs(out, exist_ok=True)
ctx = SessionContext(SessionConfig().with_target_partitions(int(threads)))
ctx.register_parquet("export", f"{data}/cur/data/", file_extension=".parquet", table_partition_cols=[("BILLING_PERIOD", pa.string())])
header = open(f"{data}/reference/cost_rules.csv").readline().strip().split(",")
text = pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in header}, strings_can_be_null=True)
rules = pyarrow.csv.read_csv(f"{data}/reference/cost_rules.csv", convert_options=text)
ctx.register_record_batches("rules", [rules.to_batches()])
lines = ctx.sql(f"""
  select bp, usage_date, payer_account_id, account_id, service, currency, t1, t2, t3, is_credit, description,
         sum(cost) filter (where kind = 'charge') as charges, sum(cost) filter (where kind = 'Tax') as tax,
         sum(cost) filter (where kind = 'Refund') as refunds, sum(cost) filter (where kind = 'Credit') as aws_credits,
         sum(cost) filter (where kind = 'charge' and eligible) as eligible_charges
  from (select bill_billing_period_start_date as bp, cast(line_item_usage_start_date as date) as usage_date,
               bill_payer_account_id as payer_account_id, line_item_usage_account_id as account_id,
               line_item_product_code as service, line_item_currency_code as currency,
               resource_tags['user_cost_center'] as t1, resource_tags['user_app'] as t2, cost_category['BusinessUnit'] as t3,
               {TYPE} = 'Credit' as is_credit, case when {TYPE} = 'Credit' then line_item_line_item_description end as description,
               case when {CHARGE} then 'charge' else {TYPE} end as kind, {ELIGIBLE} as eligible, {COST} as cost
        from export)
  group by bp, usage_date, payer_account_id, account_id, service, currency, t1, t2, t3, is_credit, description""").cache()
ctx.register_view("lines", lines)
ruled = ctx.sql("""
  select to_char(bp, '%Y-%m') as billing_period, l.usage_date, l.payer_account_id, l.account_id, l.service, l.currency,
         l.is_credit, l.description, l.charges, l.tax, l.refunds, l.aws_credits, l.eligible_charges,
         l.charges as unblended_charges, coalesce(r1.rule_id, r2.rule_id, r3.rule_id, r4.rule_id) as rule_id
  from lines l
  left join (select rule_id, tag_value from rules where tag_key = 'user_cost_center') r1 on r1.tag_value = t1
  left join (select rule_id, tag_value from rules where tag_key = 'user_app') r2 on r2.tag_value = t2
  left join (select rule_id, cost_category_value from rules where cost_category_key = 'BusinessUnit') r3 on r3.cost_category_value = t3
  left join (select rule_id, account_id from rules where account_id is not null) r4 on r4.account_id = l.account_id""").cache()
ctx.register_view("ruled", ruled)


def write(name, sql):
    one_file = DataFrameWriteOptions(single_file_output=True)
    ctx.sql(sql).write_parquet(f"{out}/{name}.parquet", compression="zstd", compression_level=1, write_options=one_file)


write("cost_lines", f"select {KEYS}, rule_id, {SUMS} from ruled group by {KEYS}, rule_id")
write("credit_lines", f"""select {KEYS}, description, cast(sum(aws_credits) as decimal(38,10)) as amount from ruled
  where is_credit group by {KEYS}, description""")
write("cells", f"""select {KEYS}, business_unit, department, portfolio, product, {SUMS}
  from (select l.*, coalesce(r.business_unit, 'Unassigned') as business_unit, r.department, r.portfolio, r.product
        from ruled l left join (select rule_id as id, business_unit, department, portfolio, product from rules) r on r.id = l.rule_id)
  group by {KEYS}, business_unit, department, portfolio, product""")
print(datafusion.__version__)
