"""The export that export.yaml makes: one the program reads, delivered by AWS, read by one role."""

import json
import re

import pytest
from template import ACCOUNT, tls_only

# What nobody computes with, and people want to know of a line.
FOR_PEOPLE = {
    "bill_bill_type", "bill_billing_period_end_date", "bill_payer_account_name", "line_item_operation",
    "line_item_usage_account_name", "line_item_usage_amount", "line_item_usage_end_date", "line_item_usage_type",
}
READER = "arn:aws:iam::210987654321:role/finops/DetectRole"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/of-the-export"
ELSEWHERE = {"Makes": "EXPORT", "ExistingBucket": "exports-of-finops", "BucketRegion": "eu-central-1"}


def export(template) -> dict:
    return template.properties("Export")["Export"]


def statements(template) -> dict[str, dict]:
    return {it["Sid"]: it for it in template.properties("ExportBucketPolicy")["PolicyDocument"]["Statement"]}


def test_columns_are_those_that_the_program_reads_and_what_people_ask_for(deploy, root):
    query = export(deploy("export.yaml"))["DataQuery"]["QueryStatement"]
    columns = re.fullmatch(r"SELECT (.+) FROM COST_AND_USAGE_REPORT", " ".join(query.split()))[1].split(", ")
    sources = "".join(path.read_text() for path in (root / "jobs/detect-credits/src/columns").glob("*.rs"))
    manifest = next((root / "data/cur/finops-daily/metadata").glob("*/*-Manifest.json"))
    of_cur = {it["name"] for it in json.loads(manifest.read_text())["columns"]}
    assert set(columns) == of_cur & set(re.findall(r'"([a-z_]+)"', sources)) | FOR_PEOPLE
    assert columns == sorted(columns)


def test_a_delivery_takes_the_place_of_the_one_before_as_parquet_by_day(deploy):
    made = export(deploy("export.yaml"))
    assert made["DestinationConfigurations"]["S3Destination"]["S3OutputConfigurations"] == {
        "OutputType": "CUSTOM", "Format": "PARQUET", "Compression": "PARQUET", "Overwrite": "OVERWRITE_REPORT"}
    assert made["DataQuery"]["TableConfigurations"]["COST_AND_USAGE_REPORT"]["TIME_GRANULARITY"] == "DAILY"
    assert made["RefreshCadence"] == {"Frequency": "SYNCHRONOUS"}


def test_bucket_and_export_are_made_together_in_the_payer_account(deploy):
    both = deploy("export.yaml")
    destination = export(both)["DestinationConfigurations"]["S3Destination"]
    assert (destination["S3Bucket"], destination["S3Region"]) == ("exportbucket", both.pseudo["AWS::Region"])
    assert "S3BucketOwner" not in destination
    assert both.outputs() == {"ExportBucket": "exportbucket", "ExportPrefix": "billing/finops-credits"}
    assert "ExportBucketPolicy" in str(both.raw["Resources"][both.resources["Export"]["DependsOn"]]["Metadata"])


def test_bucket_in_another_region_and_account_takes_the_payer_s_export(deploy):
    bucket = deploy("export.yaml", Makes="BUCKET", ExporterAccountId="210987654321")
    assert "Export" not in bucket.resources and "ExportBucket" in bucket.resources
    assert statements(bucket)["AwsDelivers"]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "210987654321"},
        "ArnLike": {"aws:SourceArn": ["arn:aws:cur:us-east-1:210987654321:definition/*",
                                      "arn:aws:bcm-data-exports:us-east-1:210987654321:export/*"]},
    }
    made = deploy("export.yaml", **ELSEWHERE, BucketOwnerId=ACCOUNT)
    destination = export(made)["DestinationConfigurations"]["S3Destination"]
    assert not {"ExportBucket", "ExportBucketPolicy"} & made.resources.keys()
    assert {key: destination[key] for key in ("S3Bucket", "S3Region", "S3BucketOwner", "S3Prefix")} == {
        "S3Bucket": "exports-of-finops", "S3Region": "eu-central-1", "S3BucketOwner": ACCOUNT, "S3Prefix": "billing"}
    assert made.outputs() == {"ExportBucket": "exports-of-finops", "ExportPrefix": "billing/finops-credits"}


def test_only_exports_of_the_account_are_delivered_and_by_tls(deploy):
    found = statements(deploy("export.yaml"))
    assert found.keys() == {"AwsDelivers", "TlsOnly"}
    delivers = found["AwsDelivers"]
    assert delivers["Principal"] == {"Service": ["bcm-data-exports.amazonaws.com", "billingreports.amazonaws.com"]}
    assert delivers["Action"] == ["s3:PutObject", "s3:GetBucketPolicy"]
    assert delivers["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    assert all(f":us-east-1:{ACCOUNT}:" in arn for arn in delivers["Condition"]["ArnLike"]["aws:SourceArn"])
    assert tls_only(list(found.values()), "arn:aws:s3:::exportbucket", "arn:aws:s3:::exportbucket/*")


def test_a_reader_of_another_account_reads_the_export_and_nothing_else(deploy):
    found = statements(deploy("export.yaml", ReaderRoleArn=READER))
    of_reader = [it for it in found.values() if it["Principal"] == {"AWS": READER}]
    assert {(str(it["Action"]), it["Resource"]) for it in of_reader} == {
        ("['s3:ListBucket', 's3:GetBucketLocation']", "arn:aws:s3:::exportbucket"),
        ("s3:GetObject", "arn:aws:s3:::exportbucket/billing/*"),
    }


def test_detect_role_can_be_named_elsewhere_and_asks_for_the_bucket_s_region(main):
    assert main.outputs()["DetectRoleArn"] == main.arn("DetectRole")
    assert main.outputs()["ExecutionRoleArn"] == main.arn("ExecutionRole")


@pytest.mark.parametrize("reader", ["", READER])
def test_a_key_of_the_customer_encrypts_and_its_policy_is_told(deploy, reader):
    plain = deploy("export.yaml").properties("ExportBucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert plain == [{"BucketKeyEnabled": False, "ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    made = deploy("export.yaml", KmsKeyArn=KEY, ReaderRoleArn=reader)
    (rule,) = made.properties("ExportBucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    delivers, *reads = json.loads(made.outputs()["KeyPolicyStatements"])
    assert delivers["Action"] == ["kms:GenerateDataKey", "kms:Decrypt"]
    assert delivers["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert [(it["Principal"], it["Action"], it["Condition"]) for it in reads] == ([] if not reader else [
        ({"AWS": READER}, "kms:Decrypt", {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}})])


def test_an_export_is_made_in_us_east_1_only_and_needs_its_bucket(deploy):
    rules = deploy("export.yaml").raw["Rules"]
    where, what = rules["ExportsAreInUsEast1"], rules["ExportNeedsBucket"]
    assert where["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Makes"}, "BUCKET"]}]}
    assert where["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}
    assert what["RuleCondition"] == {"Fn::Equals": [{"Ref": "Makes"}, "EXPORT"]}


def test_the_export_outlives_its_stack(deploy):
    bucket = deploy("export.yaml").resources["ExportBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    properties = deploy("export.yaml").properties("ExportBucket")
    assert list(properties["PublicAccessBlockConfiguration"].values()) == [True] * 4
