"""A release installed, upgraded, rolled back and uninstalled, as the guide says it, in an emulated account.

The tests of this file are one story and run in its order. CodeBuild is played (`support/builds.py`): what it would push is
another image for every source.
"""

import re
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from support.emulator import REGION, Emulator
from support.lake import DATABASE, ROOT

STACK, BUCKET = "finops-credits", "my-releases"
DEADLINE_SECONDS = 240


class Account:
    """With releases in a bucket, and the stack that is installed from them."""

    def __init__(self, folder):
        self.folder, self.emulator = folder, Emulator(folder / "emulator", policies=True)
        self.s3, self.cloudformation = self.client("s3"), self.client("cloudformation")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        first = folder / "first"
        subprocess.run([sys.executable, ROOT / "scripts/package", first], check=True)
        versions = enumerate(("1.0.0", "1.1.0", "1.2.0"))
        self.releases = {version: self.upload(first, version, str(n) * 64) for n, version in versions}
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        self.answers = {
            "ReleaseBucket": BUCKET, "ExportBucket": "my-billing-exports", "ExportPrefix": "billing/finops-daily",
            "VpcId": vpc, "SubnetIds": subnet, "AlertEmail": "finops@example.com",
        }

    def client(self, service):
        return self.emulator.client(service)

    def upload(self, first, version, digest) -> str:
        """The release as one of another version and source; returns its installer."""
        release = shutil.copytree(first, self.folder / version)
        current = (release / "VERSION").read_text().strip()
        text = (release / "install.yaml").read_text().replace(current, version)
        text = re.sub(r'SourceSha256: "\w+"', f'SourceSha256: "{digest}"', text)
        (release / "install.yaml").write_text(text)
        for path in release.glob("*.yaml"):
            self.s3.put_object(Bucket=BUCKET, Key=f"finops-credits/{version}/{path.name}", Body=path.read_bytes())
        return text

    def stack(self):
        return next((it for it in self.cloudformation.describe_stacks()["Stacks"] if it["StackName"] == STACK), None)

    def wait(self, expected) -> SimpleNamespace:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (stack := self.stack())["StackStatus"].endswith("IN_PROGRESS"):
            assert time.monotonic() < deadline, stack
            time.sleep(0.2)
        events = self.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
        reasons = [(it["LogicalResourceId"], it["ResourceStatusReason"]) for it in events if "ResourceStatusReason" in it]
        assert stack["StackStatus"] == expected, (stack["StackStatus"], reasons)
        outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}
        return SimpleNamespace(**outputs, reasons=reasons)

    def install(self, version):
        self.cloudformation.create_stack(
            StackName=STACK, TemplateBody=self.releases[version], Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in self.answers.items()])
        return self.wait("CREATE_COMPLETE")

    def update(self, version, expected="UPDATE_COMPLETE"):
        """As `aws cloudformation deploy` does: answers stay as they are."""
        self.cloudformation.update_stack(
            StackName=STACK, TemplateBody=self.releases[version], Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "UsePreviousValue": True} for key in self.answers])
        return self.wait(expected)

    def image_of(self, task_definition):
        found = self.client("ecs").describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
        assert found["status"] == "ACTIVE", "it can be run"
        return found["containerDefinitions"][0]["image"]

    def builds(self):
        return self.client("codebuild").list_builds()["ids"]

    def kept(self):
        """What people recorded, or would have."""
        objects = self.s3.list_objects_v2(Bucket=self.installed.DataBucketName).get("Contents", [])
        tables = self.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
        state = self.client("kms").describe_key(KeyId=self.installed.KeyArn)["KeyMetadata"]["KeyState"]
        return {it["Key"] for it in objects}, {it["Name"] for it in tables if it["TableType"] != "VIRTUAL_VIEW"}, state


KEPT = {"lake/warehouse/allocations_log/1.parquet"}, {"allocations_log"}, "Enabled"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    made = Account(tmp_path_factory.mktemp("account"))
    yield made
    made.emulator.stop()


@pytest.fixture(scope="module")
def installed(account):
    account.installed = account.install("1.0.0")
    bucket = account.installed.DataBucketName
    account.s3.put_object(Bucket=bucket, Key="lake/warehouse/allocations_log/1.parquet", Body=b"recorded")
    storage = {"Location": f"s3://{bucket}/lake/warehouse/allocations_log", "Columns": []}
    table = {"Name": "allocations_log", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage}
    account.client("glue").create_table(DatabaseName=DATABASE, TableInput=table)
    return account.installed


def test_five_answers_install_image_main_stack_and_views(account, installed):
    assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", installed.ImageUri) and len(account.builds()) == 1
    assert account.image_of(installed.TaskDefinitionArn) == installed.ImageUri
    tables = account.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
    assert "credit_queue_view" in {it["Name"] for it in tables}
    assert installed.StateMachineArn.endswith(f":{installed.MainStackName}-nightly"), "what the QuickSight stack is told"
    machine = account.client("stepfunctions").describe_state_machine(stateMachineArn=installed.StateMachineArn)
    assert machine["status"] == "ACTIVE"


def test_upgrade_runs_the_new_image_and_keeps_data_and_what_a_redrive_needs(account, installed):
    upgraded = account.update("1.1.0")
    assert upgraded.ImageUri != installed.ImageUri and len(account.builds()) == 2
    assert account.image_of(upgraded.TaskDefinitionArn) == upgraded.ImageUri
    assert account.image_of(installed.TaskDefinitionArn) == installed.ImageUri, "a night of before can be redriven"
    assert (upgraded.DataBucketName, upgraded.KeyArn) == (installed.DataBucketName, installed.KeyArn)
    assert account.kept() == KEPT


def test_rollback_runs_the_image_of_before_without_a_build(account, installed):
    back = account.update("1.0.0")
    assert back.ImageUri == installed.ImageUri == account.image_of(back.TaskDefinitionArn)
    assert len(account.builds()) == 2 and account.kept() == KEPT


def test_upgrade_whose_build_fails_changes_nothing(account, installed):
    account.emulator.control(builds_fail=True)
    left = account.update("1.2.0", expected="UPDATE_ROLLBACK_COMPLETE")
    account.emulator.control(builds_fail=False)
    assert left.ImageUri == installed.ImageUri == account.image_of(left.TaskDefinitionArn) and account.kept() == KEPT
    assert any("Image" in name and "build ended without an image" in reason for name, reason in left.reasons), left.reasons


def test_uninstalling_keeps_what_people_recorded_and_nothing_that_runs(account, installed):
    account.cloudformation.delete_stack(StackName=STACK)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while account.stack():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert account.kept() == KEPT
    assert account.client("ecr").describe_repositories()["repositories"] == []
    assert account.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert account.client("scheduler").list_schedules()["Schedules"] == []
    assert account.client("iam").list_roles()["Roles"] == []
