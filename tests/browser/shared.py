"""Shared serving: an OpenID provider, people whom it knows, and servers that they sign in to with it."""

import json
import os
import re
import secrets
import socket
import subprocess
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

from playwright.sync_api import APIRequestContext

from program import STARTS_WITHIN, Lake, Served, binary

ROLES = {"viewer": ["finance"], "allocator": ["finops"], "closer": ["controlling"], "admin": ["platform"]}

ACCESS = """\
UserName,GroupName,business_unit,department,portfolio,product
vera@example.com,,Retail,,,
alma@example.com,,Logistics,Warehousing,,
alma@example.com,,Media,,,
,media-team,Media,,,
,everything,,,,
"""


def person(name: str, *groups: str, **more) -> dict:
    return {"sub": f"sub-{name}", "groups": groups, "email": f"{name}@example.com", "email_verified": True, **more}


# By what they sign in with: what is in the ID token of each.
PEOPLE = {
    "vera": person("vera", "finance"),
    "alma": person("alma", "finops"),
    "carl": person("carl", "controlling", "everything"),
    "finn": person("finn", "finops", "everything"),
    "greg": person("greg", "finance", "media-team"),
    # The highest role counts, and no line of access.csv is for an admin.
    "ada": person("ada", "finance", "platform"),
    "lena": person("lena", "finance"),
    "nora": person("nora", "everything"),
    # Anybody can say that an address is theirs.
    "una": person("una", "finops", "everything", email="ada@example.com", email_verified=False),
    "uwe": {"sub": "sub-uwe", "groups": ["finops", "everything"], "email": "ada@example.com"},
    "ulf": person("ulf", "finance", email="vera@example.com", email_verified=False),
}

# ID tokens that a provider would not have given to this server.
FORGED = {
    "another audience": {"claims": {"aud": "somebody-else"}},
    "another issuer": {"claims": {"iss": "https://login.elsewhere.example"}},
    "another nonce": {"claims": {"nonce": "other"}},
    "expired": {"claims": {"iat": 1_700_000_000, "exp": 1_700_003_600}},
    "key of somebody else": {"key": "strange"},
    "no signature": {"key": "none"},
}
# And those that it would.
GENUINE = {"made again": {}, "key of tomorrow": {"key": "next"}}
for name, forgery in (FORGED | GENUINE).items():
    PEOPLE[name] = person(name.replace(" ", "-"), "platform", forged=forgery)


class Provider:
    """An OpenID provider, from its start until `stop`."""

    def __init__(self, folder: Path):
        people = folder / "people.json"
        people.write_text(json.dumps(PEOPLE), "utf-8")
        command = ["node", os.environ["FINOPS_CREDITS_PROVIDER"], people]
        with (folder / "stderr.txt").open("wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True)
        self.issuer = self.process.stdout.readline().strip()
        assert self.issuer, (folder / "stderr.txt").read_text("utf-8")

    def register(self, url: str) -> tuple[str, str]:
        """A client for the server at an address: its id and its secret."""
        client = json.dumps({"redirect_uris": [f"{url}/login/callback"]}).encode()
        request = Request(f"{self.issuer}/reg", client, {"Content-Type": "application/json"})
        with urlopen(request) as answer:
            registered = json.load(answer)
        return registered["client_id"], registered["client_secret"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class SharedServer(Served):
    """The page for people whom a provider knows; `web` are settings of `[web]`, instead of those that others have."""

    def __init__(self, lake: Lake, folder: Path, provider: Provider, *options: str, roles: dict = ROLES, **web):
        self.lake, self.folder, self.options = lake, folder, options
        self.port = free_port()
        self.url = web.get("url", f"http://127.0.0.1:{self.port}")
        client_id, self.client_secret = provider.register(self.url)
        self.session_key = secrets.token_hex(64)
        self.access = lake.folder / f"{folder.name}.csv"
        self.access.write_text(ACCESS, "utf-8")
        web = {
            "address": f"127.0.0.1:{self.port}",
            "url": self.url,
            "issuer": provider.issuer,
            "client_id": client_id,
            "client_secret": "env:FINOPS_CREDITS_CLIENT_SECRET",
            "access": self.access.name,
            **web,
        }
        self.settings = lake.folder / f"{folder.name}.toml"
        self.settings.write_text(lake.settings.read_text("utf-8") + table("web", web) + table("web.roles", roles), "utf-8")

    def environment(self) -> dict[str, str]:
        return {"FINOPS_CREDITS_CLIENT_SECRET": self.client_secret, "FINOPS_CREDITS_SESSION_KEY": self.session_key}

    def begin(self, **environment: str) -> None:
        """Starts it, also once more after `stop`."""
        at = re.compile(rf"^Serving the lake .* at {re.escape(self.url)}.*", re.MULTILINE)
        self.start(self.folder, self.settings, "--shared", *self.options, wanted=at, **self.environment(), **environment)

    def refused(self, code: int) -> str:
        """Starts it in vain; what it says why."""
        command = [binary(), "--config", self.settings, "serve", "--shared", *self.options]
        environment = {**os.environ, **self.environment()}
        done = subprocess.run(command, capture_output=True, text=True, timeout=STARTS_WITHIN, check=False, env=environment)
        assert (done.returncode, done.stdout) == (code, ""), f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stderr

    def raw(self, path: str, cookies: str = "") -> HTTPResponse:
        """The answer to a request that a proxy before it would make."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path, headers={"Host": urlsplit(self.url).netloc, "Cookie": cookies})
        return connection.getresponse()


def table(name: str, settings: dict) -> str:
    """A table of settings; none for a value leaves it out."""
    stated = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items() if value is not None]
    return f"[{name}]\n" + "".join(stated)


def through_the_provider(request: APIRequestContext, address: str, login: str) -> str:
    """Signs somebody in at the provider; the address that it sends the browser back to, not opened yet."""
    while "/login/callback" not in urlsplit(address).path:
        answer = request.get(address, max_redirects=0)
        if answer.status == 200:
            answer = request.post(address, form={"login": login}, max_redirects=0)
        address = urljoin(address, answer.headers["location"])
    return address


def up_to_the_callback(request: APIRequestContext, server: SharedServer, login: str) -> str:
    """Begins to sign in at a server; the address that the provider sends the browser back to, not opened yet."""
    begun = request.get(server.url + "/login?next=/", max_redirects=0)
    return through_the_provider(request, begun.headers["location"], login)


def signed_in(request: APIRequestContext, server: SharedServer, login: str) -> APIRequestContext:
    """Signs somebody in without a page."""
    request.get(up_to_the_callback(request, server, login), max_redirects=0)
    return request


def is_signed_in(request: APIRequestContext, server: SharedServer) -> bool:
    return request.get(server.url + "/help", max_redirects=0).status == 200


def ours(server: SharedServer) -> dict[str, str]:
    """What a browser says of a form that a page of the server sends."""
    return {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
