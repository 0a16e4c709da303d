import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE))

from template import Template  # noqa: E402

GIVEN = {
    "ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/finops-credits:1",
    "ImageRepositoryArn": "arn:aws:ecr:eu-west-1:123456789012:repository/finops-credits",
    "ExportBucket": "export-bucket",
    "ExportPrefix": "billing/daily",
    "ExportKmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/of-the-export",
    "VpcId": "vpc-1",
    "SubnetIds": "subnet-1,subnet-2",
    "AlertEmail": "alerts@example.com",
    "NoticeEmail": "finance@example.com",
}
MAIN = "finops-credits.yaml"
PARAMETERS = {
    MAIN: GIVEN,
    "endpoints.yaml": {
        "VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2", "RouteTableIds": "rtb-1", "TaskSecurityGroupId": "sg-1"},
    "quicksight.yaml": {
        "DataBucketName": "data-bucket",
        "ReaderPolicyArn": "arn:aws:iam::123456789012:policy/reader",
        "OwnerArn": "arn:aws:quicksight:eu-west-1:123456789012:group/default/owners",
        "RowLevelSecurity": "ENABLED",
    },
    "web.yaml": {
        "Settings": '[lake]\nlocation = "s3://databucket/lake"\n',
        "DataBucketName": "databucket",
        "KeyArn": "arn:aws:kms:eu-west-1:123456789012:key/of-the-data",
        "RecorderPolicyArn": "arn:aws:iam::123456789012:policy/recorder",
        "AlertTopicArn": "arn:aws:sns:eu-west-1:123456789012:finops-credits-alerts",
        "ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/finops-credits:1",
        "Issuer": "https://login.example.com/realm",
        "ClientId": "finops-credits",
        "ClientSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:of-the-client-AbCdEf",
        "ClientSecretVersionId": "6b2d3c4e-0000-1111-2222-333344445555",
        "AllocatorGroups": "finops",
        "LimitByNode": "ENABLED",
    },
    "business-unit.yaml": {
        "BusinessUnit": "Retail",
        "UnitDatabase": "finops_credits_retail",
        "AnalystsRoleArn": "arn:aws:iam::123456789012:role/finops/retail-analysts",
        "DataBucketName": "databucket",
        "KeyArn": "arn:aws:kms:eu-west-1:123456789012:key/of-the-data",
    },
}


def package(folder: Path) -> Path:
    subprocess.run([sys.executable, str(ROOT / "scripts/package"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> Path:
    """What a customer gets."""
    return package(tmp_path_factory.mktemp("release") / "finops-credits")


def deploying(release: Path, changes: dict[str, Callable[[dict], object]]) -> Callable[..., Template]:
    """Deploys templates of the release by name, with what a customer gives; `changes` are made to some of them before."""

    def deploy(name: str = MAIN, **given) -> Template:
        template = Template(release / name, **{**PARAMETERS.get(name, {}), **given})
        return template.changed(changes[name]) if name in changes else template

    return deploy


@pytest.fixture(scope="session")
def deploy(release):
    return deploying(release, {})


@pytest.fixture(scope="session")
def main(deploy) -> Template:
    return deploy()


@pytest.fixture
def fake(tmp_path):
    """Puts a made-up account behind `aws`: the environment for a script, and the file that the account is kept in."""
    program = tmp_path / "bin/aws"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {HERE}/fake_aws.py "$@"\n')
    program.chmod(0o755)

    def put(account: dict) -> tuple[dict, Path]:
        file = tmp_path / "account.json"
        file.write_text(json.dumps(account))
        return {"PATH": f"{program.parent}:{os.environ['PATH']}", "FAKE_ACCOUNT": str(file), "HOME": str(tmp_path)}, file

    return put


@pytest.fixture(scope="session")
def tool():
    """A program of this virtual environment: its exit code, and what it printed."""

    def run(name: str, *arguments, **more) -> tuple[int, str]:
        program = Path(sys.executable).parent / name
        environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            [str(program), *map(str, arguments)], capture_output=True, text=True, env=environment, **more)
        return done.returncode, done.stdout + ("" if name == "checkov" else done.stderr)

    return run
