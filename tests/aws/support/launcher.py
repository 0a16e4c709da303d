"""The process of the emulator: MiniStack, made to behave like AWS where the pipeline depends on it.

    launcher.py FOLDER PORT

reads FOLDER/images.json (image name to program) and FOLDER/control.json (see `Control`) and serves until it is killed.
What is replaced, and why:

1. ECS runs containers by Docker, which is not needed here: processes take their place (`containers`).
2. `ecs:runTask.sync` succeeds whatever the exit code: on AWS a non-zero exit fails the state with `States.TaskFailed`,
   and the Cause is the task as JSON with the SDK's names in PascalCase.
3. Other calls of a state machine know only some services: all go through boto3, in the role of the state machine, so
   that its policies count. QuickSight, which MiniStack lacks, is recorded. Parallel states lack what JSONata adds.
4. Credentials of a task come from its role by the container endpoint, as on Fargate; IAM is completed by `policies`.
5. Waiting is shortened, the scheduler's clock can be put forward, and JSONata gets time on a busy machine.
6. Athena's SQL is translated to that of DuckDB, which MiniStack runs it on, and views are looked up in Glue.
7. Builds of CodeBuild push an image and say that they have ended (`builds`).
8. An update of a nested stack leaves what did not change as it is, and its attributes, too. Its deletion keeps what its
   template says is kept. Rules of security groups, which it knows inside of a group only, are taken and mean nothing.

Each replaced function is checked for its parameters, and `test_emulator.py` for what it does now.
"""

import base64
import contextvars
import functools
import inspect
import json
import os
import signal
import sys
import threading
import time
import types
import uuid
from datetime import datetime, timezone
from pathlib import Path

import boto3
import botocore.exceptions
import botocore.session
import builds
import jsonata
import ministack.app
import policies
import sqlglot
from botocore import xform_name
from botocore.response import StreamingBody
from botocore.validate import ParamValidator
from containers import Containers, Docker, Faults, region_environment
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import athena, codebuild, ecs, glue, iam, imds, scheduler, sts
from ministack.services import stepfunctions as states
from ministack.services.cloudformation import _stacks, provisioners

FOLDER, PORT = Path(sys.argv[1]), int(sys.argv[2])
ENDPOINT = f"http://127.0.0.1:{PORT}"


class Control:
    """What a test changes while the emulator runs; read anew at each use."""

    defaults = {"wait_scale": 0.001, "scheduler_ahead": 0, "faults": [], "builds_fail": False}

    def __getattr__(self, name):
        return {**self.defaults, **json.loads((FOLDER / "control.json").read_text())}[name]


CONTROL = Control()


def replace(owner, name: str, parameters: str, new) -> None:
    """Replaces a function, but not one that has become another."""
    found = ", ".join(inspect.signature(getattr(owner, name)).parameters)
    if found != parameters:
        raise TypeError(
            f"{owner.__name__}.{name} has the parameters ({found}), not ({parameters}): see what it does now"
        )
    setattr(owner, name, new)


# --- 1. containers


def role_of(task_arn: str) -> str:
    task = ecs._tasks.get(task_arn)
    definition = ecs._task_defs[ecs._resolve_td_key(task["taskDefinitionArn"])]
    return task["overrides"].get("taskRoleArn") or definition.get("taskRoleArn") or ""


# --- 4. credentials of roles


SESSIONS: dict[str, dict] = {}


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def assume(role: str, service: str) -> dict:
    """Temporary credentials of a role that trusts the service, in the words of the container endpoint."""
    document = iam._roles[role.rsplit("/", 1)[-1]]["AssumeRolePolicyDocument"]
    document = json.loads(document) if isinstance(document, str) else document
    if not any(service in as_list(statement["Principal"].get("Service")) for statement in document["Statement"]):
        raise PermissionError(f"{role} does not trust {service}")
    session = {
        "AccessKeyId": "ASIA" + uuid.uuid4().hex[:16].upper(),
        "SecretAccessKey": uuid.uuid4().hex,
        "Token": uuid.uuid4().hex,
        "Expiration": datetime.fromtimestamp(time.time() + 3600, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "RoleArn": role,
    }
    account, name = role.split(":")[4], role.rsplit("/", 1)[-1]
    sts.register_session(
        session["AccessKeyId"],
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/task",
            "UserId": f"AROA:{name}",
            "SecretAccessKey": session["SecretAccessKey"],
            "SessionToken": session["Token"],
            "Expiration": time.time() + 3600,
            "AccountId": account,
            "PrincipalType": "AssumedRole",
        },
    )
    return session


def credentials_for(role: str) -> dict:
    if not role:
        return {}
    key = uuid.uuid4().hex
    SESSIONS[key] = assume(role, "ecs-tasks.amazonaws.com")
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{ENDPOINT}/v2/credentials/{key}",
        **region_environment(get_region()),
    }


_serve_metadata = imds.handle_request


async def serve_metadata(method, path, headers, body, query_params):
    session = SESSIONS.get(path.rsplit("/", 1)[-1])
    if session:
        return 200, {"Content-Type": "application/json"}, json.dumps(session).encode()
    return await _serve_metadata(method, path, headers, body, query_params)


# --- 2. and 3. what a state machine calls


ROLE = contextvars.ContextVar("role of the running state machine")
NAMES = {"sfn": "stepfunctions", "cloudwatchlogs": "logs", "eventbridge": "events"}  # as the SDK of Python says it
PREFIXES = {"ecs": "ECS", "stepfunctions": "Sfn", "logs": "CloudWatchLogs", "events": "EventBridge"}
_run_execution = states._run_execution


def run_execution(exec_arn):
    execution = states._executions.get(exec_arn)
    ROLE.set(states._state_machines[execution["stateMachineArn"]]["roleArn"])
    return _run_execution(exec_arn)


def to_api(value, shape):
    """Arguments of a state under the API's names, which differ in the case of letters."""
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {name.lower(): name for name in shape.members}
        known = {key: members.get(key.lower(), key) for key in value}
        return {
            name: to_api(value[key], shape.members[name]) if name in shape.members else value[key]
            for key, name in known.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [to_api(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: to_api(item, shape.value) for key, item in value.items()}
    return text(value) if shape.type_name == "blob" else value


def to_states(value, shape):
    """A response as a state sees it: names in PascalCase, bodies as text, instants as text."""
    if isinstance(value, StreamingBody):
        return value.read().decode()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if shape.type_name == "structure":
        return {
            name[:1].upper() + name[1:]: to_states(item, shape.members[name])
            for name, item in value.items()
            if name in shape.members
        }
    if shape.type_name == "list":
        return [to_states(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {key: to_states(item, shape.value) for key, item in value.items()}
    return value


@functools.cache
def operation(service: str, action: str):
    model = botocore.session.get_session().get_service_model(service)
    names = {name.lower(): name for name in model.operation_names}
    if action.lower() not in names:
        raise states._ExecutionError("States.Runtime", f"{service} has no action {action}")
    return model.operation_model(names[action.lower()])


def call(service: str, action: str, arguments: dict) -> dict:
    service = NAMES.get(service, service)
    model = operation(service, action)
    arguments = to_api(arguments, model.input_shape) if model.input_shape else {}
    role = assume(ROLE.get(), "states.amazonaws.com")
    if service == "quicksight":
        return record_quicksight(role, model, arguments)
    client = boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=get_region(),
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["Token"],
    )
    try:
        response = getattr(client, xform_name(model.name))(**arguments)
    except botocore.exceptions.ClientError as error:
        raise states._ExecutionError(error_name(service, model, error.response["Error"]["Code"]), str(error)) from error
    except botocore.exceptions.ParamValidationError as error:
        raise states._ExecutionError("States.Runtime", str(error)) from error
    response.pop("ResponseMetadata", None)
    return to_states(response, model.output_shape) if model.output_shape else {}


def error_name(service: str, model, code: str) -> str:
    """Errors are named after the exceptions of the SDK for Java: one per modelled error, one for all others."""
    prefix = PREFIXES.get(service) or states._AWS_SDK_ERROR_PREFIX[service]
    modelled = {shape.error_code or shape.name for shape in model.error_shapes} | {
        shape.name for shape in model.error_shapes
    }
    if code not in modelled:
        return f"{prefix}.{prefix}Exception"
    return f"{prefix}.{code if code.endswith(('Exception', 'Fault')) else code + 'Exception'}"


def record_quicksight(role: dict, model, arguments: dict) -> dict:
    errors = ParamValidator().validate(arguments, model.input_shape)
    if errors.has_errors():
        raise states._ExecutionError("States.Runtime", errors.generate_report())
    resource = (
        f"arn:aws:quicksight:{get_region()}:{get_account_id()}:dataset/{arguments['DataSetId']}"
        f"/ingestion/{arguments['IngestionId']}"
    )
    if ministack.app.AUTH and not policies.allowed(role["AccessKeyId"], f"quicksight:{model.name}", resource):
        raise states._ExecutionError("QuickSight.AccessDeniedException", f"{model.name} on {resource}")
    with open(FOLDER / "quicksight.jsonl", "a", encoding="utf-8") as calls:
        calls.write(json.dumps({"action": model.name, **arguments}) + "\n")
    if model.name == "CreateIngestion":
        return {"IngestionId": arguments["IngestionId"], "IngestionStatus": "INITIALIZED", "Status": 201}
    if model.name == "DescribeIngestion":
        return {"Ingestion": {"IngestionId": arguments["IngestionId"], "IngestionStatus": "COMPLETED"}, "Status": 200}
    raise states._ExecutionError("States.Runtime", f"{model.name} is not recorded")


def run_task(resource: str, arguments: dict) -> dict:
    response = call("ecs", "RunTask", arguments)
    if not resource.endswith(".sync"):
        return response
    if response.get("Failures"):
        raise states._ExecutionError("ECS.AmazonECSException", json.dumps(response["Failures"]))
    arn = response["Tasks"][0]["TaskArn"]
    while (task := ecs._tasks.get(arn))["lastStatus"] != "STOPPED":
        time.sleep(0.05)
    shown = to_states(
        json.loads(json.dumps(ecs._sanitize(task))),
        operation("ecs", "DescribeTasks").output_shape.members["tasks"].member,
    )
    exits = [container.get("ExitCode") for container in shown["Containers"]]
    if shown["StopCode"] != "EssentialContainerExited" or any(code != 0 for code in exits):
        raise states._ExecutionError("States.TaskFailed", json.dumps(shown))
    return shown


def text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def publish(_, arguments: dict) -> dict:
    return call("sns", "publish", {**arguments, "Message": text(arguments["Message"])})


def put_events(_, arguments: dict) -> dict:
    entries = [{**entry, "Detail": text(entry["Detail"])} for entry in arguments["Entries"]]
    response = call("events", "putEvents", {"Entries": entries})
    if response["FailedEntryCount"]:
        raise states._ExecutionError("EventBridge.FailedEntry", json.dumps(response["Entries"]))
    return response


_run_parallel_branches = states._run_parallel_branches


def run_parallel_branches(state_def, raw_input, execution, ctx):
    """MiniStack leaves out `Output` and `Assign` where a Parallel is in JSONata."""
    results, following = _run_parallel_branches(state_def, raw_input, execution, ctx)
    output = states._apply_jsonata_output(state_def, raw_input, ctx, result=results, default=results)
    states._apply_state_assign(state_def, raw_input, ctx, result=results)
    return output, following


def call_sdk(resource: str, input_data: dict) -> dict:
    service, action = resource.removesuffix(".sync").split("aws-sdk:")[1].split(":")
    return call(service, action, input_data)


# --- 5. time


def scaled_sleep(seconds):
    time.sleep(max(0, seconds * CONTROL.wait_scale))


_tick_schedules = scheduler._tick_schedules


def tick_schedules():
    """A cron fires for what comes after it was seen first: says which schedules have been seen."""
    _tick_schedules()
    seen = sorted(key.partition("/")[2] for _, _, key in scheduler._schedule_last_fired)
    (FOLDER / "schedules.new").write_text(json.dumps(seen))
    (FOLDER / "schedules.new").replace(FOLDER / "schedules.json")


class RelaxedJsonata:
    """The engine with a deadline that a busy machine meets; AWS's is one second."""

    utils = jsonata.utils

    class Jsonata:
        @staticmethod
        def jsonata(expression, timeout=None):
            return jsonata.Jsonata.jsonata(expression, timeout=60_000 if timeout else None)


# --- 6. Athena


_run_duckdb = athena._run_duckdb


async def run_duckdb(query, database, catalog=None):
    query = with_views(sqlglot.parse_one(query, read="athena"), database).sql(dialect="duckdb")
    return await _run_duckdb(query, database, catalog)


def with_views(query, database: str):
    """The query with the text of each view of the Glue database in the view's place."""
    for table in list(query.find_all(sqlglot.exp.Table)):
        found = glue._tables.get(f"{table.db or database}/{table.name}") or {}
        if found.get("TableType") == "VIRTUAL_VIEW":
            encoded = found["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
            view = json.loads(base64.b64decode(encoded, validate=True))
            inner = with_views(sqlglot.parse_one(view["originalSql"], read="athena"), view["schema"])
            table.replace(inner.subquery(table.alias_or_name))
    return query


# --- 8. nested stacks


_update_resource = provisioners._update_resource
NESTED = provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::Stack"]
_delete_nested_stack = NESTED["delete"]


def update_resource(resource_type, physical_id, old_props, new_props, stack_name, logical_id=None, old_attrs=None):
    known = _stacks[stack_name]["_resources"].get(logical_id, {}).get("Attributes")
    return _update_resource(resource_type, physical_id, old_props, new_props, stack_name, logical_id, old_attrs or known)


def delete_nested_stack(physical_id, props):
    stack = _stacks[provisioners._nested_stack_lookup_name(physical_id)]
    for id, it in stack["_template"]["Resources"].items():
        if it.get("DeletionPolicy") in provisioners._RETAINING_POLICIES:
            stack["_resources"].pop(id, None)
    _delete_nested_stack(physical_id, props)


def end_with(parent: int) -> None:
    """Nothing outlives the test, even where that was killed: this process and its containers are a group."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    images = json.loads((FOLDER / "images.json").read_text())
    faults = Faults(lambda: CONTROL.faults)
    ecs._docker = Docker(Containers(images, FOLDER / "tasks", ENDPOINT, faults, role_of, credentials_for))
    replace(imds, "handle_request", "method, path, headers, body, query_params", serve_metadata)
    replace(ministack.app, "pin_request_origin", "source_ip, secure_transport", policies.pin_request_origin)
    replace(
        iam_evaluator,
        "enforce",
        "access_key_id, iam_action, service, region, resource_arn, service_context",
        policies.enforce,
    )
    replace(iam_evaluator, "_first_match", "ctx, stmts, effect", policies.first_match)
    replace(
        iam_actions,
        "extract_resource_arn",
        "service, method, path, headers, body, query_params, region, account_id",
        policies.extract_resource_arn,
    )
    replace(states, "_run_execution", "exec_arn", run_execution)
    replace(states, "_invoke_aws_sdk_integration", "resource, input_data", call_sdk)
    replace(states, "_run_parallel_branches", "state_def, raw_input, execution, ctx", run_parallel_branches)
    replace(states, "_scaled_sleep", "seconds", scaled_sleep)
    replace(athena, "_run_duckdb", "query, database, catalog", run_duckdb)
    calls = {"ecs:runTask": run_task, "sns:publish": publish, "events:putEvents": put_events}
    for name, function in calls.items():
        key = f"arn:aws:states:::{name}"
        if key not in states._SERVICE_DISPATCH:
            raise KeyError(f"{key} is not dispatched any more: see how it is now")
        states._SERVICE_DISPATCH[key] = function
    states.jsonata = RelaxedJsonata
    replace(scheduler, "_tick_schedules", "", tick_schedules)
    scheduler._SCHEDULE_TICK_INTERVAL = 0.5
    scheduler.time = types.SimpleNamespace(sleep=time.sleep, time=lambda: time.time() + CONTROL.scheduler_ahead)
    replace(codebuild, "_start_build", "data", lambda data: builds.start(data, CONTROL.builds_fail))
    replace(
        provisioners,
        "_update_resource",
        "resource_type, physical_id, old_props, new_props, stack_name, logical_id, old_attrs",
        update_resource,
    )
    NESTED["delete"] = delete_nested_stack
    for rule in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
        if rule in provisioners._RESOURCE_HANDLERS:
            raise KeyError(f"{rule} is known now: no need to make it up")
        provisioners._RESOURCE_HANDLERS[rule] = {
            "create": lambda logical_id, props, stack_name: (f"{stack_name}-{logical_id}", {}),
            "delete": lambda physical_id, props: None,
        }
    sys.argv = sys.argv[:1]  # MiniStack reads arguments of its own
    ministack.app.main()


if __name__ == "__main__":
    main()
