"""Several exports in one lake: one that the night may read itself, one that a role of another account's owner reads for it."""

import json

import pytest

from support.emulator import ACCOUNT, Emulator
from support.lake import Program, put_files, write_files

HEADER = (
    "bill_billing_period_start_date,bill_payer_account_id,line_item_usage_account_id,line_item_usage_start_date,"
    "line_item_line_item_type,line_item_product_code,line_item_currency_code,line_item_unblended_cost,"
    "line_item_line_item_description\n"
)
PAYERS = {"emea": "111122223333", "apac": "444455556666"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/billing-reader"
REFERENCE = {
    "reference/hierarchy.csv": b"business_unit\nRetail\n",
    "reference/cost_rules.csv": b"rule_id,priority,account_id,business_unit\nall,10,*,Retail\n",
}


def allow(action, *resources: str) -> dict:
    return {"Effect": "Allow", "Action": action, "Resource": list(resources)}


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def reading(bucket: str) -> list[dict]:
    return [
        allow(["s3:ListBucket", "s3:GetBucketLocation"], f"arn:aws:s3:::{bucket}"),
        allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"),
    ]


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Where it may work, and the environment of one who may read the first export and take the role."""
    with Emulator(tmp_path_factory.mktemp("sources") / "state", policies=True) as emulator:
        for name, payer in PAYERS.items():
            line = f"2026-03-01,{payer},{payer},2026-03-02,Usage,AmazonEC2,USD,100.25,\n"
            put_files(emulator, f"{name}-bills", {"billing/data/BILLING_PERIOD=2026-03/x-1.csv": (HEADER + line).encode()})
        iam = emulator.client("iam")
        iam.create_user(UserName="night")
        rights = policy(*reading("emea-bills"), allow("sts:AssumeRole", ROLE))
        iam.put_user_policy(UserName="night", PolicyName="night", PolicyDocument=rights)
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/night"}}
        iam.create_role(RoleName="billing-reader", AssumeRolePolicyDocument=policy(trust))
        iam.put_role_policy(RoleName="billing-reader", PolicyName="read", PolicyDocument=policy(*reading("apac-bills")))
        key = iam.create_access_key(UserName="night")["AccessKey"]
        keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        yield tmp_path_factory, emulator.environment() | keys


def program(night, role: str) -> Program:
    tmp_path_factory, environment = night
    folder = tmp_path_factory.mktemp("lake")
    write_files(folder, REFERENCE)
    sources = [
        f'[[source]]\nname = "{name}"\nlocation = "s3://{name}-bills/billing"\npayer = "{payer}"\n'
        for name, payer in PAYERS.items()
    ]
    text = f'{"".join(sources)}{role}\n[reference]\nlocation = "{folder}/reference"\n[lake]\nlocation = "{folder}/lake"\n'
    return Program(folder, text, environment)


def test_export_that_only_a_role_may_read_is_read_by_it(night):
    made = program(night, f'role_arn = "{ROLE}"\n')
    said = made.run("run", "--as-of", "2026-03-31").stdout
    assert "1 period read (2 lines)" in said and "export 200.5000000000 USD = invoice_net 200.5000000000" in said
    sql = "SELECT DISTINCT payer_account_id FROM net_cost ORDER BY 1"
    assert made.run("--format", "csv", "--raw", "query", sql).stdout.split()[1:] == list(PAYERS.values())


def test_without_the_role_nothing_is_published_and_the_export_is_named(night):
    made = program(night, "")
    refused = made.run("run", "--as-of", "2026-03-31", expect=None)
    assert refused.returncode == 3, refused.stderr
    assert "apac-bills" in refused.stderr and "403" in refused.stderr, refused.stderr
    assert made.run("queue", expect=None).returncode == 4


def test_role_that_may_not_be_taken_is_named(night):
    made = program(night, 'role_arn = "arn:aws:iam::000000000000:role/of-somebody-else"\n')
    refused = made.run("run", "--as-of", "2026-03-31", expect=None)
    assert refused.returncode == 3 and "role/of-somebody-else" in refused.stderr, refused.stderr
