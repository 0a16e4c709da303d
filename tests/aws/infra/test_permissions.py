"""Who may do what: every permission names a resource of the stack, and every job gets only what it needs."""

import re

import pytest
from template import ACCOUNT, REGION, listed, statements

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
}
OWN = [
    r"arn:aws:s3:::databucket(/(lake|reference|athena-results)/.+)?",
    r"arn:aws:s3:::export-bucket(/billing/daily/\*)?",
    rf"arn:aws:kms:{REGION}:{ACCOUNT}:key/(Key|of-the-export)",
    rf"arn:aws:glue:{REGION}:{ACCOUNT}:(catalog|database/finops_credits|table/finops_credits/[a-z_*]+)",
    rf"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/finops-credits",
    rf"arn:aws:ecs:{REGION}:{ACCOUNT}:(task-definition/finops-credits:\*|task/finops-credits/\*)",
    rf"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/finops-credits",
    rf"arn:aws:events:{REGION}:{ACCOUNT}:(rule/StepFunctionsGetEventsForECSTaskRule|event-bus/default)",
    rf"arn:aws:iam::{ACCOUNT}:role/\w+Role",
    rf"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/ecs/finops-credits:\*",
    rf"arn:aws:sns:{REGION}:{ACCOUNT}:(AlertTopic|NoticeTopic)",
    rf"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:finops-credits-nightly",
    rf"arn:aws:quicksight:{REGION}:{ACCOUNT}:dataset/finops-credits-\*/ingestion/\*",
]
JOBS = ["DetectRole", "JoinRole", "FifoRole", "NetCostRole", "CheckRole", "PublishRole"]


def allowed(main, *holders):
    """Actions and resources of these roles and policies."""
    return {
        (action, resource)
        for holder, it in statements(main) if holder in holders
        for action in listed(it["Action"]) for resource in listed(it["Resource"])
    }


def test_every_resource_is_the_stack_s_own(main):
    for holder, it in statements(main):
        for resource in listed(it["Resource"]):
            known = resource == "*" and set(listed(it["Action"])) <= WITHOUT_RESOURCE.keys()
            assert known or any(re.fullmatch(own, resource) for own in OWN), (holder, it["Action"], resource)


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
    ("DetectRole", "generations work warehouse", "generations work superseded"),
    ("JoinRole", "work runs/*/allocation_issues runs/*/hierarchy", "work"),
    ("FifoRole", "work runs/*/credit_balances runs/*/credit_consumption", ""),
    ("NetCostRole", "runs work summaries", "runs work"),
    ("CheckRole", "work athena-results", ""),
    ("PublishRole", "runs superseded warehouse", "runs summaries work generations superseded"),
])
def test_jobs_write_and_remove_only_their_own(main, role, writes, removes):
    def places(action):
        found = (re.fullmatch(r"arn:aws:s3:::databucket/(?:lake/)?([a-z_/*-]+)/\*", resource)[1]
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
    ("DetectRole", "*_log"), ("CheckRole", "staged_*"), ("PublishRole", "*"), ("AllocatorPolicy", "allocations_log"),
    ("JoinRole", None), ("FifoRole", None), ("NetCostRole", None), ("ReaderPolicy", None),
])
def test_tables_are_changed_only_by_those_whose_they_are(main, role, tables):
    changed = {resource.split("/")[-1] for action, resource in allowed(main, role)
               if action in ("glue:UpdateTable", "glue:CreateTable") and ":table/" in resource}
    assert changed == ({tables} if tables else set())
    assert not any(action.startswith("glue:Delete") for action, _ in allowed(main, role))


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
