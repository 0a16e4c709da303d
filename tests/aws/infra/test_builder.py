"""image.yaml: what its function answers, what its build does, and what both may do.

The function runs here on clients of boto3 that check every call against AWS's own description of it and answer from a
list; the commands of the build run in a shell with stand-ins for `aws` and `docker`.
"""

import hashlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import boto3
import pytest
import yaml
from botocore.stub import Stubber
from template import ACCOUNT, REGION, Template, listed

TAG = "0.1.0-X86_64-" + "a" * 64
URI = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/images"
DIGEST = "sha256:" + "d" * 64
REQUEST = {
    "RequestType": "Create", "ResponseURL": "https://answer.example", "StackId": "stack", "RequestId": "request",
    "LogicalResourceId": "Image", "ResourceProperties": {"Tag": TAG},
}
GIVEN = {"SourceBucket": "releases", "SourceKey": "finops-credits/0.1.0/source.tar", "SourceSha256": "a" * 64, "Version": "0.1.0"}


def template(release, **more):
    return Template(release / "image.yaml", **{**GIVEN, **more})


def value_of(template, id, name):
    """One property, as not every name that AWS gives can be made up."""
    return template.resolve({name: template.resources[id]["Properties"][name]}).get(name)


@pytest.fixture(scope="module")
def image(release):
    return template(release)


class Builder:
    """The function of the template, its clients, and what it answered."""

    def __init__(self, code, monkeypatch):
        self.answers = []
        options = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        clients = {name: boto3.client(name, **options) for name in ("codebuild", "ecr")}
        self.codebuild, self.ecr = (Stubber(client) for client in clients.values())
        self.codebuild.activate(), self.ecr.activate()
        monkeypatch.setitem(sys.modules, "boto3", SimpleNamespace(client=clients.__getitem__))
        monkeypatch.setitem(
            sys.modules, "cfnresponse", SimpleNamespace(SUCCESS="SUCCESS", FAILED="FAILED", send=self.send))
        for name, value in {"PROJECT": "build", "REPOSITORY": "images", "URI": URI}.items():
            monkeypatch.setenv(name, value)
        self.module = {}
        exec(compile(code, "index.py", "exec"), self.module)

    def send(self, event, context, status, data, physicalResourceId=None, noEcho=False, reason=None):
        """With the names of AWS's module."""
        address = [event[name] for name in ("ResponseURL", "StackId", "RequestId", "LogicalResourceId")]
        assert address == ["https://answer.example", "stack", "request", "Image"] and physicalResourceId == "build"
        self.answers.append((status, data["ImageUri"], reason))

    def has(self, digest):
        asked = {"repositoryName": "images", "imageIds": [{"imageTag": TAG}]}
        images = [{"imageId": {"imageTag": TAG, "imageDigest": digest}}] if digest else []
        failures = [] if digest else [{"imageId": {"imageTag": TAG}, "failureCode": "ImageNotFound"}]
        self.ecr.add_response("batch_get_image", {"images": images, "failures": failures}, asked)

    def handle(self, event):
        self.module["handler"](event, None)
        self.codebuild.assert_no_pending_responses(), self.ecr.assert_no_pending_responses()


@pytest.fixture
def builder(image, monkeypatch):
    return Builder(image.resources["Builder"]["Properties"]["Code"]["ZipFile"], monkeypatch)


def started(builder):
    """The variables of the build that the function starts for a request."""
    seen = {}

    def take(params, **_):
        seen.update(params)

    builder.codebuild.client.meta.events.register("provide-client-params.codebuild.StartBuild", take)
    builder.codebuild.add_response("start_build", {"build": {"id": "build:1"}})
    builder.has(None)
    builder.handle(REQUEST)
    assert seen["projectName"] == "build"
    return seen["environmentVariablesOverride"]


def end(builder, variables, status="SUCCEEDED", message=""):
    """CodeBuild tells that this build has ended."""
    phases = [{"phaseType": "QUEUED"}, {"phaseType": "BUILD", "contexts": [{"statusCode": "x", "message": message}]}]
    build = {"buildStatus": status, "phases": phases, "environment": {
        "type": "LINUX_CONTAINER", "image": "standard", "computeType": "BUILD_GENERAL1_LARGE", "environmentVariables": variables}}
    builder.codebuild.add_response("batch_get_builds", {"builds": [build]}, {"ids": ["build:1"]})
    arn = f"arn:aws:codebuild:{REGION}:{ACCOUNT}:build/build:1"
    builder.handle({"detail-type": "CodeBuild Build State Change", "detail": {"build-id": arn, "build-status": status}})


def test_a_release_is_built_and_the_stack_gets_the_image_by_its_digest(builder):
    variables = started(builder)
    assert builder.answers == [], "not before the build has ended"
    assert {it["name"]: it["value"] for it in variables}["TAG"] == TAG
    builder.has(DIGEST)
    end(builder, variables)
    assert builder.answers == [("SUCCESS", f"{URI}@{DIGEST}", None)]


@pytest.mark.parametrize("status", ["FAILED", "FAULT", "STOPPED", "TIMED_OUT"])
def test_a_build_without_an_image_fails_the_stack_and_says_why(builder, status):
    variables = started(builder)
    builder.has(None)
    end(builder, variables, status, "exit status 101: docker build")
    ((answer, image, reason),) = builder.answers
    assert (answer, image) == ("FAILED", "") and status in reason and "exit status 101" in reason


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_an_image_that_is_there_is_not_built_again(builder, kind):
    """So going back to a release takes no build, and a retried request neither."""
    builder.has(DIGEST)
    builder.handle({**REQUEST, "RequestType": kind})
    assert builder.answers == [("SUCCESS", f"{URI}@{DIGEST}", None)]


def test_removing_the_stack_asks_for_nothing(builder):
    builder.handle({**REQUEST, "RequestType": "Delete"})
    assert [status for status, *_ in builder.answers] == ["SUCCESS"]


def test_a_build_that_cannot_be_started_is_answered_at_once(builder):
    builder.has(None)
    builder.codebuild.add_client_error("start_build", "AccountLimitExceededException", "no more builds")
    builder.handle(REQUEST)
    ((status, _, reason),) = builder.answers
    assert status == "FAILED" and "no more builds" in reason


def test_the_stack_hears_of_every_end_of_its_own_builds_before_it_gives_up(image):
    pattern = value_of(image, "BuildEnded", "EventPattern")
    assert pattern["detail"] == {"project-name": ["Build"], "build-status": [{"anything-but": ["IN_PROGRESS"]}]}
    assert (pattern["source"], pattern["detail-type"]) == (["aws.codebuild"], ["CodeBuild Build State Change"])
    raw = image.resources
    assert raw["BuildEnded"]["Properties"]["Targets"][0]["Arn"] == raw["Image"]["Properties"]["ServiceToken"]
    assert raw["BuildEndedTellsBuilder"]["Properties"]["SourceArn"] == {"Fn::GetAtt": ["BuildEnded", "Arn"]}
    assert raw["Image"]["DependsOn"] == "BuildEndedTellsBuilder", "or the end could come before anybody listens"
    build = raw["Build"]["Properties"]
    assert build["TimeoutInMinutes"] + build["QueuedTimeoutInMinutes"] < 60, "CloudFormation waits for an hour"


def test_code_fits_into_a_template(image):
    assert len(image.resources["Builder"]["Properties"]["Code"]["ZipFile"]) <= 4096


def test_another_release_source_or_architecture_is_another_image(release):
    choices = {}, {"Version": "0.2.0"}, {"SourceSha256": "b" * 64}, {"CpuArchitecture": "ARM64"}
    tags = {value_of(template(release, **choice), "Image", "Tag") for choice in choices}
    assert len(tags) == 4 and all(len(it) <= 128 for it in tags)


def test_images_are_scanned_kept_as_they_are_and_not_for_ever(image):
    repository = image.resources["Repository"]["Properties"]
    assert repository["ImageTagMutability"] == "IMMUTABLE" and repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    (tagged,) = [it["selection"] for it in rules if it["selection"]["tagStatus"] == "tagged"]
    assert (tagged["countType"], tagged["tagPatternList"]) == ("imageCountMoreThan", ["*"]) and tagged["countNumber"] > 1


@pytest.mark.parametrize(("architecture", "kind", "standard"), [
    ("X86_64", "LINUX_CONTAINER", "x86_64"), ("ARM64", "ARM_CONTAINER", "aarch64"),
])
def test_an_image_is_built_on_its_own_architecture(release, architecture, kind, standard):
    chosen = template(release, CpuArchitecture=architecture)
    environment = chosen.resources["Build"]["Properties"]["Environment"]
    assert chosen.resolve(environment["Type"]) == kind and f"-{standard}-" in chosen.resolve(environment["Image"])
    assert environment["PrivilegedMode"], "or there is no Docker"


# ------------------------------------------------------------------------------------------------------- the commands
STAND_INS = {
    "aws": """#!/bin/sh
        echo "aws $*" >> "$CALLS"
        case "$1 $2" in "s3 cp") cp "$ARCHIVE" "$5" ;; *) echo password ;; esac""",
    "docker": """#!/bin/sh
        case "$1" in login) cat > /dev/null ;; esac
        echo "docker $*" >> "$CALLS"
        case "$1" in
            build) test -f source/.cargo/config.toml && test -f "$3" && test -f source/Cargo.lock ;;
            run) test "$BROKEN" != yes ;;
        esac""",
}


def build(image, folder, archive, digest, broken="no"):
    """Runs the commands as CodeBuild does, up to the first that fails. Returns what was called."""
    for name, text in STAND_INS.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(folder / "calls"), "ARCHIVE": str(archive), "BROKEN": broken,
        "SOURCE": "s3://releases/source.tar", "SOURCE_SHA256": digest, "REPOSITORY": URI, "TAG": TAG,
    }
    (folder / "work").mkdir()
    phases = yaml.safe_load(image.resources["Build"]["Properties"]["Source"]["BuildSpec"])["phases"]
    commands = [command for phase in ("pre_build", "build") for command in phases[phase]["commands"]]
    done = subprocess.run(
        ["bash", "-e"], input="\n".join(commands), text=True, capture_output=True, cwd=folder / "work", env=environment)
    return done.returncode, (folder / "calls").read_text().splitlines()


@pytest.fixture(scope="module")
def archive(release):
    (path,) = release.glob("*-source.tar")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_release_s_source_is_built_tried_and_pushed(image, archive, tmp_path):
    code, calls = build(image, tmp_path, *archive)
    assert (code, calls) == (0, [
        "aws s3 cp --no-progress s3://releases/source.tar source.tar",
        "aws ecr get-login-password",
        f"docker login --username AWS --password-stdin {URI.split('/')[0]}",
        f"docker build --file source/infra/Dockerfile --tag {URI}:{TAG} source",
        f"docker run --rm {URI}:{TAG} --version",
        f"docker push {URI}:{TAG}",
    ])


def test_a_source_that_is_not_the_release_s_is_not_built(image, archive, tmp_path):
    changed = tmp_path / "changed.tar"
    changed.write_bytes(archive[0].read_bytes() + b"\n")
    code, calls = build(image, tmp_path, changed, archive[1])
    assert code != 0 and [call for call in calls if call.startswith("docker")] == []


def test_an_image_that_does_not_start_is_not_pushed(image, archive, tmp_path):
    code, calls = build(image, tmp_path, *archive, broken="yes")
    assert code != 0 and [call for call in calls if "push" in call] == []


# -------------------------------------------------------------------------------------------------------- permissions
def allowed(image, role):
    """As written: the names that AWS gives are not known."""
    found = {}
    for policy in image.resources[role]["Properties"]["Policies"]:
        for it in policy["PolicyDocument"]["Statement"]:
            found |= {action: it["Resource"] for action in listed(it["Action"])}
    return found


def test_the_function_may_do_what_it_does_to_the_stack_s_own_resources(image):
    logs = {"Fn::GetAtt": ["BuilderLog", "Arn"]}
    assert allowed(image, "BuilderRole") == {
        "codebuild:StartBuild": {"Fn::GetAtt": ["Build", "Arn"]},
        "codebuild:BatchGetBuilds": {"Fn::GetAtt": ["Build", "Arn"]},
        "ecr:BatchGetImage": {"Fn::GetAtt": ["Repository", "Arn"]},
        "logs:CreateLogStream": logs, "logs:PutLogEvents": logs,
    }


def test_the_build_may_read_its_source_and_push_and_no_more(image):
    build = allowed(image, "BuildRole")
    source = build.pop("s3:GetObject")
    assert image.resolve(source) == "arn:aws:s3:::releases/finops-credits/0.1.0/source.tar"
    assert build.pop("ecr:GetAuthorizationToken") == "*", "the action knows no resource"
    assert {it["Fn::GetAtt"][0] for it in build.values()} == {"Repository", "BuildLog"}
    assert {action for action in build if action.startswith("ecr:")} == {
        f"ecr:{name}" for name in (
            "BatchCheckLayerAvailability", "CompleteLayerUpload", "InitiateLayerUpload", "PutImage", "UploadLayerPart")}


def test_roles_stay_within_the_rules_of_the_organisation(release):
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    bounded, free = template(release, PermissionsBoundary=boundary, RolePath="/finops/"), template(release)
    for role in bounded.of_type("AWS::IAM::Role"):
        assert value_of(bounded, role, "PermissionsBoundary") == boundary and value_of(bounded, role, "Path") == "/finops/"
        assert value_of(free, role, "PermissionsBoundary") is None and value_of(free, role, "Path") == "/"
