"""The state machine as a file: substitutions filled, states and expressions listed, calls held against AWS's models."""

import json
import re
from pathlib import Path

import botocore.session
from botocore.validate import ParamValidator

ROOT = Path(__file__).parents[3]
FILE = ROOT / "step-functions" / "nightly.asl.json"

ACCOUNT, REGION = "123456789012", "eu-west-1"

# Every substitution of the file, with a value as the template gives it.
SUBSTITUTIONS = {
    "AccountId": ACCOUNT,
    "Region": REGION,
    "ClusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/finops-credits",
    "TaskDefinitionArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/finops-credits:1",
    "ClusterTaskDefinitionArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/finops-credits-cluster:1",
    "ContainerName": "finops-credits",
    "SubnetIds": "subnet-0a,subnet-0b",
    "SecurityGroupId": "sg-0a",
    "ClusterSecurityGroupId": "sg-0b",
    "AssignPublicIp": "DISABLED",
    "DataBucket": "finops-credits-data",
    "LakePrefix": "lake",
    "Database": "finops_credits",
    "AlertTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:finops-credits-alerts",
    "NoticeTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:finops-credits-notices",
    "EventBusName": "default",
    "LogGroupName": "/finops-credits/jobs",
    "DataSetIds": "net-cost,credits",
    "FanOutFrom": "4",
    "MaxTasks": "2",
    "DistributeFromBytes": "0",
    "ClusterExecutors": "4",
    "ExecutorCapacity": "FARGATE",
    "ExecutorMemoryLimit": "8 GiB",
    "WebUrl": "",
    **{
        f"{job}RoleArn": f"arn:aws:iam::{ACCOUNT}:role/finops-credits-{job.lower()}"
        for job in ("Detect", "Join", "Fifo", "NetCost", "Check", "Publish")
    },
}


def read(**changes: str) -> dict:
    """The definition with its substitutions filled as CloudFormation fills them: text for text."""
    values = SUBSTITUTIONS | changes
    text = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], FILE.read_text())
    return json.loads(text)


def scopes(machine: dict):
    """The states of the machine, then those of each Map: (name of the Map or None, its StartAt, states)."""
    yield None, machine["StartAt"], machine["States"]
    for name, state in machine["States"].items():
        if state["Type"] == "Map":
            yield name, state["ItemProcessor"]["StartAt"], state["ItemProcessor"]["States"]


def states(machine: dict) -> dict[str, dict]:
    return {name: state for _, _, inside in scopes(machine) for name, state in inside.items()}


def next_states(state: dict) -> list[tuple[str, dict]]:
    """The ways out of a state: (next state, what is assigned on this way)."""
    own = state.get("Assign", {})
    ways = [(choice["Next"], choice.get("Assign", {})) for choice in state.get("Choices", [])]
    ways += [(catch["Next"], catch.get("Assign", {})) for catch in state.get("Catch", [])]
    return ways + [(state[way], own) for way in ("Next", "Default") if way in state]


def is_expression(value) -> bool:
    return isinstance(value, str) and value.startswith("{%")


def expressions(value) -> list[str]:
    """The JSONata in a value, without its marks."""
    if is_expression(value):
        return [value.removeprefix("{%").removesuffix("%}").strip()]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [expression for part in parts for expression in expressions(part)]


# --- calls

SESSION = botocore.session.Session()


def operation(resource: str):
    """botocore's model of what a Task calls. KeyError or UnknownServiceError where there is no such call."""
    found = re.fullmatch(r"arn:aws:states:::(aws-sdk:)?([a-z0-9]+):([A-Za-z]+)(\.sync)?", resource)
    service, action = found[2], found[3]
    model = SESSION.get_service_model(service)
    return model.operation_model(action[0].upper() + action[1:])


def call_problems(resource: str, arguments: dict) -> list[str]:
    """Keys that the call does not know or misses, values of a wrong type or length. What is JSONata may be right."""
    shape = operation(resource).input_shape
    problems: list[str] = []
    request = to_request(arguments, shape, problems, "Arguments")
    return problems + ([] if problems else ParamValidator().validate(request, shape).generate_report().splitlines())


def to_request(value, shape, problems: list[str], path: str):
    """As the SDK spells it: Step Functions writes each name with a capital, the API as it likes."""
    if is_expression(value):
        return sample(shape)
    if isinstance(value, dict) and re.fullmatch(r"Arguments\.(Entries\[\d+\]\.Detail|Body)", path):
        return json.dumps(value)  # Here, and only here, Step Functions takes JSON for a text.
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {name[0].upper() + name[1:]: name for name in shape.members}
        problems += [f"{path}: no {key} in {shape.name}" for key in value if key not in names]
        known = {names[key]: (key, part) for key, part in value.items() if key in names}
        return {
            name: to_request(part, shape.members[name], problems, f"{path}.{key}")
            for name, (key, part) in known.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [to_request(part, shape.member, problems, f"{path}[{at}]") for at, part in enumerate(value)]
    return value


def sample(shape):
    """Some valid value, in place of an expression."""
    match shape.type_name:
        case "structure":
            return {name: sample(shape.members[name]) for name in shape.required_members}
        case "list":
            return [sample(shape.member)]
        case "map":
            return {}
        case "string":
            return "x" * shape.metadata.get("min", 1)
        case "boolean":
            return True
        case _:
            return 1
