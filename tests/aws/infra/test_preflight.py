"""The look before deployment says OK where an account is ready, and what to do where it is not."""

import copy
import json
import subprocess

import pytest

STACK = {
    "VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "ExportBucket": "export", "ExportPrefix": "billing/daily",
    "ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/finops-credits:1",
    "ImageRepositoryArn": "arn:aws:ecr:eu-west-1:123456789012:repository/finops-credits",
}
GOVERNED = {"CreateDatabaseDefaultPermissions": [], "DataLakeAdmins": [
    {"DataLakePrincipalIdentifier": "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/Admin"}]}
BY_IAM = {"CreateDatabaseDefaultPermissions": [
    {"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}]}
SERVICES = ["s3", "ecr.api", "ecr.dkr", "logs", "glue", "athena"]
NAT, IGW = {"NatGatewayId": "nat-1"}, {"GatewayId": "igw-1"}
ACCOUNT = {
    "caller": "arn:aws:sts::123456789012:assumed-role/Admin/jane", "vpc": "vpc-1",
    "subnets": {it: {"VpcId": "vpc-1", "AvailabilityZone": zone} for it, zone in
                (("subnet-1", "eu-west-1a"), ("subnet-2", "eu-west-1b"), ("subnet-3", "eu-west-1a"))},
    "route_tables": [], "endpoints": [], "export_owner": "123456789012", "export_region": "eu-west-1",
    "objects": {"export/billing/daily/data/x.parquet": ""}, "head": {"ServerSideEncryption": "AES256"},
    "images": ["imageTag=1"], "parameters": {}, "databases": ["default"], "lake_formation": BY_IAM, "vcpus": 6.0,
    "spot_vcpus": 6.0,
}


def routes(way: dict | None, table: str = "rtb-1") -> dict:
    """The VPC's main route table."""
    local = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
    out = [{"DestinationCidrBlock": "0.0.0.0/0", "State": "active", **way}] if way else []
    return {"RouteTableId": table, "Associations": [{"Main": True}], "Routes": [local, *out]}


def endpoint(service: str, region: str = "com.amazonaws.eu-west-1", **more) -> dict:
    kind = {"VpcEndpointType": "Gateway", "RouteTableIds": ["rtb-1"]} if service == "s3" else {"VpcEndpointType": "Interface"}
    return {"ServiceName": f"{region}.{service}", "State": "available", **kind, **more}


@pytest.fixture
def preflight(release, fake):
    """Runs the shipped script in an account behind NAT, changed so; gives exit code and the lines that it prints."""

    def run(*arguments, words=STACK, region=("--region", "eu-west-1"), variables={}, **changes):
        account = {**ACCOUNT, "route_tables": [routes(NAT)], "endpoints": [endpoint("s3")], **copy.deepcopy(changes)}
        environment, _ = fake(account)
        command = [release / "preflight.sh", *region, *arguments, *(f"{k}={v}" for k, v in words.items())]
        done = subprocess.run(command, env=environment | variables, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout.splitlines() or done.stderr.splitlines()

    return run


def to_do(run) -> list[str]:
    code, lines = run
    found = [line.removeprefix("TODO  ") for line in lines if line.startswith("TODO")]
    assert code == (1 if found else 0) and len(found) + sum(line.startswith("OK    ") for line in lines) == len(lines), lines
    return found


def test_an_account_that_is_ready_is_ok_line_by_line(preflight):
    assert preflight() == (0, [f"OK    {it}" for it in (
        "vpc-1 is in eu-west-1", "2 subnets in 2 zones", "subnet-1 goes out by nat-1", "subnet-2 goes out by nat-1",
        "the export's bucket is in eu-west-1", "the export can be read", "the image is in ECR",
        "there is no database finops_credits yet", "IAM decides on new databases, not Lake Formation",
        "the account may run 6 vCPUs on Fargate; a night takes 4 at a time",
    )])


def test_parameters_of_a_stack_are_looked_up_and_others_go_before(preflight):
    words = {name: STACK[name] for name in ("VpcId", "SubnetIds")}
    code, lines = preflight("--stack", "finops-credits", words=words)
    assert code == 0 and "OK    the export can be read" in lines and not any("no database" in it for it in lines)
    assert to_do(preflight("--stack", "finops-credits", words={**words, "ExportPrefix": "elsewhere"})) == [
        "nothing lies below s3://export/elsewhere/: check ExportPrefix; AWS delivers within 24 hours"]


@pytest.mark.parametrize(("changes", "words", "said"), [
    ({"vpc": "vpc-2"}, {}, ["VpcId: no vpc-1 in eu-west-1"]),
    ({}, {"SubnetIds": "subnet-1,subnet-9"}, ["SubnetIds: subnet-1,subnet-9 are not all in eu-west-1"]),
    ({}, {"SubnetIds": "subnet-1,subnet-3"},
     ["SubnetIds: all are in one zone; add one in another, or a night waits while that zone is down"]),
    ({"subnets": {"subnet-1": {"VpcId": "vpc-1", "AvailabilityZone": "a"},
                  "subnet-2": {"VpcId": "vpc-7", "AvailabilityZone": "b"}}}, {}, ["SubnetIds: subnet-2 is not in vpc-1"]),
    ({"images": []}, {}, ["ImageUri: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/finops-credits:1 is not in ECR, or you "
                          "may not see it: ImageNotFoundException "]),
    ({}, {"ImageUri": "x/finops-credits@sha256:ab"}, ["ImageUri: x/finops-credits@sha256:ab is not in ECR, or you may not "
                                                      "see it: ImageNotFoundException "]),
    ({"databases": ["finops_credits"]}, {}, [
        "Database: finops_credits is there already; give another name, or import it into the stack"]),
    ({}, {"MoreCreditSettingsParameter": "/a:1"}, ["MoreCreditSettingsParameter: /a:1: ParameterNotFound "]),
    ({}, {"SourcesParameter": "/a:1"}, ["SourcesParameter: /a:1: ParameterNotFound "]),
    ({"vcpus": 6.0}, {"TaskSize": "large"}, [
        "the account may run 6 vCPUs on Fargate, a night takes 8: raise quota L-3032A538 or lower MaxTasks"]),
    ({"vcpus": 4.0}, {"TaskSize": "large", "MaxTasks": "1"}, []),
    ({"vcpus": 6.0}, {"MaxTasks": "8"}, [
        "the account may run 6 vCPUs on Fargate, a night takes 16: raise quota L-3032A538 or lower MaxTasks"]),
    ({"refused": {"get-service-quota": "AccessDenied"}}, {}, [
        "cannot tell the quota of Fargate's vCPUs; a night takes 4 at a time: AccessDenied "]),
    ({"refused": {"describe-route-tables": "AccessDenied"}}, {}, ["cannot tell the way out of vpc-1: AccessDenied "]),
], ids=lambda it: str(it)[:40])
def test_what_is_missing_is_said_with_what_to_do(preflight, changes, words, said):
    assert to_do(preflight(words={**STACK, **words}, **changes)) == said


CLUSTER = {"DistributeFromBytes": "1000000000000", "MaxTasks": "6"}


@pytest.mark.parametrize(("vcpus", "words", "said"), [
    (19.0, {}, []),  # the scheduler, the scan on 2, and 4 executors of 4
    (18.0, {}, ["the account may run 18 vCPUs on Fargate, a night takes 19: raise quota L-3032A538 or lower ClusterExecutors "
                "or ExecutorSize"]),
    (12.0, {"ExecutorSize": "small"}, []),  # then a fan-out takes more
    (11.0, {"ExecutorSize": "small"}, [
        "the account may run 11 vCPUs on Fargate, a night takes 12: raise quota L-3032A538 or lower MaxTasks"]),
    (7.0, {"MaxTasks": "3"}, []),
    (7.0, {"MaxTasks": "2"}, ["DistributeFromBytes needs a MaxTasks of 3 or more, for a scheduler, an executor and the scan"]),
    (12.0, {"ExecutorCapacity": "FARGATE_SPOT"}, [
        "the account may run 6 vCPUs on Fargate Spot, a night takes 16: raise quota L-36FBB829 or lower ClusterExecutors or "
        "ExecutorSize"]),
    (12.0, {"ExecutorCapacity": "FARGATE_SPOT", "ClusterExecutors": "1"}, []),
    (12.0, {"DistributeFromBytes": "0"}, []),
])
def test_a_cluster_must_fit_into_the_quotas(preflight, vcpus, words, said):
    assert to_do(preflight(words={**STACK, **CLUSTER, **words}, vcpus=vcpus)) == said


# ---------------------------------------------------------------------------------------------------------- network
def test_public_subnets_need_an_address_for_tasks(preflight):
    public = {"route_tables": [routes(IGW)]}
    assert to_do(preflight(**public)) == [
        f"{it} is public: set AssignPublicIp=ENABLED, or take subnets behind NAT" for it in ("subnet-1", "subnet-2")]
    assert to_do(preflight(words={**STACK, "AssignPublicIp": "ENABLED"}, **public)) == []


def test_a_subnet_s_own_route_table_goes_before_the_main_one(preflight):
    own = {**routes(NAT, "rtb-2"), "Associations": [{"SubnetId": "subnet-1", "Main": False}]}
    assert to_do(preflight(route_tables=[routes(None), own])) == [
        "subnet-2 has no way out: deploy endpoints.yaml after the main stack, with MakeS3=false"]


def test_behind_nat_an_endpoint_for_s3_is_recommended_only(preflight):
    code, lines = preflight(endpoints=[])
    assert code == 0
    assert "OK    subnet-1 goes out by nat-1; an S3 gateway endpoint would spare the export's bytes there" in lines


@pytest.mark.parametrize(("there", "said"), [
    ([], "deploy endpoints.yaml after the main stack"),
    ([endpoint("s3"), endpoint("logs")], "deploy endpoints.yaml after the main stack, with MakeLogs=false MakeS3=false"),
    ([endpoint("s3", RouteTableIds=["rtb-9"]), endpoint("glue", State="deleting")],
     "deploy endpoints.yaml after the main stack"),
    ([*map(endpoint, SERVICES[1:]), endpoint("ec2")],
     "deploy endpoints.yaml after the main stack, with "
     "MakeAthena=false MakeEcrApi=false MakeEcrImages=false MakeGlue=false MakeLogs=false"),
])
def test_without_a_way_out_missing_endpoints_are_to_be_made_and_no_others(preflight, there, said):
    blackhole = routes({"NatGatewayId": "nat-0", "State": "blackhole"})
    found = to_do(preflight(route_tables=[blackhole], endpoints=there))
    assert found == [f"{it} has no way out: {said}" for it in ("subnet-1", "subnet-2")]


@pytest.mark.parametrize("region", ["com.amazonaws.eu-west-1", "cn.com.amazonaws.cn-north-1"])
def test_all_endpoints_are_a_way(preflight, region):
    assert to_do(preflight(route_tables=[routes(None)], endpoints=[endpoint(it, region) for it in SERVICES])) == []


# ----------------------------------------------------------------------------------------------------------- export
@pytest.mark.parametrize(("constraint", "region"), [(None, "us-east-1"), ("EU", "eu-west-1"), ("eu-central-1", "eu-central-1")])
def test_the_export_may_be_in_another_region_than_the_stack(preflight, constraint, region):
    code, lines = preflight(export_region=constraint)
    elsewhere = ": read from there, by a way out (an S3 endpoint leads to eu-west-1 only)"
    assert code == 0 and f"OK    the export's bucket is in {region}{'' if region == 'eu-west-1' else elsewhere}" in lines


def test_an_export_in_another_account_must_let_the_role_in(preflight):
    code, lines = preflight(export_owner="210987654321")
    assert code == 0 and ("OK    the export can be read; it is in another account, where DetectRoleArn must be let in, too "
                          "(export.yaml, ReaderRoleArn)") in lines


@pytest.mark.parametrize(("call", "said"), [
    ("get-bucket-location", "ExportBucket: export is not there, or its policy does not let you ask: AccessDenied "),
    ("list-objects-v2", "the export cannot be listed: AccessDenied "),
    ("head-object", "the export cannot be read: AccessDenied "),
])
def test_an_export_that_is_refused_is_said(preflight, call, said):
    assert to_do(preflight(refused={call: "AccessDenied"})) == [said]


def test_an_encrypted_export_needs_its_key_in_the_parameters(preflight):
    head = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-west-1:1:key/k"}
    assert to_do(preflight(head=head)) == ["the export is encrypted: set ExportKmsKeyArn=arn:aws:kms:eu-west-1:1:key/k"]
    assert to_do(preflight(words={**STACK, "ExportKmsKeyArn": "arn:aws:kms:eu-west-1:1:key/k"}, head=head)) == []


# --------------------------------------------------------------------------------------------------- Lake Formation
@pytest.mark.parametrize(("settings", "enabled", "caller", "said"), [
    (GOVERNED, "false", "assumed-role/Admin/jane", "Lake Formation governs new databases: set LakeFormationEnabled=true"),
    (GOVERNED, "true", "assumed-role/Admin/jane", None),
    (GOVERNED, "true", "assumed-role/Other/jane",
     "deploy as an administrator of Lake Formation: it must grant what the roles need"),
    (BY_IAM, "true", "user/jane", "deploy as an administrator of Lake Formation: it must grant what the roles need"),
    ({**BY_IAM, "DataLakeAdmins": [{"DataLakePrincipalIdentifier": "arn:aws:iam::123456789012:user/jane"}]},
     "true", "user/jane", None),
])
def test_lake_formation_is_on_or_off_as_the_parameter_says(preflight, settings, enabled, caller, said):
    found = preflight(words={**STACK, "LakeFormationEnabled": enabled}, lake_formation=settings,
                      caller=f"arn:aws:sts::123456789012:{caller}")
    assert to_do(found) == ([said] if said else [])


# ------------------------------------------------------------------------------------------------------------ itself
def test_it_takes_the_template_s_defaults_and_sizes(main, root):
    text = (root / "scripts/preflight.sh").read_text()
    declared = dict(word.strip("[]").split("]=") for word in text.split("value=(")[1].split(")")[0].split())
    sizes = dict(word.strip("[]").split("]=") for word in text.split("vcpus=(")[1].split(")")[0].split())
    own = {"MaxTasks"} - main.raw["Parameters"].keys()
    assert {name: it.strip('"') for name, it in declared.items() if name not in own} == {
        name: str(main.raw["Parameters"][name]["Default"]) for name in declared.keys() - own}
    assert {name: int(it) * 1024 for name, it in sizes.items()} == {
        name: int(it["Cpu"]) for name, it in main.raw["Mappings"]["TaskSizes"].items()}


@pytest.mark.parametrize("variables", [{"AWS_REGION": "eu-west-1"}, {"AWS_DEFAULT_REGION": "eu-west-1"}])
def test_the_region_may_be_that_of_the_shell(preflight, variables):
    assert to_do(preflight(region=(), variables={"AWS_REGION": "", **variables})) == []


def test_wrong_use_ends_with_two(preflight):
    assert preflight(region=(), variables={"AWS_REGION": ""}) == (2, ["preflight: no region; see --region"])
    code, printed = preflight("--frobnicate")
    assert code == 2 and any("preflight.sh [--region REGION]" in line for line in printed)
    assert preflight(words={"VpcId": "vpc-1"}) == (2, ["preflight: SubnetIds is not given; see --stack"])
    code, printed = preflight("--stack", "another", words={})
    assert code == 2 and printed[0].startswith("preflight: no stack another in eu-west-1")
