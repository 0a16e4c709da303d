"""What an organisation asks of every stack: boundaries, paths, tags, Lake Formation, chat channels, other partitions."""

import re

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from template import ACCOUNT

OURS = ["finops-credits.yaml", "endpoints.yaml", "export.yaml", "quicksight.yaml", "views.yaml", "business-unit.yaml", "web.yaml"]
WITH_ROLES = ["finops-credits.yaml", "quicksight.yaml", "business-unit.yaml", "web.yaml"]
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
SLACK = {"AlertSlackChannel": "T012ABCDE/C034FGHIJ"}
TENANT, TEAM = "12345678-1234-1234-1234-123456789012", "87654321-1234-1234-1234-123456789012"
TEAMS_CHANNEL = "19%3ab6ef35dc342d56ba5654e6fc6d25a071%40thread.tacv2"
TEAMS = {"AlertTeamsChannel": f"{TENANT}/{TEAM}/{TEAMS_CHANNEL}"}
CHAT = "AWS::Chatbot::"
DOMAIN = {"DomainName": "credits.example.com", "CertificateArn": f"arn:aws:acm:eu-west-1:{ACCOUNT}:certificate/1b2c3d4e"}


def everything(deploy, name: str, **given):
    """With all that parameters can add."""
    more = {"finops-credits.yaml": {**SLACK, **TEAMS, "LakeFormationEnabled": "true", "RegisterLocation": "true"},
            "quicksight.yaml": {"LakeFormationEnabled": "true"},
            "web.yaml": {"LakeFormationEnabled": "true", **DOMAIN}}
    return deploy(name, **more.get(name, {}), **given)


# ------------------------------------------------------------------------------------------------------------ roles
@pytest.mark.parametrize("name", WITH_ROLES)
def test_every_role_has_boundary_and_path_that_the_organisation_asks_for(deploy, name):
    bounded = everything(deploy, name, PermissionsBoundary=BOUNDARY, RolePath="/finops/")
    for id in bounded.of_type("AWS::IAM::Role"):
        role = bounded.properties(id)
        assert (role["PermissionsBoundary"], role["Path"]) == (BOUNDARY, "/finops/"), id
    for id in bounded.of_type("AWS::IAM::ManagedPolicy"):
        assert bounded.properties(id)["Path"] == "/finops/", id
    plain = everything(deploy, name)
    assert not any("PermissionsBoundary" in plain.properties(id) for id in plain.of_type("AWS::IAM::Role"))


def test_quicksight_takes_its_role_as_aws_documents_it(deploy):
    (trust,) = deploy("quicksight.yaml").properties("DataSourceRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {
        "Effect": "Allow", "Principal": {"Service": "quicksight.amazonaws.com"}, "Action": "sts:AssumeRole"}


# ------------------------------------------------------------------------------------------------------------- tags
def test_tags_of_the_stack_reach_all_but_what_the_guide_names(deploy, root):
    made = {it["Type"] for name in OURS for it in everything(deploy, name).resources.values()}
    tagging = {type: PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type).schema.get("tagging", {}) for type in made}
    without = {type for type, it in tagging.items() if not it.get("taggable")} - {"AWS::CloudFormation::WaitConditionHandle"}
    (line,) = re.findall(r"except ([^.]+), which AWS gives no tags", (root / "docs/aws.md").read_text().replace("\n", " "))
    assert set(re.findall(r"`(\w+::\w+)`", line)) == {type.removeprefix("AWS::") for type in without}
    assert all(it.get("tagOnCreate") for type, it in tagging.items() if it.get("taggable"))


def test_the_state_machine_may_tag_only_the_tasks_it_starts(main):
    (statement,) = [it for policy in main.properties("NightlyRole")["Policies"]
                    for it in policy["PolicyDocument"]["Statement"] if "ecs:TagResource" in it["Action"]]
    assert statement["Condition"] == {"StringEquals": {"ecs:CreateAction": "RunTask"}}
    assert statement["Resource"].endswith(":task/finops-credits/*")


# --------------------------------------------------------------------------------------------------- Lake Formation
GRANTS = {
    "DetectRole": ("DESCRIBE CREATE_TABLE", "DESCRIBE ALTER"),
    "JoinRole": ("DESCRIBE", "DESCRIBE"),
    "FifoRole": ("DESCRIBE", "DESCRIBE"),
    "NetCostRole": ("DESCRIBE", "DESCRIBE"),
    "CheckRole": ("DESCRIBE CREATE_TABLE", "DESCRIBE ALTER SELECT"),
    "PublishRole": ("DESCRIBE CREATE_TABLE", "DESCRIBE ALTER"),
    "DataSourceRole": ("DESCRIBE", "DESCRIBE SELECT"),
}


def grants(template) -> dict[str, dict[str, str]]:
    found = {}
    for id in template.of_type("AWS::LakeFormation::PrincipalPermissions"):
        grant = template.properties(id)
        (kind, on), = grant["Resource"].items()
        if kind == "DataLocation":
            continue
        assert on["CatalogId"] == ACCOUNT and on.get("Name", on.get("DatabaseName")) == "finops_credits"
        assert kind == "Database" or on["TableWildcard"] == {}
        assert grant["PermissionsWithGrantOption"] == []
        role = grant["Principal"]["DataLakePrincipalIdentifier"].split("/")[-1]
        found.setdefault(role, {})[kind] = " ".join(grant["Permissions"])
    return found


def test_under_lake_formation_every_role_is_granted_what_its_iam_rights_need(deploy):
    found = grants(everything(deploy, "finops-credits.yaml")) | grants(everything(deploy, "quicksight.yaml"))
    assert {role: (it["Database"], it["Table"]) for role, it in found.items()} == GRANTS


def test_under_lake_formation_iam_alone_opens_no_table(deploy, main):
    under = everything(deploy, "finops-credits.yaml").properties("GlueDatabase")["DatabaseInput"]
    assert under["CreateTableDefaultPermissions"] == []
    (alone,) = main.properties("GlueDatabase")["DatabaseInput"]["CreateTableDefaultPermissions"]
    assert alone == {"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}
    assert grants(main) == {}


def test_grants_are_made_one_after_the_other(deploy):
    template = everything(deploy, "finops-credits.yaml")
    ids = template.of_type("AWS::LakeFormation::PrincipalPermissions")
    before = {id: template.resources[id].get("DependsOn") for id in template.resources}
    before = {id: before[it] if it == "Location" else it for id, it in before.items()}
    assert [before[id] for id in ids] == [None, *ids[:-1]]


def test_data_is_fetched_through_lake_formation_only_where_it_governs(deploy, main):
    def holders(template):
        ids = [*template.of_type("AWS::IAM::Role"), *template.of_type("AWS::IAM::ManagedPolicy")]
        return {id for id in ids if "lakeformation:GetDataAccess" in str(template.properties(id))}

    assert holders(everything(deploy, "finops-credits.yaml")) == {"CheckRole", "ReaderPolicy"}
    assert holders(main) == set()


# ------------------------------------------------------------------------------------------------------------- chat
@pytest.mark.parametrize(("given", "type", "place"), [
    (SLACK, "SlackChannelConfiguration", {"SlackWorkspaceId": "T012ABCDE", "SlackChannelId": "C034FGHIJ"}),
    (TEAMS, "MicrosoftTeamsChannelConfiguration",
     {"TeamsTenantId": TENANT, "TeamId": TEAM, "TeamsChannelId": TEAMS_CHANNEL}),
], ids=["slack", "teams"])
def test_alarms_go_to_the_channel_which_may_do_nothing(deploy, given, type, place):
    template = deploy(**given)
    assert all(re.fullmatch(template.raw["Parameters"][name]["AllowedPattern"], value) for name, value in given.items())
    (id,) = [id for id, it in template.resources.items() if it["Type"].startswith(CHAT)]
    channel = template.properties(id)
    assert template.resources[id]["Type"] == CHAT + type and place.items() <= channel.items()
    assert channel["SnsTopicArns"] == [template.arn("AlertTopic")] and channel["LoggingLevel"] == "ERROR"
    assert channel["GuardrailPolicies"] == ["arn:aws:iam::aws:policy/AWSDenyAll"]
    role = template.properties("ChannelRole")
    assert channel["IamRoleArn"] == template.arn("ChannelRole") and not {"Policies", "ManagedPolicyArns"} & role.keys()
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "chatbot.amazonaws.com"}


def test_without_a_channel_there_is_nothing_of_chat(main):
    assert not [id for id, it in main.resources.items() if it["Type"].startswith(CHAT) or id == "ChannelRole"]


# ------------------------------------------------------------------------------------------------------- partitions
@pytest.mark.parametrize("name", OURS)
def test_nothing_names_a_partition(deploy, root, name):
    text = (root / "infra" / name).read_text()
    assert re.findall(r"arn:aws:(?!::)\S*", text.replace("arn:aws:states:::", "")) == []
    services = set(re.findall(r"[\w.${}:-]+\.amazonaws\.com\b", text))
    assert all(re.fullmatch(r"[a-z-]+\.amazonaws\.com", it) for it in services), "service principals are the same everywhere"


def test_logs_have_their_own_principal_in_china(deploy):
    key = deploy(china=True).properties("Key")["KeyPolicy"]["Statement"]
    assert [it["Principal"] for it in key if it["Sid"] == "LogsAreWritten"] == [
        {"Service": "logs.cn-north-1.amazonaws.com.cn"}]
    assert key[0]["Principal"]["AWS"].startswith("arn:aws-cn:iam::")
