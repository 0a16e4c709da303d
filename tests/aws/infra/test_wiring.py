"""The parts fit together: parameters, state machine, schedule, settings, container image, alarms."""

import json
import os
import re
import subprocess
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import GIVEN
from cron import problem
from template import ACCOUNT, REGION, Template, statements


# ---------------------------------------------------------------------------------------------------- state machine
def test_what_the_state_machine_asks_for_is_given_and_nothing_else(main, root):
    asked = set(re.findall(r"\$\{(\w+)\}", (root / "step-functions/nightly.asl.json").read_text()))
    assert asked == main.resources["Nightly"]["Properties"]["DefinitionSubstitutions"].keys()


def test_values_arrive_as_the_state_machine_needs_them(main):
    given = main.properties("Nightly")["DefinitionSubstitutions"]
    assert given["SubnetIds"] == "subnet-1,subnet-2"
    assert given["DataSetIds"] == "" and given["LakePrefix"] == "lake" and given["FanOutFrom"] == 4
    assert given["MaxTasks"] == 2 and given["WebUrl"] == "" and given["DistributeFromBytes"] == 0
    assert given["ContainerName"] == main.properties("TaskDefinition")["ContainerDefinitions"][0]["Name"]
    assert given["LogGroupName"] == main.properties("JobLog")["LogGroupName"]
    assert given["TaskDefinitionArn"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/finops-credits:1"


def test_alerts_name_the_log_that_a_job_writes(main, root):
    (container,) = main.properties("TaskDefinition")["ContainerDefinitions"]
    options = container["LogConfiguration"]["Options"]
    stream = f"{options['awslogs-stream-prefix']}/{container['Name']}/"
    text = (root / "step-functions/nightly.asl.json").read_text().replace("${ContainerName}", container["Name"])
    assert stream in text and options["awslogs-group"] == main.properties("JobLog")["LogGroupName"]
    assert options["awslogs-region"] == REGION


def test_the_course_of_a_night_is_logged_and_traced_but_no_data(main):
    nightly = main.properties("Nightly")
    assert nightly["TracingConfiguration"] == {"Enabled": True}
    assert nightly["LoggingConfiguration"]["Level"] == "ALL"
    assert nightly["LoggingConfiguration"]["IncludeExecutionData"] is False


# --------------------------------------------------------------------------------------------------------- schedule
def test_schedule_starts_the_state_machine_at_a_time_that_exists(main):
    schedule = main.properties("Schedule")
    assert problem(schedule["ScheduleExpression"]) is None
    assert schedule["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert schedule["Target"]["Arn"] == main.arn("Nightly") and json.loads(schedule["Target"]["Input"]) == {}


@pytest.mark.parametrize("expression", [
    "cron(30 5 * * ? *)", "cron(0/15 8-17 ? * MON-FRI *)", "cron(0 6 L * ? *)", "cron(0 6 ? 1,7 2#1 2026-2030)",
    "cron(0 6 15W * ? *)", "rate(1 day)", "rate(12 hours)",
])
def test_cron_check_accepts_what_eventbridge_does(expression):
    assert problem(expression) is None


@pytest.mark.parametrize("expression", [
    "cron(30 5 * * *)", "cron(30 5 * * * *)", "cron(30 5 ? * ? *)", "cron(60 5 * * ? *)", "cron(30 24 * * ? *)",
    "cron(30 5 0 * ? *)", "cron(30 5 ? * 8 *)", "cron(30 5 ? * MONDAY *)", "cron(30 9-5 * * ? *)", "30 5 * * *",
    "rate(1 days)", "rate(0 hours)",
])
def test_cron_check_refuses_what_eventbridge_does(expression):
    assert problem(expression) is not None


# --------------------------------------------------------------------------------------------------------- settings
def settings(template: Template) -> str:
    (container,) = template.properties("TaskDefinition")["ContainerDefinitions"]
    return {it["Name"]: it["Value"] for it in container["Environment"]}["FINOPS_CREDITS_SETTINGS"]


def test_settings_are_those_of_the_parameters(main):
    bucket = main.ref("DataBucket")
    assert tomllib.loads(settings(main)) == {
        "source": {"location": "s3://export-bucket/billing/daily", "cost": "unblended"},
        "reference": {"location": f"s3://{bucket}/reference"},
        "lake": {"location": f"s3://{bucket}/lake", "catalog": "glue", "database": "finops_credits"},
        "credits": {"policy": "fifo_issue_date/v1", "expiring_soon_days": 60},
        "run": {"keep_runs": 30, "memory_limit": "2 GiB"},
        "athena": {"workgroup": "finops-credits"},
    }


def test_people_read_the_settings_that_tasks_have(main, root):
    parameter = main.properties("Settings")
    assert settings(main) == parameter["Value"] and parameter["Type"] == "String"
    assert main.outputs()["SettingsParameterName"] == parameter["Name"] == "/finops-credits/finops-credits/settings"
    guide = (root / "docs/aws.md").read_text()
    assert f"aws ssm get-parameter --name {parameter['Name']}" in guide


# What the console's one line cannot hold.
STORED = """treat_as_refund = [
    "goodwill",
    "pricing_adjustment",
]
description_patterns = ['^(?P<code>.+) for account (?P<account>[0-9]{12})$']
[[credits.class_patterns]]
pattern = "(?i)activate"
class = "activate"
[[credits.class_patterns]]
pattern = "(?i)goodwill"
class = "goodwill"
[[credits.class_patterns]]
pattern = "(?i)pricing adjustment"
class = "pricing_adjustment"
"""
REFERENCE = "{{resolve:ssm:/finops/credit-settings:3}}"


def stored(deploy) -> str:
    """The settings after CloudFormation put the parameter's text in the place of its name."""
    text = settings(deploy(MoreCreditSettingsParameter="/finops/credit-settings:3", MoreCreditSettings="# by hand"))
    assert text.count(REFERENCE) == 1 and text.index("# by hand") < text.index(REFERENCE)
    return text.replace(REFERENCE, STORED)


def test_further_settings_may_have_many_lines_in_a_parameter_of_the_customer(deploy):
    credits = tomllib.loads(stored(deploy))["credits"]
    assert credits["treat_as_refund"] == ["goodwill", "pricing_adjustment"]
    assert credits["policy"] == "fifo_issue_date/v1" and credits["class_patterns"][0]["class"] == "activate"


def test_that_parameter_is_named_with_its_version(main):
    """Else an update of the stack would take no notice of a change of it."""
    pattern = main.raw["Parameters"]["MoreCreditSettingsParameter"]["AllowedPattern"]
    assert all(re.fullmatch(pattern, name) for name in ("", "/a/b-c.d_e:12", "name:1"))
    assert not any(re.fullmatch(pattern, name) for name in ("/a/b", "/a/b:", "a b:1"))


EXPORTS = """[[source]]
name = "emea"
location = "s3://export-bucket/billing/daily"
[[source]]
name = "apac"
location = "s3://apac-billing/focus"
role_arn = "arn:aws:iam::444455556666:role/billing-reader"
"""
SEVERAL = {
    "SourcesParameter": "/finops/exports:2",
    "MoreExportArns": "arn:aws:s3:::apac-billing,arn:aws:s3:::apac-billing/focus/*",
    "ExportRoleArns": "arn:aws:iam::444455556666:role/billing-reader",
}


def of_several(deploy) -> str:
    text = settings(deploy(**SEVERAL))
    assert text.count("{{resolve:ssm:/finops/exports:2}}") == 1 and "[source]" not in text
    return text.replace("{{resolve:ssm:/finops/exports:2}}", EXPORTS)


def test_several_exports_stand_in_the_place_of_the_one(deploy, main):
    sources = tomllib.loads(of_several(deploy))["source"]
    assert [source["name"] for source in sources] == ["emea", "apac"]
    pattern = main.raw["Parameters"]["SourcesParameter"]["AllowedPattern"]
    assert re.fullmatch(pattern, "/finops/exports:1") and not re.fullmatch(pattern, "/finops/exports")


def test_only_detect_reads_the_other_exports_and_takes_their_roles(deploy, main):
    added = [(holder, it) for holder, it in statements(deploy(**SEVERAL)) if (holder, it) not in statements(main)]
    assert [(holder, it["Sid"]) for holder, it in added] == [
        ("DetectRole", "ReadTheOtherExports"), ("DetectRole", "ReadInOtherRoles")]
    buckets, roles = (it for _, it in added)
    assert sorted(buckets["Action"]) == ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"]
    assert buckets["Resource"] == SEVERAL["MoreExportArns"].split(",")
    assert (roles["Action"], roles["Resource"]) == ("sts:AssumeRole", [SEVERAL["ExportRoleArns"]])


@pytest.mark.parametrize("name,good,bad", [
    ("MoreExportArns", ["", "arn:aws:s3:::a-b", "arn:aws-cn:s3:::a-b/p/q/*", "arn:aws:s3:::a-b/*"],
     ["*", "arn:aws:s3:::*", "arn:aws:s3:::a-b*", "arn:aws:sqs:::a-b"]),
    ("ExportRoleArns", ["", "arn:aws:iam::444455556666:role/x/y"], ["*", "arn:aws:iam::444455556666:user/x"]),
])
def test_what_else_detect_may_read_names_buckets_and_roles(main, name, good, bad):
    pattern = main.raw["Parameters"][name]["AllowedPattern"]
    assert all(re.fullmatch(pattern, text) for text in good)
    assert not any(re.fullmatch(pattern, text) for text in bad)


class Refusing(BaseHTTPRequestHandler):
    """An AWS that allows nothing: what gets here has read its settings."""

    def refuse(self):
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = refuse

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def refusing():
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def run(text: str, endpoint: str, folder) -> subprocess.CompletedProcess:
    environment = {
        "FINOPS_CREDITS_SETTINGS": text, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }
    words = [os.environ["FINOPS_CREDITS_BINARY"], "detect-credits", "--plan", "--run-id", "r", "--as-of", "2026-10-31"]
    return subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)


CHOICES = [
    {}, *({"CostColumn": cost} for cost in ("net_unblended", "amortized", "net_amortized")),
    *({"FifoPolicy": policy} for policy in ("fifo_issue_day/v1", "fifo_applied_month/v1")),
    *({"TaskSize": size} for size in ("small", "large", "xlarge")),
    {"MoreCreditSettings": 'treat_as_refund = ["goodwill"]\ndescription_patterns = ["^(?P<code>.+)$"]'},
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(choice) + "-".join(choice.values())[:12])
def test_program_accepts_the_settings_of_every_choice(release, refusing, tmp_path, choice):
    template = Template(release / "finops-credits.yaml", **{**GIVEN, **choice})
    done = run(settings(template), refusing, tmp_path)
    assert done.returncode == 6, done.stderr


def test_program_accepts_the_settings_of_several_exports(deploy, refusing, tmp_path):
    done = run(of_several(deploy), refusing, tmp_path)
    assert done.returncode == 6, done.stderr


def test_program_accepts_stored_settings_of_many_lines(deploy, refusing, tmp_path):
    done = run(stored(deploy), refusing, tmp_path)
    assert done.returncode == 6, done.stderr


def test_program_accepts_the_settings_of_the_page(deploy, main, refusing, tmp_path):
    page = deploy("web.yaml", Settings=settings(main), ViewerGroups="finance,Gruppe Köln")
    text = page.properties("Function")["Environment"]["Variables"]["FINOPS_CREDITS_SETTINGS"]
    done = run(text, refusing, tmp_path)
    assert done.returncode == 6, done.stderr
    done = run(text.replace("groups_claim", "claim_of_groups"), refusing, tmp_path)
    assert done.returncode == 3 and "claim_of_groups" in done.stderr


def test_program_refuses_settings_it_does_not_know(main, refusing, tmp_path):
    done = run(settings(main).replace("keep_runs", "keep_all_runs"), refusing, tmp_path)
    assert done.returncode == 3 and "keep_all_runs" in done.stderr


# Memory in GiB that Fargate has, by vCPUs.
FARGATE_GIB = {1: range(2, 9), 2: range(4, 17), 4: range(8, 31), 8: range(16, 61, 4), 16: range(32, 121, 8)}


def test_task_sizes_are_sizes_that_fargate_has(main):
    for name, size in main.raw["Mappings"]["TaskSizes"].items():
        gib = int(size["Memory"]) / 1024
        assert gib in FARGATE_GIB[int(size["Cpu"]) / 1024] and 21 <= size["DiskGiB"] <= 200, name
        assert float(size["MemoryLimit"].removesuffix(" GiB")) * 2 <= gib, "reading needs its share, too"


def test_every_choice_of_a_parameter_is_tried(main):
    for name in ("CostColumn", "FifoPolicy", "TaskSize"):
        tried = {choice[name] for choice in CHOICES if name in choice} | {main.raw["Parameters"][name]["Default"]}
        assert tried == set(main.raw["Parameters"][name]["AllowedValues"])
    assert set(main.raw["Mappings"]["TaskSizes"]) == set(main.raw["Parameters"]["TaskSize"]["AllowedValues"])


# -------------------------------------------------------------------------------------------------------- container
def instructions(root) -> list[tuple[str, str]]:
    text = (root / "infra/Dockerfile").read_text().replace("\\\n", " ")
    lines = (line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(name, rest.strip()) for name, rest in lines]


def stages(root) -> list[list[tuple[str, str]]]:
    found = []
    for name, rest in instructions(root):
        found += [[]] if name == "FROM" else []
        found[-1].append((name, rest))
    return found


def test_container_runs_without_root_on_a_file_system_it_cannot_write(main, root):
    image = dict(stages(root)[1])
    (container,) = main.properties("TaskDefinition")["ContainerDefinitions"]
    assert image["USER"] == container["User"] == "65532:65532"
    assert container["ReadonlyRootFilesystem"] is True
    assert container["LinuxParameters"] == {"Capabilities": {"Drop": ["ALL"]}}
    assert json.loads(image["ENTRYPOINT"]) == ["/usr/local/bin/finops-credits"] and "CMD" not in image
    assert image["HEALTHCHECK"] == "NONE"


def test_tmp_is_the_volume_that_the_user_of_the_image_owns(main, root):
    """Fargate mounts a volume as root's unless the image declares it, with its owner."""
    image = stages(root)[1]
    (container,) = main.properties("TaskDefinition")["ContainerDefinitions"]
    (mount,) = container["MountPoints"]
    assert mount["ContainerPath"] == "/tmp" and not mount["ReadOnly"]
    assert main.properties("TaskDefinition")["Volumes"] == [{"Name": mount["SourceVolume"]}]
    assert ("VOLUME", '["/tmp"]') in image
    assert any(rest.startswith("--from=build --chown=65532:65532") and rest.endswith(" /tmp") for _, rest in image)
    environment = {it["Name"]: it["Value"] for it in container["Environment"]}
    assert environment["HOME"] == environment["TMPDIR"] == "/tmp"


# ----------------------------------------------------------------------------------------------- alarms, parameters
def test_alarms_watch_metrics_that_somebody_puts_and_tell_somebody(main, root):
    machine = (root / "step-functions/nightly.asl.json").read_text()
    for id in main.of_type("AWS::CloudWatch::Alarm"):
        alarm = main.properties(id)
        assert alarm["AlarmActions"] == [main.arn("NoticeTopic" if id == "QueueOld" else "AlertTopic")]
        if alarm["Namespace"] == "FinopsCredits":
            assert f'"MetricName": "{alarm["MetricName"]}"' in machine and '"Namespace": "FinopsCredits"' in machine
            assert alarm["Dimensions"] == [{"Name": "Database", "Value": "finops_credits"}]
        else:
            assert alarm["Namespace"] == "AWS/States"
            assert alarm["MetricName"] == {"RunFailed": "ExecutionsFailed", "RunLate": "ExecutionsSucceeded"}[id]
            assert alarm["Dimensions"] == [{"Name": "StateMachineArn", "Value": main.arn("Nightly")}]
    assert set(main.of_type("AWS::CloudWatch::Alarm")) == {"RunFailed", "RunLate", "TieOutFailed", "QueueOld"}


FARGATE_QUOTA_VCPU = 6  # of a new account


def test_a_night_as_it_comes_fits_into_the_quota_of_a_new_account(main):
    size = main.raw["Mappings"]["TaskSizes"][main.parameters["TaskSize"]]
    assert main.parameters["MaxTasks"] * int(size["Cpu"]) / 1024 <= FARGATE_QUOTA_VCPU


def test_late_is_a_number_of_hours_without_a_success(release):
    late = Template(release / "finops-credits.yaml", **GIVEN, LateAfterHours="30").properties("RunLate")
    assert (late["Period"], late["EvaluationPeriods"]) == (3600, "30")
    assert late["TreatMissingData"] == "breaching" and late["ComparisonOperator"] == "LessThanThreshold"
    most = Template(release / "finops-credits.yaml").raw["Parameters"]["LateAfterHours"]["MaxValue"]
    assert most * 3600 <= 7 * 86400, "CloudWatch looks back seven days"


def test_every_parameter_is_in_a_group_and_described_in_the_guide(main, root):
    groups = main.raw["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(main.raw["Parameters"])
    guide = (root / "docs/aws.md").read_text()
    assert [name for name in shown if f"`{name}`" not in guide] == []
