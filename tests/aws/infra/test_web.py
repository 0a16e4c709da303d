"""web.yaml: the page as a function that people reach by HTTPS alone, and that may do what those do who allocate."""

import re
import tomllib
from fnmatch import fnmatchcase

import pytest
from template import ACCOUNT, REGION, listed, statements

NAME = "web.yaml"
DOMAIN = {
    "DomainName": "credits.example.com", "CertificateArn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1b2c3d4e",
}
OWN_ADDRESS = f"https://Api.execute-api.{REGION}.amazonaws.com"
ACCESS = ("s3:GetObject", "arn:aws:s3:::databucket/access/access.csv")


@pytest.fixture(scope="session")
def web(deploy):
    return deploy(NAME)


def variables(template) -> dict[str, str]:
    return template.properties("Function")["Environment"]["Variables"]


def settings(template) -> dict:
    return tomllib.loads(variables(template)["FINOPS_CREDITS_SETTINGS"])


# ---------------------------------------------------------------------------------------------------------- settings
def test_the_page_has_the_settings_of_the_jobs_and_who_may_do_what(deploy, main):
    given = main.properties("Settings")["Value"]
    template = deploy(NAME, Settings=given, ViewerGroups="finance,controlling", AdminGroups="Platform team")
    found = settings(template)
    assert found.pop("web") == {
        "url": OWN_ADDRESS, "issuer": "https://login.example.com/realm", "client_id": "finops-credits",
        "client_secret": "env:FINOPS_CREDITS_CLIENT_SECRET", "session_key": "env:FINOPS_CREDITS_SESSION_KEY",
        "scopes": ["openid", "email", "profile"], "groups_claim": "groups", "access": "s3://databucket/access/access.csv",
        "roles": {"viewer": ["finance", "controlling"], "allocator": ["finops"], "admin": ["Platform team"]},
    }
    assert found == tomllib.loads(given)
    assert main.outputs()["SettingsParameterName"] == template.raw["Parameters"]["Settings"]["Default"]
    assert template.raw["Parameters"]["Settings"]["Type"] == "AWS::SSM::Parameter::Value<String>"


def test_a_role_without_groups_is_nobody_s(web):
    assert settings(web)["web"]["roles"] == {"viewer": [], "allocator": ["finops"], "admin": []}


def test_who_is_limited_to_nodes_is_decided_by_who_deploys(deploy, web):
    assert "Default" not in web.raw["Parameters"]["LimitByNode"]
    everything = deploy(NAME, LimitByNode="DISABLED")
    assert "access" not in settings(everything)["web"]
    assert ACCESS in allowed(web) and ACCESS not in allowed(everything)


@pytest.mark.parametrize(("name", "good", "bad"), [
    ("Issuer", ["https://login.example.com", "https://login.example.com:8443/a/b_c~d/"],
     ["http://login.example.com", 'https://a.b"\nx = "', "https://a b", "https://a.b/?x"]),
    ("ClientId", ["finops-credits", "0oa1.b@c"], ['a"', "a\\", "a b", "a\nb", ""]),
    ("GroupsClaim", ["groups", "cognito:groups", "https://example.com/groups"], ['a"', "a\\", "a\nb"]),
    ("Scopes", ["openid", "api://x/.default"], ['a"', "a\\", "a b", ""]),
    ("ViewerGroups", ["", "finance", "Gruppe Köln", "CN=finance"], ['a"]\nadmin = ["x', "a\\"]),
    ("AllocatorGroups", ["finops", "b1c2-d3"], ["", 'a"', "a\\", "a\nb"]),
    ("AdminGroups", ["", "platform"], ['a"', "a\\", "a\nb"]),
    ("DomainName", ["", "credits.example.com"], ["credits", "https://credits.example.com", "a.b/", 'a.b"']),
])
def test_answers_cannot_say_more_than_their_setting(web, name, good, bad):
    pattern = web.raw["Parameters"][name]["AllowedPattern"]
    assert [it for it in good if not re.fullmatch(pattern, it)] == [] and [it for it in bad if re.fullmatch(pattern, it)] == []


def test_settings_and_secrets_fit_into_what_a_function_takes(deploy, main):
    template = deploy(NAME, Settings=main.properties("Settings")["Value"], ViewerGroups=",".join(["group" * 4] * 20))
    secrets = 2 * 512
    assert sum(len(name) + len(value.encode()) for name, value in variables(template).items()) + secrets < 4096


# ----------------------------------------------------------------------------------------------------------- secrets
def test_secrets_stand_in_secrets_manager_and_nowhere_in_the_template(web):
    found = variables(web)
    assert found.keys() == {"FINOPS_CREDITS_SETTINGS", "FINOPS_CREDITS_CLIENT_SECRET", "FINOPS_CREDITS_SESSION_KEY"}
    page = settings(web)["web"]
    assert {page["client_secret"], page["session_key"]} == {f"env:{name}" for name in found.keys() - {"FINOPS_CREDITS_SETTINGS"}}
    secret, version = (web.parameters[name] for name in ("ClientSecretArn", "ClientSecretVersionId"))
    assert found["FINOPS_CREDITS_CLIENT_SECRET"] == f"{{{{resolve:secretsmanager:{secret}:SecretString:::{version}}}}}"
    assert found["FINOPS_CREDITS_SESSION_KEY"] == f"{{{{resolve:secretsmanager:{web.arn('SessionKey')}}}}}"
    assert web.properties("Function")["KmsKeyArn"] == web.properties("SessionKey")["KmsKeyId"] == web.parameters["KeyArn"]


def test_the_key_of_sessions_is_as_long_as_the_program_asks(web):
    assert web.properties("SessionKey")["GenerateSecretString"] == {"PasswordLength": 64, "ExcludePunctuation": True}


# ---------------------------------------------------------------------------------------------------------- function
def test_the_function_is_the_page_of_the_image(web, deploy, root):
    function = web.properties("Function")
    assert function["PackageType"] == "Image" and function["Code"] == {"ImageUri": web.parameters["ImageUri"]}
    assert function["ImageConfig"] == {"Command": ["serve", "--shared"]}, "its entry point is the image's own"
    assert "pub shared: bool" in (root / "jobs/finops-credits/src/cli/serving.rs").read_text()
    assert "AWS_LAMBDA_RUNTIME_API" in (root / "jobs/finops-credits/src/function.rs").read_text()
    assert function["Architectures"] == ["x86_64"]
    assert deploy(NAME, CpuArchitecture="ARM64").properties("Function")["Architectures"] == ["arm64"]
    assert function["FunctionName"] == "finops-credits-web" and function["LoggingConfig"] == {"LogGroup": "/aws/lambda/finops-credits"}


def test_the_api_waits_longer_than_the_function_may_take(web):
    assert web.properties("Function")["Timeout"] * 1000 < web.properties("Integration")["TimeoutInMillis"] <= 30000


@pytest.mark.parametrize(("given", "reserved"), [({}, 5), ({"ReservedConcurrency": "20"}, "20"), ({"ReservedConcurrency": "0"}, None)])
def test_as_many_requests_are_answered_at_a_time_as_is_said(deploy, given, reserved):
    assert deploy(NAME, **given).properties("Function").get("ReservedConcurrentExecutions") == reserved


def allowed(template) -> set[tuple[str, str]]:
    return {(action, resource) for _, it in statements(template)
            for action in listed(it["Action"]) for resource in listed(it["Resource"])}


def test_the_page_may_do_what_people_may_who_allocate_and_write_its_log(web, main):
    """What it reads and records is what RecorderPolicy is for."""
    role = web.properties("FunctionRole")
    assert role["ManagedPolicyArns"] == [web.parameters["RecorderPolicyArn"]] and "RecorderPolicyArn" in main.outputs()
    log = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/finops-credits:*"
    assert allowed(web) == {("logs:CreateLogStream", log), ("logs:PutLogEvents", log), ACCESS}
    assert role["AssumeRolePolicyDocument"]["Statement"] == [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    assert web.properties("Function")["Role"] == web.arn("FunctionRole") and web.of_type("AWS::IAM::Role") == ["FunctionRole"]
    assert web.of_type("AWS::IAM::ManagedPolicy") == []


def test_under_lake_formation_the_page_is_granted_what_it_reads_and_appends_to(deploy, web):
    def granted(template):
        ids = template.of_type("AWS::LakeFormation::PrincipalPermissions")
        assert [template.resources[id].get("DependsOn") for id in ids] == [None, *ids[:-1]][:len(ids)]
        found = [template.properties(id) for id in ids]
        assert all(it["Principal"]["DataLakePrincipalIdentifier"] == template.arn("FunctionRole") for it in found)
        assert all(it["PermissionsWithGrantOption"] == [] for it in found)
        return [(it["Resource"], it["Permissions"]) for it in found]

    database = {"CatalogId": ACCOUNT, "DatabaseName": "finops_credits"}
    assert granted(web) == [] and granted(deploy(NAME, LakeFormationEnabled="true")) == [
        ({"Database": {"CatalogId": ACCOUNT, "Name": "finops_credits"}}, ["DESCRIBE"]),
        ({"Table": {**database, "TableWildcard": {}}}, ["DESCRIBE"]),
        ({"Table": {**database, "Name": "allocations_log"}}, ["ALTER"]),
    ]
    assert web.resources["Function"]["DependsOn"] == "RoleIsReady"
    assert "GrantOnLog" in str(web.raw["Resources"]["RoleIsReady"]["Metadata"])


# --------------------------------------------------------------------------------------------------------------- API
def test_every_request_goes_to_the_page_and_only_this_api_may_ask_it(web):
    assert web.properties("Route") == {
        "ApiId": "Api", "RouteKey": "$default", "AuthorizationType": "NONE", "Target": "integrations/Integration"}
    integration = web.properties("Integration")
    assert integration["IntegrationUri"] == web.arn("Function")
    assert (integration["IntegrationType"], integration["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")
    assert web.properties("Stage")["StageName"] == "$default", "another one would stand in every path"
    (id,) = web.of_type("AWS::Lambda::Permission")
    assert web.properties(id) == {
        "Action": "lambda:InvokeFunction", "FunctionName": "finops-credits-web", "Principal": "apigateway.amazonaws.com",
        "SourceArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:Api/*"}


def test_requests_are_limited(deploy):
    limits = deploy(NAME, RequestsPerSecond="7").properties("Stage")["DefaultRouteSettings"]
    assert limits == {"ThrottlingRateLimit": "7", "ThrottlingBurstLimit": "7"}


def test_the_access_log_has_no_question_no_cookie_and_no_header(web):
    """On the way back from the provider the question holds a code; cookies hold sessions."""
    log = web.properties("Stage")["AccessLogSettings"]
    said = {it.removeprefix("$context.") for it in re.findall(r"\$[\w.]+", log["Format"])}
    assert said == {"requestTime", "requestId", "identity.sourceIp", "httpMethod", "path", "status", "responseLength",
                    "responseLatency", "integrationErrorMessage"}
    assert log["DestinationArn"].removesuffix(":*") == web.arn("AccessLog").removesuffix(":*")


def test_logs_have_names_that_the_main_stack_s_key_is_for_and_end(web, main):
    (logs,) = [it for it in main.properties("Key")["KeyPolicy"]["Statement"] if it["Sid"] == "LogsAreWritten"]
    of_key = logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    groups = [web.properties(id) for id in web.of_type("AWS::Logs::LogGroup")]
    assert {it["LogGroupName"] for it in groups} == {"/aws/lambda/finops-credits", "/aws/apigateway/finops-credits"}
    for it in groups:
        assert fnmatchcase(f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{it['LogGroupName']}", of_key)
        assert it["KmsKeyId"] == web.parameters["KeyArn"] and it["RetentionInDays"] == 90


def test_the_page_knows_the_address_at_which_people_reach_it(deploy, web):
    """It refuses another host (421), and the provider sends people back to that one."""
    assert settings(web)["web"]["url"] == web.outputs()["Url"] == OWN_ADDRESS
    assert web.outputs()["RedirectUrl"] == f"{OWN_ADDRESS}/login/callback"
    assert web.properties("Api")["DisableExecuteApiEndpoint"] is False
    assert not {"Domain", "DomainLeadsToApi"} & web.resources.keys() and "DomainTarget" not in web.outputs()
    named = deploy(NAME, **DOMAIN)
    assert settings(named)["web"]["url"] == named.outputs()["Url"] == "https://credits.example.com"
    assert named.outputs()["RedirectUrl"] == "https://credits.example.com/login/callback"
    assert named.properties("Api")["DisableExecuteApiEndpoint"] is True
    (configuration,) = named.properties("Domain")["DomainNameConfigurations"]
    assert configuration == {"CertificateArn": DOMAIN["CertificateArn"], "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    assert named.properties("DomainLeadsToApi") == {"ApiId": "Api", "DomainName": "Domain", "Stage": "Stage"}


def test_a_domain_comes_with_its_certificate(web):
    rule = web.raw["Rules"]["DomainNeedsCertificate"]
    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "DomainName"}, ""]}]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "CertificateArn"}, ""]}]}


# ------------------------------------------------------------------------------------------------ alarms, parameters
def test_alarms_tell_of_failures_and_of_requests_without_room(web):
    found = {it["MetricName"]: it for it in map(web.properties, web.of_type("AWS::CloudWatch::Alarm"))}
    assert found.keys() == {"Errors", "Throttles"}
    for it in found.values():
        assert it["Namespace"] == "AWS/Lambda" and it["AlarmActions"] == [web.parameters["AlertTopicArn"]]
        assert it["Dimensions"] == [{"Name": "FunctionName", "Value": "finops-credits-web"}]
        assert (it["Statistic"], it["Threshold"], it["ComparisonOperator"]) == ("Sum", 0, "GreaterThanThreshold")
        assert it["TreatMissingData"] == "notBreaching"


def test_every_parameter_is_in_a_group_and_what_main_gives_is_an_output_of_it(web, main, root):
    groups = {it["Label"]["default"]: it["Parameters"] for it in
              web.raw["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]}
    assert sorted(name for group in groups.values() for name in group) == sorted(web.raw["Parameters"])
    given = set(groups["Outputs and name of the main stack"]) - {"MainStackName", "Settings"}
    assert given <= main.outputs().keys()
    guide = (root / "docs/web.md").read_text()
    assert [name for name in web.raw["Parameters"] if f"`{name}`" not in guide and f"{name}=" not in guide] == []
