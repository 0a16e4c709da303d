#!/usr/bin/env python3
"""Makes a CUR 2.0 export of any size, with the cost rules and the hierarchy that go with it. Same arguments, same bytes.

  make_data.py --rows 10000000 --periods 12 --seed 7 --out DIR [--codec snappy|zstd] [--credits scattered|clustered]
               [--rows-per-file 500000] [--row-group 131072] [--accounts 300] [--resources ROWS/40]

Writes DIR/cur/data/BILLING_PERIOD=YYYY-MM/cur-0000N.<codec>.parquet and their manifests in DIR/cur/metadata,
DIR/reference/cost_rules.csv, DIR/reference/hierarchy.csv, and DIR/credits.toml for finops-credits.

128 columns of which four are maps; runs of the hours of one resource; 0.5 % credits, scattered or all at the end of a
file; row groups of 131,072 lines. What real exports look like differs from organisation to organisation: the shape is an
assumption. The rules go, first match first, by tag user_cost_center, tag user_app, cost category BusinessUnit, account.
"""
import argparse, calendar, datetime as dt, json, os, string
from decimal import Decimal
import numpy as np, pyarrow as pa, pyarrow.parquet as pq

U = 10**10  # cost units per USD (CUR prints 10 decimals)
S, D, T = pa.string(), pa.float64(), pa.timestamp("ms")
M = pa.map_(pa.string(), pa.string())
COLS = [(c, S) for c in """bill_bill_type bill_billing_entity""".split()] + [
    ("bill_billing_period_end_date", T), ("bill_billing_period_start_date", T)] + [(c, S) for c in """bill_invoice_id
bill_invoicing_entity bill_payer_account_id bill_payer_account_name capacity_reservation_capacity_reservation_arn
capacity_reservation_capacity_reservation_status capacity_reservation_capacity_reservation_type""".split()] + [
    ("cost_category", M), ("discount", M), ("discount_bundled_discount", D), ("discount_total_discount", D)] + [
    (c, S) for c in """identity_line_item_id identity_time_interval line_item_availability_zone""".split()] + [
    ("line_item_blended_cost", D), ("line_item_blended_rate", S)] + [(c, S) for c in """line_item_currency_code
line_item_legal_entity line_item_line_item_description line_item_line_item_type""".split()] + [
    ("line_item_net_unblended_cost", D), ("line_item_net_unblended_rate", S), ("line_item_normalization_factor", D),
    ("line_item_normalized_usage_amount", D)] + [(c, S) for c in """line_item_operation line_item_product_code
line_item_resource_id line_item_tax_type""".split()] + [("line_item_unblended_cost", D),
    ("line_item_unblended_rate", S), ("line_item_usage_account_id", S), ("line_item_usage_account_name", S),
    ("line_item_usage_amount", D), ("line_item_usage_end_date", T), ("line_item_usage_start_date", T),
    ("line_item_usage_type", S)] + [(c, S) for c in """pricing_currency pricing_lease_contract_length
pricing_offering_class""".split()] + [("pricing_public_on_demand_cost", D)] + [(c, S) for c in """
pricing_public_on_demand_rate pricing_purchase_option pricing_rate_code pricing_rate_id pricing_term
pricing_unit""".split()] + [("product", M)] + [(c, S) for c in """product_comment product_fee_code
product_fee_description product_from_location product_from_location_type product_from_region_code
product_instance_family product_instance_type product_instancesku product_location product_location_type
product_operation product_pricing_unit product_product_family product_region_code product_servicecode product_sku
product_to_location product_to_location_type product_to_region_code product_usagetype""".split()] + [(c, D) for c in """
reservation_amortized_upfront_cost_for_usage reservation_amortized_upfront_fee_for_billing_period""".split()] + [
    ("reservation_availability_zone", S), ("reservation_effective_cost", D), ("reservation_end_time", S),
    ("reservation_modification_status", S)] + [(c, D) for c in """reservation_net_amortized_upfront_cost_for_usage
reservation_net_amortized_upfront_fee_for_billing_period reservation_net_effective_cost
reservation_net_recurring_fee_for_usage reservation_net_unused_amortized_upfront_fee_for_billing_period
reservation_net_unused_recurring_fee reservation_net_upfront_value""".split()] + [(c, S) for c in """
reservation_normalized_units_per_reservation reservation_number_of_reservations""".split()] + [
    ("reservation_recurring_fee_for_usage", D)] + [(c, S) for c in """reservation_reservation_a_r_n
reservation_start_time reservation_subscription_id reservation_total_reserved_normalized_units
reservation_total_reserved_units reservation_units_per_reservation""".split()] + [(c, D) for c in """
reservation_unused_amortized_upfront_fee_for_billing_period reservation_unused_normalized_unit_quantity
reservation_unused_quantity reservation_unused_recurring_fee reservation_upfront_value""".split()] + [
    ("resource_tags", M), ("savings_plan_amortized_upfront_commitment_for_billing_period", D)] + [(c, S) for c in """
savings_plan_end_time savings_plan_instance_type_family""".split()] + [(c, D) for c in """
savings_plan_net_amortized_upfront_commitment_for_billing_period
savings_plan_net_recurring_commitment_for_billing_period savings_plan_net_savings_plan_effective_cost""".split()] + [
    (c, S) for c in """savings_plan_offering_type savings_plan_payment_option
savings_plan_purchase_term""".split()] + [("savings_plan_recurring_commitment_for_billing_period", D),
    ("savings_plan_region", S), ("savings_plan_savings_plan_a_r_n", S),
    ("savings_plan_savings_plan_effective_cost", D), ("savings_plan_savings_plan_rate", D),
    ("savings_plan_start_time", S), ("savings_plan_total_commitment_to_date", D),
    ("savings_plan_used_commitment", D)] + [("split_line_item_actual_usage", D), ("split_line_item_net_split_cost", D),
    ("split_line_item_net_unused_cost", D), ("split_line_item_parent_resource_id", S)] + [(c, D) for c in """
split_line_item_public_on_demand_split_cost split_line_item_public_on_demand_unused_cost
split_line_item_reserved_usage split_line_item_split_cost split_line_item_split_usage
split_line_item_split_usage_ratio split_line_item_unused_cost""".split()]
SCHEMA = pa.schema(COLS)
TYPES = ["Usage", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "DiscountedUsage", "Tax", "EdpDiscount", "RIFee",
         "Fee", "Refund", "BundledDiscount", "Credit"]
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1", "us-east-2",
           "sa-east-1"]
RPRE = ["", "USW2-", "EU-", "EUC1-", "APS1-", "APN1-", "USE2-", "SAE1-"]
SVC = """AmazonEC2 AmazonS3 AmazonRDS AWSLambda AmazonCloudWatch AmazonVPC AmazonEKS AmazonECS AmazonDynamoDB
AmazonElastiCache AmazonRedshift AWSGlue AmazonAthena AmazonKinesis AmazonMSK AmazonSNS AWSQueueService AmazonRoute53
AmazonCloudFront awskms AWSSecretsManager AmazonECR AWSDataTransfer AmazonEFS AmazonFSx AWSBackup AmazonGuardDuty
AWSSecurityHub AWSConfig AWSCloudTrail AmazonInspectorV2 AmazonSageMaker AmazonBedrock AmazonOpenSearchService
AmazonNeptune AmazonDocDB AmazonMQ AmazonApiGateway AWSEvents AmazonStates AWSXRay AmazonSES AmazonWorkSpaces
AmazonConnect AWSDirectConnect AWSTransfer AWSDatabaseMigrationSvc ElasticMapReduce AWSCodePipeline CodeBuild
AWSAmplify AmazonCognito AWSWAF AWSShield AWSNetworkFirewall AWSStorageGateway AmazonLightsail AWSIoT AmazonQuickSight
ComputeSavingsPlans""".split()


def dec(u):
    return format(Decimal(int(u)) / U, "f")


def darr(values, idx, valid=None):
    """Dictionary array: values picked by idx, null where not valid. The dictionary holds only the values used, each
    once (a dictionary with repeats makes pyarrow fall back to PLAIN pages, which AWS's files do not have)."""
    values = values if isinstance(values, pa.Array) else pa.array(values, S)
    enc = values.dictionary_encode()
    idx = enc.indices.to_numpy()[idx]
    used = np.zeros(len(enc.dictionary), bool); used[idx if valid is None else idx[valid]] = True
    new = np.cumsum(used, dtype=np.int32) - 1
    return pa.DictionaryArray.from_arrays(pa.array(new[idx], mask=None if valid is None else ~valid),
                                          enc.dictionary.filter(pa.array(used)))


def fixed_str(codes):
    """uint8 matrix (n, w) of ASCII -> string array."""
    n, w = codes.shape
    off = np.arange(0, (n + 1) * w, w, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(off.tobytes()), pa.py_buffer(np.ascontiguousarray(codes).tobytes()))


def maps(list_of_pairs):
    off = np.zeros(len(list_of_pairs) + 1, np.int32)
    np.cumsum([len(p) for p in list_of_pairs], out=off[1:])
    return pa.MapArray.from_arrays(pa.array(off), pa.array([k for p in list_of_pairs for k, _ in p], S),
                                   pa.array([v for p in list_of_pairs for _, v in p], S))


def last_day(a):
    """Of the last period."""
    y, m = map(int, a.start.split("-"))
    y, m = y + (m + a.periods - 2) // 12, (m + a.periods - 2) % 12 + 1
    return dt.date(y, m, calendar.monthrange(y, m)[1])


def write_reference(out, as_of, nodes, rules):
    """cost_rules.csv, hierarchy.csv and the settings."""
    os.makedirs(f"{out}/reference", exist_ok=True)
    with open(f"{out}/reference/cost_rules.csv", "w") as f:
        f.write("rule_id,priority,payer_account_id,account_id,service,region,tag_key,tag_value,cost_category_key,"
                "cost_category_value,business_unit,department,portfolio,product,share\n")
        for priority, kind, key, values in rules:
            for value, node in values:
                where = {"account": f"{value},,,,,,", "tag": f",,,{key},{value},,", "cost_category": f",,,,,{key},{value}"}[kind]
                f.write(f"{key}:{value},{priority},,{where},{','.join(nodes[node])},,\n")
    with open(f"{out}/reference/hierarchy.csv", "w") as f:
        f.write("business_unit,department,portfolio,product\n")
        for node in sorted({node[:depth] for node in nodes for depth in (1, 2, 3)}):
            f.write(",".join(node) + "," * (4 - len(node)) + "\n")
    with open(f"{out}/credits.toml", "w") as f:
        f.write('[source]\nlocation = "cur"\n[reference]\nlocation = "reference"\n[lake]\nlocation = "lake"\n'
                f'[run]\nas_of = "{as_of}"\nthreads = 2\n')


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rows", type=int, default=1_000_000)
    ap.add_argument("--periods", type=int, default=12)
    ap.add_argument("--seed", type=int, default=7)
    ap.add_argument("--start", default="2025-01")
    ap.add_argument("--out", required=True)
    ap.add_argument("--codec", default="snappy")
    ap.add_argument("--accounts", type=int, default=300)
    ap.add_argument("--resources", type=int, help="default: one per 40 rows")
    ap.add_argument("--credits", choices=["scattered", "clustered"], default="scattered")
    ap.add_argument("--rows-per-file", type=int, default=500_000)
    ap.add_argument("--row-group", type=int, default=131_072)
    a = ap.parse_args()
    rng = np.random.default_rng(a.seed)
    os.makedirs(a.out, exist_ok=True)
    NA, NP = a.accounts, 3
    pick = lambda alpha, *shape: np.frombuffer(alpha.encode(), np.uint8)[rng.integers(0, len(alpha), shape)]
    B32, AN = string.ascii_lowercase + "234567", string.ascii_uppercase + string.digits
    strs = lambda m: [bytes(r).decode() for r in m]
    # --- accounts, nodes, rules ---------------------------------------------------------------------------------
    acct = strs(pick("123456789", NA, 12))
    acct_name = [f"{['prod','staging','dev','sandbox','shared'][i % 5]}-{['payments','search','data','ml','web','core'][i % 6]}-{i:03d}" for i in range(NA)]
    payer_of = rng.choice(NP, NA, p=[.7, .2, .1])
    payers = strs(pick("123456789", NP, 12))
    zipf = lambda n, s: (lambda w: w / w.sum())(1.0 / np.arange(1, n + 1) ** s)
    aw = zipf(NA, 0.9)
    nodes = [(f"bu-{i % 8:02d}", f"dept-{i % 24:02d}", f"team-{i:03d}") for i in range(120)]
    cc_node, app_node, bu_node = (rng.integers(0, 120, n) for n in (200, 500, 30))
    ac_node = rng.integers(0, 120, NA)
    cc_ok, app_ok, bu_ok, ac_ok = (rng.random(n) < p for n, p in ((200, .9), (500, .8), (30, .8), (NA, .83)))
    write_reference(a.out, last_day(a), nodes, [
        (1, "tag", "user_cost_center", [(f"cc-{i:04d}", cc_node[i]) for i in np.flatnonzero(cc_ok)]),
        (2, "tag", "user_app", [(f"app-{i:04d}", app_node[i]) for i in np.flatnonzero(app_ok)]),
        (3, "cost_category", "BusinessUnit", [(f"BU {i:02d}", bu_node[i]) for i in np.flatnonzero(bu_ok)]),
        (4, "account", "account", [(acct[i], ac_node[i]) for i in np.flatnonzero(ac_ok)]),
    ])
    acct_bu = np.where(rng.random(NA) < .75, rng.integers(0, 30, NA), -1)
    acct_cat = [([("BusinessUnit", f"BU {acct_bu[i]:02d}")] if acct_bu[i] >= 0 else []) +
                [("Environment", acct_name[i].split("-")[0])] + ([("Portfolio", f"pf-{i % 9}")] if i % 3 else []) +
                ([("Team", f"team {i % 40}")] if i % 2 else []) for i in range(NA)]
    cat_map = maps(acct_cat + [[]])
    # --- SKUs ---------------------------------------------------------------------------------------------------
    NS, PER = len(SVC), 64
    NK = NS * PER
    k_svc = np.repeat(np.arange(NS), PER)
    k_reg = np.tile(np.arange(PER) % 8, NS)
    k_var = np.tile(np.arange(PER) // 8, NS)
    sku = strs(pick(AN, NK, 16))
    fam = ["m5", "c6i", "r6g", "t3", "m7g", "c7g", "r5", "i4i"]
    siz = ["large", "xlarge", "2xlarge", "4xlarge", "micro", "medium", "8xlarge", "metal"]
    ec2 = np.isin(k_svc, [0, 2, 9, 10])
    itype = [f"{fam[v]}.{siz[(s + v) % 8]}" for s, v in zip(k_svc, k_var)]
    utype = [RPRE[r] + (f"BoxUsage:{itype[i]}" if ec2[i] else f"{SVC[s][-6:]}-{['Requests-Tier1','TimedStorage-ByteHrs','DataTransfer-Out-Bytes','Lambda-GB-Second','Monitoring-Metrics','NatGateway-Bytes','ReadCapacityUnit-Hrs','Api-Calls'][v]}")
             for i, (s, r, v) in enumerate(zip(k_svc, k_reg, k_var))]
    k_unit = ["Hrs" if e else ["Requests", "GB-Mo", "GB", "Second", "Metrics", "GB", "ReadCapacityUnit-Hrs", "Count"][v] for e, v in zip(ec2, k_var)]
    k_rate = np.maximum(1, np.rint(10 ** rng.normal(7.6, 1.3, NK))).astype(np.int64)  # 1e-10 USD a unit
    k_rate[rng.random(NK) < .12] = 0
    rate_s = [dec(r) for r in k_rate]
    k_desc = [f"${rate_s[i]} per {k_unit[i]} {'On Demand Linux ' + itype[i] + ' Instance Hour' if ec2[i] else 'for ' + utype[i]} in {REGIONS[k_reg[i]]}" for i in range(NK)]
    k_op = [["RunInstances", "PutObject", "CreateDBInstance", "Invoke", "MetricStorage", "NatGateway", "CommittedThroughput", "GetObject"][(s + v) % 8] + ("" if s % 3 else ":0002") for s, v in zip(k_svc, k_var)]
    prod_map = maps([[("product_name", f"Amazon {SVC[k_svc[i]]}"), ("servicename", f"Amazon {SVC[k_svc[i]]} Service"),
                      ("region", REGIONS[k_reg[i]]), ("regioncode", REGIONS[k_reg[i]]), ("group", f"grp-{k_var[i]}"),
                      ("group_description", f"{k_unit[i]} consumed by {SVC[k_svc[i]]}"), ("availability", "99.99%"), ("usage_group", k_op[i])] +
                     ([("vcpu", str(2 << k_var[i] % 5)), ("memory", f"{8 << k_var[i] % 5} GiB"), ("tenancy", "Shared"), ("operating_system", "Linux"),
                       ("physical_processor", "Intel Xeon Platinum 8375C"), ("network_performance", "Up to 12500 Megabit"), ("normalization_size_factor", "8")] if ec2[i] else [])
                     for i in range(NK)] + [[]])
    # --- resources ----------------------------------------------------------------------------------------------
    NR = a.resources or max(2000, a.rows // 40)
    r_acct = rng.choice(NA, NR, p=aw).astype(np.int32)
    r_sku = (rng.choice(NS, NR, p=zipf(NS, 1.1)) * PER + rng.choice(PER, NR, p=zipf(PER, .7))).astype(np.int32)
    r_w = rng.lognormal(0, 1.0, NR); r_w /= r_w.sum()
    r_hourly = rng.random(NR) < .6
    r_cc = np.where(rng.random(NR) < .6, (r_acct * 7 + rng.integers(0, 5, NR)) % 200, -1)
    r_app = np.where(rng.random(NR) < .45, (r_acct * 3 + rng.integers(0, 8, NR)) % 500, -1)
    untagged = rng.random(NR) < .15
    r_cc[untagged] = -1; r_app[untagged] = -1
    hexid = strs(pick("0123456789abcdef", NR, 17))
    r_id = pa.array([(f"i-{h}" if s // PER == 0 else f"arn:aws:{SVC[s // PER].lower()}:{REGIONS[s % 8]}:{acct[ac]}:resource/{h[:12]}")
                     for h, s, ac in zip(hexid, r_sku.tolist(), r_acct.tolist())], S)
    TK = ["user_env", "user_owner", "user_team", "user_service", "user_version", "user_component", "user_managed_by", "user_tier",
          "user_data_class", "user_backup", "user_schedule", "user_project", "user_compliance", "user_region", "user_cluster",
          "user_namespace", "user_stack", "user_repo", "user_oncall", "aws_createdBy", "aws_autoscaling_groupName", "aws_cloudformation_stack_name"]
    tk_p = np.concatenate([[.8, .6, .55], zipf(19, .8) * 4]).clip(0, .9)
    tbits = rng.random((NR, len(TK))) < tk_p
    tval = rng.integers(0, 60, (NR, len(TK)))
    env = ["prod", "staging", "dev", "sandbox"]
    tags = []
    for i in range(NR):
        if untagged[i]:
            tags.append([]); continue
        p = [("user_name", f"{SVC[r_sku[i] // PER].lower()}-{hexid[i][:8]}")]
        if r_app[i] >= 0: p.append(("user_app", f"app-{r_app[i]:04d}"))
        if r_cc[i] >= 0: p.append(("user_cost_center", f"cc-{r_cc[i]:04d}"))
        for j in np.flatnonzero(tbits[i]):
            p.append((TK[j], env[tval[i, j] % 4] if j == 0 else f"{TK[j][-5:]}-{tval[i, j]}"))
        tags.append(sorted(p))
    tag_map = maps(tags + [[]]); del tags
    # --- promotion codes ----------------------------------------------------------------------------------------
    NC = 40
    codes = [f"{['MAP','ACT','PC','GEN','MKT'][i % 5]}{c}-{d}" for i, (c, d) in enumerate(zip(strs(pick(AN, NC, 6)), strs(pick(AN, NC, 4))))]
    y0, m0 = map(int, a.start.split("-"))
    months = [(y0 + (m0 - 1 + i) // 12, (m0 - 1 + i) % 12 + 1) for i in range(a.periods)]
    ep = dt.date(1970, 1, 1)
    first = [(dt.date(y, m, 1) - ep).days for y, m in months]
    ndays = [calendar.monthrange(y, m)[1] for y, m in months]
    span = first[-1] + ndays[-1] - first[0]
    c_lo = first[0] + np.rint(np.arange(NC) / NC * span * .9).astype(int) - 20
    c_hi = c_lo + rng.integers(45, 400, NC)
    c_lo[0], c_hi[0] = first[0] - 30, first[-1] + 365
    c_acct = [np.array([rng.choice(NA, p=aw)]) if i % 4 == 3 else rng.choice(NA, 25, replace=False, p=aw) if i % 4 == 2 else None for i in range(NC)]
    iso = lambda d: (ep + dt.timedelta(int(d))).isoformat()
    tmpl = [lambda i, s: f"AWS Promotional Credit - Promotion Code: {codes[i]} (valid through {iso(c_hi[i])})",
            lambda i, s: f"Credit for {s}, promo code {codes[i]}",
            lambda i, s: f"MAP 2.0 Credits; PromotionCode={codes[i]}; Service={s}"]
    c_desc = pa.array([tmpl[i % 3](i, SVC[s]) for i in range(NC) for s in range(8)] + ["AWS Support credit adjustment", "Service level agreement credit"], S)
    # --- rows ---------------------------------------------------------------------------------------------------
    share = np.linspace(.85, 1.15, a.periods); share /= share.sum()
    rows_p = np.floor(share * a.rows).astype(int); rows_p[-1] += a.rows - rows_p.sum()
    
    n_files = 0
    cat_s = {c: t for c, t in COLS}
    for p, (y, m) in enumerate(months):
        per = f"{y:04d}-{m:02d}"
        pdir = f"{a.out}/cur/data/BILLING_PERIOD={per}"; os.makedirs(pdir, exist_ok=True)
        nf = max(1, -(-int(rows_p[p]) // a.rows_per_file)); files = []
        for fi in range(nf):
            n = int(rows_p[p] // nf + (fi < rows_p[p] % nf))
            rr = rng.choice(NR, n // 10 + 200, p=r_w)
            ln = np.where(r_hourly[rr], 24, 1)
            while ln.sum() < n:
                rr = np.concatenate([rr, rng.choice(NR, n // 20 + 200, p=r_w)]); ln = np.where(r_hourly[rr], 24, 1)
            run_day = rng.integers(0, ndays[p], len(rr))
            run_t = rng.choice(4, len(rr), p=[.86, .055, .055, .03])
            run = np.repeat(np.arange(len(rr)), ln)
            hour = (np.arange(len(run)) - np.repeat(np.cumsum(ln) - ln, ln))[:n]; run = run[:n]
            res, day, typ = rr[run], run_day[run], run_t[run]
            hourly = r_hourly[res]
            x = rng.random(n)
            cuts = np.cumsum([.012, .003, .0015, .0015, .001, .001, .005])  # Tax Edp RIFee Fee Refund Bundled Credit
            sp = np.searchsorted(cuts, x, side="right"); special = sp < 7
            typ = np.where(special, sp + 4, typ)
            if a.credits == "clustered":  # the same number of credits, all at the end of the file
                typ[typ == 10] = 0; typ[n - int(.005 * n):] = 10; special = typ >= 4
            ac = r_acct[res].astype(np.int64); k = r_sku[res]
            nores = special & (typ != 5) & (typ != 9)   # Tax, RIFee, Fee, Refund, Credit carry no resource
            cr = np.flatnonzero(typ == 10)
            valid = np.flatnonzero((c_lo < first[p] + ndays[p]) & (c_hi >= first[p]))
            cc = valid[rng.integers(0, len(valid), len(cr))]
            nocode = rng.random(len(cr)) < .04
            lo, hi = np.maximum(c_lo[cc], first[p]) - first[p], np.minimum(c_hi[cc], first[p] + ndays[p] - 1) - first[p]
            day[cr] = lo + np.floor(rng.random(len(cr)) * (hi - lo + 1)).astype(int)
            for c in valid:
                if c_acct[c] is not None:
                    w = cr[(cc == c) & ~nocode]; ac[w] = c_acct[c][rng.integers(0, len(c_acct[c]), len(w))]
            amt6 = np.maximum(1, np.rint(np.exp(rng.normal(0, 1.6, n)) * 1e6)).astype(np.int64)
            amt6 = np.where(hourly & ec2[k], 1_000_000, amt6)
            units = np.rint(k_rate[k].astype(np.float64) * amt6 / 1e6).astype(np.int64)
            units = np.where(special, np.maximum(1, np.rint(np.exp(rng.normal(1.0, 1.5, n)) * U)).astype(np.int64), units)
            units[np.isin(typ, [2, 5, 8, 9, 10])] *= -1
            units[typ == 3] = 0
            cost = units / U
            # columns
            t0 = (first[p] + day.astype(np.int64)) * 86_400_000 + np.where(hourly, hour, 0) * 3_600_000
            t1 = t0 + np.where(hourly, 3_600_000, 86_400_000)
            ts = lambda v: pa.array(v, pa.int64()).cast(T)
            ok = ~special; has = ~nores
            ivals = [f"{iso(first[p] + d)}T{h:02d}:00:00Z/{iso(first[p] + d + (h == 23))}T{(h + 1) % 24:02d}:00:00Z" for d in range(ndays[p]) for h in range(24)] + \
                    [f"{iso(first[p] + d)}T00:00:00Z/{iso(first[p] + d + 1)}T00:00:00Z" for d in range(ndays[p])]
            svc = k_svc[k]
            desc_v = pa.concat_arrays([pa.array(k_desc, S), c_desc, pa.array([f"{t} for {s}" for t in TYPES for s in SVC], S)])
            di = np.where(ok, k, NK + len(c_desc) + typ * NS + svc)
            di[cr] = NK + np.where(nocode, NC * 8 + (svc[cr] & 1), cc * 8 + svc[cr] % 8)
            sp_cov = typ == 1; ri = typ == 3
            dbl = lambda v, mask: pa.array(v, D, mask=~mask)
            one = lambda s: darr([s], np.zeros(n, np.int64))
            edp = payer_of[ac] == 0
            C = {
                "bill_bill_type": darr(["Anniversary", "Purchase", "Refund"], np.where(typ == 7, 1, np.where(typ == 8, 2, 0))),
                "bill_billing_entity": darr(["AWS", "AWS Marketplace"], (svc == 58).astype(int)),
                "bill_billing_period_start_date": ts(np.full(n, first[p] * 86_400_000)),
                "bill_billing_period_end_date": ts(np.full(n, (first[p] + ndays[p]) * 86_400_000)),
                "bill_invoice_id": darr([f"{per.replace('-', '')}{i:04d}" for i in range(NP)], payer_of[ac]),
                "bill_invoicing_entity": one("Amazon Web Services, Inc."),
                "bill_payer_account_id": darr(payers, payer_of[ac]), "bill_payer_account_name": darr(["main", "emea", "labs"], payer_of[ac]),
                "cost_category": cat_map.take(pa.array(ac)),
                "discount": maps([[], [("EDP", "0.05")]]).take(pa.array((edp & ok).astype(int))),
                "discount_total_discount": dbl(cost * -.05, edp & ok),
                "identity_line_item_id": fixed_str(pick(B32, n, 52)),
                "identity_time_interval": darr(ivals, np.where(hourly, day * 24 + hour, ndays[p] * 24 + day)),
                "line_item_availability_zone": darr([r + z for r in REGIONS for z in "abc"], k_reg[k] * 3 + res % 3, has & ec2[k]),
                "line_item_blended_cost": pa.array(cost), "line_item_blended_rate": darr(rate_s, k, ok),
                "line_item_currency_code": one("USD"), "line_item_legal_entity": one("Amazon Web Services, Inc."),
                "line_item_line_item_description": darr(desc_v, di), "line_item_line_item_type": darr(TYPES, typ),
                "line_item_net_unblended_cost": dbl(cost * .95, edp), "line_item_net_unblended_rate": darr(rate_s, k, ok & edp),
                "line_item_normalization_factor": dbl(np.full(n, 8.0), ok & ec2[k]), "line_item_normalized_usage_amount": dbl(amt6 * 8e-6, ok & ec2[k]),
                "line_item_operation": darr(k_op, k, ok), "line_item_product_code": darr(SVC, svc),
                "line_item_resource_id": darr(r_id, res, has), "line_item_tax_type": darr(["USSalesTax"], np.zeros(n, int), typ == 4),
                "line_item_unblended_cost": pa.array(cost), "line_item_unblended_rate": darr(rate_s, k, ok),
                "line_item_usage_account_id": darr(acct, ac), "line_item_usage_account_name": darr(acct_name, ac),
                "line_item_usage_amount": pa.array(amt6 / 1e6), "line_item_usage_start_date": ts(t0), "line_item_usage_end_date": ts(t1),
                "line_item_usage_type": darr(utype, k, ok), "pricing_currency": darr(["USD"], np.zeros(n, int), ok),
                "pricing_public_on_demand_cost": dbl(np.abs(cost), ok), "pricing_public_on_demand_rate": darr(rate_s, k, ok),
                "pricing_rate_code": darr([s + ".JRTCKXETXF.6YS6EN2CT7" for s in sku], k, ok), "pricing_rate_id": darr([str(10**11 + i * 7919) for i in range(NK)], k, ok),
                "pricing_term": darr(["OnDemand", "Reserved"], ri.astype(int), ok), "pricing_unit": darr(k_unit, k, ok),
                "product": prod_map.take(pa.array(np.where(ok, k, NK))),
                "product_instance_family": darr(["General purpose", "Compute optimized", "Memory optimized"], k_var[k] % 3, ok & ec2[k]),
                "product_instance_type": darr(itype, k, ok & ec2[k]), "product_location": darr([f"Region {r}" for r in REGIONS], k_reg[k], ok),
                "product_location_type": darr(["AWS Region"], np.zeros(n, int), ok), "product_operation": darr(k_op, k, ok),
                "product_pricing_unit": darr(k_unit, k, ok), "product_product_family": darr([f"Family {i}" for i in range(8)], k_var[k], ok),
                "product_region_code": darr(REGIONS, k_reg[k], ok), "product_servicecode": darr(SVC, svc), "product_sku": darr(sku, k, ok),
                "product_usagetype": darr(utype, k, ok),
                "reservation_effective_cost": dbl(amt6 * 4.1e-8, ri), "reservation_reservation_a_r_n": darr([f"arn:aws:ec2:us-east-1:{payers[0]}:reserved-instances/{h}" for h in hexid[:50]], res % 50, ri),
                "reservation_amortized_upfront_cost_for_usage": dbl(amt6 * 1e-8, ri), "reservation_recurring_fee_for_usage": dbl(amt6 * 3e-8, ri),
                "resource_tags": tag_map.take(pa.array(np.where(nores, NR, res))),
                "savings_plan_savings_plan_a_r_n": darr([f"arn:aws:savingsplans::{payers[0]}:savingsplan/{h}" for h in hexid[50:80]], res % 30, sp_cov | (typ == 2)),
                "savings_plan_savings_plan_effective_cost": dbl(cost * .7, sp_cov), "savings_plan_savings_plan_rate": dbl(cost * .7, sp_cov),
                "savings_plan_offering_type": darr(["ComputeSavingsPlans"], np.zeros(n, int), sp_cov), "savings_plan_payment_option": darr(["No Upfront"], np.zeros(n, int), sp_cov),
                "savings_plan_purchase_term": darr(["3yr"], np.zeros(n, int), sp_cov), "savings_plan_region": darr(REGIONS, k_reg[k], sp_cov),
            }
            unk = set(C) - set(cat_s); assert not unk, unk
            arrs = [C[c] if c in C else pa.nulls(n, t) for c, t in COLS]
            tbl = pa.Table.from_arrays(arrs, names=SCHEMA.names)
            path = f"{pdir}/cur-{fi + 1:05d}.{a.codec}.parquet"
            pq.write_table(tbl, path, compression=a.codec, row_group_size=a.row_group, store_schema=False, use_dictionary=True,
                           coerce_timestamps="ms")
            files.append(path); n_files += 1
        md = f"{a.out}/cur/metadata/BILLING_PERIOD={per}"; os.makedirs(md, exist_ok=True)
        json.dump({"executionId": f"{a.seed:08x}-{p:04d}", "columns": [{"name": c, "type": {S: "string", D: "double", T: "timestamp"}.get(t, "map")} for c, t in COLS],
                   "dataFiles": [os.path.relpath(f, f"{a.out}/cur") for f in files]}, open(f"{md}/cur-Manifest.json", "w"))
        print(per, rows_p[p], "rows", flush=True)

if __name__ == "__main__":
    main()
