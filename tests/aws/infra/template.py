"""A CloudFormation template as it would be deployed: functions resolved, with made-up names for what AWS would name."""

import re
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

from cfnlint.decode import decode

ACCOUNT, REGION, STACK = "123456789012", "eu-west-1", "finops-credits"
PSEUDO = {
    "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::Region": REGION, "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
}
CHINA = {"AWS::Partition": "aws-cn", "AWS::Region": "cn-north-1", "AWS::URLSuffix": "amazonaws.com.cn"}
NOTHING = object()
# What `Ref` gives, by type; what has an ARN gets it from `ARNS`.
NAMED = {
    "AWS::S3::Bucket": lambda id, _: id.lower(),
    "AWS::Glue::Database": lambda _, it: it["DatabaseInput"]["Name"],
    "AWS::Glue::Connection": lambda _, it: it["ConnectionInput"]["Name"],
    "AWS::ECS::Cluster": lambda _, it: it["ClusterName"],
    "AWS::Athena::WorkGroup": lambda _, it: it["Name"],
    "AWS::Logs::LogGroup": lambda _, it: it["LogGroupName"],
    "AWS::SSM::Parameter": lambda _, it: it["Name"],
    "AWS::Lambda::Function": lambda id, it: it.get("FunctionName", id),
}
ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{id}}",
    "AWS::IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT}:policy/{{id}}",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{id}}",
    "AWS::ECS::Cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{{name}}",
    "AWS::ECS::TaskDefinition": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{{family}}:1",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-nightly",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{id}}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{name}}",
    "AWS::SecretsManager::Secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{{id}}-AbCdEf",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{name}}:*",
}


@cache
def decoded(path: Path) -> dict:
    raw, problems = decode(str(path))
    assert not problems, problems
    return raw


class Template:
    def __init__(self, path: Path, **parameters: str):
        """Parameters by name; `china=True` deploys it in the other partition."""
        self.pseudo = {**PSEUDO, **(CHINA if parameters.pop("china", False) else {})}
        self.raw = decoded(path)
        defaults = {name: it.get("Default") for name, it in self.raw["Parameters"].items()}
        assert parameters.keys() <= defaults.keys(), parameters.keys() - defaults.keys()
        self.parameters = {**defaults, **parameters}

    @property
    def resources(self) -> dict:
        """Those that these parameters make."""
        return {id: it for id, it in self.raw["Resources"].items()
                if "Condition" not in it or self.condition(it["Condition"])}

    def changed(self, change: Callable[[dict], object]) -> "Template":
        """A copy whose text `change` was made to."""
        copy = object.__new__(Template)
        copy.raw, copy.parameters, copy.pseudo = deepcopy(self.raw), self.parameters, self.pseudo
        change(copy.raw)
        return copy

    def properties(self, id: str) -> dict:
        return self.resolve(self.resources[id]["Properties"])

    def outputs(self) -> dict:
        made = (it for it in self.raw["Outputs"].items() if "Condition" not in it[1] or self.condition(it[1]["Condition"]))
        return {name: self.resolve(it["Value"]) for name, it in made}

    def of_type(self, type: str) -> list[str]:
        return [id for id, it in self.resources.items() if it["Type"] == type]

    def resolve(self, value):
        if isinstance(value, list):
            return [it for it in map(self.resolve, value) if it is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self.call(function.removeprefix("Fn::"), argument)
        resolved = {key: self.resolve(it) for key, it in value.items()}
        return {key: it for key, it in resolved.items() if it is not NOTHING}

    def call(self, function: str, argument):
        match function:
            case "Ref":
                return self.ref(argument)
            case "GetAtt":
                id, attribute = argument if isinstance(argument, list) else argument.split(".")
                if attribute == "Value":
                    return self.properties(id)["Value"]
                if attribute == "RegionalDomainName":
                    return f"{id}.execute-api.amazonaws.com"
                assert attribute == "Arn", attribute
                return self.arn(id)
            case "Sub":
                text, own = argument if isinstance(argument, list) else (argument, {})
                own = self.resolve(own)
                text = re.sub(r"\$\{([^!}]+)\}", lambda found: str(self.named(found[1], own)), text)
                return text.replace("${!", "${")
            case "Join":
                return argument[0].join(map(str, self.resolve(argument[1])))
            case "Select":
                at, values = self.resolve(argument)
                return values[int(at)]
            case "Split":
                return self.resolve(argument[1]).split(argument[0])
            case "If":
                return self.resolve(argument[1] if self.condition(argument[0]) else argument[2])
            case "FindInMap":
                table, row, column = self.resolve(argument)
                return self.raw["Mappings"][table][row][column]
        raise NotImplementedError(function)

    def condition(self, it) -> bool:
        if isinstance(it, str):
            return self.condition(self.raw["Conditions"][it])
        (function, argument), = it.items()
        match function:
            case "Condition":
                return self.condition(argument)
            case "Fn::Not":
                return not self.condition(argument[0])
            case "Fn::And":
                return all(map(self.condition, argument))
            case "Fn::Or":
                return any(map(self.condition, argument))
            case "Fn::Equals":
                return str(self.resolve(argument[0])) == str(self.resolve(argument[1]))  # numbers are text there
        raise NotImplementedError(function)

    def named(self, name: str, own: dict):
        if name in own:
            return own[name]
        return self.arn(name.removesuffix(".Arn")) if name.endswith(".Arn") else self.ref(name)

    def ref(self, name: str):
        if name == "AWS::NoValue":
            return NOTHING
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            value = self.parameters[name]
            assert value is not None, f"parameter {name} needs a value"
            is_list = self.raw["Parameters"][name]["Type"].startswith(("List", "CommaDelimited"))
            return value.split(",") if is_list else value
        type = self.raw["Resources"][name]["Type"]
        if type in NAMED:
            return NAMED[type](name, self.properties(name))
        return self.arn(name) if type in ARNS else name

    def arn(self, id: str) -> str:
        type = self.raw["Resources"][id]["Type"]
        name = NAMED[type](id, self.properties(id)) if type in NAMED else ""
        family = self.resolve(self.raw["Resources"][id]["Properties"].get("Family", ""))
        return ARNS[type].format(id=id, name=name, family=family)


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def statements(template: Template) -> list[tuple[str, dict]]:
    """What roles and policies allow, each with the resource it is in."""
    found = []
    for id in template.of_type("AWS::IAM::Role"):
        for policy in template.properties(id).get("Policies", []):
            found += [(id, it) for it in policy["PolicyDocument"]["Statement"]]
    for id in template.of_type("AWS::IAM::ManagedPolicy"):
        found += [(id, it) for it in template.properties(id)["PolicyDocument"]["Statement"]]
    return found


def tls_only(statements: list[dict], *resources: str) -> bool:
    """Whether a policy refuses everybody who comes to these resources without TLS."""
    return any(
        it["Effect"] == "Deny" and it["Principal"] == "*" and set(listed(it["Resource"])) >= set(resources)
        and it["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for it in statements)
