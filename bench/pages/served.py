"""Servers on this machine, what they take, and people who read them."""
import atexit
import http.client
import math
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

LOGIN = re.compile(r"http://(127\.0\.0\.1:\d+)(/login\?token=\S+)")
LONGEST = 900  # seconds until a server answers: Fava reads its journal first


@dataclass(frozen=True)
class Page:
    name: str
    path: str
    body: str | None = None  # sent by POST


class Refused(Exception):
    pass


class Server:
    """A process that answers, from its start to the end of `with`."""

    def __init__(self, command, log, **environment):
        self.log, self.headers, self.host = log, {}, None
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            # With backtraces, Iceberg would take one for each error that it expects.
            environment = os.environ | {"RUST_BACKTRACE": "0"} | environment
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, env=environment)
        atexit.register(self.process.kill)

    def said(self, pattern, within=LONGEST):
        """Waits until the process has printed something."""
        end = time.monotonic() + within
        while time.monotonic() < end and self.process.poll() is None:
            if found := pattern.search(self.log.read_text("utf-8", "replace")):
                return found
            time.sleep(0.01)
        raise Refused(f"{self.process.args} does not start: {self.log.read_text()}")

    def answers(self, host, page):
        """Waits until the server answers."""
        self.host, end = host, time.monotonic() + LONGEST
        while True:
            try:
                return self.client().ask(page)
            except ConnectionError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise Refused(f"{self.process.args} does not answer: {self.log.read_text()}") from None
                time.sleep(0.1)

    def client(self, number=0):
        return Client(self, number)

    def refuses(self, status, body):
        return status not in (200, 303)

    def memory(self, field):
        """MiB; VmHWM is the most so far, VmRSS what it has now."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024

    def cpu(self):
        """Seconds so far, by the process's own clock (clock_getcpuclockid)."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class FinopsCredits(Server):
    """`finops-credits serve`, logged in."""

    def __init__(self, binary, settings, log):
        super().__init__([binary, "--config", settings, "serve", "--no-open", "--port", "0"], log)
        self.host, path = self.said(LOGIN).groups()
        answer = self.client().answer("GET", path)
        self.headers = {"Cookie": answer.headers["Set-Cookie"].split(";")[0], "Origin": f"http://{self.host}"}


class DuckdbUi(Server):
    """The server of DuckDB's UI: each tab of it has a connection of its own."""

    def refuses(self, status, body):
        return status != 200 or body[2:3] != b"\1"

    def client(self, number=0):
        client = Client(self, number)
        client.headers = {"Origin": f"http://{self.host}", "X-DuckDB-UI-Connection-Name": f"tab-{number}"}
        return client


class Client:
    """One browser: a connection that is kept."""

    def __init__(self, server, number):
        self.server, self.headers = server, server.headers
        self.http = http.client.HTTPConnection(server.host, timeout=LONGEST)

    def answer(self, method, path, body=None):
        self.http.request(method, path, body, self.headers)
        # What a server sends in two parts is not held up by our system: without this, 40 ms in DuckDB's.
        self.http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        answer = self.http.getresponse()
        self.body = answer.read()
        return answer

    def ask(self, page):
        """How many ms it takes until a page is there whole."""
        start = time.perf_counter()
        try:
            answer = self.answer("GET" if page.body is None else "POST", page.path, page.body)
        except http.client.RemoteDisconnected:  # a connection that was idle for long
            self.http.close()
            return self.ask(page)
        took = (time.perf_counter() - start) * 1000
        if self.server.refuses(answer.status, self.body):
            raise Refused(f"{page.name} {page.path}: {answer.status} {self.body[:2000]!r}")
        return took


def alone(server, page, repeats):
    """One person, one page after another: ms each, CPU of the server for each, size."""
    client = server.client()
    client.ask(page)
    before = server.cpu()
    times = [client.ask(page) for _ in range(repeats)]
    return {"ms": times, "cpu_ms": (server.cpu() - before) * 1000 / repeats, "bytes": len(client.body)}


def crowd(server, pages, people, seconds, pause):
    """So many people, each opening one page after another, drawn by chance, with pauses of so many seconds on average: by page
    the ms that they waited, and how many were refused."""
    waits, refused, lock = {page.name: [] for page in pages}, {page.name: 0 for page in pages}, threading.Lock()
    end = time.monotonic() + seconds

    def read(person):
        chance, client = random.Random(person), server.client(person)
        time.sleep(chance.uniform(0, pause))
        while time.monotonic() < end:
            page = chance.choice(pages)
            try:
                took = client.ask(page)
            except (Refused, TimeoutError):
                with lock:
                    refused[page.name] += 1
                continue
            with lock:
                waits[page.name].append(took)
            time.sleep(chance.uniform(0, 2 * pause))

    before, start = server.cpu(), time.monotonic()
    with ThreadPoolExecutor(people) as all_people:
        list(all_people.map(read, range(people)))
    took = {"cpu": server.cpu() - before, "seconds": time.monotonic() - start, "load": os.getloadavg()}
    return {"ms": waits, "refused": refused} | took


def percentile(values, share):
    """By nearest rank; none of none."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan
