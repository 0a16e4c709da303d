"""MiniStack on 127.0.0.1, in a process of its own, with a state folder of its own; stopped by its process id."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

REGION = "eu-west-1"
ACCOUNT = "000000000000"
ROOT_KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
START_DEADLINE_SECONDS = 120


@dataclass
class Task:
    """A container that has ended."""

    job: str
    command: list[str]
    environment: dict[str, str]
    role: str
    fault: str | None
    exit_code: int
    left: list[str]
    output: str


class Emulator:
    """A running server. `images` maps image names to programs; with `policies`, IAM policies are enforced."""

    def __init__(self, folder: Path, images: dict[str, list[str]] | None = None, policies: bool = False):
        self.folder, self.port = folder, free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.settings: dict = {}
        (folder / "tasks").mkdir(parents=True)
        (folder / "images.json").write_text(json.dumps(images or {}))
        self.control()
        self.log = open(folder / "server.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("launcher.py")), str(folder), str(self.port)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(self.port),
                "MINISTACK_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AUTH": str(policies).lower(),
                "LOG_LEVEL": "WARNING",
            },
            stdout=self.log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # its containers end with it
        )
        self.wait_until_served()

    def wait_until_served(self) -> None:
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.client("s3").list_buckets()
                return
            except Exception:  # the port is not open yet
                time.sleep(0.1)
        self.stop()
        raise RuntimeError((self.folder / "server.log").read_text()[-4000:])

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def control(self, **changes) -> None:
        """`wait_scale`, `scheduler_ahead` (seconds), `faults` (lines, see `containers`), `builds_fail`, from now on."""
        self.settings |= changes
        new = self.folder / "control.new"
        new.write_text(json.dumps(self.settings))
        new.replace(self.folder / "control.json")

    def put_scheduler_forward(self, schedule: str, seconds: int) -> None:
        """The schedule fires for what lies between now and then."""
        seen, deadline = self.folder / "schedules.json", time.monotonic() + START_DEADLINE_SECONDS
        while schedule not in (json.loads(seen.read_text()) if seen.exists() else []):
            assert time.monotonic() < deadline, f"the scheduler does not know {schedule}"
            time.sleep(0.1)
        self.control(scheduler_ahead=seconds)

    def client(self, service: str, endpoint: str | None = None):
        config = Config(
            retries={"max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=120, connect_timeout=10
        )
        return boto3.client(
            service, endpoint_url=endpoint or self.endpoint, region_name=REGION, config=config, **ROOT_KEYS
        )

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Of a process outside of the emulator that has the rights of the account's owner."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "PATH": os.environ["PATH"],
        }

    def tasks(self) -> list[Task]:
        """Containers that have ended, in the order in which they started."""
        ended = []
        for path in sorted((self.folder / "tasks").glob("*/task.json")):
            record = json.loads(path.read_text())
            output = (path.parent / "output").read_text(errors="replace")
            ended.append(Task(job=path.parent.name.split("-", 1)[1], output=output, **record))
        return ended

    def quicksight_calls(self) -> list[dict]:
        path = self.folder / "quicksight.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
