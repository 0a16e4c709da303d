"""An account in which the shipped templates are deployed, for the sample organisation."""

import json
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from support.emulator import ACCOUNT, REGION, Emulator
from support.lake import DATABASE, ROOT, binary, upload

STACK = "finops-credits"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/finops-credits:1"
EXPORT = ("acme-billing-exports", "billing/finops-daily")
DATA_SETS = (f"{STACK}-net-cost", f"{STACK}-credits")
NIGHT_DEADLINE_SECONDS = 240


class Account:
    def __init__(self, folder: Path, **parameters: str):
        """`parameters` of the main stack beside those that it needs."""
        self.release, self.parameters = folder / "release", parameters
        self.emulator = Emulator(folder / "emulator", {IMAGE: [binary()]}, policies=True)
        try:
            self.deploy(self.release)
        except BaseException:
            self.emulator.stop()
            raise

    def client(self, service: str):
        return self.emulator.client(service)

    # --- before the first night

    def deploy(self, release: Path) -> None:
        subprocess.run([sys.executable, ROOT / "scripts/package", release], check=True)
        s3 = self.client("s3")
        s3.create_bucket(Bucket=EXPORT[0], CreateBucketConfiguration={"LocationConstraint": REGION})
        upload(s3, EXPORT[0], EXPORT[1], ROOT / "data/cur/finops-daily")
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"] for n in range(2)]
        self.outputs = self.create_stack(
            STACK,
            release / "finops-credits.yaml",
            {
                "ImageUri": IMAGE,
                "ExportBucket": EXPORT[0],
                "ExportPrefix": EXPORT[1],
                "VpcId": vpc,
                "SubnetIds": ",".join(subnets),
                "AlertEmail": "ops@example.com",
                "NoticeEmail": "finance@example.com",
                "DataSetIds": ",".join(DATA_SETS),
                **self.parameters,
            },
        )
        self.create_stack(f"{STACK}-views", release / "views.yaml", {"Database": DATABASE})
        self.bucket, self.machine = self.outputs["DataBucketName"], self.outputs["StateMachineArn"]
        # The template says so, and MiniStack leaves it out; the template's own tests look at it.
        encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.outputs["KeyArn"]}
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}]}
        s3.put_bucket_encryption(Bucket=self.bucket, ServerSideEncryptionConfiguration=rules)
        upload(s3, self.bucket, "reference", ROOT / "data/reference")
        self.alerts = self.subscribe("AlertTopicArn")
        self.notices = self.subscribe("NoticeTopicArn")
        self.events = self.listen()

    def create_stack(self, name: str, template: Path, parameters: dict[str, str]) -> dict[str, str]:
        text = template.read_text()
        self.client("s3").put_object(Bucket=EXPORT[0], Key=f"templates/{template.name}", Body=text.encode())
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=name,
            TemplateURL=f"{self.emulator.endpoint}/{EXPORT[0]}/templates/{template.name}",
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        while (stack := cloudformation.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"].endswith(
            "_IN_PROGRESS"
        ):
            time.sleep(0.1)
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        reasons = [
            (it["LogicalResourceId"], it["ResourceStatusReason"]) for it in events if "ResourceStatusReason" in it
        ]
        assert stack["StackStatus"] == "CREATE_COMPLETE", reasons
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def queue(self, name: str) -> tuple[str, str]:
        """A queue that topics and buses may write to: its URL and ARN."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        services = ["sns.amazonaws.com", "events.amazonaws.com"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": services},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        return url, arn

    def subscribe(self, topic: str) -> str:
        url, arn = self.queue(topic)
        self.client("sns").subscribe(TopicArn=self.outputs[topic], Protocol="sqs", Endpoint=arn)
        return url

    def listen(self) -> str:
        url, arn = self.queue("events")
        events = self.client("events")
        events.put_rule(Name="all", EventPattern=json.dumps({"source": ["finops-credits"]}))
        events.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": arn}])
        return url

    def messages(self, queue: str) -> list[dict]:
        """What has come since the last time, parsed."""
        sqs, found = self.client("sqs"), []
        while received := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            for message in received:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def mails(self, kind: str) -> list[dict]:
        """`alerts` or `notices` of the state machine since the last time; alarms write there too, in their own time."""
        return [
            mail for mail in self.messages(getattr(self, kind)) if not mail["Subject"].startswith(("ALARM: ", "OK: "))
        ]

    # --- nights

    def start(self, **given) -> str:
        return self.client("stepfunctions").start_execution(stateMachineArn=self.machine, input=json.dumps(given))[
            "executionArn"
        ]

    def executions(self) -> list[str]:
        return [
            it["executionArn"]
            for it in self.client("stepfunctions").list_executions(stateMachineArn=self.machine)["executions"]
        ]

    def finish(self, execution: str, expect: str | None = "SUCCEEDED") -> dict:
        """Waits for the end of a night; `expect` is its status, None for any."""
        states, deadline = self.client("stepfunctions"), time.monotonic() + NIGHT_DEADLINE_SECONDS
        while (night := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, self.visited(execution)
            time.sleep(0.2)
        assert expect in (None, night["status"]), self.story(execution)
        return night

    def wait_until_visited(self, execution: str, state: str) -> None:
        deadline = time.monotonic() + NIGHT_DEADLINE_SECONDS
        while state not in self.visited(execution):
            assert time.monotonic() < deadline, self.story(execution)
            time.sleep(0.1)

    def night(self, expect: str = "SUCCEEDED", **given) -> dict:
        return self.finish(self.start(**given), expect)

    def history(self, execution: str) -> list[dict]:
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]

    def visited(self, execution: str) -> list[str]:
        """Names of the states in the order in which they were entered."""
        events = self.history(execution)
        return [it["stateEnteredEventDetails"]["name"] for it in events if "stateEnteredEventDetails" in it]

    def story(self, execution: str) -> str:
        """Why a night ended otherwise: states, failures, and what the last jobs printed."""
        failures = [detail for it in self.history(execution) for key, detail in it.items() if "Failed" in key]
        tasks = [f"{task.job}: exit {task.exit_code}\n{task.output[-1500:]}" for task in self.emulator.tasks()[-3:]]
        return "\n".join([str(self.visited(execution)), *(str(it)[:600] for it in failures[-3:]), *tasks])

    def wait_for_alarm(self, name: str, state: str) -> None:
        deadline = time.monotonic() + 60
        cloudwatch = self.client("cloudwatch")
        while True:
            (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"{STACK}-{name}"])["MetricAlarms"]
            if alarm["StateValue"] == state:
                return
            assert time.monotonic() < deadline, alarm
            time.sleep(0.5)

    def ask(self, query: str) -> str:
        """The one value that a query in the stack's workgroup gives."""
        athena, place = self.client("athena"), {"Database": DATABASE}
        group = self.outputs["WorkGroupName"]
        asked = athena.start_query_execution(QueryString=query, QueryExecutionContext=place, WorkGroup=group)
        while True:
            seen = athena.get_query_execution(QueryExecutionId=asked["QueryExecutionId"])["QueryExecution"]["Status"]
            if seen["State"] not in ("QUEUED", "RUNNING"):
                break
            time.sleep(0.05)
        assert seen["State"] == "SUCCEEDED", (query, seen)
        rows = athena.get_query_results(QueryExecutionId=asked["QueryExecutionId"])["ResultSet"]["Rows"]
        return rows[1]["Data"][0]["VarCharValue"]

    def metric(self, name: str) -> list[float]:
        """Values put since the account was made, by minute."""
        now = datetime.now(timezone.utc)
        points = self.client("cloudwatch").get_metric_statistics(
            Namespace="FinopsCredits",
            MetricName=name,
            Dimensions=[{"Name": "Database", "Value": DATABASE}],
            StartTime=now.replace(hour=0, minute=0),
            EndTime=now.replace(hour=23, minute=59),
            Period=60,
            Statistics=["Maximum"],
        )
        return [point["Maximum"] for point in points["Datapoints"]]
