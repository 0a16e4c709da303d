"""Templates with parameters that an organisation may set, as an engine of CloudFormation takes them."""

import time

import pytest
from account import STACK, Account

SETTINGS = "/finops/credit-settings"
STORED = 'treat_as_refund = [\n    "goodwill",\n]\n'


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    made = Account(tmp_path_factory.mktemp("account"))
    yield made
    made.emulator.stop()


def update(account, **parameters: str) -> None:
    cloudformation = account.client("cloudformation")

    def stack():
        return cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]

    kept = [it["ParameterKey"] for it in stack()["Parameters"] if it["ParameterKey"] not in parameters]
    cloudformation.update_stack(
        StackName=STACK,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "UsePreviousValue": True} for name in kept]
        + [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    while stack()["StackStatus"].endswith("_IN_PROGRESS"):
        time.sleep(0.1)
    assert stack()["StackStatus"] == "UPDATE_COMPLETE", stack().get("StackStatusReason")
    account.outputs = {it["OutputKey"]: it["OutputValue"] for it in stack()["Outputs"]}


def settings(account) -> str:
    """Those that people read, which are those of the tasks."""
    read = account.client("ssm").get_parameter(Name=account.outputs["SettingsParameterName"])["Parameter"]["Value"]
    task = account.client("ecs").describe_task_definition(taskDefinition=account.outputs["TaskDefinitionArn"])
    (container,) = task["taskDefinition"]["containerDefinitions"]
    given = {it["name"]: it["value"] for it in container["environment"]}
    assert given["FINOPS_CREDITS_SETTINGS"] == read
    return read


def test_settings_of_many_lines_come_from_a_parameter_when_the_stack_is_updated(account):
    assert STORED not in settings(account)
    ssm = account.client("ssm")
    ssm.put_parameter(Name=SETTINGS, Value=STORED, Type="String")
    update(account, MoreCreditSettingsParameter=f"{SETTINGS}:1")
    assert STORED in settings(account)
    ssm.put_parameter(Name=SETTINGS, Value="treat_as_refund = []", Type="String", Overwrite=True)
    update(account, MoreCreditSettingsParameter=f"{SETTINGS}:2")
    assert "treat_as_refund = []\n" in settings(account) and STORED not in settings(account)


def test_roles_and_policies_get_the_path(account):
    update(account, RolePath="/finops/")
    roles = account.client("iam").list_roles(PathPrefix="/finops/")["Roles"]
    assert len([it for it in roles if STACK in it["RoleName"]]) == 9
    assert "/finops/" in account.outputs["ReaderPolicyArn"] and "/finops/" in account.outputs["DetectRoleArn"]


def test_endpoints_are_made_but_for_those_that_are_there(account):
    ec2 = account.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.0.0.0/16"]}])["Vpcs"][0]["VpcId"]
    subnets = [it["SubnetId"] for it in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]]
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    network = {
        "VpcId": vpc,
        "SubnetIds": ",".join(subnets),
        "RouteTableIds": tables[0]["RouteTableId"],
        "TaskSecurityGroupId": account.outputs["TaskSecurityGroupId"],
    }
    there = {"MakeS3": "false", "MakeGlue": "false"}
    account.create_stack(f"{STACK}-endpoints", account.release / "endpoints.yaml", {**network, **there})
    made = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["VpcEndpoints"]
    services = {it["ServiceName"].split(".", 3)[3] for it in made}
    assert services == {"ecr.api", "ecr.dkr", "logs", "athena"}


def test_a_bucket_for_an_export_is_made_without_the_export(account):
    reader = account.outputs["DetectRoleArn"]
    given = {"Makes": "BUCKET", "ExporterAccountId": "210987654321", "ReaderRoleArn": reader}
    outputs = account.create_stack(f"{STACK}-bucket", account.release / "export.yaml", given)
    policy = account.client("s3").get_bucket_policy(Bucket=outputs["ExportBucket"])["Policy"]
    assert reader in policy and "arn:aws:bcm-data-exports:us-east-1:210987654321:export/*" in policy
    assert outputs["ExportPrefix"] == "billing/finops-credits"
