"""The common work in Polars, lazy, streaming engine: peer.py DATA OUT THREADS.

Tuned: lines are grouped by the raw tag values first and the rules joined to the groups, rules in memory; measures are
columns, not filters within the sums. Exact: each cost is rounded to ten decimals and summed as decimal(38,10), whose
overflow this engine reports.
"""
import os
import sys

data, out, threads = sys.argv[1:4]
os.environ["POLARS_MAX_THREADS"] = threads  # read when Polars is imported
import polars as pl
from polars import col

from common import KEYS, MEASURES

os.makedirs(out, exist_ok=True)
keys = KEYS.split(", ")
line_type = col("line_item_line_item_type")
credit = line_type == "Credit"
charge = ~line_type.is_in(["Credit", "Tax", "Refund"])
reserved = pl.any_horizontal(
    col(name).fill_null("") != "" for name in ("reservation_reservation_a_r_n", "savings_plan_savings_plan_a_r_n"))
eligible = (col("bill_billing_entity").ne_missing("AWS Marketplace") & ~((line_type == "Fee") & reserved)
            & (line_type != "SavingsPlanUpfrontFee") & col("line_item_product_code").ne_missing("AmazonRegistrar"))
cost = col("line_item_unblended_cost").round(10, mode="half_away_from_zero").cast(pl.Decimal(38, 10))
parts = {"charges": charge, "tax": line_type == "Tax", "refunds": line_type == "Refund", "aws_credits": credit,
         "eligible_charges": charge & eligible}
lines = (
    pl.scan_parquet(f"{data}/cur/data/*/*.parquet", hive_partitioning=False)
    .select(
        billing_period="bill_billing_period_start_date", usage_date=col("line_item_usage_start_date").dt.date(),
        payer_account_id="bill_payer_account_id", account_id="line_item_usage_account_id",
        service="line_item_product_code", currency="line_item_currency_code",
        t1=col("resource_tags").map.get("user_cost_center"), t2=col("resource_tags").map.get("user_app"),
        t3=col("cost_category").map.get("BusinessUnit"),
        is_credit=credit, description=pl.when(credit).then("line_item_line_item_description"),
        **{name: pl.when(condition).then(cost) for name, condition in parts.items()})
    .group_by(*keys, "t1", "t2", "t3", "is_credit", "description").agg(col(*parts).sum()))
rules = pl.read_csv(f"{data}/reference/cost_rules.csv", infer_schema=False)


def rule(number, column, condition):
    return rules.lazy().filter(condition).select(col("rule_id").alias(f"r{number}"), col(column).alias("value"))


ruled = (
    lines.join(rule(1, "tag_value", col("tag_key") == "user_cost_center"), left_on="t1", right_on="value", how="left")
    .join(rule(2, "tag_value", col("tag_key") == "user_app"), left_on="t2", right_on="value", how="left")
    .join(rule(3, "cost_category_value", col("cost_category_key") == "BusinessUnit"), left_on="t3", right_on="value", how="left")
    .join(rule(4, "account_id", col("account_id").is_not_null()), left_on="account_id", right_on="value", how="left")
    .with_columns(col("billing_period").dt.strftime("%Y-%m"), unblended_charges="charges", rule_id=pl.coalesce("r1", "r2", "r3", "r4"))
    .collect(engine="streaming").lazy())


def write(name, table):
    table.sink_parquet(f"{out}/{name}.parquet", compression="zstd", compression_level=1, engine="streaming")


write("cost_lines", ruled.group_by(*keys, "rule_id").agg(col(*MEASURES).sum()))
write("credit_lines", ruled.filter("is_credit").group_by(*keys, "description").agg(amount=col("aws_credits").sum()))
nodes = ["business_unit", "department", "portfolio", "product"]
write("cells", ruled.join(rules.lazy().select("rule_id", *nodes), on="rule_id", how="left")
      .with_columns(col("business_unit").fill_null("Unassigned")).group_by(*keys, *nodes).agg(col(*MEASURES).sum()))
print(pl.__version__)
