"""Who may do what: every permission names a resource of the stack, and every job gets only what it needs."""

import json
import os
import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from policy_sentry.querying.actions import get_action_data
from template import ACCOUNT, REGION, listed, statements

RIGHTS = Path(__file__).parent / "rights.txt"

# Actions that know no resource.
WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken": "a token for the account's registry",
    "cloudwatch:PutMetricData": "metrics are no resources; limited to a namespace instead",
    **dict.fromkeys(
        ["logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
         "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"],
        "the log of a state machine is delivered, and deliveries are no resources"),
    **dict.fromkeys(
        ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
        "traces are no resources"),
    **dict.fromkeys(
        ["athena:ListDataCatalogs", "athena:ListWorkGroups", "athena:ListEngineVersions"],
        "lists of names in the account"),
    "lakeformation:GetDataAccess": "Lake Formation itself decides for which table",
}
OWN = [
    r"arn:aws:s3:::databucket(/(lake|reference|athena-results)/.+)?",
    r"arn:aws:s3:::export-bucket(/billing/daily/\*)?",
    rf"arn:aws:kms:{REGION}:{ACCOUNT}:key/(Key|of-the-export)",
    rf"arn:aws:glue:{REGION}:{ACCOUNT}:(catalog|database/finops_credits|table/finops_credits/[a-z_*]+)",
    rf"arn:aws:glue:{REGION}:{ACCOUNT}:database/default",  # Athena asks for it before any other.
    rf"arn:aws:athena:{REGION}:{ACCOUNT}:(workgroup/finops-credits|datacatalog/AwsDataCatalog)",
    rf"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/finops-credits/finops-credits/settings",
    rf"arn:aws:ecs:{REGION}:{ACCOUNT}:(task-definition/finops-credits(-cluster)?:\*|task/finops-credits/\*)",
    rf"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/finops-credits",
    rf"arn:aws:events:{REGION}:{ACCOUNT}:(rule/StepFunctionsGetEventsForECSTaskRule|event-bus/default)",
    rf"arn:aws:iam::{ACCOUNT}:role/\w+Role",
    rf"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/ecs/finops-credits:\*",
    rf"arn:aws:sns:{REGION}:{ACCOUNT}:(AlertTopic|NoticeTopic)",
    rf"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:finops-credits-nightly",
    rf"arn:aws:quicksight:{REGION}:{ACCOUNT}:dataset/finops-credits-\*/ingestion/\*",
]
JOBS = ["DetectRole", "JoinRole", "FifoRole", "NetCostRole", "CheckRole", "PublishRole"]
POLICIES = ["JobPolicy", "ReaderPolicy", "AllocatorPolicy", "RecorderPolicy"]
EVERYTHING = {
    "finops-credits.yaml": {
        "LakeFormationEnabled": "true", "RegisterLocation": "true", "DistributeFromBytes": "1000000000000", "MaxTasks": "6"},
    "quicksight.yaml": {"LakeFormationEnabled": "true"},
}
OPTIONAL = ["business-unit.yaml", "web.yaml"]  # Stacks whose rights are reviewed, too.
JANE = "AROAEXAMPLEID1234:jane@example.com"
LOG_FILE = "lake/warehouse/finops_credits/allocations_log/data/x.parquet"


def published(root) -> set[str]:
    """Tables that people see."""
    tables = {path.stem for path in (root / "schemas/generated/athena").glob("*.sql")}
    return {table for table in tables if not table.endswith("_log")}


def allowed(main, *holders):
    """Actions and resources of these roles and policies."""
    return {
        (action, resource)
        for holder, it in statements(main) if holder in holders
        for action in listed(it["Action"]) for resource in listed(it["Resource"])
    }


def short(resource: str) -> str:
    return resource.removeprefix("arn:aws:").replace(f":{REGION}:{ACCOUNT}:", "::").replace(f"::{ACCOUNT}:", "::")


def rights(template) -> str:
    """Who may do what to what, and on which condition: a text to be read."""
    lines = []
    for holder in [*template.of_type("AWS::IAM::Role"), *template.of_type("AWS::IAM::ManagedPolicy")]:
        lines.append(f"\n{holder}")
        actions = {}
        for _, it in (found for found in statements(template) if found[0] == holder):
            condition = f"  if {json.dumps(it['Condition'])}" if "Condition" in it else ""
            for resource in map(short, listed(it["Resource"])):
                actions.setdefault((resource, condition), set()).update(listed(it["Action"]))
        lines += [f"    {resource:<58} {' '.join(sorted(may))}{condition}"
                  for (resource, condition), may in sorted(actions.items())]
    return "\n".join(lines).lstrip("\n") + "\n"


def all_rights(deploy) -> str:
    """Of the main stack, then of the optional ones."""
    main = rights(deploy(**EVERYTHING["finops-credits.yaml"]))
    return main + "".join(f"\n\n{name}\n\n{rights(deploy(name))}" for name in OPTIONAL)


def test_rights_are_those_that_were_reviewed(deploy):
    """After a change: FINOPS_UPDATE_GENERATED=1, and read what changed in the file."""
    found = all_rights(deploy)
    if os.environ.get("FINOPS_UPDATE_GENERATED"):
        RIGHTS.write_text(found)
    assert found == RIGHTS.read_text()


@pytest.mark.parametrize("holder", [*JOBS, "ReaderPolicy", "AllocatorPolicy", "RecorderPolicy"])
def test_who_reads_or_writes_the_bucket_may_use_its_key(main, holder):
    may = allowed(main, holder, "JobPolicy") if holder in JOBS else allowed(main, holder)
    key = {action for action, resource in may if resource == main.arn("Key")}
    assert key == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert ("s3:ListBucket", main.arn("DataBucket")) in may


def test_parts_of_a_broken_off_upload_can_be_removed_by_who_made_them(main):
    small = ("lock.json", "summaries/*", ".taken.txt", ".refused.txt")
    for holder in [*JOBS, "ReaderPolicy", "AllocatorPolicy", "RecorderPolicy"]:
        may = allowed(main, holder)
        written = {resource for action, resource in may if action == "s3:PutObject"}
        aborted = {resource for action, resource in may if action == "s3:AbortMultipartUpload"}
        assert {it for it in written - aborted if not it.endswith(small)} == set(), holder


@pytest.mark.parametrize("holder", ["CheckRole", "ReaderPolicy"])
def test_who_asks_athena_may_all_that_a_query_needs(main, holder):
    may = allowed(main, holder, "JobPolicy") if holder in JOBS else allowed(main, holder)
    group = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/finops-credits"
    results = f"{main.arn('DataBucket')}/athena-results/*"
    for action in ("GetWorkGroup", "StartQueryExecution", "GetQueryExecution", "GetQueryResults", "StopQueryExecution"):
        assert (f"athena:{action}", group) in may
    assert {("s3:GetObject", results), ("s3:PutObject", results)} <= may
    assert {("s3:GetBucketLocation", main.arn("DataBucket")), ("s3:ListBucketMultipartUploads", main.arn("DataBucket"))} <= may
    of_tables = {action for action, resource in may if ":table/" in resource}
    assert {"glue:GetTable", "glue:GetTables", "glue:GetPartitions"} <= of_tables
    assert ("s3:GetObject", f"{main.arn('DataBucket')}/lake/runs/*") in may


def test_analysts_may_open_athena_s_editor(main):
    """What it asks before it shows catalogue, tables, queries of before and saved ones."""
    actions = {action for action, _ in allowed(main, "ReaderPolicy")}
    assert actions >= {
        "athena:ListWorkGroups", "athena:ListDataCatalogs", "athena:ListEngineVersions", "athena:GetDataCatalog",
        "athena:ListDatabases", "athena:GetDatabase", "athena:ListTableMetadata", "athena:GetTableMetadata",
        "athena:ListQueryExecutions", "athena:BatchGetQueryExecution", "athena:GetQueryRuntimeStatistics",
        "athena:ListNamedQueries", "athena:BatchGetNamedQuery", "athena:ListPreparedStatements", "glue:GetDatabases",
        "glue:GetPartition", "glue:BatchGetPartition",
    }
    databases = {resource.split("/")[-1] for action, resource in allowed(main, "ReaderPolicy")
                 if action == "glue:GetDatabase" and ":database/" in resource}
    assert databases == {"finops_credits", "default"}


def test_analysts_write_nothing_but_their_results(main):
    places = {resource for action, resource in allowed(main, "ReaderPolicy") if re.search("Put|Delete|Update", action)}
    assert places == {f"{main.arn('DataBucket')}/athena-results/*"}


@pytest.mark.parametrize("policy", ["ReaderPolicy", "AllocatorPolicy", "RecorderPolicy"])
def test_people_may_read_the_settings_and_no_other_parameter(main, policy):
    read = {resource for action, resource in allowed(main, policy) if action == "ssm:GetParameter"}
    assert read == {f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/finops-credits/finops-credits/settings"}


def may(main, holder: str, action: str, key: str, userid: str = JANE) -> bool:
    """Whether somebody whom AWS calls so may do this to a file of the bucket, or to a table."""
    resource = key if key.startswith("arn:") else f"{main.arn('DataBucket')}/{key}"
    return any(done == action and fnmatchcase(resource, on.replace("${aws:userid}", userid))
               for done, on in allowed(main, holder))


def test_allocators_upload_to_their_own_folder_and_change_nothing_else(main):
    changes = {(action, resource) for action, resource in allowed(main, "AllocatorPolicy")
               if re.search("Put|Delete|Create|Update|Start", action)}
    assert changes == {("s3:PutObject", f"{main.arn('DataBucket')}/lake/inbox/${{aws:userid}}/*")}
    assert may(main, "AllocatorPolicy", "s3:PutObject", f"lake/inbox/{JANE}/july.csv")
    for key in (
        "lake/inbox/july.csv", "lake/inbox/AROAEXAMPLEID1234:bob@example.com/july.csv", f"lake/inbox/{JANE}t/july.csv",
        f"lake/inbox/x/{JANE}/july.csv", "reference/hierarchy.csv", "lake/runs/x/net_cost/part-0.parquet", LOG_FILE,
    ):
        assert not may(main, "AllocatorPolicy", "s3:PutObject", key), key


def test_allocators_read_what_they_preview_from_and_nobody_else_s_uploads(main):
    for key in (
        f"lake/inbox/{JANE}/july.csv.refused.txt", "reference/hierarchy.csv", LOG_FILE, "lake/runs/x/manifest.json",
        "lake/work/x/cells/part-0.parquet", "lake/generations/2026-10/current.json",
    ):
        assert may(main, "AllocatorPolicy", "s3:GetObject", key), key
    for key in ("lake/inbox/AROAEXAMPLEID1234:bob@example.com/july.csv", "access/access.csv", "athena-results/x.csv"):
        assert not may(main, "AllocatorPolicy", "s3:GetObject", key), key


def test_the_log_of_allocations_is_written_by_the_service_alone(main):
    """By the job that takes the inbox, and by the role of a page that people share; publish notes the run in another log."""
    table = f"arn:aws:glue:{REGION}:{ACCOUNT}:table/finops_credits/allocations_log"
    holders = {holder for holder, _ in statements(main)}
    assert {it for it in holders if may(main, it, "glue:UpdateTable", table)} == {"DetectRole", "RecorderPolicy"}
    assert {it for it in holders if may(main, it, "s3:PutObject", LOG_FILE)} == {
        "DetectRole", "PublishRole", "RecorderPolicy"}
    assert not {it for it in holders if may(main, it, "s3:DeleteObject", LOG_FILE)}


def test_uploads_are_read_by_the_job_that_takes_them_which_can_change_none(main):
    upload = f"lake/inbox/{JANE}/2026/july.csv"
    others = {holder for holder, _ in statements(main)} - {"AllocatorPolicy"}
    assert {it for it in others if may(main, it, "s3:GetObject", upload)} == {"DetectRole", "RecorderPolicy"}
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert not {it for it in others if may(main, it, action, upload)}, action
        for receipt in (f"{upload}.taken.txt", f"{upload}.refused.txt"):
            assert {it for it in others if may(main, it, action, receipt)} == {"DetectRole"}, (action, receipt)


def test_recorders_append_to_one_log_and_remove_nothing(main):
    changes = {(action, resource.removeprefix(f"{main.arn('DataBucket')}/"))
               for action, resource in allowed(main, "RecorderPolicy")
               if re.search("Put|Delete|Create|Update|Start", action)}
    assert {it for it in changes if it[0] != "glue:UpdateTable"} == {("s3:PutObject", "lake/warehouse/*")}


def test_policies_fit_into_what_iam_takes(deploy):
    most = deploy(**EVERYTHING["finops-credits.yaml"])
    for id in POLICIES:
        assert len(json.dumps(most.properties(id)["PolicyDocument"], separators=(",", ":"))) <= 6144, id
    for id in most.of_type("AWS::IAM::Role"):
        inline = [it["PolicyDocument"] for it in most.properties(id).get("Policies", [])]
        assert len(json.dumps(inline, separators=(",", ":"))) <= 10240, id


@pytest.mark.parametrize("given", [{}, {"DistributeFromBytes": "1", "MaxTasks": "6"}])
def test_every_resource_is_the_stack_s_own(deploy, given):
    for holder, it in statements(deploy(**given)):
        for resource in listed(it["Resource"]):
            known = resource == "*" and set(listed(it["Action"])) <= WITHOUT_RESOURCE.keys()
            assert known or any(re.fullmatch(own, resource) for own in OWN), (holder, it["Action"], resource)


@cache
def formats(action: str) -> set[str]:
    """Patterns of the ARNs that an action can be allowed on, by AWS's own reference; `*` where it knows none."""
    service, name = action.split(":")
    return {re.sub(r"\$\{\w+\}", "[^:]*", it["resource_arn_format"]) for it in get_action_data(service, name)[service]}


def fits(action: str, resource: str) -> bool:
    if resource == "*":
        return formats(action) == {"*"}
    resource = re.sub(r"^(arn:aws:logs:.*):\*$", r"\1:log-stream:*", resource)
    resource = resource.replace("${aws:userid}", "AIDAEXAMPLE")
    return any(re.fullmatch(it, resource) for it in formats(action) - {"*"})


@pytest.mark.parametrize("name", ["finops-credits.yaml", "quicksight.yaml", *OPTIONAL])
def test_aws_knows_every_action_and_allows_it_on_these_resources(deploy, name):
    """An action on `*` alone can be limited no further; no resource is named in vain."""
    for holder, it in statements(deploy(name, **EVERYTHING.get(name, {}))):
        actions, resources = listed(it["Action"]), listed(it["Resource"])
        assert [action for action in actions if not any(fits(action, on) for on in resources)] == [], holder
        assert [on for on in resources if not any(fits(action, on) for action in actions)] == [], holder


def test_actions_are_spelled_out_and_nothing_is_allowed_by_exception(main):
    for holder, it in statements(main):
        assert it["Effect"] == "Allow" and not any("*" in action for action in listed(it["Action"])), (holder, it)
        assert not {"NotAction", "NotResource"} & it.keys()


def test_metrics_are_limited_to_the_namespace(main):
    (metrics,) = [it for _, it in statements(main) if "cloudwatch:PutMetricData" in listed(it["Action"])]
    assert metrics["Condition"] == {"StringEquals": {"cloudwatch:namespace": "FinopsCredits"}}


def test_the_export_is_only_read_and_only_by_the_job_that_detects(main):
    of_export = [(holder, action) for holder, it in statements(main) for action in listed(it["Action"])
                 if any("export" in resource for resource in listed(it["Resource"]))]
    reading = {"s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject", "kms:Decrypt"}
    assert {holder for holder, _ in of_export} == {"DetectRole"} and {action for _, action in of_export} == reading


@pytest.mark.parametrize(("role", "writes", "removes"), [
    ("DetectRole", "generations work warehouse inbox/*.taken.txt inbox/*.refused.txt",
     "generations work superseded inbox/*.taken.txt inbox/*.refused.txt"),
    ("JoinRole", "work runs/*/allocation_issues runs/*/hierarchy", "work"),
    ("FifoRole", "work runs/*/credit_balances runs/*/credit_consumption", ""),
    ("NetCostRole", "runs work summaries", "runs work"),
    ("CheckRole", "work athena-results", ""),
    ("PublishRole", "runs superseded warehouse", "runs summaries work generations superseded"),
])
def test_jobs_write_and_remove_only_their_own(main, role, writes, removes):
    def places(action):
        found = (re.fullmatch(r"arn:aws:s3:::databucket/(?:lake/)?([a-z_/*.-]+?)(?:/\*)?", resource)[1]
                 for done, resource in allowed(main, role) if done == action)
        return set(found)

    assert places("s3:PutObject") == set(writes.split())
    assert places("s3:DeleteObject") == set(removes.split())
    assert main.properties(role)["ManagedPolicyArns"] == [f"arn:aws:iam::{ACCOUNT}:policy/JobPolicy"]


def test_jobs_in_common_change_nothing_but_the_lock_and_what_the_alert_says_of_them(main):
    changes = {(action, resource) for action, resource in allowed(main, "JobPolicy")
               if re.search("Put|Delete|Create|Update|Start", action)}
    lock, failure = (f"arn:aws:s3:::databucket/lake/{name}" for name in ("lock.json", "work/*.failure.json"))
    assert changes == {("s3:PutObject", lock), ("s3:DeleteObject", lock), ("s3:PutObject", failure)}


@pytest.mark.parametrize(("role", "tables"), [
    ("DetectRole", {"*_log"}), ("CheckRole", {"staged_*"}), ("RecorderPolicy", {"allocations_log"}),
    ("AllocatorPolicy", set()), ("JoinRole", set()), ("FifoRole", set()), ("NetCostRole", set()), ("ReaderPolicy", set()),
])
def test_tables_are_changed_only_by_those_whose_they_are(main, role, tables):
    assert changed(main, role, "glue:UpdateTable") == tables
    assert changed(main, role, "glue:CreateTable") == tables - {"allocations_log"}
    assert not any(action.startswith("glue:Delete") for action, _ in allowed(main, role))


def changed(main, role: str, action: str) -> set[str]:
    return {resource.split("/")[-1] for done, resource in allowed(main, role) if done == action and ":table/" in resource}


def test_publish_points_at_published_tables_and_notes_the_run(main, root):
    assert changed(main, "PublishRole", "glue:CreateTable") == published(root) and len(published(root)) == 10
    assert changed(main, "PublishRole", "glue:UpdateTable") == published(root) | {"runs_log"}


def test_the_state_machine_passes_exactly_the_roles_it_names(main):
    (passing,) = [it for _, it in statements(main) if "iam:PassRole" in listed(it["Action"])]
    named = {main.resolve(value) for name, value in
             main.resources["Nightly"]["Properties"]["DefinitionSubstitutions"].items() if name.endswith("RoleArn")}
    execution = main.properties("TaskDefinition")["ExecutionRoleArn"]
    assert set(passing["Resource"]) == named | {execution} and len(named) == len(JOBS)
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


def test_the_state_machine_may_do_what_its_states_do(main, root):
    may = {action for action, _ in allowed(main, "NightlyRole")}
    text = (root / "step-functions/nightly.asl.json").read_text()
    needed = set()
    for service, call in re.findall(r"arn:aws:states:::(?:aws-sdk:)?([a-z0-9]+:)([A-Za-z]+)", text):
        needed.add(service + call[0].upper() + call[1:])
    needed |= {"ecs:StopTask", "ecs:DescribeTasks", "events:PutRule", "events:PutTargets", "events:DescribeRule"}
    needed |= {"ecs:TagResource"}  # by "PropagateTags"
    needed |= {"iam:PassRole", "kms:GenerateDataKey", "kms:Decrypt"}
    beside = {action for action in may if action.startswith(("logs:", "xray:"))}
    assert may - beside == needed


def test_the_state_machine_reads_exactly_the_objects_it_names(main, root):
    text = (root / "step-functions/nightly.asl.json").read_text()
    keys = re.findall(r'"Key": "(?:\{% )?(.+?)(?: %\})?"', text.replace("${LakePrefix}", "lake"))
    named = {re.sub(r"' & \$run_id & '", "*", key).strip("'") for key in keys}
    may = {action: {resource for done, resource in allowed(main, "NightlyRole") if done == action}
           for action in ("s3:GetObject", "s3:PutObject")}
    assert may["s3:GetObject"] == {f"arn:aws:s3:::databucket/{key}" for key in named} and len(named) == 4
    assert may["s3:PutObject"] == {"arn:aws:s3:::databucket/lake/notices/told.json"}


@pytest.mark.parametrize(("role", "service"), [
    *((role, "ecs-tasks") for role in [*JOBS, "ExecutionRole"]),
    ("NightlyRole", "states"), ("ScheduleRole", "scheduler"),
])
def test_roles_are_taken_only_by_their_service_for_this_account(main, role, service):
    (trust,) = main.properties(role)["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": f"{service}.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert set(main.of_type("AWS::IAM::Role")) == {*JOBS, "ExecutionRole", "NightlyRole", "ScheduleRole"}
