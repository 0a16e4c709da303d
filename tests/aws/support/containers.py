"""Containers as processes: the part of the Docker client that MiniStack's ECS uses.

A container gets what a Fargate task gets and nothing of the parent: the environment of the task, an empty working
folder, HOME and folder for temporary files. They are wiped when it ends, so that only what it put into S3 and Glue
persists. Each has an address of its own, 127.0.x.y, which stands for 0.0.0.0 in its command: so several may listen on the
same port. What it printed is kept, with a record of what was run:

    tasks/0003-apply-fifo/task.json     command, environment, role, exit code, files left in the working folder or HOME
    tasks/0003-apply-fifo/output        stdout and stderr, as CloudWatch Logs gets them

Faults are scripted in the control file, one line each, taken by the next task whose command begins so:

    apply-fifo: exit 6 once             does nothing and exits with 6
    write-net-cost: exit 5 always
    athena-check: work, exit 6 once     does all that it has to do and exits with 6
    detect-credits: kill 2 times        is killed before it has done anything: exit code 137
    publish: refuse once                never starts: no exit code
    join-allocations: hang once         runs and never ends
    detect-credits --scheduler: kill once
"""

import json
import os
import re
import shutil
import subprocess
import threading
import uuid
from pathlib import Path

import docker.errors

FAULT = re.compile(r"(?P<job>[a-z-]+( --[a-z]+)?): (?P<what>(work, )?exit \d+|kill|refuse|hang) (?P<times>once|always|\d+ times)")


class Faults:
    """Faults that have not happened yet; a new script starts anew."""

    def __init__(self, read_script):
        self.read_script, self.script, self.left, self.lock = read_script, None, [], threading.Lock()

    def take(self, command: list[str]) -> str | None:
        with self.lock:
            script = self.read_script()
            if script != self.script:
                self.script, self.left = script, [parse_fault(line) for line in script]
            for fault in self.left:
                words = fault["job"].split()
                if command[: len(words)] == words and fault["times"] > 0:
                    fault["times"] -= 1
                    return fault["what"]
            return None


def parse_fault(line: str) -> dict:
    found = FAULT.fullmatch(line.strip())
    if not found:
        raise ValueError(f"no fault: {line!r}")
    times = {"once": 1, "always": 10**9}.get(found["times"]) or int(found["times"].split()[0])
    return {"job": found["job"], "what": found["what"], "times": times}


class Container:
    def __init__(
        self,
        program: list[str],
        environment: dict,
        command: list[str],
        folder: Path,
        role: str,
        fault: str | None,
        address: str,
    ):
        self.id = uuid.uuid4().hex
        self.name = self.short_id = self.id[:12]
        self.attrs = {"NetworkSettings": {"Networks": {"awsvpc": {"IPAddress": address}}, "Ports": {}}, "State": {}}
        self.folder, self.code, self.done = folder, None, threading.Event()
        self.record = {"command": command, "environment": environment, "role": role, "fault": fault}
        self.own = {name: folder / name for name in ("work", "home", "tmp")}
        for path in self.own.values():
            path.mkdir(parents=True)
        # The container's own /tmp, also where the task definition says so; a HOME elsewhere stands for a read-only one.
        home = self.own["tmp" if environment.get("HOME") == "/tmp" else "home"]
        private = {"HOME": str(home), "TMPDIR": str(self.own["tmp"])}
        if fault and fault.startswith("exit "):
            program, command = ["/bin/sh", "-c", f"echo 'injected: {fault}' >&2; {fault}"], []
        elif fault and fault.startswith("work, "):
            program = ["/bin/sh", "-c", f'"$0" "$@"; {fault.removeprefix("work, ")}', *program]
        elif fault == "kill":
            program, command = ["/bin/sh", "-c", "kill -KILL $$"], []
        elif fault == "hang":
            program, command = ["/bin/sleep", "100000"], []
        with open(folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                program + command,
                env={**environment, **private},
                cwd=self.own["work"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        threading.Thread(target=self.finish, daemon=True).start()

    def finish(self):
        code = self.process.wait()
        self.code = code if code >= 0 else 128 - code  # as Docker says that a signal ended it
        left = [str(path.relative_to(self.folder)) for name in ("work", "home") for path in self.own[name].rglob("*")]
        for path in self.own.values():
            shutil.rmtree(path)
        whole = {**self.record, "exit_code": self.code, "left": left}
        (self.folder / "task.json").write_text(json.dumps(whole, indent=1))
        self.done.set()

    @property
    def status(self) -> str:
        return "exited" if self.done.is_set() else "running"

    def reload(self):
        self.attrs["State"] = {"Status": self.status, "Running": not self.done.is_set(), "ExitCode": self.code or 0}

    def wait(self, **_):
        self.done.wait()
        return {"StatusCode": self.code}

    def logs(self, stream=False, **_):
        def chunks():
            self.done.wait()
            yield (self.folder / "output").read_bytes()

        return chunks() if stream else (self.folder / "output").read_bytes()

    def stop(self, timeout=5, **_):
        if not self.done.is_set():
            self.process.terminate()
            if not self.done.wait(timeout):
                self.kill()

    def kill(self, **_):
        self.process.kill()
        self.done.wait()

    def remove(self, **_):
        pass


class Containers:
    """`role_of(task arn)` gives a task's role, `credentials_for(role)` the environment that leads to credentials."""

    def __init__(self, images: dict, folder: Path, endpoint: str, faults: Faults, role_of, credentials_for):
        self.images, self.folder, self.endpoint, self.faults = images, folder, endpoint, faults
        self.role_of, self.credentials_for = role_of, credentials_for
        self.started, self.count, self.lock = {}, 0, threading.Lock()

    def run(self, image, command=None, environment=None, labels=None, **_):
        if image not in self.images:
            raise docker.errors.ImageNotFound(f"no such image: {image}")
        command = [str(word) for word in command or []]
        job = next((word for word in command if not word.startswith("-")), "none")
        fault = self.faults.take(command)
        if fault == "refuse":
            raise docker.errors.APIError("injected: refused to start")
        role = self.role_of(labels["com.amazonaws.ecs.task-arn"])
        environment = {name: str(value) for name, value in (environment or {}).items()}
        environment |= {"AWS_ENDPOINT_URL": self.endpoint, **self.credentials_for(role)}
        with self.lock:
            self.count += 1
            folder = self.folder / f"{self.count:04}-{job}"
            address = f"127.0.{1 + self.count // 250}.{1 + self.count % 250}"
        command = [address if word == "0.0.0.0" else word for word in command]
        container = Container(self.images[image], environment, command, folder, role, fault, address)
        self.started[container.id] = container
        return container

    def get(self, name):
        if name in self.started:
            return self.started[name]
        raise docker.errors.NotFound(f"no such container: {name}")

    def list(self, **_):
        return []


class Images:
    def get(self, name):
        return name

    def pull(self, name, **_):
        return name


class Docker:
    def __init__(self, containers: Containers):
        self.containers, self.images = containers, Images()

    def ping(self):
        return True


def region_environment(region: str) -> dict:
    """What Fargate adds to a task's environment beside the credentials."""
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}


def executable(path: str) -> str:
    whole = os.path.realpath(path)
    if not os.access(whole, os.X_OK):
        raise FileNotFoundError(f"no program at {whole}")
    return whole
