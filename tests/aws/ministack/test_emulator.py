"""The emulator does what the other tests rely on: what is replaced in MiniStack is still replaced, and right."""

import json
import time
import urllib.request

import boto3
import botocore.exceptions
import pytest

from support.containers import parse_fault
from support.emulator import REGION, Emulator

SHOW = 'echo "$0 $@"; echo "FOUND=$(find . "$HOME" "$TMPDIR" -type f)"; env; touch here "$HOME/there" "$TMPDIR/gone"'
TASK = "arn:aws:states:::ecs:runTask.sync"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with Emulator(
        tmp_path_factory.mktemp("emulator") / "state", {"show:1": ["/bin/sh", "-c", SHOW]}, policies=True
    ) as running:
        make_role(running, "job", "ecs-tasks.amazonaws.com", "s3:ListBucket")
        make_role(
            running,
            "machine",
            "states.amazonaws.com",
            "ecs:RunTask",
            "iam:PassRole",
            "s3:GetObject",
            "sns:Publish",
            "quicksight:CreateIngestion",
        )
        running.client("ecs").create_cluster(clusterName="cluster")
        s3 = running.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="bucket", Key="plan.json", Body=b'{"periods": ["2026-05"]}')
        yield running


def make_role(emulator, name, service, *actions):
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    iam = emulator.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(allowed))


def role(name):
    return f"arn:aws:iam::000000000000:role/{name}"


def run_task(emulator, image="show:1", task_role="job", **more):
    definition = emulator.client("ecs").register_task_definition(
        family="show",
        taskRoleArn=role(task_role),
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "c", "image": image, "environment": [{"name": "SETTING", "value": "on"}]}],
    )["taskDefinition"]["taskDefinitionArn"]
    arguments = {
        "Cluster": "cluster",
        "TaskDefinition": definition,
        "LaunchType": "FARGATE",
        "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["subnet-1"], "AssignPublicIp": "ENABLED"}},
        "Overrides": {"ContainerOverrides": [{"Name": "c", "Command": ["publish", "{% $states.input.word %}"]}]},
    }
    return {"Type": "Task", "Resource": TASK, "Arguments": arguments, "End": True, **more}


def execute(emulator, *states, given=None):
    """Runs states one after the other and returns the output of the last, or error and cause."""
    names = [f"s{number}" for number in range(len(states))]
    for state, following in zip(states, names[1:]):
        state.pop("End", None)
        state["Next"] = following
    definition = {"QueryLanguage": "JSONata", "StartAt": "s0", "States": dict(zip(names, states))}
    client = emulator.client("stepfunctions")
    machine = client.create_state_machine(
        name=f"m{time.monotonic_ns()}", definition=json.dumps(definition), roleArn=role("machine")
    )["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine, input=json.dumps(given or {"word": "now"}))[
        "executionArn"
    ]
    while (seen := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(0.05)
    if seen["status"] == "SUCCEEDED":
        return json.loads(seen["output"])
    return seen["error"], seen["cause"]


def sdk(service, action, arguments):
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::aws-sdk:{service}:{action}",
        "Arguments": arguments,
        "End": True,
    }


def test_task_gets_the_environment_of_a_fargate_task_and_nothing_of_it_stays(emulator, monkeypatch):
    monkeypatch.setenv("OF_THE_PARENT", "1")
    task = execute(emulator, run_task(emulator))
    assert [it["ExitCode"] for it in task["Containers"]] == [0]
    (ran,) = emulator.tasks()[-1:]
    words, *lines = ran.output.splitlines()
    shown = dict(line.split("=", 1) for line in lines if "=" in line)
    assert words == "publish now" and shown["SETTING"] == "on"
    assert "OF_THE_PARENT" not in shown and "AWS_ACCESS_KEY_ID" not in shown
    assert shown["AWS_REGION"] == REGION and shown["AWS_ENDPOINT_URL"] == emulator.endpoint
    assert shown["FOUND"] == "" and shown["PWD"] != shown["HOME"] != shown["TMPDIR"]
    assert ran.left == ["work/here", "home/there"], "a task must not write outside of its folder for temporary files"
    assert not any(emulator.folder.glob("tasks/*/work")), "wiped"


@pytest.mark.parametrize(("fault", "code"), [("exit 6", 6), ("kill", 137), ("refuse", None)])
def test_task_that_ends_badly_fails_its_state_and_the_cause_is_the_task(emulator, fault, code):
    emulator.control(faults=[f"publish: {fault} once"])
    error, cause = execute(emulator, run_task(emulator))
    task = json.loads(cause)
    assert error == "States.TaskFailed"
    assert [it.get("ExitCode") for it in task["Containers"]] == [code]
    assert task["StopCode"] == ("EssentialContainerExited" if code else "TaskFailedToStart") and task["TaskArn"]
    assert [it["ExitCode"] for it in execute(emulator, run_task(emulator))["Containers"]] == [0], (
        "it was to happen once"
    )


def test_retry_heals_a_fault_that_happens_once_and_its_waiting_is_short(emulator):
    emulator.control(faults=["publish: exit 6 2 times"])
    retry = [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 600, "MaxAttempts": 2, "BackoffRate": 1}]
    started = time.monotonic()
    assert execute(emulator, run_task(emulator, Retry=retry))["Containers"][0]["ExitCode"] == 0
    assert time.monotonic() - started < 60
    assert [task.exit_code for task in emulator.tasks()[-3:]] == [6, 6, 0]


def test_image_that_is_not_known_does_not_start(emulator):
    error, cause = execute(emulator, run_task(emulator, image="other:1"))
    assert error == "States.TaskFailed" and "other:1" in json.loads(cause)["StoppedReason"]


def test_role_that_tasks_cannot_take_on_does_not_start_one(emulator):
    error, cause = execute(emulator, run_task(emulator, task_role="machine"))
    assert error == "States.TaskFailed" and "does not trust" in json.loads(cause)["StoppedReason"]


def test_parallel_state_assigns_and_puts_out(emulator):
    branch = {"StartAt": "b", "States": {"b": {"Type": "Pass", "Output": "{% 1 + 1 %}", "End": True}}}
    parallel = {
        "Type": "Parallel",
        "Branches": [branch, branch],
        "Assign": {"sum": "{% $sum($states.result) %}"},
        "Output": {},
    }
    after = {"Type": "Pass", "Output": "{% $sum %}", "End": True}
    assert execute(emulator, parallel, after) == 4


def test_call_of_any_service_answers_in_the_names_of_a_state(emulator):
    reads = sdk("s3", "getObject", {"Bucket": "bucket", "Key": "plan.json"})
    reads["Output"] = "{% $parse($states.result.Body).periods %}"
    assert execute(emulator, reads) == ["2026-05"]


def test_call_fails_by_the_names_of_the_sdk_for_java(emulator):
    assert execute(emulator, sdk("s3", "getObject", {"Bucket": "bucket", "Key": "none"}))[0] == "S3.NoSuchKeyException"
    denied = execute(emulator, sdk("s3", "putObject", {"Bucket": "bucket", "Key": "k", "Body": "x"}))
    assert denied[0] == "S3.S3Exception" and "not authorized to perform: s3:PutObject" in denied[1]
    assert execute(emulator, sdk("s3", "getObject", {"Bucket": "bucket"}))[0] == "States.Runtime"


def test_object_of_json_is_written_as_its_text(emulator):
    may = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bucket/told.json"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    emulator.client("iam").put_role_policy(RoleName="machine", PolicyName="put", PolicyDocument=policy)
    execute(emulator, sdk("s3", "putObject", {"Bucket": "bucket", "Key": "told.json", "Body": {"a": "{% 1 + 1 %}"}}))
    written = emulator.client("s3").get_object(Bucket="bucket", Key="told.json")["Body"].read()
    assert json.loads(written) == {"a": 2}
    emulator.client("s3").delete_object(Bucket="bucket", Key="told.json")


def test_policies_of_the_state_machine_count_for_publishing_too(emulator):
    topic = emulator.client("sns").create_topic(Name="topic")["TopicArn"]
    publish = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "End": True,
        "Arguments": {"TopicArn": topic, "Message": "hello"},
    }
    assert execute(emulator, publish)["MessageId"]
    event = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "End": True,
        "Arguments": {"Entries": [{"Detail": {"a": 1}, "DetailType": "t", "Source": "s"}]},
    }
    assert "not authorized to perform: events:PutEvents" in execute(emulator, event)[1]


def test_quicksight_is_recorded_after_its_arguments_are_checked(emulator):
    given = {"AwsAccountId": "000000000000", "DataSetId": "d", "IngestionId": "i"}
    assert execute(emulator, sdk("quicksight", "createIngestion", given))["IngestionStatus"] == "INITIALIZED"
    assert emulator.quicksight_calls() == [{"action": "CreateIngestion", **given}]
    assert execute(emulator, sdk("quicksight", "createIngestion", {"DataSetId": "d"}))[0] == "States.Runtime"


def as_last_task(emulator, service):
    """A client with the credentials that the container endpoint gave to the last task."""
    with urllib.request.urlopen(emulator.tasks()[-1].environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]) as response:
        session = json.load(response)
    keys = session["AccessKeyId"], session["SecretAccessKey"], session["Token"]
    return boto3.Session(*keys, region_name=REGION).client(service, endpoint_url=emulator.endpoint)


def test_task_has_the_rights_of_its_role_only(emulator):
    execute(emulator, run_task(emulator))
    s3 = as_last_task(emulator, "s3")
    assert s3.list_objects_v2(Bucket="bucket")["KeyCount"] == 1
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        s3.get_object(Bucket="bucket", Key="plan.json")


def test_bucket_that_demands_tls_is_open_to_tasks(emulator):
    tls_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::bucket",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [tls_only]})
    emulator.client("s3").put_bucket_policy(Bucket="bucket", Policy=policy)
    execute(emulator, run_task(emulator))
    assert as_last_task(emulator, "s3").list_objects_v2(Bucket="bucket")["KeyCount"] == 1


def test_right_on_a_database_is_none_on_its_tables(emulator):
    glue = emulator.client("glue")
    glue.create_database(DatabaseInput={"Name": "books"})
    for name in ("open", "closed"):
        glue.create_table(DatabaseName="books", TableInput={"Name": name})
    resources = ["catalog", "database/books", "table/books/open"]
    arns = [f"arn:aws:glue:{REGION}:000000000000:{resource}" for resource in resources]
    statement = {"Effect": "Allow", "Action": "glue:GetTable", "Resource": arns}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    emulator.client("iam").put_role_policy(RoleName="job", PolicyName="glue", PolicyDocument=policy)
    execute(emulator, run_task(emulator))
    reader = as_last_task(emulator, "glue")
    assert reader.get_table(DatabaseName="books", Name="open")["Table"]["Name"] == "open"
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        reader.get_table(DatabaseName="books", Name="closed")


def test_task_has_an_address_of_its_own_that_it_is_described_with(emulator):
    """It stands for every address in the command, so that two tasks may listen on the same port."""
    shown = [execute(emulator, run_task(emulator), given={"word": "0.0.0.0"}) for _ in range(2)]
    said = [task.output.splitlines()[0].split()[1] for task in emulator.tasks()[-2:]]
    described = [
        detail["Value"]
        for task in shown
        for detail in task["Attachments"][0]["Details"]
        if detail["Name"] == "privateIPv4Address"
    ]
    assert said == described and len(set(said)) == 2 and all(it.startswith("127.0.") for it in said)


def test_right_to_stop_a_task_is_none_on_other_tasks(emulator):
    ecs, iam = emulator.client("ecs"), emulator.client("iam")
    emulator.control(faults=["publish: hang once"])
    started = ecs.run_task(
        cluster="cluster",
        taskDefinition=run_task(emulator)["Arguments"]["TaskDefinition"],
        launchType="FARGATE",
        overrides={"containerOverrides": [{"name": "c", "command": ["publish"]}]},
    )
    stop = {"Cluster": "cluster", "Task": started["tasks"][0]["taskArn"]}
    for cluster in ("another", "cluster"):
        on = f"arn:aws:ecs:{REGION}:000000000000:task/{cluster}/*"
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecs:StopTask", "Resource": on}]}
        iam.put_role_policy(RoleName="machine", PolicyName="stop", PolicyDocument=json.dumps(policy))
        ended = execute(emulator, sdk("ecs", "stopTask", stop))
        if cluster == "another":
            assert ended[0] == "ECS.AccessDeniedException"
            assert ecs.list_tasks(cluster="cluster", desiredStatus="RUNNING")["taskArns"] == [stop["Task"]]
    assert ended["Task"]["LastStatus"] == "STOPPED"


def test_state_machine_gives_away_only_roles_that_it_may(emulator):
    make_role(emulator, "other-job", "ecs-tasks.amazonaws.com", "s3:*")
    statement = {"Effect": "Deny", "Action": "iam:PassRole", "Resource": role("other-job")}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    emulator.client("iam").put_role_policy(RoleName="machine", PolicyName="deny", PolicyDocument=policy)
    assert execute(emulator, run_task(emulator))["Containers"][0]["ExitCode"] == 0
    assert execute(emulator, run_task(emulator, task_role="other-job"))[0] == "ECS.AccessDeniedException"


def test_cron_fires_when_the_scheduler_is_put_forward_by_a_day(emulator):
    client = emulator.client("stepfunctions")
    machine = client.create_state_machine(
        name="nightly",
        definition=json.dumps({"StartAt": "s", "States": {"s": {"Type": "Pass", "End": True}}}),
        roleArn=role("machine"),
    )["stateMachineArn"]
    emulator.client("scheduler").create_schedule(
        Name="nightly",
        ScheduleExpression="cron(30 3 * * ? *)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": machine, "RoleArn": role("machine"), "Input": '{"as_of": "2026-10-31"}'},
    )
    assert client.list_executions(stateMachineArn=machine)["executions"] == []
    emulator.put_scheduler_forward("nightly", 86_400)
    deadline = time.monotonic() + 60
    while (
        not (started := client.list_executions(stateMachineArn=machine)["executions"]) and time.monotonic() < deadline
    ):
        time.sleep(0.2)
    assert len(started) == 1
    seen = client.describe_execution(executionArn=started[0]["executionArn"])
    assert json.loads(seen["input"]) == {"as_of": "2026-10-31"}


def test_athena_understands_its_own_dialect(emulator):
    client = emulator.client("athena")
    query = client.start_query_execution(
        QueryString="SELECT date_format(DATE '2026-10-31', '%Y-%m') AS period",
        ResultConfiguration={"OutputLocation": "s3://bucket/results/"},
    )["QueryExecutionId"]
    while (seen := client.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"])["State"] in (
        "QUEUED",
        "RUNNING",
    ):
        time.sleep(0.05)
    assert seen["State"] == "SUCCEEDED", seen
    rows = client.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
    assert rows[1]["Data"][0]["VarCharValue"] == "2026-10"


def test_fault_may_name_the_option_of_a_job():
    assert parse_fault("detect-credits --scheduler: exit 6 once")["job"] == "detect-credits --scheduler"


def test_word_that_is_no_fault_is_refused():
    with pytest.raises(ValueError, match="no fault"):
        parse_fault("publish: exit once")
