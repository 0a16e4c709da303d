"""Servers on the sample organisation, and pages in Chromium that are logged in."""

import os
from contextlib import ExitStack

import pytest
from playwright.sync_api import sync_playwright

import pages
from program import Lake, Served, Server
from shared import Provider, SharedServer, signed_in


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["FINOPS_CREDITS_CHROMIUM"], **pages.CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lake(tmp_path_factory) -> Lake:
    """Made once: for tests that only read. A lake is made where it stands, since a copy would refuse to be written."""
    return Lake(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def own_lake(tmp_path_factory) -> Lake:
    """For a test that writes."""
    return Lake(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def server(lake, tmp_path_factory):
    server = Server(lake, tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def started():
    """Servers of a test's own, which end with it."""
    servers: list[Served] = []
    yield servers
    with ExitStack() as stack:
        for server in servers:
            if server.process.poll() is None:
                stack.callback(server.stop)


@pytest.fixture
def serve(started, tmp_path_factory):
    """Starts servers of a test's own: `serve(lake, "--read-only")`. Nobody has logged in to them."""

    def start(lake: Lake, *options: str) -> Server:
        started.append(Server(lake, tmp_path_factory.mktemp("server"), *options))
        return started[-1]

    return start


@pytest.fixture
def own_server(own_lake, serve) -> Server:
    """On a lake of the test's own."""
    return serve(own_lake)


@pytest.fixture
def visit(browser, serve):
    """An empty page of a new context: `visit()`, or logged in `visit(server, color_scheme="dark")`, with the options of
    Playwright's `new_context`. Nothing may go wrong on it until the test ends but what the test takes from its `watch`:
    `page.watch.expect(page, "status of 404")`."""
    opened = []

    def open_page(server: Server | None = None, **options):
        if server is not None:
            options = {"base_url": server.url, "storage_state": server.session, **options}
        context, watch = pages.new_context(browser, **options)
        opened.append((context, watch))
        page = context.new_page()
        page.watch = watch
        if server is not None and server.session is None:
            context.request.get(server.login_url)
            server.session = context.storage_state()
        return page

    yield open_page
    for context, _ in opened:
        # What has happened on a page is told before this answers.
        for page in context.pages:
            page.wait_for_timeout(0)
        context.close()
    for _, watch in opened:
        watch.check()


@pytest.fixture
def page(visit, server):
    """Empty, and logged in on the sample: for a test that only reads."""
    return visit(server)


@pytest.fixture
def own_page(visit, own_server):
    """Empty, and logged in on a lake of the test's own."""
    return visit(own_server)


@pytest.fixture(scope="session")
def provider(tmp_path_factory):
    provider = Provider(tmp_path_factory.mktemp("provider"))
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def shared_server(lake, provider, tmp_path_factory):
    """Shared, on the sample: for tests that only read."""
    server = SharedServer(lake, tmp_path_factory.mktemp("shared"), provider)
    server.begin()
    yield server
    server.stop()


@pytest.fixture
def share(started, provider, tmp_path_factory):
    """Starts shared servers of a test's own: `share(lake, session_key=…)`."""

    def start(lake: Lake, *options: str, provider: Provider = provider, **web) -> SharedServer:
        started.append(SharedServer(lake, tmp_path_factory.mktemp("shared"), provider, *options, **web))
        started[-1].begin()
        return started[-1]

    return start


@pytest.fixture
def visit_as(visit):
    """A page of a new context, in which somebody has signed in to a shared server: `visit_as(shared_server, "vera")`, empty, or
    at an address."""

    def open_page(server: SharedServer, login: str, address: str = "about:blank"):
        page = visit(base_url=server.url)
        signed_in(page.request, server, login)
        page.goto(address)
        return page

    return open_page


@pytest.fixture
def sign_in(visit):
    """Opens an address of a shared server in a new context, and signs somebody in on the provider's page on the way there."""

    def open_page(server: SharedServer, login: str, address: str = "/"):
        page = visit(base_url=server.url)
        page.goto(address)
        page.get_by_label("Name").fill(login)
        pages.follow(page.get_by_role("button", name="Sign in"))
        return page

    return open_page
