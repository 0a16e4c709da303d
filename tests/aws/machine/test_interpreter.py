"""The interpreter does what AWS documents where moto alone does not. Each patch is left out once: then it does not."""

import json

import pytest

import interpreter
from aws import Aws, AwsError, NotStarted
from definition import read

RUN_TASK = read()["States"]["apply-fifo"]


def machine(first: dict, **others: dict) -> dict:
    return {"QueryLanguage": "JSONata", "StartAt": "First", "States": {"First": first, **others}}


def ends(output) -> dict:
    return {"Type": "Pass", "Output": output, "End": True}


def task(**fields) -> dict:
    """A job as the state machine has it, alone."""
    arguments = {
        **RUN_TASK["Arguments"],
        "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["s"]}},
        "Overrides": {"ContainerOverrides": [{"Name": "finops-credits", "Command": ["apply-fifo"]}]},
    }
    return {"Type": "Task", "Resource": RUN_TASK["Resource"], "Arguments": arguments, "End": True, **fields}


QUOTES = machine(
    {"Type": "Pass", "Assign": {"text": "{% $states.input.text %}", "nothing": None, "list": [1]}, "Next": "Second"},
    Second=ends({
        "text": "{% $text %}", "nothing": "{% $nothing %}", "parsed": "{% $parse('{\"a\": null}') %}",
        "start": "{% $states.context.Execution.StartTime %}", "missing": "{% $exists($states.input.a) %}",
        "list": "{% [$list, 2][0] %}",
    }),
)
EXIT = machine(
    task(Catch=[
        {"ErrorEquals": ["States.TaskFailed"], "Assign": {"failure": "{% $states.errorOutput %}"}, "Next": "Second"},
    ]),
    Second=ends({"exit_code": "{% $parse($failure.Cause).Containers[Name = 'finops-credits'].ExitCode %}"}),
)
WAIT = machine({"Type": "Wait", "Seconds": "{% 1 %}", "Next": "Second"}, Second=ends({"is": "waited"}))
REDRIVE = machine(
    {"Type": "Choice", "Choices": [
        {"Condition": "{% $states.context.Execution.RedriveCount > 0 ? true : $error('stop') %}", "Next": "Second"},
    ]},
    Second=ends({"is": "redriven"}),
)
MAP = machine(
    {
        "Type": "Map", "Items": [1], "ItemProcessor": {"StartAt": "Inside", "States": {"Inside": task()}},
        "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Second"}], "End": True,
    },
    Second=ends({"is": "caught"}),
)
PARALLEL = machine(
    {
        "Type": "Parallel", "Branches": [{"StartAt": "Inside", "States": {"Inside": task()}}],
        "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Second"}], "End": True,
    },
    Second=ends({"is": "caught"}),
)
TEXT = '"quoted"\nand more'
EXPECTED_QUOTES = {
    "text": TEXT, "nothing": None, "parsed": {"a": None}, "start": "2026-11-26T03:30:00.123Z",
    "missing": False, "list": 1,
}


@pytest.mark.parametrize(("patch", "definition", "ending", "output"), [
    ("StringJSONata", QUOTES, 0, EXPECTED_QUOTES),
    ("StateTaskService", EXIT, 5, {"exit_code": 5}),
    ("WaitFunction", WAIT, 0, {"is": "waited"}),
    ("StateChoice", REDRIVE, 0, {"is": "redriven"}),
    ("iteration_worker", MAP, 5, {"is": "caught"}),
    ("branches_decl", PARALLEL, 5, {"is": "caught"}),
])
def test_each_patch_makes_moto_do_what_aws_does(patch, definition, ending, output, monkeypatch):
    def run():
        aws = Aws(lambda _command: ending)
        aws.redrives.append(lambda: None)
        return interpreter.run(definition, aws, {"text": TEXT}).output, aws.waits

    waits = [1] if definition is WAIT else []
    assert run() == (output, waits)

    everything = interpreter.patches
    monkeypatch.setattr(interpreter, "patches", lambda aws: {
        place: new for place, new in everything(aws).items() if not place[0].__name__.endswith(patch)
    })
    assert run() != (output, waits), f"moto does it alone: the patch of {patch} can go"


def test_an_undefined_value_fails_the_state():
    night = interpreter.run(machine(ends("{% $states.input.nothing %}")), Aws(lambda _command: 0))
    assert (night.status, night.error) == ("FAILED", "States.QueryEvaluationError")


def test_a_retry_takes_no_time_and_starts_another_task():
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 100, "BackoffRate": 2, "MaxAttempts": 2}]
    endings = iter([6, 6, 0])
    aws = Aws(lambda _command: next(endings))
    assert interpreter.run(machine(task(Retry=retry)), aws).status == "SUCCEEDED"
    assert (len(aws.commands), aws.waits) == (3, [100, 200])


def test_a_task_that_never_started_has_a_cause_without_exit_code():
    aws = Aws(lambda _command: NotStarted())
    night = interpreter.run(machine(task()), aws)
    assert night.error == "States.TaskFailed"
    cause = json.loads(night.cause)
    assert cause["StopCode"] == "TaskFailedToStart"
    assert all("ExitCode" not in container for container in cause["Containers"])


def test_a_call_with_a_wrong_key_fails():
    arguments = {**task()["Arguments"], "Clusterr": "x"}
    night = interpreter.run(machine(task(Arguments=arguments)), Aws(lambda _command: 0))
    assert night.status == "FAILED"
    assert "no Clusterr in RunTaskRequest" in night.cause


def test_a_refused_call_has_the_name_of_its_error():
    aws = Aws(lambda _command: AwsError("ECS.ThrottlingException", "Rate exceeded"))
    night = interpreter.run(machine(task()), aws)
    assert (night.error, night.cause) == ("ECS.ThrottlingException", "Rate exceeded")


def test_a_result_above_256_kib_fails_the_state():
    get = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:getObject", "End": True,
           "Arguments": {"Bucket": "finops-credits-data", "Key": "big"}}
    aws = Aws(lambda _command: 0, objects={"big": "x" * 300_000})
    assert interpreter.run(machine(get), aws).error == "States.DataLimitExceeded"
