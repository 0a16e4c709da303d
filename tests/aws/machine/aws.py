"""AWS as the state machine meets it: what each call answers or fails with, and a record of what was asked.

Calls are held against AWS's models as the SDK would hold them. The ECS task in the cause of a failed job has the fields
of a Fargate task as `DescribeTasks` names them, with a container that a security service put beside ours.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from definition import ACCOUNT, REGION, SUBSTITUTIONS, call_problems


class AwsError(Exception):
    """The name and cause that a failed Task has."""

    def __init__(self, name: str, cause: str):
        super().__init__(f"{name}: {cause}")
        self.name, self.cause = name, cause


@dataclass
class NotStarted:
    """A task that AWS took but could not start."""

    reason: str = "CannotPullContainerError: pull image manifest has been retried 5 time(s): not found"


Ending = int | NotStarted | AwsError
"""How a job ends: its exit code, or what kept it from starting."""


@dataclass
class Member:
    """A task of a cluster: it runs until it is stopped, or dies."""

    command: list[str]
    arguments: dict
    arn: str
    address: str
    status: str = "PROVISIONING"
    looks: int = 0


@dataclass
class Aws:
    job: Callable[[list[str]], Ending]
    """Plays the container: gets the command, puts objects, says how the job ended. May run the real program."""
    started: str = "2026-11-26T03:30:00.123Z"
    """When the execution starts."""
    objects: dict[str, str] = field(default_factory=dict)
    refuses: dict[str, AwsError] = field(default_factory=dict)
    """
    Calls that fail, by the end of their resource; `quicksight:createIngestion credits` names a data set, too, and
    `ecs:runTask executor` what is started.
    """
    redrives: list[Callable[[], None]] = field(default_factory=list)
    """One redrive each: what somebody mends before."""
    slots: int | None = None
    """How many tasks the quota allows at a time; what is beyond is refused."""
    room_for_executors: int = 10
    """How many of them there is capacity for."""
    scheduler_dies: bool = False
    """Before it runs."""
    job_seconds: float = 0
    """How long each job runs."""
    pace: float = 0
    """Seconds that a second of the night takes here: 0 unless jobs and waits compete."""

    commands: list[list[str]] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    mails: list[tuple[str, str, str]] = field(default_factory=list)
    """(topic's name, subject, text)"""
    metrics: dict[str, float] = field(default_factory=dict)
    events: list[dict] = field(default_factory=list)
    ingestions: list[tuple[str, str]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    refused: int = 0
    """Tasks that had no slot."""
    members: list[Member] = field(default_factory=list)
    """Tasks of clusters, in the order of their start."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        time.sleep(seconds * self.pace)

    def call(self, resource: str, arguments: dict):
        action = resource.rsplit(":::", 1)[1].removeprefix("aws-sdk:").removesuffix(".sync")
        if problems := call_problems(resource, arguments):
            raise AwsError("States.Runtime", "; ".join(problems))
        overrides = arguments.get("Overrides", {}).get("ContainerOverrides", [{"Command": [None]}])
        named = arguments.get("DataSetId") or overrides[0]["Command"][0]
        refused = self.refuses.get(action) or self.refuses.get(f"{action} {named}")
        if refused:
            raise refused
        if action == "ecs:runTask" and not resource.endswith(".sync"):
            return self.start_members(arguments)
        return getattr(self, action.split(":")[1])(arguments)

    def runTask(self, arguments: dict) -> dict:
        override = arguments["Overrides"]["ContainerOverrides"][0]
        with self.lock:
            if self.running == self.slots:
                self.refused += 1
                raise AwsError("AmazonECS.Unknown", NO_SLOT)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.commands.append(override["Command"])
            self.roles.append(arguments["Overrides"].get("TaskRoleArn"))
            start = f"{override['Command']} {self.commands.count(override['Command'])}"
        task_id = hashlib.md5(start.encode()).hexdigest()  # the same in each test, whatever runs beside it
        time.sleep(self.job_seconds * self.pace)
        ending = self.job(override["Command"])
        with self.lock:
            self.running -= 1
        if isinstance(ending, AwsError):
            raise ending
        task = ecs_task(task_id, override, ending)
        if ending != 0:
            raise AwsError("States.TaskFailed", json.dumps(task))
        return task

    # --- tasks that are not waited for

    def start_members(self, arguments: dict) -> dict:
        """As many as there is room for, and why the others are not started: that is no error."""
        override, wanted = arguments["Overrides"]["ContainerOverrides"][0], arguments.get("Count", 1)
        if "LaunchType" in arguments and "CapacityProviderStrategy" in arguments:
            raise AwsError("Ecs.InvalidParameterException", "Specifying both a launch type and a capacity provider strategy")
        with self.lock:
            room = wanted if self.slots is None else min(wanted, self.slots - self.running)
            room = min(room, self.room_for_executors) if override["Command"][0] == "executor" else room
            first = len(self.members)
            for number in range(first, first + room):
                arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/finops-credits/{number:032x}"
                self.members.append(Member(override["Command"], arguments, arn, f"10.0.1.{number}"))
            self.running += room
            self.most_running = max(self.most_running, self.running)
        failures = [{"Reason": "Capacity is unavailable at this time. Please try again later"}] * (wanted - room)
        return {"Tasks": [described(member) for member in self.members[first:]], "Failures": failures}

    def describeTasks(self, arguments: dict) -> dict:
        """A task is not known at first, then is given its address, then runs."""
        found = [member for member in self.members if member.arn in arguments["Tasks"]]
        for member in found:
            member.looks += 1
            if member.looks == 3 and member.status == "PROVISIONING":
                dies = self.scheduler_dies and member.command[0] == "scheduler"
                member.status = "STOPPED" if dies else "RUNNING"
                self.running -= dies
        known = [described(member) for member in found if member.looks > 1]
        return {"Tasks": known, "Failures": [{"Reason": "MISSING"}] * (len(arguments["Tasks"]) - len(known))}

    def stopTask(self, arguments: dict) -> dict:
        [member] = [member for member in self.members if member.arn == arguments["Task"]]
        with self.lock:
            self.running -= member.status != "STOPPED"
            member.status = "STOPPED"
        return {"Task": described(member)}

    def left_running(self) -> list[str]:
        """What each task of a cluster is, that nobody stopped."""
        return [member.command[0] for member in self.members if member.status != "STOPPED"]

    # --- what lies in S3, who is told

    def getObject(self, arguments: dict) -> dict:
        key = arguments["Key"]
        if arguments["Bucket"] != SUBSTITUTIONS["DataBucket"] or key not in self.objects:
            raise AwsError("S3.NoSuchKeyException", "The specified key does not exist.")
        first, last = (int(end) for end in arguments.get("Range", "bytes=0-999999999").removeprefix("bytes=").split("-"))
        body = self.objects[key][first : last + 1]
        return {"Body": body, "ContentType": "application/json", "ContentLength": len(body)}

    def putObject(self, arguments: dict) -> dict:
        self.objects[arguments["Key"]] = json.dumps(arguments["Body"])
        return {"ETag": "1"}

    def publish(self, arguments: dict) -> dict:
        subject, text = arguments["Subject"], arguments["Message"]
        if len(subject) > 100 or not subject.isascii() or "\n" in subject or len(text.encode()) > 262144:
            raise AwsError("SNS.InvalidParameterException", f"Invalid parameter: {subject!r}, {len(text)}")
        self.mails.append((arguments["TopicArn"].rsplit(":", 1)[1], subject, text))
        return {"MessageId": "1"}

    def putMetricData(self, arguments: dict) -> dict:
        if arguments["Namespace"] != "FinopsCredits":
            raise AwsError("CloudWatch.AccessDeniedException", arguments["Namespace"])
        for metric in arguments["MetricData"]:
            if metric["Dimensions"] != [{"Name": "Database", "Value": "finops_credits"}]:
                raise AwsError("States.Runtime", str(metric))
            self.metrics[metric["MetricName"]] = metric["Value"]
        return {}

    def createIngestion(self, arguments: dict) -> dict:
        ingestion = arguments["DataSetId"], arguments["IngestionId"]
        with self.lock:
            if ingestion in self.ingestions:
                raise AwsError("QuickSight.ResourceExistsException", "exists")
            self.ingestions.append(ingestion)
        return {"IngestionId": arguments["IngestionId"], "IngestionStatus": "INITIALIZED", "Status": 201}

    def putEvents(self, arguments: dict) -> dict:
        self.events += arguments["Entries"]
        return {"Entries": [{"EventId": "1"}], "FailedEntryCount": 0}


# What RunTask answers where the quota of vCPUs is used up, as Step Functions hands it on.
NO_SLOT = json.dumps({"Failures": [{
    "Arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/1",
    "Reason": "You’ve reached the limit on the number of vCPUs you can run concurrently",
}], "Tasks": []})


def described(member: Member) -> dict:
    """Of a task that may still run, what `DescribeTasks` says."""
    details = [{"Name": "subnetId", "Value": "subnet-0a"}]
    details += [{"Name": "privateIPv4Address", "Value": member.address}] if member.status != "PROVISIONING" else []
    stopped = {"StoppedReason": "Essential container in task exited"} if member.status == "STOPPED" else {}
    containers = [{"Name": "aws-guardduty-agent-x1"}, {"Name": "finops-credits"} | ({"ExitCode": 101} if stopped else {})]
    return {
        "Attachments": [{"Id": "1", "Type": "ElasticNetworkInterface", "Details": details}], "Containers": containers,
        "LastStatus": member.status, "TaskArn": member.arn, **stopped,
    }


def ecs_task(task_id: str, override: dict, ending: int | NotStarted) -> dict:
    """A stopped task, as the cause or result of a job shows it."""
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/finops-credits/{task_id}"
    ours = {
        "ContainerArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:container/finops-credits/{task_id}/1", "Cpu": "0",
        "LastStatus": "STOPPED", "Name": override["Name"], "TaskArn": arn,
        "NetworkInterfaces": [{"AttachmentId": "1", "PrivateIpv4Address": "10.0.0.1"}],
    }
    guard = {**ours, "Name": "aws-guardduty-agent-x1", "ExitCode": 0}
    if isinstance(ending, NotStarted):
        guard.pop("ExitCode")
        stopped = {"StopCode": "TaskFailedToStart", "StoppedReason": ending.reason}
    else:
        ours["ExitCode"] = ending
        if ending == 137:
            ours["Reason"] = "OutOfMemoryError: Container killed due to memory usage"
        stopped = {"StopCode": "EssentialContainerExited", "StoppedReason": "Essential container in task exited"}
    return {
        "Attachments": [{"Id": "1", "Status": "DELETED", "Type": "eni", "Details": [{"Name": "subnetId"}]}],
        "AvailabilityZone": f"{REGION}a", "ClusterArn": SUBSTITUTIONS["ClusterArn"], "Containers": [guard, ours],
        "DesiredStatus": "STOPPED", "LastStatus": "STOPPED", "LaunchType": "FARGATE",
        "Overrides": {"ContainerOverrides": [override]}, **stopped, "StartedBy": "AWS Step Functions", "TaskArn": arn,
        "TaskDefinitionArn": SUBSTITUTIONS["TaskDefinitionArn"],
    }
