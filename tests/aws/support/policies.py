"""IAM where MiniStack's evaluation differs from AWS's; part of the emulator's process.

* A call of Glue on a table needs the right on the table, on its database and on the catalogue.
* `ecs:RunTask` is allowed on the task definition, with the cluster as a condition key, and needs `iam:PassRole` on
  every role that it gives away. Who asks for tasks or stops one needs the right on each. `cloudwatch:PutMetricData`
  knows its namespace.
* A query of Athena belongs to its workgroup, a build of CodeBuild to its project.
* Requests count as secured by TLS: it ends before the emulator.
* `${aws:userid}` in a resource stands for the caller.
"""

import contextvars
import dataclasses
import json

from ministack.core import iam_actions, iam_evaluator
from ministack.core.iam_evaluator import EvalContext, EvalResult, evaluate, resolve_principal
from ministack.core.responses import get_account_id, get_region
from ministack.services import athena, ecs

BODY = contextvars.ContextVar("body of the request", default=b"")
_pin_request_origin = iam_evaluator.pin_request_origin
_extract_resource_arn = iam_actions.extract_resource_arn
_enforce = iam_evaluator.enforce
_first_match = iam_evaluator._first_match


def pin_request_origin(source_ip, secure_transport):
    _pin_request_origin(source_ip, True)


def extract_resource_arn(service, method, path, headers, body, query_params, region, account_id):
    """Called before each `enforce`, and the only one of the two that is given the body."""
    BODY.set(body)
    return _extract_resource_arn(service, method, path, headers, body, query_params, region, account_id)


def enforce(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
    context = dict(service_context or {})
    resources = [resource_arn]
    if service == "glue":
        resources = glue_resources(iam_action.split(":")[1], json.loads(BODY.get() or b"{}"))
    elif iam_action == "ecs:RunTask":
        task = json.loads(BODY.get())
        resources = [task["taskDefinition"]]
        context["ecs:cluster"] = task["cluster"]
        for role in roles_of(task):
            if not allowed(access_key_id, "iam:PassRole", role, {"iam:PassedToService": "ecs-tasks.amazonaws.com"}):
                return EvalResult("ImplicitDeny", reason="iam:PassRole")
    elif iam_action in ("ecs:DescribeTasks", "ecs:StopTask"):
        asked = json.loads(BODY.get())
        resources = asked.get("tasks") or [asked["task"]]
    elif service == "athena" and "QueryExecutionId" in (asked := json.loads(BODY.get())):
        group = athena._executions.get(asked["QueryExecutionId"], {}).get("WorkGroup", "primary")
        resources = [f"arn:aws:athena:{region}:{get_account_id()}:workgroup/{group}"]
    elif iam_action == "codebuild:BatchGetBuilds":
        projects = {id.split(":")[0] for id in json.loads(BODY.get())["ids"]}
        resources = [f"arn:aws:codebuild:{region}:{get_account_id()}:project/{name}" for name in sorted(projects)]
    elif iam_action == "cloudwatch:PutMetricData":
        # Its protocol is binary; the one text that matters stands in it as it is.
        context["cloudwatch:namespace"] = "FinopsCredits" if b"FinopsCredits" in BODY.get() else "another"
    for resource in resources:
        denied = _enforce(access_key_id, iam_action, service, region, resource, context)
        if denied:
            return denied
    return None


def first_match(ctx, stmts, effect):
    caller = str(ctx.principal_keys.get("aws:userid", ""))
    filled = [[on.replace("${aws:userid}", caller) for on in it.resources] for it in stmts]
    return _first_match(ctx, [dataclasses.replace(it, resources=on) for it, on in zip(stmts, filled)], effect)


def glue_resources(action: str, arguments: dict) -> list[str]:
    """The resource of a call and what it lies in."""
    prefix = f"arn:aws:glue:{get_region()}:{get_account_id()}:"
    name = arguments.get("Name") or arguments.get("TableInput", {}).get("Name")
    if "Database" in action:
        found = arguments.get("DatabaseInput", {}).get("Name") or name
        return [f"{prefix}catalog"] + ([f"{prefix}database/{found}"] if found else [])
    database = arguments.get("DatabaseName")
    if not database:
        return [f"{prefix}catalog"]
    return [f"{prefix}catalog", f"{prefix}database/{database}", f"{prefix}table/{database}/{name or '*'}"]


def roles_of(task: dict) -> list[str]:
    definition = ecs._task_defs[ecs._resolve_td_key(task["taskDefinition"])]
    overrides = task.get("overrides", {})
    names = ("taskRoleArn", "executionRoleArn")
    return [role for name in names if (role := overrides.get(name) or definition.get(name))]


def allowed(access_key_id: str, action: str, resource: str, context: dict | None = None) -> bool:
    principal = resolve_principal(access_key_id, get_account_id())
    if getattr(principal, "policies", None) is None:
        return hasattr(principal, "policies")  # the account's owner may do all; an unknown key nothing
    question = EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=action,
        resource_arn=resource,
        region=get_region(),
        principal_keys=principal.keys,
        service_context={key.lower(): value for key, value in (context or {}).items()},
    )
    return evaluate(question, principal.policies, *principal.limits).decision == "Allow"
