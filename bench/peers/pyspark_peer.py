"""The common work in Spark SQL, one process, local[THREADS]: peer.py DATA OUT THREADS. Needs Java.

Tuned: lines are grouped by the raw tag values first and the rules, broadcast, joined to the groups; as many shuffle
partitions as threads, no UI. Exact: each cost is rounded to a whole number of 1e-10 and summed as a 64-bit integer, whose
overflow Spark reports (ANSI mode), then written as decimal(38,10).
"""
import sys

import pyspark
from pyspark.sql import SparkSession

from common import CHARGE, ELIGIBLE, KEYS, MEASURES, TYPE

data, out, threads = sys.argv[1:4]
settings = {
    "spark.driver.memory": "4g", "spark.driver.host": "127.0.0.1", "spark.log.level": "ERROR", "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false", "spark.sql.adaptive.enabled": "true", "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": threads, "spark.sql.parquet.compression.codec": "zstd",
    "spark.hadoop.parquet.compression.codec.zstd.level": "1"}
spark = SparkSession.builder.master(f"local[{threads}]").config(map=settings).getOrCreate()
UNITS = "cast(rint(line_item_unblended_cost * 1e10) as bigint)"
MONEY = "cast(coalesce(sum({0}), 0) * 0.0000000001BD as decimal(38,10)) as {0}"
SUMS = ", ".join(MONEY.format(measure) for measure in MEASURES)
spark.read.parquet(f"{data}/cur/data").createOrReplaceTempView("export")
spark.read.csv(f"{data}/reference/cost_rules.csv", header=True).cache().createOrReplaceTempView("rules")
spark.sql(f"""
  select date_format(bp, 'yyyy-MM') as billing_period, l.*, charges as unblended_charges, coalesce(r1.rule_id, r2.rule_id, r3.rule_id, r4.rule_id) as rule_id
  from (
    select bill_billing_period_start_date as bp, cast(line_item_usage_start_date as date) as usage_date,
           bill_payer_account_id as payer_account_id, line_item_usage_account_id as account_id,
           line_item_product_code as service, line_item_currency_code as currency,
           resource_tags['user_cost_center'] as t1, resource_tags['user_app'] as t2, cost_category['BusinessUnit'] as t3,
           {TYPE} = 'Credit' as is_credit, case when {TYPE} = 'Credit' then line_item_line_item_description end as description,
           sum(case when {CHARGE} then {UNITS} end) as charges, sum(case when {TYPE} = 'Tax' then {UNITS} end) as tax,
           sum(case when {TYPE} = 'Refund' then {UNITS} end) as refunds, sum(case when {TYPE} = 'Credit' then {UNITS} end) as aws_credits,
           sum(case when {CHARGE} and {ELIGIBLE} then {UNITS} end) as eligible_charges
    from export group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) l
  left join (select rule_id, tag_value from rules where tag_key = 'user_cost_center') r1 on r1.tag_value = t1
  left join (select rule_id, tag_value from rules where tag_key = 'user_app') r2 on r2.tag_value = t2
  left join (select rule_id, cost_category_value from rules where cost_category_key = 'BusinessUnit') r3 on r3.cost_category_value = t3
  left join (select rule_id, account_id from rules where account_id is not null) r4 on r4.account_id = l.account_id""").cache().createOrReplaceTempView("ruled")


def write(name, sql):
    spark.sql(sql).write.parquet(f"{out}/{name}.parquet")


write("cost_lines", f"select {KEYS}, rule_id, {SUMS} from ruled group by {KEYS}, rule_id")
write("credit_lines", f"""select {KEYS}, description, {MONEY.format('amount')}
  from (select *, aws_credits as amount from ruled where is_credit) group by {KEYS}, description""")
write("cells", f"""select {KEYS}, business_unit, department, portfolio, product, {SUMS}
  from (select l.*, coalesce(r.business_unit, 'Unassigned') as business_unit, r.department, r.portfolio, r.product
        from ruled l left join (select rule_id as id, business_unit, department, portfolio, product from rules) r on r.id = l.rule_id)
  group by {KEYS}, business_unit, department, portfolio, product""")
print(pyspark.__version__)
java = spark.sparkContext._gateway.proc
spark.stop()
java.stdin.close()
java.wait()  # so that the time, CPU time and memory of Java are ours to whoever waits for this process
