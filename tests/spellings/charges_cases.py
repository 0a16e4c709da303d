"""Cases of what a line is: Marketplace, refunds, exclusions, and credits that were bought more than once."""

from kit import ALLOCATED, DATA, SHOP, bill, case, line, parquet, settings, startup, text

PLAN, RESERVATION = bill.SAVINGS_PLAN, bill.RESERVATION
HEADER = bill.ALLOCATIONS.split("\n")[0]
EMEA = "Amazon Web Services EMEA SARL"
USED, CREDIT = line("30"), startup("-30")
# 30 of 100 are eligible, or all of it.
KEPT, ALL = ["2026-09 Shop 100 0 -30 -30"], ["2026-09 Shop 100 0 -30 -100"]


# Marketplace.

def with_seller(**more):
    return [USED, line("70", service="4cnthlqs3hx1t8xkz9y3c7jf2", **more), CREDIT]


ISSUER = "InvoiceIssuerName"
case("marketplace/focus-provider", "FOCUS whose provider is AWS Marketplace, though AWS is the publisher.",
     {"focus.parquet": parquet("focus12", with_seller(provider="AWS Marketplace"))}, reference=ALLOCATED, expected=KEPT)
case("marketplace/focus-without-publisher-on-a-line", "A line of FOCUS that names no publisher is nobody else's.",
     {"focus.csv": text("focus10", with_seller(seller=None))}, reference=ALLOCATED, expected=ALL)
case("marketplace/focus-of-another-aws-company", "The publisher is an AWS company, though not the one that bills.",
     {"focus.csv": text("focus12", with_seller(seller=EMEA))}, reference=ALLOCATED, expected=ALL)
case("marketplace/focus-invoice-of-a-reseller", "A reseller bills what AWS publishes, and a seller's charge.",
     {"focus.csv": text("focus12", with_seller(seller="Red Hat Inc."), add={ISSUER: ("text", ["Acme Resale GmbH"] * 3)})},
     reference=ALLOCATED, expected=KEPT)
case("marketplace/cur-2.0", "CUR 2.0 as Parquet: the billing entity says it.",
     {"cur.parquet": parquet("cur2", with_seller(seller="Red Hat Inc."))}, reference=ALLOCATED, expected=KEPT)


# Refunds.

def zeros(lines, *names):
    return {name: ("cost", ["0"] * len(lines)) for name in names}


BOUGHT = [line("500", kind="Fee", commitment=RESERVATION, description="Sign up charge"),
          line("-500", kind="Refund", commitment=RESERVATION, description="Refund of the reservation"), line("20")]
case("refunds/reservation-returned", "A reservation that was bought and returned costs nothing in the amortized view.",
     {"cur.csv": text("cur1", BOUGHT)}, settings=settings('cost = "net_amortized"'), expected=["2026-09 Shop 20"])
PURCHASED = [line("1000", kind="SavingsPlanUpfrontFee", commitment=PLAN), line("-1000", kind="Refund", commitment=PLAN), line("20")]
case("refunds/plan-returned-unblended", "The same of a Savings Plan is two amounts in the unblended view.",
     {"cur.parquet": parquet("cur2", PURCHASED)}, expected=["2026-09 Shop 1020 -1000"])
case("refunds/of-usage-amortized", "A refund without a commitment stays what it is in the amortized view.",
     {"cur.parquet": parquet("athena", [line("20"), line("-5", kind="Refund")])}, settings=settings('cost = "amortized"'),
     expected=["2026-09 Shop 20 -5"])
CORRECTED = [line("100"), line("4"), line("-3", kind="Credit", description="Credits"), line("-1", kind="Tax"), line("2", kind="Refund")]
case("refunds/focus-corrections",
     "FOCUS: a correction upwards is a charge, of a credit a credit, of a tax a refund; an adjustment upwards is a refund, too.",
     {"focus.csv": text("focus12", CORRECTED,
     add={"ChargeClass": ("text", [None, "Correction", "Correction", "Correction", None])})},
     expected=["2026-09 Shop 104 1 -3"])
EFFECTIVE = {"EffectiveCost": ("cost", ["0", "0", "20"]), "ChargeClass": ("text", [None, "Correction", None])}
case("refunds/focus-plan-returned", "FOCUS: a Savings Plan that was bought and returned, in the amortized view.",
     {"focus.parquet": parquet("focus12", PURCHASED, add=EFFECTIVE)},
     settings=settings('cost = "amortized"'), expected=["2026-09 Shop 20"])


# Exclusions whose column is missing.

ENTITY = "bill_billing_entity"
UPFRONT = [USED, line("70", kind="Fee", commitment=RESERVATION), CREDIT]
DOMAIN = [USED, line("70", service="AmazonRegistrar"), CREDIT]
case("exclusions/focus-without-publisher", "FOCUS without PublisherName: a seller's charge cannot be told.",
     {"focus.csv": text("focus12", with_seller(seller="Red Hat Inc."), drop={"PublisherName"})},
     reference=ALLOCATED, expected=ALL,
     says=["Marketplace | ineligible_billing_entities | PublisherName", "2026-09"])
case("exclusions/focus-without-frequency", "FOCUS without ChargeFrequency: an upfront fee cannot be told.",
     {"focus.parquet": parquet("focus12", UPFRONT, drop={"ChargeFrequency"})}, reference=ALLOCATED, expected=ALL,
     says=["upfront | ChargeFrequency"])
case("exclusions/cur-without-product", "CUR 2.0 without the product code: domain registration cannot be told.",
     {"cur.csv": text("cur2", DOMAIN, drop={"line_item_product_code"})}, reference=ALLOCATED, expected=ALL,
     says=["ineligible_services | AmazonRegistrar | line_item_product_code"])
case("exclusions/focus-without-service-code", "FOCUS without x_ServiceCode: domain registration is known by its name.",
     {"focus.csv": text("focus10", DOMAIN, drop={"x_ServiceCode"})}, reference=ALLOCATED, expected=KEPT)
case("exclusions/set-by-the-user", "The user set the exclusion: without its column the run stops.",
     {"cur.csv": text("cur2", with_seller(), drop={ENTITY})}, reference=ALLOCATED,
     settings=settings(credits='ineligible_billing_entities = ["AWS Marketplace", "Acme"]'), refused=[3, "cur.csv", ENTITY])
SEPTEMBER = with_seller(seller="Red Hat Inc.")
AUGUST = [line("30", start="2026-08-03T00:00"), line("70", start="2026-08-04T00:00", seller="Red Hat Inc."),
          startup("-30", start="2026-08-03T00:00")]
case("exclusions/one-month-without", "The column was selected from September on: August is named.", {
    "august.csv": text("cur2", AUGUST, drop={ENTITY}), "september.csv": text("cur2", SEPTEMBER)},
     reference=ALLOCATED, expected=["2026-08 Shop 100 0 -30 -100", "2026-09 Shop 100 0 -30 -30"],
     says=["Marketplace | ineligible_billing_entities | bill_billing_entity", "2026-08"])


# Several purchases of one credit.

def purchases(*rows):
    return {"allocations.csv": "\n".join([HEADER, *rows, ""])}


STARTUP = f"Startup Credits,{SHOP},"
case("several-purchases/one-ends-within-the-month",
     "The first purchase ends on the 10th and loses 10; the second has no end.",
     {"cur.csv": text("cur1", [line("40", start="2026-09-05T00:00"), line("40", start="2026-09-20T00:00"),
                               startup("-10", start="2026-09-02T00:00")])},
     reference=purchases(f"{STARTUP},50,USD,2026-09-10,P-1,Shop,,,", f"{STARTUP},100,USD,,P-2,Shop,,,"),
     expected=["2026-09 Shop 80 0 -10 -80"],
     credits=["credit_key,allocated_amount,used,expired,remaining,end_date", f"code:Startup Credits@{SHOP},150,80,10,60,"])
case("several-purchases/by-credit-id",
     "Two purchases under one credit id: the first is used up, the end of the second is shown.",
     {"focus.csv": text("focus12", [line("50"), line("-9", kind="Credit", description="Goodwill Credits, credit id: 42")])},
     reference=purchases(",,id:42,30,USD,2026-09-30,P-1,Shop,,,", ",,id:42,30,USD,2027-09-30,P-2,Shop,,,"),
     expected=["2026-09 Shop 50 0 -9 -50"],
     credits=["credit_key,allocated_amount,used,expired,remaining,end_date", "id:42,60,50,0,10,2027-09-30"])
case("several-purchases/on-two-nodes", "Two purchases with ends of their own, for two business units.",
     {"cur.parquet": parquet("cur2", [line("50"), line("5", DATA), startup("-9")])},
     reference=purchases(f"{STARTUP},20,USD,2026-12-31,P-1,Shop,,,", f"{STARTUP},20,USD,2027-12-31,P-2,Data,,,"),
     expected=["2026-09 Shop 50 0 -9 -20", "2026-09 Data 5 0 0 -5"],
     credits=["credit_key,allocated_amount,used,expired,remaining,end_date", f"code:Startup Credits@{SHOP},40,25,0,15,2027-12-31"])
