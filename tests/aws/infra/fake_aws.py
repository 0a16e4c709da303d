#!/usr/bin/env python3
"""`aws` for the smoke test and the look before deployment: answers like AWS's, from what the file FAKE_ACCOUNT says.

It keeps objects and tables in that file too, so that a test sees what is left.
"""

import json
import os
import sys
from pathlib import Path

ACCOUNT = Path(os.environ["FAKE_ACCOUNT"])
PUBLISHED = (
    "net_cost net_cost_summary credit_consumption credit_balances credits credit_queue credit_impact allocation_issues "
    "hierarchy reconciliation"
).split()
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:finops-credits-nightly"


def options(words: list[str]) -> dict[str, str]:
    return {word[2:]: words[at + 1] for at, word in enumerate(words[:-1]) if word.startswith("--")}


def key(address: str) -> str:
    return address.removeprefix("s3://")


def publish(account: dict, given: dict) -> str:
    account["inputs"].append(json.loads(given["input"]))
    number = len(account["inputs"])
    status = account["nights"][number - 1]
    if status == "SUCCEEDED":
        run = f"run-{number}"
        tie_out = [{"currency": "USD", "difference": account["difference"]}]
        new = {"count": 15 if number == 1 else account["drift"]}
        summary = {"run_id": run, "tie_out": tie_out, "new_credits": new}
        account["objects"][f"data/lake/summaries/{run}.json"] = json.dumps(summary)
        for table in PUBLISHED:
            behind = table == account["behind"] and number == 1
            account["tables"][table] = f"s3://data/lake/runs/{'run-0' if behind else run}/{table}"
        account["tables"]["credits_log"] = "s3://data/lake/warehouse/finops_credits/credits_log"
    return f"execution-{number}"


def answer(account: dict, service: str, call: str, rest: list[str]) -> dict | str | None:
    given = options(rest)
    if refusal := account.get("refused", {}).get(call):
        sys.exit(refusal)
    match service, call:
        case "sts", "get-caller-identity":
            return {"Arn": account["caller"], "Account": "123456789012"}
        case "configure", "get":
            return ""
        case "ec2", "describe-vpcs" if given["vpc-ids"] != account["vpc"]:
            sys.exit("InvalidVpcID.NotFound")
        case "ec2", "describe-vpcs":
            return {"Vpcs": [{"VpcId": account["vpc"]}]}
        case "ec2", "describe-subnets":
            asked = rest[rest.index("--subnet-ids") + 1:]
            if set(asked) - account["subnets"].keys():
                sys.exit("InvalidSubnetID.NotFound")
            return {"Subnets": [{"SubnetId": it, **account["subnets"][it]} for it in asked]}
        case "ec2", "describe-route-tables":
            return {"RouteTables": account["route_tables"]}
        case "ec2", "describe-vpc-endpoints":
            return {"VpcEndpoints": account["endpoints"]}
        case "s3api", "get-bucket-location":
            if given.get("expected-bucket-owner", account["export_owner"]) != account["export_owner"]:
                sys.exit("An error occurred (AccessDenied)")
            return {"LocationConstraint": account["export_region"]}
        case "s3api", "head-object":
            return account["head"]
        case "ecr", "describe-images":
            there = given["image-ids"] in account["images"]
            return {"imageDetails": [{}]} if there else sys.exit("ImageNotFoundException")
        case "ssm", "get-parameter":
            there = given["name"] in account["parameters"]
            return {"Parameter": {"Value": account["parameters"][given["name"]]}} if there else sys.exit("ParameterNotFound")
        case "ecs", "describe-task-definition":
            environment = [{"name": "FINOPS_CREDITS_SETTINGS", "value": account["task_settings"]}]
            return {"taskDefinition": {"containerDefinitions": [{"environment": environment}]}}
        case "s3api", "list-object-versions":
            start = f"{given['bucket']}/{given['prefix']}"
            return {"Versions": [{"Key": key} for key in account["versions"] if key.startswith(start)]} or None
        case "glue", "get-databases":
            return {"DatabaseList": [{"Name": name} for name in account["databases"]]}
        case "lakeformation", "get-data-lake-settings":
            return {"DataLakeSettings": account["lake_formation"]}
        case "service-quotas", "get-service-quota":
            asked = (given["service-code"], given["quota-code"])
            of = {("fargate", "L-3032A538"): "vcpus", ("fargate", "L-36FBB829"): "spot_vcpus"}
            return {"Quota": {"Value": account[of[asked]]}} if asked in of else None
        case "cloudformation", "describe-stacks":
            if given["stack-name"] != "finops-credits":
                sys.exit("Stack does not exist")
            outputs = {
                "DataBucketName": "data", "DatabaseName": "finops_credits", "WorkGroupName": "finops-credits",
                "StateMachineArn": MACHINE, "AlertTopicArn": "alerts", "NoticeTopicArn": "notices",
                "SettingsParameterName": "settings", "TaskDefinitionArn": "task-definition:7",
            }
            parameters = {"ExportBucket": "export", "ExportPrefix": "billing/daily", "ScheduleState": "ENABLED"}
            return {"Stacks": [{
                "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()],
                "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            }]}
        case "s3", "cp" if rest[-1] == "-":
            return account["objects"][key(rest[0])]
        case "s3", "cp":
            source, target = (word for word in rest if not word.startswith("--"))
            for file in (path for path in Path(source).rglob("*") if path.is_file()):
                account["objects"][key(target) + file.relative_to(source).as_posix()] = ""
            return None
        case "s3", "rm":
            prefix = key(rest[-1])
            account["objects"] = {name: it for name, it in account["objects"].items() if not name.startswith(prefix)}
            return None
        case "s3api", "list-objects-v2":
            start = f"{given['bucket']}/{given['prefix']}"
            found = [{"Key": name} for name in account["objects"] if name.startswith(start)]
            return {"Contents": found} if found else None
        case "s3api", "get-bucket-encryption":
            rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": account["encryption"]}}
            return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
        case "s3api", "get-bucket-versioning":
            return {"Status": "Enabled"}
        case "s3api", "get-public-access-block":
            return {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True}}
        case "glue", "get-tables":
            return {"TableList": [{"Name": name} for name in [*account["tables"], *account["views"]]]}
        case "glue", "get-table":
            return {"Table": {"StorageDescriptor": {"Location": account["tables"][given["name"]]}}}
        case "glue", "delete-table":
            del account["tables"][given["name"]]
            return None
        case "stepfunctions", "start-execution":
            return {"executionArn": publish(account, given)}
        case "stepfunctions", "describe-execution":
            status = account["nights"][int(given["execution-arn"].split("-")[1]) - 1]
            failed = {} if status == "SUCCEEDED" else {"error": "Job failed", "cause": "exit code 5"}
            return {"status": status, **failed}
        case "stepfunctions", "stop-execution":
            account["stopped"].append(given["execution-arn"])
            return {}
        case "athena", "start-query-execution":
            account["queries"].append(given["query-string"])
            return {"QueryExecutionId": str(len(account["queries"]) - 1)}
        case "athena", "get-query-execution":
            sql = account["queries"][int(given["query-execution-id"])]
            if account["broken_view"] and account["broken_view"] in sql:
                return {"QueryExecution": {"Status": {"State": "FAILED", "StateChangeReason": "COLUMN_NOT_FOUND"}}}
            return {"QueryExecution": {"Status": {"State": "SUCCEEDED"}}}
        case "athena", "get-query-results":
            sql = account["queries"][int(given["query-execution-id"])]
            later = account["queries"].count(sql) - 1 if "sum(net_cost)" in sql else 0
            rows = [{"Data": [{"VarCharValue": text}]} for text in ("_col0", str(later * account["drift"]))]
            return {"ResultSet": {"Rows": rows}}
        case "scheduler", "get-schedule":
            return {"State": "ENABLED"} if given["name"] == "finops-credits-nightly" else sys.exit("no such schedule")
        case "sns", "list-subscriptions-by-topic":
            arn = account["subscription"]
            return {"Subscriptions": [{"Endpoint": "a@example.com", "SubscriptionArn": arn}]}
    sys.exit(f"fake aws does not know {service} {call}")


def main() -> None:
    words = sys.argv[1:]
    while words[0].startswith("--"):
        words = words[2:]
    account = json.loads(ACCOUNT.read_text())
    said = answer(account, words[0], words[1], words[2:])
    ACCOUNT.write_text(json.dumps(account))
    if said is not None:
        print(said if isinstance(said, str) else json.dumps(said))


main()
