"""The program under test: lakes of the sample organisation, and servers on them."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
AS_OF = "2026-10-31"
PERSON = "jane@example.com"

LOGIN = re.compile(r"http://127\.0\.0\.1:\d+/login\?token=\S+")
STARTS_WITHIN = 60
STOPS_WITHIN = 20


def binary() -> Path:
    return Path(os.environ["FINOPS_CREDITS_BINARY"]).resolve(strict=True)


class Lake:
    """A folder with settings, and the lake that a run on an export, the sample if none is named, has made in it."""

    def __init__(self, folder: Path, source: Path = ROOT / "data/cur", reference: Path = ROOT / "data/reference"):
        self.folder = folder
        self.settings = folder / "credits.toml"
        places = {"source": source, "reference": reference, "lake": "lake"}
        tables = [f"[{table}]\nlocation = {json.dumps(str(place))}\n" for table, place in places.items()]
        self.settings.write_text("".join(tables) + f'[run]\nas_of = "{AS_OF}"\n', "utf-8")
        self.call("run")

    def call(self, *arguments: str, code: int = 0) -> str:
        """What a command of the program prints; it must end with `code`."""
        command = [binary(), "--config", self.settings, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == code, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


class Served:
    """`finops-credits serve`, from its start until `stop`."""

    def start(self, folder: Path, settings: Path, *options: str, wanted: re.Pattern, **environment: str) -> str:
        """What it prints of what is wanted, once it does."""
        self.out, self.err = folder / "stdout.txt", folder / "stderr.txt"
        command = [binary(), "--config", settings, "serve", *options]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **environment})
        end = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < end and self.process.poll() is None:
            # A line counts once it is whole.
            whole, _, _ = self.out.read_text("utf-8").rpartition("\n")
            if found := wanted.search(whole):
                return found[0]
            time.sleep(0.02)
        self.process.kill()
        code = self.process.wait()
        raise AssertionError(f"the server did not print {wanted.pattern}; it ended with {code}\n{self.said()}")

    def said(self) -> str:
        return self.out.read_text("utf-8") + self.err.read_text("utf-8")

    def stop(self) -> None:
        """Asks it to end, as a service manager does; it must do so soon and without complaint."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server ran on for {STOPS_WITHIN} seconds after SIGTERM\n{self.said()}") from None
        assert code == 0, f"the server ended with {code}\n{self.said()}"
        assert "panicked" not in self.said(), self.said()


class Server(Served):
    """The page for the person who starts it."""

    def __init__(self, lake: Lake, folder: Path, *options: str):
        self.lake = lake
        options = ("--port", "0", "--no-open", *(options or ("--by", PERSON)))
        self.login_url = self.start(folder, lake.settings, *options, wanted=LOGIN)
        parts = urlsplit(self.login_url)
        self.url = f"{parts.scheme}://{parts.netloc}"
        # What a browser keeps after the login: the address of the login works once.
        self.session = None
