"""The proxy does what the other tests rely on, against a small server of its own."""

import http.client
import http.server
import threading
import time

import pytest

from support.proxy import FaultProxy, after_it, cut, delay, lost, reset, status


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple] = []

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Server.seen.append((self.command, self.path, self.headers["Host"], self.headers["Authorization"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        Server.seen.append((self.command, self.path))
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n")
            return
        self.send_header("Content-Length", "200000")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"x" * 200_000)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.seen = []
    with FaultProxy(f"http://127.0.0.1:{server.server_port}") as running:
        yield running
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(proxy):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    yield connection
    connection.close()


def ask(client, method="GET", path="/a/b%3Dc?list-type=2", body=None, **headers):
    client.request(method, path, body, headers)
    response = client.getresponse()
    return response.status, response.getheader("Content-Length"), response.read()


def test_requests_and_responses_pass_unchanged_on_one_connection(proxy, client):
    assert ask(client, "PUT", body=b"content", Authorization="AWS4 signature") == (200, "0", b"")
    assert ask(client) == (200, "200000", b"x" * 200_000)
    assert ask(client, "HEAD") == (200, "200000", b"")
    assert ask(client, path="/chunked") == (200, None, b"hello world")
    host = f"127.0.0.1:{proxy.port}"
    assert Server.seen[0] == ("PUT", "/a/b%3Dc?list-type=2", host, "AWS4 signature", b"content")
    assert [it.request.path for it in proxy.exchanges("/a/b=c")] == ["/a/b=c"] * 3
    assert proxy.bytes_to_client("/a/b=c") == 200_000 and len(proxy.exchanges(method="HEAD")) == 1


def test_error_of_the_service_comes_as_often_as_scripted_and_the_server_is_not_asked(proxy, client):
    proxy.rule(status(503), lambda request: request.method == "GET", after=1, times=2)
    assert [ask(client)[0] for _ in range(5)] == [200, 503, 503, 200, 200]
    assert ask(client, "PUT", body=b"")[0] == 200
    assert len(Server.seen) == 4 and [it.fault for it in proxy.log][:3] == [None, "503 SlowDown", "503 SlowDown"]


def test_error_has_the_form_of_the_protocol(proxy, client):
    proxy.rule(status(400, "ThrottlingException"), times=3)
    target = {"X-Amz-Target": "AWSGlue.GetTable", "Content-Type": "application/x-amz-json-1.1"}
    assert b'"__type":"ThrottlingException"' in ask(client, "POST", "/", b"{}", **target)[2]
    assert proxy.log[0].request.action == "GetTable" and proxy.exchanges("^GetTable$")
    assert b"<Code>ThrottlingException</Code>" in ask(client)[2]
    assert ask(client, "HEAD")[2] == b"" and ask(client)[0] == 200


def test_reset_reaches_the_client_and_not_the_server(proxy, client):
    proxy.rule(reset())
    with pytest.raises(ConnectionResetError):
        ask(client)
    assert Server.seen == []


def test_lost_response_has_happened_at_the_server(proxy, client):
    proxy.rule(lost())
    with pytest.raises(ConnectionResetError):
        ask(client, "PUT", body=b"kept")
    assert Server.seen[0][-1] == b"kept" and proxy.log[0].status == 200


def test_cut_body_ends_early(proxy, client):
    proxy.rule(cut(70_000))
    with pytest.raises(http.client.IncompleteRead) as broken:
        ask(client)
    assert len(broken.value.partial) == 70_000 == proxy.bytes_to_client("/a")


def test_late_answer_is_late_and_whole(proxy, client):
    proxy.rule(delay(0.3))
    started = time.monotonic()
    assert ask(client)[0] == 200 and time.monotonic() - started >= 0.3


def test_hook_runs_when_the_server_has_answered_and_the_client_waits(proxy, client):
    seen = []
    proxy.rule(after_it(lambda: seen.append(list(Server.seen))))
    assert ask(client)[0] == 200
    assert seen == [[("GET", "/a/b%3Dc?list-type=2")]]
