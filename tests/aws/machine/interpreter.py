"""The state machine run by moto's interpreter (LocalStack's parser of the Amazon States Language), in this process.

moto brings the flow: states, Choice, Map, Parallel, Retry, Catch, Assign, errors. The calls of Tasks go to an `Aws` of
ours, which knows what AWS answers; the clock stands still. What is replaced in moto, and why:

1. JSONata: moto has no engine and writes variables into the source unescaped. Here they are bound.
2. Tasks: moto calls its own services, spells their names otherwise than AWS, and lets `ecs:runTask.sync` succeed
   whatever the exit code.
3. Waits and retries take no time, or as little as a test says; their seconds are recorded.
4. Choice: a redrive. AWS evaluates the state that failed again, with `RedriveCount` one higher; moto has no redrive.
5. Map and Parallel: what fails inside with an error named `States.…` crashes the interpreter.

These are moto's insides: its version is pinned, each replaced function is checked for its parameters, and
`test_interpreter.py` shows what each patch is for.
"""

import inspect
import json
import time
from dataclasses import dataclass

import boto3
import jsonata
from jsonata.utils import Utils
from moto import mock_aws
from moto.stepfunctions.parser.api import (
    EvaluationFailedEventDetails,
    HistoryEventType,
    TaskFailedEventDetails,
)
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from aws import Aws, AwsError
from definition import REGION

PATCHED = {
    (StringJSONata, "_eval_body"): "self, env",
    (StateTaskService, "_eval_execution"): "self, env",
    (WaitFunction, "_wait_interval"): "self, env, wait_seconds",
    (StateChoice, "_eval_state"): "self, env",
    (iteration_worker, "CustomErrorName"): "error_name",
    (branches_decl, "CustomErrorName"): "error_name",
}


def patches(aws: Aws) -> dict:
    """What takes the place of moto's functions while a machine runs."""
    eval_choice = StateChoice._eval_state

    def eval_jsonata(self, env):
        known = variables(env, aws.started)
        try:
            check_sizes(known)
            env.stack.append(evaluate(self.expression, known))
        except Exception as error:  # whatever the engine raises: AWS has one name for all of it
            raise query_error(env, f"The JSONata expression '{self.expression}' failed: {error}") from error

    def eval_task(self, env):
        self.parargs.eval(env=env)
        try:
            result = aws.call(self.resource.resource_arn, env.stack.pop())
        except AwsError as error:
            raise task_failed(env, error) from error
        env.stack.append(result)
        self._verify_size_quota(env=env, value=result)

    def wait(self, env, wait_seconds):
        aws.wait(wait_seconds)

    def choose(self, env):
        try:
            eval_choice(self, env)
        except FailureEventException:
            if not aws.redrives:
                raise
            aws.redrives.pop(0)()
            execution = env.states.context_object.context_object_data["Execution"]
            execution["RedriveCount"] = execution.get("RedriveCount", 0) + 1
            eval_choice(self, env)

    def error_named(error_name):
        return ErrorName(error_name) if str(error_name).startswith("States.") else CustomErrorName(error_name)

    return {
        (StringJSONata, "_eval_body"): eval_jsonata,
        (StateTaskService, "_eval_execution"): eval_task,
        (WaitFunction, "_wait_interval"): wait,
        (StateChoice, "_eval_state"): choose,
        (iteration_worker, "CustomErrorName"): error_named,
        (branches_decl, "CustomErrorName"): error_named,
    }


# --- JSONata


def evaluate(expression: str, bound: dict):
    """The value as JSON. There is none for an undefined one: AWS fails the state, too."""
    compiled = jsonata.Jsonata(expression)
    compiled.register_lambda("parse", json.loads)
    result = compiled.evaluate(None, {name: null_marked(value) for name, value in bound.items()})
    if result is None and evaluate(f"$exists(({expression}))", bound) is False:
        raise ValueError("it returned nothing (undefined)")
    return json.loads(json.dumps(result))


def null_marked(value):
    """The engine takes None for undefined, and has a mark of its own for null."""
    if isinstance(value, dict):
        return {name: null_marked(part) for name, part in value.items()}
    if isinstance(value, list):
        return [null_marked(part) for part in value]
    return Utils.NULL_VALUE if value is None else value


def variables(env, started: str) -> dict:
    """What was assigned, and `$states`; moto's start time is no text, and another each time."""
    store, given = env.variable_store, env.states._states_data
    known = {name: given[name] for name in ("input", "result", "errorOutput") if given.get(name) is not None}
    context = {**given["context"], "Execution": {**given["context"]["Execution"], "StartTime": started}}
    return {**store._outer_scope, **store._inner_scope, "states": {**known, "context": context}}


def check_sizes(known: dict) -> None:
    """No variable, input or result exceeds AWS's limit."""
    for name, value in {**known, **known["states"], "states": None, "context": None}.items():
        if len(json.dumps(value).encode()) > 256 * 1024:
            raise ValueError(f"States.DataLimitExceeded: ${name}")


def query_error(env, cause: str) -> FailureEventException:
    details = EvaluationFailedEventDetails(cause=cause, error="States.QueryEvaluationError")
    return FailureEventException(FailureEvent(
        env=env, error_name=ErrorName("States.QueryEvaluationError"), event_type=HistoryEventType.EvaluationFailed,
        event_details=EventDetails(evaluationFailedEventDetails=details),
    ))


def task_failed(env, error: AwsError) -> FailureEventException:
    details = TaskFailedEventDetails(error=error.name, cause=error.cause, resource="", resourceType="")
    return FailureEventException(FailureEvent(
        env=env, error_name=ErrorName(error.name), event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),
    ))


# --- running


class Clock:
    """In place of the module `time` where moto sleeps between retries."""

    def __init__(self, aws: Aws):
        self.sleep = aws.wait


@dataclass
class Night:
    """How an execution ended."""

    status: str
    error: str | None
    cause: str | None
    output: dict | None
    states: list[str]
    """States entered, in order, those inside of Maps among them."""


def run(machine: dict, aws: Aws, execution_input: dict | None = None) -> Night:
    """Runs the machine to its end."""
    for (owner, function), parameters in PATCHED.items():
        found = ", ".join(inspect.signature(getattr(owner, function)).parameters)
        if found != parameters:
            raise TypeError(f"{owner.__name__}.{function} has the parameters ({found}), not ({parameters})")
    kept = {(owner, function): getattr(owner, function) for owner, function in PATCHED}
    sleeper = retrier_decl.time
    try:
        for (owner, function), new in patches(aws).items():
            setattr(owner, function, new)
        retrier_decl.time = Clock(aws)
        with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
            return execute(machine, execution_input or {})
    finally:
        retrier_decl.time = sleeper
        for (owner, function), old in kept.items():
            setattr(owner, function, old)


def execute(machine: dict, execution_input: dict) -> Night:
    client = boto3.client("stepfunctions", region_name=REGION)
    role = "arn:aws:iam::123456789012:role/states"
    created = client.create_state_machine(name="nightly", definition=json.dumps(machine), roleArn=role)
    arn = client.start_execution(
        stateMachineArn=created["stateMachineArn"], name="night", input=json.dumps(execution_input)
    )["executionArn"]
    deadline = time.monotonic() + 300
    while (execution := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        if time.monotonic() > deadline:
            raise TimeoutError("the execution still runs after five minutes")
        time.sleep(0.01)
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
    entered = [event["stateEnteredEventDetails"]["name"]
               for page in pages for event in page["events"] if "stateEnteredEventDetails" in event]
    output = json.loads(execution["output"]) if "output" in execution else None
    return Night(execution["status"], execution.get("error"), execution.get("cause"), output, entered)
