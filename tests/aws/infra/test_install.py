"""install.yaml and its wrapper for Terraform: few questions, and everything else handed on as it is."""

import hashlib
import os
import re
import subprocess

import hcl2
import pytest
from template import REGION, Template

GIVEN = {
    "ReleaseBucket": "releases", "ExportBucket": "export-bucket", "ExportPrefix": "billing/daily", "VpcId": "vpc-1",
    "SubnetIds": "subnet-1,subnet-2", "AlertEmail": "alerts@example.com",
}
# What the installer decides or asks in its own way.
OF_ITS_OWN = {"ImageUri", "ImageRepositoryArn", "AssignPublicIp", "NoticeEmail"}
# Arguments of the two resources, as the provider's documentation has them.
TERRAFORM = {
    "aws_cloudformation_stack": {
        "name", "template_url", "template_body", "capabilities", "parameters", "timeouts", "depends_on", "on_failure", "tags",
        "iam_role_arn", "notification_arns", "disable_rollback", "policy_body", "policy_url", "timeout_in_minutes",
    },
    "aws_s3_object": {"for_each", "bucket", "key", "source", "source_hash"},
}


@pytest.fixture(scope="module")
def install(release):
    return Template(release / "install.yaml", **GIVEN)


@pytest.fixture(scope="module")
def stacks(release, install):
    """Nested stacks: what each is given, and the template that it names."""
    found = {}
    for id in install.of_type("AWS::CloudFormation::Stack"):
        url = install.resolve(install.resources[id]["Properties"]["TemplateURL"])
        version = (release / "VERSION").read_text().strip()
        base = f"https://s3.{REGION}.amazonaws.com/releases/finops-credits/{version}/"
        assert url.startswith(base), "where the guide has the release uploaded"
        found[id] = install.resources[id]["Properties"]["Parameters"], Template(release / url.removeprefix(base))
    return found


def required(parameters):
    return {name for name, it in parameters.items() if "Default" not in it}


def test_five_answers_and_where_the_release_lies_are_all_that_is_asked(install):
    first, second = install.raw["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert len(first["Parameters"]) == 5 and second["Parameters"] == ["ReleaseBucket"]
    assert required(install.raw["Parameters"]) == {*first["Parameters"], "ReleaseBucket"}


def test_installer_asks_what_the_main_stack_asks_with_the_same_defaults(install, main):
    asked, of_main = install.raw["Parameters"], main.raw["Parameters"]
    assert asked.keys() - {"ReleaseBucket"} == of_main.keys() - {"ImageUri", "ImageRepositoryArn"}
    assert {name for name in of_main.keys() & asked.keys() if asked[name] != of_main[name]} == OF_ITS_OWN & asked.keys()


def test_tasks_reach_aws_from_public_subnets_unless_said_otherwise(install):
    assert install.raw["Parameters"]["AssignPublicIp"]["Default"] == "ENABLED", "the guide says so"


def test_stacks_are_given_all_they_need_and_what_was_answered(install, stacks):
    assert stacks.keys() == {"Image", "Main", "Views"}
    for id, (given, template) in stacks.items():
        assert required(template.raw["Parameters"]) <= given.keys() <= template.raw["Parameters"].keys(), id
        shared = template.raw["Parameters"].keys() & install.raw["Parameters"].keys()
        for name in shared - {"NoticeEmail"} if id != "Views" else []:
            is_list = "List" in install.raw["Parameters"][name]["Type"]
            assert given[name] == ({"Fn::Join": [",", {"Ref": name}]} if is_list else {"Ref": name}), (id, name)


def test_image_views_and_main_stack_belong_together(stacks):
    main, views = stacks["Main"][0], stacks["Views"][0]
    assert main["ImageUri"] == {"Fn::GetAtt": ["Image", "Outputs.ImageUri"]}
    assert main["ImageRepositoryArn"] == {"Fn::GetAtt": ["Image", "Outputs.RepositoryArn"]}
    assert views["Database"] == {"Fn::GetAtt": ["Main", "Outputs.DatabaseName"]}, "which also has them made one after the other"


def test_image_is_built_from_this_release(install, stacks, release):
    given = {name: install.resolve(value) for name, value in stacks["Image"][0].items()}
    version = (release / "VERSION").read_text().strip()
    folder, name = given["SourceKey"].rsplit("/", 1)
    assert (given["SourceBucket"], folder, given["Version"]) == ("releases", f"finops-credits/{version}", version)
    assert given["SourceSha256"] == hashlib.sha256((release / name).read_bytes()).hexdigest()


def test_notices_go_to_the_one_address_unless_there_is_another(release, install, stacks):
    assert install.resolve(stacks["Main"][0]["NoticeEmail"]) == "alerts@example.com"
    other = Template(release / "install.yaml", **GIVEN, NoticeEmail="finance@example.com")
    assert other.resolve(stacks["Main"][0]["NoticeEmail"]) == "finance@example.com"


def test_what_an_upgrade_replaces_is_kept_for_a_redrive(main):
    """The emulator keeps every revision; on AWS a task definition that is not retained cannot be run any more."""
    assert main.resources["TaskDefinition"]["UpdateReplacePolicy"] == "Retain"


def test_outputs_are_those_of_the_main_stack_and_exist(install, stacks, main):
    outputs = dict(install.raw["Outputs"])
    assert outputs.pop("MainStackName")["Value"] == {"Fn::Select": [1, {"Fn::Split": ["/", {"Ref": "Main"}]}]}, "of its ARN"
    assert outputs.keys() - {"ImageUri"} == main.raw["Outputs"].keys()
    for name, it in outputs.items():
        stack, attribute = it["Value"]["Fn::GetAtt"]
        assert attribute == f"Outputs.{name}" and name in stacks[stack][1].raw["Outputs"]


def test_smoke_test_finds_what_it_asks_the_stack(install, root):
    script = (root / "scripts/smoke-test.sh").read_text()
    outputs = set(re.findall(r"\$\(output (\w+)\)", script)) | {"AlertTopicArn", "NoticeTopicArn"}
    parameters = set(re.findall(r"\$\(parameter (\w+)\)", script))
    assert outputs <= install.raw["Outputs"].keys() and parameters and parameters <= install.raw["Parameters"].keys()


def commands(release, words):
    """The commands of the guide that contain these words."""
    blocks = re.findall(r"^ *```sh\n(.+?)^ *```$", (release / "README.md").read_text(), re.M | re.S)
    (found,) = [block for block in blocks if words in block]
    return found


def run(release, folder, script, **environment):
    """With an `aws` that says what it is asked. Returns what was printed."""
    (folder / "aws").write_text('#!/bin/sh\necho "aws $*"\n')
    (folder / "aws").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", **environment}
    done = subprocess.run(["bash", "-euc", script], cwd=release, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_upload_of_the_guide_puts_the_release_where_the_link_and_the_stacks_look(release, stacks, tmp_path):
    script = commands(release, "stacks/create/review").replace("my-releases", "releases").replace("eu-west-1", REGION)
    upload, link = run(release, tmp_path, script)
    folder = f"finops-credits/{(release / 'VERSION').read_text().strip()}"
    assert upload == f"aws s3 cp --recursive --exclude sample/* . s3://releases/{folder}/"
    page, question = link.split("?region=")[0], link.split("review?")[1]
    assert page == "https://console.aws.amazon.com/cloudformation/home" and f"={REGION}#/stacks/create/" in link
    assert dict(it.split("=", 1) for it in question.split("&")) == {
        "stackName": "finops-credits", "param_ReleaseBucket": "releases",
        "templateURL": f"https://s3.{REGION}.amazonaws.com/releases/{folder}/install.yaml",
    }


def test_deployment_of_the_guide_answers_every_question(release, install, tmp_path):
    script = commands(release, 'ReleaseBucket="')
    (said,) = run(release, tmp_path, script, RELEASE_BUCKET="releases")
    answered = re.findall(r" ([A-Z]\w+)=", said)
    assert sorted(answered) == sorted(required(install.raw["Parameters"]))
    assert "--template-file install.yaml" in said and "--capabilities CAPABILITY_IAM" in said


def test_first_reference_files_of_the_guide_are_enough_for_a_night(release, root, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    run(work, tmp_path, commands(release, "mkdir reference"), DATA_BUCKET="data")
    (work / "credits.toml").write_text(
        f'[source]\nlocation = "{root}/data/cur/finops-daily"\n[reference]\nlocation = "reference"\n[lake]\nlocation = "lake"\n')
    done = subprocess.run(
        [os.environ["FINOPS_CREDITS_BINARY"], "run", "--as-of", "2026-10-31"], cwd=work, capture_output=True, text=True)
    assert done.returncode == 0 and "Company" in done.stdout, done.stderr


# ---------------------------------------------------------------------------------------------------------- Terraform
@pytest.fixture(scope="module")
def terraform(release):
    text = "".join(path.read_text() for path in sorted((release / "terraform").glob("*.tf")))
    return text, hcl2.loads(text)


def test_terraform_uses_what_it_declares(terraform):
    text, parsed = terraform
    for kind, declared in {"var": parsed["variable"], "local": parsed["locals"]}.items():
        names = {name for it in declared for name in it if not name.startswith("__")}
        assert names and set(re.findall(rf"\b{kind}\.(\w+)", text)) == names
    resources = {f"{kind}.{name}" for it in parsed["resource"] for kind, named in it.items() for name in named}
    assert set(re.findall(r"(?<!data\.)\baws_\w+\.\w+", text)) == resources


def test_terraform_s_resources_have_arguments_that_the_provider_knows(terraform):
    for it in terraform[1]["resource"]:
        ((kind, named),) = it.items()
        ((_, body),) = named.items()
        assert {name for name in body if not name.startswith("__")} <= TERRAFORM[kind]


def test_terraform_asks_the_five_questions_and_gives_them_to_the_installer(terraform, install):
    text, parsed = terraform
    variables = {name: it for declared in parsed["variable"] for name, it in declared.items()}
    given = dict(re.findall(r"^    ([A-Z]\w+) += (.+)$", text, re.M))
    assert given.keys() == required(install.raw["Parameters"])
    asked = {name for name, it in variables.items() if "default" not in it}
    assert asked == set(re.findall(r"var\.(\w+)", " ".join(given.values())))


def test_terraform_uploads_what_the_stack_reads(terraform, release, stacks):
    patterns = re.findall(r'fileset\(local\.release, "([^"]+)"\)', terraform[0])
    uploaded = {path.name for pattern in patterns for path in release.glob(pattern)}
    source = next(iter(release.glob("*-source.tar"))).name
    assert {"install.yaml", "image.yaml", "finops-credits.yaml", "views.yaml", source} <= uploaded
    assert 'folder  = "finops-credits/${trimspace(file("${local.release}/VERSION"))}"' in terraform[0]
