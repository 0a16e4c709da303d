"""Cases of columns: which are there, of what type, and how their cells are spelled."""

from kit import (AUGUST, AUGUST_EXPECTED, DATA, PAYER, SHOP, TWO, TWO_EXPECTED, case, columns, line, packed, parquet, rules,
                 settings, startup, text)
import bill
import pyarrow as pa

PLAN, RESERVATION = bill.SAVINGS_PLAN, bill.RESERVATION
COVERED, RECURRING = "savings_plan_savings_plan_effective_cost", "savings_plan_used_commitment"
COMMITMENT, EFFECTIVE = "savings_plan_total_commitment_to_date", "reservation_effective_cost"
UPFRONT = "reservation_unused_amortized_upfront_fee_for_billing_period"
UNUSED = "reservation_unused_recurring_fee"


def costs(*values):
    return "cost", list(values)


# Columns by month.

case("columns-by-month/net-unblended", "No discount in August: AWS leaves the net column out of that month.", {
    "acme/acme/year=2026/month=8/acme-1.parquet": parquet("athena", AUGUST),
    "acme/acme/year=2026/month=9/acme-1.parquet":
        parquet("athena", TWO, add={"line_item_net_unblended_cost": costs("8", "4.5")}),
}, settings=settings('cost = "net_unblended"'), expected=AUGUST_EXPECTED + ["2026-09 Shop 8", "2026-09 Data 4.5"])
PLANS = [[line("10", kind="SavingsPlanCoveredUsage", commitment=PLAN, start=f"2026-0{month}-03T00:00"),
          line("-10", kind="SavingsPlanNegation", commitment=PLAN, start=f"2026-0{month}-03T00:00")] for month in (8, 9)]
case("columns-by-month/net-amortized",
     "A plan in both months, a discount on it in September only: net falls back to the column without net.", {
    "august.csv": text("cur2", PLANS[0],
    add={COVERED: costs("7", "0"), COMMITMENT: costs("0", "0"), RECURRING: costs("0", "0")}),
    "september.csv": text("cur2", PLANS[1], add={
        COVERED: costs("7", "0"), "savings_plan_net_savings_plan_effective_cost": costs("6", "0"),
        "line_item_net_unblended_cost": costs("9", "-9")}),
}, settings=settings('cost = "net_amortized"'), expected=["2026-08 Shop 7", "2026-09 Shop 6"])
RESERVED = [line("0", kind="DiscountedUsage", commitment=RESERVATION), line("20", DATA, "RIFee", commitment=RESERVATION)]
case("columns-by-month/reservations-in-text", "CUR 1.0 as CSV: a reservation in September only.", {
    "august.csv": text("cur1", AUGUST),
    "september.csv": text("cur1", RESERVED, add={
        "reservation/EffectiveCost": costs("3", "0"), "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": costs(None, "1.5"),
        "reservation/UnusedRecurringFee": costs(None, "0.5")}),
}, settings=settings('cost = "amortized"'), expected=AUGUST_EXPECTED + ["2026-09 Shop 3", "2026-09 Data 2"])
case("columns-by-month/plan-without-its-column", "A line that a plan covers, and no column that says what it cost.",
     {"cur.csv": text("cur2", TWO + PLANS[1])}, settings=settings('cost = "amortized"'), refused=[3, "cur.csv", COVERED])
case("columns-by-month/reservation-without-its-column",
     "A line that a reservation covers, and no column that says what it cost.",
     {"cur.parquet": parquet("athena", TWO + RESERVED[:1])},
     settings=settings('cost = "amortized"'), refused=[3, "cur.parquet", EFFECTIVE])
FEE = line("8", kind="SavingsPlanRecurringFee", service="ComputeSavingsPlans", commitment=PLAN)
case("columns-by-month/recurring-fee-without-one-of-its-columns",
     "A plan's recurring fee takes two columns, and one is missing.",
     {"cur.csv": text("cur2", TWO + [FEE], add={COMMITMENT: costs(None, None, "8")})},
     settings=settings('cost = "amortized"'),
     refused=[3, "cur.csv", RECURRING])


# Dates.

CREDITED = TWO + [startup("-4", start="2026-09-04T00:00")]
CREDITED_EXPECTED = ["2026-09 Shop 10 0 -4", "2026-09 Data 5"]
FIRST_DAY = ["credit_key,first_cur_date", f"code:Startup Credits@{SHOP},2026-09-04"]

case("dates/focus-with-utc-as-a-word", "FOCUS with ` UTC` after the time, as Athena and BigQuery write instants.",
     {"focus.csv": text("focus10", CREDITED, dates="blank-utc")}, expected=CREDITED_EXPECTED, credits=FIRST_DAY)
case("dates/zone-in-four-digits", "CUR 1.0 with `+0000`.",
     {"cur.csv": text("cur1", CREDITED, dates="blank+0000")}, expected=CREDITED_EXPECTED, credits=FIRST_DAY)
case("dates/text-in-parquet", "FOCUS as Parquet whose dates are text without seconds.",
     {"focus.parquet": parquet("focus12", CREDITED, dates="iso-no-seconds")}, expected=CREDITED_EXPECTED, credits=FIRST_DAY)
case("dates/days-in-parquet", "CUR 2.0 as Parquet with days for instants.",
     {"cur.parquet": parquet("cur2", CREDITED, dates="date")}, expected=CREDITED_EXPECTED, credits=FIRST_DAY)
START = "line_item_usage_start_date"
LATE = "2026-09-03T23:30:00-02:00"
case("dates/day-of-another-zone", "A start in the evening two hours west of UTC is a start on the next day.",
     {"cur.csv": text("cur2", CREDITED, add={START: ("text", [LATE, LATE, LATE])})}, expected=CREDITED_EXPECTED,
     credits=FIRST_DAY)
case("dates/day-before-month", "A spreadsheet's own way to write a day.",
     {"cur.csv": text("cur2", TWO, add={START: ("text", ["2026-09-03T00:00:00Z", "03/09/2026"])})},
     refused=[3, "cur.csv", "row 3", START, "03/09/2026"])
case("dates/named-zone", "A zone by a name that stands for several.",
     {"focus.csv": text("focus12", TWO, add={"ChargePeriodStart": ("text", ["2026-09-03 00:00:00 CST"] * 2)})},
     refused=[3, "focus.csv", "row 2", "ChargePeriodStart"])


# Account ids.

SMALL = "000123456789"
LEADING = "012345678901"
OF_SMALL = {"cost_rules.csv": rules(f"shop,10,,{SMALL},,,,,,,Shop,,,,")}
OF_LEADING = {"cost_rules.csv": rules(f"shop,10,,{LEADING},,,,,,,Shop,,,,", f"data,20,,{DATA},,,,,,,Data,,,,")}
WITH_LEADING = [line("10", LEADING), line("5", DATA), line("-4", LEADING, "Credit", description="Startup Credits")]
LEADING_EXPECTED = ["2026-09 Shop 10 0 -4", "2026-09 Data 5"]
LEADING_CREDIT = ["credit_key,account_id", f"code:Startup Credits@{LEADING},{LEADING}"]

case("account-ids/focus-int32", "FOCUS with a sub account id of nine digits that fits in 32 bits.",
     {"focus.parquet": parquet("focus12", [line("10", SMALL)], types={"SubAccountId": pa.int32()})},
     reference=OF_SMALL, expected=["2026-09 Shop 10"])
case("account-ids/focus-uint64", "FOCUS with unsigned sub account ids.",
     {"focus.parquet": parquet("focus12", WITH_LEADING, types={"SubAccountId": pa.uint64()})},
     reference=OF_LEADING, expected=LEADING_EXPECTED, credits=LEADING_CREDIT)
case("account-ids/focus-decimal", "FOCUS with sub account ids as decimals without a fraction.",
     {"focus.parquet": parquet("focus12", WITH_LEADING, types={"SubAccountId": pa.decimal128(12, 0)})},
     reference=OF_LEADING, expected=LEADING_EXPECTED, credits=LEADING_CREDIT)
case("account-ids/focus-double", "pandas makes doubles of whole numbers as soon as one is missing.",
     {"focus.parquet": parquet("focus12", WITH_LEADING + [line("1", None)], types={"SubAccountId": pa.float64()})},
     refused=[3, "focus.parquet", "SubAccountId"])
case("account-ids/cur-float", "CUR 1.0 with accounts of single precision: their last digits are lost.",
     {"cur.parquet": parquet("athena", TWO, types={"line_item_usage_account_id": pa.float32()})},
     refused=[3, "cur.parquet", "line_item_usage_account_id"])
case("account-ids/payer-int64", "The payer as an integer; a line without an account is the payer's.",
     {"cur.parquet": parquet("cur2", [line("10", None, payer=LEADING), line("5", DATA, payer=LEADING)],
                             types={"bill_payer_account_id": pa.int64()})},
     reference=OF_LEADING, expected=TWO_EXPECTED)
case("account-ids/text-without-the-zero", "Text is taken as it stands: sample exports hold surrogates of eleven digits.",
     {"cur.csv": text("cur2", TWO, add={"line_item_usage_account_id": ("text", ["12345678901", DATA])})},
     reference=OF_LEADING, expected=["2026-09 Unassigned 10", "2026-09 Data 5"])
case("account-ids/text-with-an-exponent", "A spreadsheet wrote the account as a float: its last digits are lost.",
     {"cur.csv": text("cur1", TWO, add={"lineItem/UsageAccountId": ("text", [SHOP, "7.77789E+11"])})},
     refused=[3, "cur.csv", "row 3", "lineItem/UsageAccountId | line_item_usage_account_id"])


# Shapes of maps.

BY_TAG = {"cost_rules.csv": rules("shop,10,,,,,user_team,shop,,,Shop,,,,", "data,20,,,,,user_team,data,,,Data,,,,")}
BY_CATEGORY = {"cost_rules.csv": rules("shop,10,,,,,,,team,shop,Shop,,,,", "data,20,,,,,,,team,*,Data,,,,")}
TAGGED = [line("10", tags={"Team": "shop"}), line("5", tags={"Team": "data", "CostCenter": "7"}), line("1")]
TAGGED_EXPECTED = ["2026-09 Shop 10", "2026-09 Data 5", "2026-09 Unassigned 1"]
BY_TEAM = [line("10", categories={"Team": "shop"}), line("5", categories={"Team": "data"}), line("1")]

for SHAPE, ABOUT in [("pairs", "as lists of pairs"), ("struct", "as structs"), ("json", "as JSON text")]:
    case(f"shapes-of-maps/focus-tags-{SHAPE}", f"FOCUS with tags {ABOUT}.",
         {"focus.parquet": parquet("focus10", TAGGED, maps=SHAPE)}, reference=BY_TAG, expected=TAGGED_EXPECTED)
    case(f"shapes-of-maps/cost-categories-{SHAPE}", f"CUR 2.0 with cost categories {ABOUT}.",
         {"cur.parquet": parquet("cur2", BY_TEAM, maps=SHAPE)}, reference=BY_CATEGORY, expected=TAGGED_EXPECTED)
PAIR = pa.struct([("key", pa.string()), ("value", pa.string())])
PAIRS = [[{"key": "user_team", "value": "shop"}], [{"key": "user_team", "value": "data"}, {"key": "user_owner", "value": None}], None]
case("shapes-of-maps/large-lists-of-pairs", "Lists with 64-bit offsets, a value and a whole list missing.",
     {"cur.parquet": parquet("cur2", TAGGED, types={"resource_tags": pa.array(PAIRS, pa.large_list(PAIR))})},
     reference=BY_TAG, expected=TAGGED_EXPECTED)
case("shapes-of-maps/region-in-a-struct", "The region only in the map of the product, and that is a struct.",
     {"cur.parquet": parquet("cur2", [line("10", region="eu-west-1"), line("5"), line("1", region=None)], maps="struct")},
     reference={"cost_rules.csv": rules("shop,10,,,,eu-*,,,,,Shop,,,,", "data,20,,,,us-*,,,,,Data,,,,")},
     expected=TAGGED_EXPECTED)
case("shapes-of-maps/numbers", "A list of numbers is no map.",
     {"cur.parquet": parquet("cur2", TWO, types={"resource_tags": pa.array([[1], [2]], pa.list_(pa.int64()))})},
     reference=BY_TAG, refused=[3, "cur.parquet", "resource_tags"])


# Columns of type null.

NULL = pa.null()
case("columns-of-type-null/focus", "FOCUS of a month in which many columns are empty.",
     {"focus.parquet": parquet("focus12", TWO,
     types=dict.fromkeys(["Tags", "RegionId", "CommitmentDiscountId", "ChargeClass"], NULL))},
     reference={"cost_rules.csv": rules(
         "tagged,5,,,,,user_team,,,,Data,,,,", "europe,6,,,,eu-*,,,,,Data,,,,",
         f"shop,10,,{SHOP},,,,,,,Shop,,,,", f"data,20,,{DATA},,,,,,,Data,,,,")},
     expected=TWO_EXPECTED)
case("columns-of-type-null/accounts", "FOCUS without a single sub account: all is the payer's.",
     {"focus.parquet": parquet("focus12", TWO, types={"SubAccountId": NULL})},
     reference={"cost_rules.csv": rules(f"shop,10,,{PAYER},,,,,,,Shop,,,,")}, expected=["2026-09 Shop 15"])
case("columns-of-type-null/maps", "CUR 2.0 whose maps are empty throughout.",
     {"cur.parquet": parquet("cur2", TWO, types=dict.fromkeys(["resource_tags", "cost_category", "product"], NULL))},
     expected=TWO_EXPECTED)
case("columns-of-type-null/net-cost", "The net column is there and empty: net falls back to the column without net.",
     {"cur.parquet": parquet("athena", TWO, add={"line_item_net_unblended_cost": costs(None, None)},
                             types={"line_item_net_unblended_cost": NULL})},
     settings=settings('cost = "net_unblended"'), expected=TWO_EXPECTED)


# Columns that stand twice.

case("columns-twice/parquet-in-capitals", "CUR 2.0 with a second cost column in capitals.",
     {"cur.parquet": parquet("cur2", TWO, twice={"LINE_ITEM_UNBLENDED_COST": "line_item_unblended_cost"})},
     refused=[3, "cur.parquet", "line_item_unblended_cost"])
case("columns-twice/two-spellings", "CUR 1.0 that was joined: the payer under the names of CSV and of Athena.",
     {"cur.csv": text("cur1", TWO, add={"bill_payer_account_id": ("text", [PAYER, PAYER])})},
     refused=[3, "cur.csv", "bill/PayerAccountId | bill_payer_account_id"])


def doubled(form, name):
    """A CSV file whose last column is another's again."""
    rows = text(form, TWO).decode().splitlines()
    at = [column.name for column in columns(form, TWO)].index(name)
    return "\n".join([f"{rows[0]},{name}"] + [f"{row},{row.split(',')[at]}" for row in rows[1:]]) + "\n"


case("columns-twice/payer-in-text", "CUR 2.0 as CSV with the payer twice.",
     {"cur.csv": doubled("cur2", "bill_payer_account_id")}, refused=[3, "cur.csv", "bill_payer_account_id"])
case("columns-twice/focus-cost-in-text", "FOCUS as CSV with the cost twice.",
     {"focus.csv": doubled("focus12", "BilledCost")}, refused=[3, "focus.csv", "BilledCost"])
case("columns-twice/focus-cost-in-parquet", "FOCUS as Parquet with the cost twice, once in lower case.",
     {"focus.parquet": parquet("focus12", TWO, twice={"billedcost": "BilledCost"})},
     refused=[3, "focus.parquet", "BilledCost"])


# Separators.

case("separators/tabs", "CUR 2.0 that is separated by tabs.", {"cur.csv": text("cur2", TWO, separator="\t")},
     refused=[3, "cur.csv", "separated", "tab"])
case("separators/pipes", "CUR 1.0 that is separated by pipes.", {"cur.csv": text("cur1", TWO, separator="|")},
     refused=[3, "cur.csv", "separated"])
case("separators/focus-semicolons",
     "FOCUS that a European spreadsheet saved.", {"focus.csv": text("focus12", TWO, separator=";")},
     refused=[3, "focus.csv", "separated", "semicolon"])
case("separators/packed-semicolons", "The same, packed.", {"cur.csv.gz": packed(text("cur2", TWO, separator=";"))},
     refused=[3, "cur.csv.gz", "separated", "semicolon"])


# Types of amounts and of text.

FINE = [line("0.00000000005"), line("0.00000000005"), line("-0.00000000015", DATA)]
FINE_EXPECTED = ["2026-09 Shop 0.0000000002", "2026-09 Data -0.0000000002"]
CENTS = [line("10.25"), line("-0.5", DATA)]
CENTS_EXPECTED = ["2026-09 Shop 10.25", "2026-09 Data -0.5"]
COST = "line_item_unblended_cost"
for NAME, KIND in [("decimal32", pa.decimal32(9, 2)), ("decimal64", pa.decimal64(18, 6)), ("decimal128", pa.decimal128(20, 4)),
                   ("decimal256", pa.decimal256(76, 20))]:
    case(f"types-of-amounts/{NAME}",
         f"Costs as {NAME}.", {"cur.parquet": parquet("cur2", CENTS, types={COST: KIND})}, expected=CENTS_EXPECTED)
for NAME, KIND in [("decimal128", pa.decimal128(38, 18)), ("decimal256", pa.decimal256(60, 30))]:
    case(f"types-of-amounts/{NAME}-rounded", "More than ten decimals: each line is rounded half away from zero.",
         {"cur.parquet": parquet("cur2", FINE, costs="text", types={COST: KIND})}, expected=FINE_EXPECTED)
case("types-of-amounts/integers", "FOCUS whose costs happen to be whole numbers.",
     {"focus.parquet": parquet("focus12", TWO, types={"BilledCost": pa.int64()})}, expected=TWO_EXPECTED)
case("types-of-amounts/truth-values", "A cost that is no number.",
     {"cur.parquet": parquet("cur2", TWO, types={COST: pa.array([True, False])})}, refused=[3, "cur.parquet", COST])
TEXTS = ["bill_billing_entity", "bill_payer_account_id", "line_item_usage_account_id", "line_item_line_item_type",
         "line_item_product_code", "line_item_currency_code", "line_item_line_item_description"]
case("types-of-text/bytes", "CUR 1.0 whose text is not marked as text.",
     {"cur.parquet": parquet("athena", CREDITED, types=dict.fromkeys(TEXTS, pa.binary()))}, expected=CREDITED_EXPECTED,
     credits=FIRST_DAY)
FOCUS_TEXTS = ["BillingAccountId", "SubAccountId", "ChargeCategory", "ChargeDescription", "BillingCurrency", "x_ServiceCode"]
case("types-of-text/focus-bytes", "FOCUS whose text is not marked as text.",
     {"focus.parquet": parquet("focus12", CREDITED, types=dict.fromkeys(FOCUS_TEXTS, pa.large_binary()))},
     expected=CREDITED_EXPECTED, credits=FIRST_DAY)
PRODUCT = "line_item_product_code"
case("types-of-text/no-text", "Bytes that are no text.",
     {"cur.parquet": parquet("cur2", TWO, types={PRODUCT: pa.array([b"EC2", b"\xff\xfe"], pa.binary())})},
     refused=[3, "cur.parquet", PRODUCT])
