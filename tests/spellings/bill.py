"""One bill, 44 lines over August and September 2026, and how CUR 1.0, CUR 2.0 and FOCUS each say it.

The lines are those that every format can say with the same figures. Left out for that reason: discounts (lines in CUR,
netted in FOCUS). Said in two ways: what a Savings Plan covers is a price and its negation in CUR and two lines of 0 in
FOCUS; FOCUS 1.2 has no cost categories, so that there the tag `category_team` stands for the category `Team`.
"""

from dataclasses import dataclass, field
from datetime import datetime

PAYER = "111122223333"
SHOP = "012345678901"
DATA = "444455556666"
SAVINGS_PLAN = f"arn:aws:savingsplans::{PAYER}:savingsplan/0f0f0f0f-1111-2222-3333-444444444444"
RESERVATION = f"arn:aws:ec2:us-east-1:{SHOP}:reserved-instances/abcdabcd-1111-2222-3333-444444444444"
AWS = "Amazon Web Services, Inc."

SERVICES = {
    "AmazonEC2": "Amazon Elastic Compute Cloud",
    "AmazonS3": "Amazon Simple Storage Service",
    "AmazonRDS": "Amazon Relational Database Service",
    "AWSLambda": "AWS Lambda",
    "AmazonRegistrar": "Amazon Registrar",
    "ComputeSavingsPlans": "Savings Plans for AWS Compute usage",
    "AWSSupportBusiness": "AWS Support (Business)",
    "4cnthlqs3hx1t8xkz9y3c7jf2": "Red Hat Enterprise Linux",
    "8zrm0gyf2yi5dn1ncj4b6r7pq": "Acme Shield",
    None: None,
}

# How FOCUS says a line type of CUR: category, class, frequency.
FOCUS = {
    "Usage": ("Usage", None, "Usage-Based"),
    "DiscountedUsage": ("Usage", None, "Usage-Based"),
    "SavingsPlanCoveredUsage": ("Usage", None, "Usage-Based"),
    "SavingsPlanNegation": ("Usage", None, "Usage-Based"),
    "SavingsPlanRecurringFee": ("Purchase", None, "Recurring"),
    "SavingsPlanUpfrontFee": ("Purchase", None, "One-Time"),
    "RIFee": ("Purchase", None, "Recurring"),
    "Fee": ("Purchase", None, "One-Time"),
    "Tax": ("Tax", None, "One-Time"),
    "Credit": ("Credit", None, "One-Time"),
    "Refund": ("Adjustment", None, "One-Time"),
    "Refund of usage": ("Usage", "Correction", "Usage-Based"),
}


@dataclass
class Line:
    start: str
    account: str | None
    kind: str
    service: str | None
    cost: str | None
    description: str = "$0.10 per hour"
    region: str | None = "us-east-1"
    tags: dict = field(default_factory=dict)
    categories: dict = field(default_factory=dict)
    seller: str = AWS
    provider: str = "AWS"
    commitment: str | None = None
    invoice: str | None = None
    period: str = ""
    payer: str = PAYER

    def __post_init__(self):
        self.period = self.period or self.start[:7]

    @property
    def instant(self):
        return datetime.fromisoformat(self.start)

    @property
    def month(self):
        return datetime.fromisoformat(self.period + "-01")

    @property
    def line_type(self):
        return self.kind.split(" ")[0]

    @property
    def entity(self):
        return "AWS" if self.seller == AWS else "AWS Marketplace"

    @property
    def billed(self):
        """The amount as FOCUS has it."""
        return "0" if self.kind in ("SavingsPlanCoveredUsage", "SavingsPlanNegation") else self.cost


def team(name):
    return {"Team": name}


def lines():
    owner = f"Migration Credits, credit from account: {SHOP}"
    august = [
        Line("2026-08-01T00:00", SHOP, "Usage", "AmazonEC2", "100", tags=team("shop"), invoice="2210000001"),
        Line("2026-08-01T05:00", SHOP, "Usage", "AmazonEC2", "12.345678", tags=team("shop") | {"CostCenter": "42"}),
        Line("2026-08-02T13:00", SHOP, "Usage", "AmazonS3", "0.000001", tags=team("shop"), invoice="2210000001"),
        Line("2026-08-03T23:00", DATA, "Usage", "AmazonRDS", "250.75", tags=team("data-lake"), invoice="2210000001"),
        Line("2026-08-04T00:00", DATA, "Usage", "AWSLambda", "7.1", tags=team("Zürich, \"Limmat\"")),
        Line("2026-08-05T00:00", DATA, "Usage", "AmazonEC2", "31.4", categories=team("Research"), invoice="2210000001"),
        Line("2026-08-05T00:00", DATA, "Usage", "AmazonS3", "0.27", categories=team("Research") | {"Env": "prod"}),
        Line("2026-08-06T11:00", DATA, "Usage", "AmazonEC2", "18.5", region="eu-central-1"),
        Line("2026-08-06T12:00", SHOP, "Usage", "AmazonEC2", None, "split cost of a pod", invoice="2210000001"),
        Line("2026-08-07T00:00", SHOP, "SavingsPlanCoveredUsage", "AmazonEC2", "44", commitment=SAVINGS_PLAN),
        Line("2026-08-07T00:00", SHOP, "SavingsPlanNegation", "AmazonEC2", "-44", commitment=SAVINGS_PLAN),
        Line("2026-08-08T00:00", SHOP, "SavingsPlanRecurringFee", "ComputeSavingsPlans", "30.5",
             "1 year No Upfront Compute Savings Plan", None, commitment=SAVINGS_PLAN),
        Line("2026-08-09T00:00", SHOP, "Fee", "AmazonEC2", "500", "Sign up charge for a reserved instance",
             commitment=RESERVATION, invoice="2210000002"),
        Line("2026-08-10T00:00", SHOP, "Fee", "AWSSupportBusiness", "49", "AWS Support (Business)", None),
        Line("2026-08-11T00:00", SHOP, "Usage", "4cnthlqs3hx1t8xkz9y3c7jf2", "70",
             "AWS Marketplace hourly software usage|us-east-1|m5.2xlarge", seller="Red Hat Inc."),
        Line("2026-08-12T00:00", DATA, "Usage", "AmazonRegistrar", "13", "Renewal of example.com", None),
        Line("2026-08-13T00:00", None, "Tax", "AmazonEC2", "8.9", "Tax for product code AmazonEC2", None),
        Line("2026-08-13T00:00", SHOP, "Tax", "AmazonS3", "1.01", "Tax for product code AmazonS3", None),
        Line("2026-08-14T09:00", SHOP, "Credit", "AmazonEC2", "-40", owner),
        Line("2026-08-15T09:00", DATA, "Credit", "AmazonRDS", "-12.5", owner, invoice="2210000001"),
        Line("2026-08-15T10:00", DATA, "Credit", "AmazonRDS", "-3.25", "Goodwill Credits, credit id: 10063543426"),
        Line("2026-08-16T00:00", SHOP, "Refund", "AmazonS3", "-0.75", "Refund of requests", invoice="2210000003"),
        Line("2026-07-31T23:00", DATA, "Usage", "AmazonEC2", "2.5", region="eu-west-1", period="2026-08"),
    ]
    september = [
        Line("2026-09-01T00:00", SHOP, "Usage", "AmazonEC2", "90.01", tags=team("shop")),
        Line("2026-09-02T04:00", SHOP, "Usage", "AmazonEC2", "11.000009", tags=team("shop")),
        Line("2026-09-03T00:00", DATA, "Usage", "AmazonRDS", "260", tags=team("data")),
        Line("2026-09-04T00:00", DATA, "Usage", None, "3.3", "no product", None),
        Line("2026-09-05T00:00", DATA, "Usage", "AmazonEC2", "29.95", categories=team("Research")),
        Line("2026-09-06T00:00", DATA, "Usage", "AmazonEC2", "19.99", region="eu-central-1"),
        Line("2026-09-07T18:00", SHOP, "DiscountedUsage", "AmazonEC2", "0", commitment=RESERVATION),
        Line("2026-09-07T00:00", SHOP, "RIFee", "AmazonEC2", "21.6", "reserved instance", commitment=RESERVATION),
        Line("2026-09-08T00:00", SHOP, "SavingsPlanUpfrontFee", "ComputeSavingsPlans", "365",
             "3 year All Upfront Compute Savings Plan", None, commitment=SAVINGS_PLAN),
        Line("2026-09-09T00:00", DATA, "Usage", "8zrm0gyf2yi5dn1ncj4b6r7pq", "15.5", "Acme Shield per host",
             seller="Acme GmbH & Co. KG", provider="AWS Marketplace"),
        Line("2026-09-10T00:00", DATA, "Usage", "AmazonRegistrar", "0.5", "Hosted zone", None),
        Line("2026-09-10T00:00", None, "Usage", "AmazonS3", "0.8", "on the payer", None),
        Line("2026-09-11T00:00", SHOP, "Tax", "AmazonEC2", "9.9", "Tax for product code AmazonEC2", None),
        Line("2026-09-12T00:00", SHOP, "Credit", "AmazonEC2", "-33.3", owner),
        Line("2026-09-12T00:00", DATA, "Credit", "AmazonRDS", "-6.125", "Goodwill Credits, credit id: 10063543426"),
        Line("2026-09-13T00:00", DATA, "Credit", "AmazonEC2", "-10",
             f"Crédits d'été, credit id: 77, credit from account: {DATA}"),
        Line("2026-09-14T00:00", DATA, "Credit", "AmazonEC2", "2", "Crédits d'été, credit id: 77"),
        Line("2026-09-15T00:00", SHOP, "Credit", "AWSLambda", "-0.4", "AWS Lambda Data Transfer Pricing Adjustment"),
        Line("2026-09-16T00:00", SHOP, "Credit", "AmazonS3", "-1.5", "AWS Free Tier"),
        Line("2026-09-17T00:00", DATA, "Refund of usage", "AmazonRDS", "-4.04", "Correction of August"),
        Line("2026-09-30T23:00", SHOP, "Usage", "AmazonS3", "0.05", tags=team("shop")),
    ]
    return august + september


@dataclass
class Column:
    """A column as the export means it: kind is text, account, id, instant, cost, map or unused."""
    name: str
    kind: str
    values: list


def cur(bill, names, tags, categories, region, keyed):
    """CUR with the names that `names` spells; tags and categories as columns per key, or as maps."""
    column = lambda group, name, kind, value: Column(names(group, name), kind, [value(line) for line in bill])
    is_plan = lambda line: (line.commitment or "").startswith("arn:aws:savingsplans")
    columns = [
        column("bill", "InvoiceId", "id", lambda line: line.invoice),
        column("bill", "BillingEntity", "text", lambda line: line.entity),
        column("bill", "BillType", "text", lambda line: "Anniversary"),
        column("bill", "PayerAccountId", "account", lambda line: line.payer),
        column("bill", "BillingPeriodStartDate", "instant", lambda line: line.month),
        column("lineItem", "UsageAccountId", "account", lambda line: line.account),
        column("lineItem", "LineItemType", "text", lambda line: line.line_type),
        column("lineItem", "UsageStartDate", "instant", lambda line: line.instant),
        column("lineItem", "ProductCode", "text", lambda line: line.service),
        column("lineItem", "CurrencyCode", "text", lambda line: "USD"),
        column("lineItem", "UnblendedCost", "cost", lambda line: line.cost),
        column("lineItem", "LineItemDescription", "text", lambda line: line.description),
        column("savingsPlan", "SavingsPlanARN", "text", lambda line: line.commitment if is_plan(line) else None),
        column("reservation", "ReservationARN", "text", lambda line: None if is_plan(line) else line.commitment),
    ]
    if keyed:
        for key in ("Team", "CostCenter"):
            columns.append(Column(tags(key), "text", [line.tags.get(key) for line in bill]))
        for key in ("Team", "Env"):
            columns.append(Column(categories(key), "text", [line.categories.get(key) for line in bill]))
        columns.append(Column(region, "text", [line.region for line in bill]))
        columns.append(Column(tags("Project"), "unused text", [None] * len(bill)))
    else:
        snake = {"Team": "team", "CostCenter": "cost_center", "Env": "env"}
        columns += [
            Column("bill_payer_account_name", "text", ["Payer"] * len(bill)),
            Column("resource_tags", "map", [{f"user_{snake[key]}": text for key, text in line.tags.items()} for line in bill]),
            Column("cost_category", "map", [{snake[key]: text for key, text in line.categories.items()} for line in bill]),
            Column("product", "map", [{"region": line.region} if line.region else {} for line in bill]),
        ]
    unused = [("lineItem", "NetUnblendedCost", "cost"), ("reservation", "EffectiveCost", "cost"),
              ("savingsPlan", "SavingsPlanEffectiveCost", "cost"), ("lineItem", "TaxType", "text"),
              ("pricing", "Term", "text")]
    return columns + [column(group, name, f"unused {kind}", lambda line: None) for group, name, kind in unused]


def snake_name(group, name):
    """The name that CUR 1.0 has for Athena, and CUR 2.0."""
    text = "".join("_" + letter.lower() if letter.isupper() else letter for letter in f"{group}/{name}")
    return text.replace("/", "_").replace("__", "_")


def focus(bill, version):
    column = lambda name, kind, value: Column(name, kind, [value(line) for line in bill])
    way = lambda line, at: FOCUS[line.kind][at]

    def tags(line):
        category = {"category_team": line.categories["Team"]} if version == "1.2" and line.categories else {}
        return line.tags | category

    columns = [
        column("BilledCost", "cost", lambda line: line.billed),
        column("BillingAccountId", "account", lambda line: line.payer),
        column("BillingCurrency", "text", lambda line: "USD"),
        column("BillingPeriodStart", "instant", lambda line: line.month),
        column("ChargeCategory", "text", lambda line: way(line, 0)),
        column("ChargeClass", "text", lambda line: way(line, 1)),
        column("ChargeDescription", "text", lambda line: line.description),
        column("ChargeFrequency", "text", lambda line: way(line, 2)),
        column("ChargePeriodStart", "instant", lambda line: line.instant),
        column("CommitmentDiscountId", "text", lambda line: line.commitment),
        column("InvoiceIssuerName", "text", lambda line: AWS),
        column("ProviderName", "text", lambda line: line.provider),
        column("PublisherName", "text", lambda line: line.seller),
        column("RegionId", "text", lambda line: line.region),
        column("ServiceName", "text", lambda line: SERVICES[line.service]),
        column("SubAccountId", "account", lambda line: line.account),
        column("Tags", "map", tags),
        column("x_ServiceCode", "text", lambda line: line.service),
        column("EffectiveCost", "unused cost", lambda line: None),
        column("ListCost", "unused cost", lambda line: None),
        column("AvailabilityZone", "unused text", lambda line: None),
        column("CommitmentDiscountType", "unused text", lambda line: None),
    ]
    if version == "1.0":
        columns.append(column("x_CostCategories", "map", lambda line: line.categories))
    else:
        columns.append(column("InvoiceId", "id", lambda line: line.invoice))
        columns.append(column("CapacityReservationId", "unused text", lambda line: None))
    return columns


def columns(bill, layout):
    """The columns of these lines in a format."""
    if layout == "cur1":
        spell = lambda group, name: f"{group}/{name}"
        return cur(bill, spell, "resourceTags/user:{}".format, "costCategory/{}".format, "product/region", True)
    if layout == "athena":
        snake = {"Team": "team", "CostCenter": "cost_center", "Env": "env", "Project": "project"}
        tags = lambda key: f"resource_tags_user_{snake[key]}"
        return cur(bill, snake_name, tags, lambda key: f"cost_category_{snake[key]}", "product_region_code", True)
    if layout == "cur2":
        return cur(bill, snake_name, None, None, None, False)
    return focus(bill, {"focus10": "1.0", "focus12": "1.2"}[layout])


RULES = '''rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,cost_category_value,business_unit,department,portfolio,product,share
team-shop,10,,,,,user_team,shop,,,Shop,Web,,,
team-data,20,,,,,user_team,data*,,,Data,,,,
team-zurich,21,,,,,user_team,"Zürich, ""Limmat""",,,Research,,,,
category,30,,,,,,,team,Research,Research,Lab,,,
category-as-tag,31,,,,,category_team,Research,,,Research,Lab,,,
project,32,,,,,user_project,,,,Data,,,,
domains,40,,,AmazonRegistrar,,,,,,Shop,,,,
europe,50,,,,eu-*,,,,,Data,Europe,,,
shop,60,,012345678901,,,,,,,Shop,,,,
shared,70,111122223333,444455556666,,,,,,,Shop,,,,0.4
shared,70,111122223333,444455556666,,,,,,,Data,,,,0.6
'''
HIERARCHY = "business_unit,department,portfolio,product\nShop,Web,,\nData,Europe,,\nResearch,Lab,,\n"
ALLOCATIONS = """promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product
Migration Credits,012345678901,,900,USD,,MAP-1,Shop,,,
,,id:10063543426,55.5,USD,2026-12-31,GW-1,Data,,,
,,id:77,20,USD,2026-09-20,,Research,Lab,,
"""
SETTINGS = """[source]
location = "export"

[reference]
location = "reference"

[lake]
location = "lake"

[run]
as_of = "2026-09-30"
"""
