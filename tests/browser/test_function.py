"""The page as an AWS Lambda function: the program asks a stand-in for the Lambda runtime for requests, and answers them there."""

import base64
import json
import os
import queue
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from program import binary

HOST = "abc123.execute-api.eu-central-1.amazonaws.com"
SETTINGS = f"""
[web]
url = "https://{HOST}"
issuer = "http://127.0.0.1:9"
client_id = "finops-credits"
session_key = "env:SESSION_KEY"
roles.viewer = ["finance"]
"""


class Runtime(ThreadingHTTPServer):
    """What a function asks for its next request, and tells the answer."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.answers = queue.Queue(), queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def ask(self, method: str, path: str, headers: dict | None = None, query: str = "") -> dict:
        """The answer to a request, as an HTTP API of API Gateway hands it on (payload format 2.0)."""
        http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "test"}
        context = {"http": http, "accountId": "1", "apiId": "abc123", "domainName": HOST, "domainPrefix": "abc123", "requestId": "r",
                   "routeKey": "$default", "stage": "$default", "time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": 1773342238000}
        headers = {"host": HOST, "x-forwarded-proto": "https"} | (headers or {})
        self.requests.put({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
                           "requestContext": context, "isBase64Encoded": False})
        return self.answers.get(timeout=60)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        event = json.dumps(self.server.requests.get()).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:1:function:page")
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.answers.put(json.loads(body) if body else {})
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def function(lake, tmp_path):
    runtime = Runtime()
    settings = lake.settings.with_name("function.toml")
    settings.write_text(lake.settings.read_text("utf-8") + SETTINGS, "utf-8")
    environment = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": "page",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "SESSION_KEY": "0123456789abcdef" * 4,
    }
    with (tmp_path / "stderr.txt").open("wb") as err:
        command = [binary(), "--config", settings, "serve", "--shared"]
        process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=err)
    yield runtime
    process.kill()
    process.wait()
    runtime.shutdown()


def test_requests_of_an_http_api_are_answered(function):
    answer = function.ask("GET", "/credits", query="status=active")
    assert answer["statusCode"] == 303
    assert answer["headers"]["location"] == "/login?next=%2Fcredits%3Fstatus%3Dactive"
    style = function.ask("GET", "/assets/style.css")
    body = base64.b64decode(style["body"]).decode() if style["isBase64Encoded"] else style["body"]
    assert style["statusCode"] == 200 and "font" in body
    assert "default-src 'self'" in style["headers"]["content-security-policy"]
    assert function.ask("GET", "/", {"host": "evil.example"})["statusCode"] == 421
    assert function.ask("POST", "/logout", {"origin": "https://evil.example"})["statusCode"] == 403


def test_provider_that_cannot_be_reached_is_a_page(function):
    answer = function.ask("GET", "/login")
    assert answer["statusCode"] == 503 and "the OpenID provider http://127.0.0.1:9 cannot be asked" in answer["body"]
