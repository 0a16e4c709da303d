"""What the SQL of all engines shares: the columns, and what a credit may offset by the default settings."""
COST = "cast(round(line_item_unblended_cost, 10) as decimal(38,10))"
TYPE = "line_item_line_item_type"
CHARGE = f"{TYPE} not in ('Credit', 'Tax', 'Refund')"
ELIGIBLE = f"""(bill_billing_entity is distinct from 'AWS Marketplace')
  and not ({TYPE} = 'Fee' and (coalesce(reservation_reservation_a_r_n, '') <> '' or coalesce(savings_plan_savings_plan_a_r_n, '') <> ''))
  and {TYPE} <> 'SavingsPlanUpfrontFee' and (line_item_product_code is distinct from 'AmazonRegistrar')"""
KEYS = "billing_period, usage_date, payer_account_id, account_id, service, currency"
MEASURES = ("charges", "tax", "refunds", "aws_credits", "eligible_charges", "unblended_charges")
SUMS = ", ".join(f"cast(coalesce(sum({measure}), 0) as decimal(38,10)) as {measure}" for measure in MEASURES)
