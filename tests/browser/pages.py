"""Pages in Chromium: what goes wrong on them, their accessibility, and pictures of them."""

import os
import re
import time
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, expect

# Names of other machines do not resolve, so that nothing leaves this one. Addresses are seen by `Watch`.
CHROMIUM = {
    "chromium_sandbox": False,  # root has none, and all pages are the program's own
    "args": ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"],
}
# The same on every machine.
CONTEXT = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", "timezone_id": "UTC"}

# Seconds: enough for a slow machine, and only what fails takes as long.
PATIENCE = 60
expect.set_options(timeout=PATIENCE * 1000)

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# What the pages' policy refuses, by the standard's event: texts on the console change with Chromium's versions.
REPORT_VIOLATIONS = """
    addEventListener("securitypolicyviolation", (event) =>
        reportViolation(`${event.effectiveDirective} blocks ${event.blockedURI} ${event.sample} (${event.sourceFile})`));
"""


class Watch:
    """What went wrong in a browser context: no test may leave any of it behind."""

    def __init__(self, context: BrowserContext):
        self.problems: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self._add("script", error.error.stack or error.error.message))
        context.on("request", self._request)
        context.on("page", lambda page: page.on("websocket", lambda socket: self._address(socket.url)))
        context.expose_binding("reportViolation", lambda _, text: self._add("policy", text))
        context.add_init_script(REPORT_VIOLATIONS)

    def _add(self, kind: str, text: str) -> None:
        self.problems.append(f"{kind}: {text}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self._add("console", f"{message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        self._address(request.url)

    def _address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self._add("request", url)

    def expect(self, page: Page, pattern: str) -> list[str]:
        """Takes away the problems that a test wants, and returns them; there must be one, now or soon."""
        end = time.monotonic() + PATIENCE
        while not (found := [problem for problem in self.problems if re.search(pattern, problem)]):
            assert time.monotonic() < end, f"nothing went wrong like {pattern!r}; what did: {self.problems}"
            page.wait_for_timeout(20)
        self.problems = [problem for problem in self.problems if problem not in found]
        return found

    def check(self) -> None:
        assert not self.problems, "\n".join(["what went wrong in the browser:", *dict.fromkeys(self.problems)])


def new_context(browser: Browser, **options) -> tuple[BrowserContext, Watch]:
    context = browser.new_context(**{**CONTEXT, **options})
    context.set_default_timeout(PATIENCE * 1000)
    return context, Watch(context)


def follow(element: Locator) -> None:
    """Clicks what leads to another page, or loads this one anew, and waits until it is there: else what is read next may
    still be the page before. Of keys that do so: `with page.expect_navigation(): page.keyboard.press("Enter")`."""
    with element.page.expect_navigation():
        element.click()


def until(page: Page, script: str) -> None:
    """Waits until a script gives something true. The pages' policy refuses what `wait_for_function` does: it evaluates a
    text from within the page."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(script):
        assert time.monotonic() < end, f"not so within {PATIENCE} seconds: {script}"
        page.wait_for_timeout(20)


@cache
def axe_source() -> str:
    return Path(os.environ["FINOPS_CREDITS_AXE"]).read_text("utf-8")


def axe_violations(page: Page, within: str | None = None) -> list[dict]:
    """What axe-core finds on a page, or in the elements of a selector."""
    # Evaluated, and not added as an element: the page's policy would refuse that.
    page.evaluate(axe_source())
    found = page.evaluate(
        "([root, rules]) => axe.run(root ?? document, { runOnly: rules, resultTypes: ['violations'] })", [within, RULES])
    return found["violations"]


def axe(page: Page, within: str | None = None) -> None:
    """Fails on anything that axe-core finds."""
    lines = []
    for violation in axe_violations(page, within):
        lines.append(f"{violation['id']} ({violation['impact']}): {violation['help']}")
        for node in violation["nodes"]:
            lines += [f"    {node['html'][:200]}", *(f"        {line}" for line in node["failureSummary"].splitlines())]
    assert not lines, "\n".join([f"accessibility of {page.url}:", *lines])


def shot(page: Page, name: str, full_page: bool = True) -> None:
    """A picture of the page, where people want some to look at."""
    if folder := os.environ.get("FINOPS_CREDITS_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=full_page, animations="disabled")
