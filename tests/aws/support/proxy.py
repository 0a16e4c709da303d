"""HTTP/1.1 between a client and a server, with scripted faults; runs in a thread of the test.

Requests and responses pass unchanged (host, signature and length included), bodies as they come. A fault is chosen per
request by a rule, and every exchange is recorded:

    with FaultProxy(server) as proxy:
        proxy.rule(status(503), lambda request: request.method == "GET", times=2)
        proxy.rule(lost(), lambda request: request.action == "UpdateTable", after=1, times=1)   # the second one
        ...
        assert proxy.bytes_to_client(r"/export/.*parquet") < ...
"""

import asyncio
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

JSON_PROTOCOL = "application/x-amz-json-1.1"


@dataclass
class Request:
    method: str
    target: str  # path and query, as sent
    headers: dict[str, str]  # names in lower case
    head: bytes
    body: bytes

    @property
    def path(self) -> str:
        return urllib.parse.unquote(self.target.split("?")[0])

    @property
    def action(self) -> str:
        """Of the JSON protocol (Glue): `UpdateTable`. S3 has none."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def name(self) -> str:
        return self.action or f"{self.method} {self.target}"


@dataclass
class Exchange:
    request: Request
    fault: str | None = None
    status: int | None = None  # of the server; None: it was not asked
    sent: int = 0  # bytes of bodies that went to the client
    seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)


@dataclass
class Fault:
    """`answer` takes the place of the server's; else that one is `cut` (bytes of the body), or `lost`."""

    name: str
    answer: int | None = None
    code: str = ""
    delay_seconds: float = 0.0
    reset: bool = False
    cut: int | None = None
    lost: bool = False
    then: Callable[[], None] | None = None


def status(code: int, error: str = "SlowDown") -> Fault:
    """An error of the service itself; the server is not asked."""
    return Fault(f"{code} {error}", answer=code, code=error)


def delay(seconds: float) -> Fault:
    return Fault(f"{seconds} s late", delay_seconds=seconds)


def reset() -> Fault:
    """The connection breaks before the server is asked."""
    return Fault("reset", reset=True)


def lost() -> Fault:
    """The server does what was asked, and the client never hears of it."""
    return Fault("lost response", lost=True)


def cut(after: int = 10) -> Fault:
    """The connection breaks within the body of the response."""
    return Fault("cut body", cut=after)


def after_it(action: Callable[[], None]) -> Fault:
    """Nothing goes wrong, but something happens between the server's answer and the client's hearing of it."""
    return Fault("hook", then=action)


@dataclass
class Rule:
    fault: Fault
    matches: Callable[[Request], bool]
    after: int
    times: float
    seen: int = 0


class FaultProxy:
    def __init__(self, server: str):
        parts = urllib.parse.urlsplit(server)
        self.upstream = (parts.hostname, parts.port)
        self.rules: list[Rule] = []
        self.log: list[Exchange] = []
        self.lock = threading.Lock()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        self.listener = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0, limit=2**20))
        self.port = self.listener.sockets[0].getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        ready.set()
        self.loop.run_forever()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        async def end():
            self.listener.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(10)
        self.loop.close()

    def rule(self, fault: Fault, matches: Callable[[Request], bool] = lambda _: True, after: int = 0, times: float = 1):
        """The fault happens to the matching requests number `after + 1` to `after + times`. The first rule counts."""
        self.rules.append(Rule(fault, matches, after, times))

    def clear(self) -> None:
        with self.lock:
            self.rules, self.log = [], []

    def exchanges(self, pattern: str = "", method: str | None = None) -> list[Exchange]:
        found = re.compile(pattern)
        with self.lock:
            return [
                it
                for it in self.log
                if found.search(it.request.action or it.request.path) and method in (None, it.request.method)
            ]

    def bytes_to_client(self, pattern: str) -> int:
        return sum(it.sent for it in self.exchanges(pattern))

    def fault_for(self, request: Request) -> Fault | None:
        with self.lock:
            for rule in self.rules:
                if rule.matches(request):
                    rule.seen += 1
                    if rule.after < rule.seen <= rule.after + rule.times:
                        return rule.fault
            return None

    # --- the wire

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_request(reader, writer)) is not None:
                fault = self.fault_for(request)
                exchange = Exchange(request, fault.name if fault else None)
                with self.lock:
                    self.log.append(exchange)
                try:
                    goes_on = await self.exchange(exchange, fault, writer)
                finally:
                    exchange.seconds = time.monotonic() - exchange.started
                if not goes_on:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def exchange(self, exchange: Exchange, fault: Fault | None, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False where the connection ends."""
        request = exchange.request
        if fault and fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
        if fault and fault.reset:
            return break_off(writer)
        if fault and fault.answer:
            writer.write(own_answer(request, fault))
            await writer.drain()
            return True
        reader, upstream = await asyncio.open_connection(*self.upstream, limit=2**20)
        try:
            upstream.write(request.head + request.body)
            await upstream.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            exchange.status = int(head.split(b" ", 2)[1])
            headers = parse_headers(head)
            has_body = request.method != "HEAD" and exchange.status not in (204, 304)
            pieces = body_pieces(reader, headers) if has_body else each([])
            if fault and (fault.lost or fault.then):
                whole = [piece async for piece in pieces]  # it has happened
                if fault.then:
                    await asyncio.to_thread(fault.then)
                if fault.lost:
                    return break_off(writer)
                pieces = each(whole)
            writer.write(head)
            limit = fault.cut if fault and fault.cut is not None else None
            async for piece in pieces:
                if limit is not None and exchange.sent + len(piece) > limit:
                    writer.write(piece[: limit - exchange.sent])
                    await writer.drain()
                    exchange.sent = limit
                    writer.close()
                    return False
                writer.write(piece)
                exchange.sent += len(piece)
                await writer.drain()
            await writer.drain()
            return headers.get("connection", "").lower() != "close"
        finally:
            upstream.close()


async def each(items):
    for item in items:
        yield item


def break_off(writer: asyncio.StreamWriter) -> bool:
    """Closes with a reset, as a machine does that has gone."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


def parse_headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.split(":", 1) for line in lines if line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None  # the client has closed between requests
    method, target, _ = head.decode("latin-1").split("\r\n", 1)[0].split(" ", 2)
    headers = parse_headers(head)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    has_body = "content-length" in headers or "transfer-encoding" in headers
    body = b"".join([piece async for piece in body_pieces(reader, headers)]) if has_body else b""
    return Request(method, target, headers, head, body)


async def body_pieces(reader: asyncio.StreamReader, headers: dict[str, str]):
    """The body as on the wire, marks of chunks and trailers included."""
    if "chunked" in headers.get("transfer-encoding", ""):
        while True:
            mark = await reader.readuntil(b"\r\n")
            size = int(mark.split(b";")[0], 16)
            yield mark
            if size == 0:
                break
            yield await reader.readexactly(size + 2)
        while (trailer := await reader.readuntil(b"\r\n")) != b"\r\n":
            yield trailer
        yield trailer
    elif "content-length" in headers:
        left = int(headers["content-length"])
        while left:
            piece = await reader.read(min(left, 2**16))
            if not piece:
                raise ConnectionError("the body ends early")
            left -= len(piece)
            yield piece
    else:
        while piece := await reader.read(2**16):
            yield piece


def own_answer(request: Request, fault: Fault) -> bytes:
    if request.action:
        kind, text = JSON_PROTOCOL, f'{{"__type":"{fault.code}","message":"injected"}}'
    else:
        kind = "application/xml"
        text = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>injected</Message></Error>"
    body = b"" if request.method == "HEAD" else text.encode()
    head = f"HTTP/1.1 {fault.answer} Injected\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + body
