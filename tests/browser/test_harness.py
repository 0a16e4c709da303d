"""The harness itself: what goes wrong on a page is seen, and what is right is let through."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pages import axe, axe_violations, follow, shot

POLICY = ("default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
          "object-src 'none'")
STYLE = "body { color: black; background: white; font-size: 16px } .faint { color: #ddd }"
PAGE = """<!doctype html><html lang="en"><head><title>Page</title><link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:,">{head}</head><body><main><h1>Page</h1>{body}</main></body></html>"""
MOMENT = "<!-- The rest comes later. -->"


@pytest.fixture(scope="module")
def site():
    """The address of a small server with the policy of the program's pages; answers by path can be put."""
    answers = {"/style.css": ("text/css", STYLE), "/": ("text/html", PAGE.format(head="", body="<p>Good</p>"))}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            kind, text = answers.get(self.path, ("text/plain", None))
            self.send_response(200 if text is not None else 404)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            for place, part in enumerate((text or "").split(MOMENT)):
                time.sleep(0.3 * place)
                self.wfile.write(part.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.answers = answers
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def shown(site, visit):
    """Shows a page with this in it, and with this script."""

    def show(body: str = "", script: str = "", head: str = ""):
        site.answers["/script.js"] = ("text/javascript", script)
        head += '<script src="/script.js" defer></script>'
        site.answers["/made"] = ("text/html", PAGE.format(head=head, body=body))
        page = visit()
        page.goto(f"{site.url}/made")
        return page

    return show


def forget(page):
    """Closed first: Chromium tries again what it could not load."""
    page.context.close()
    page.watch.problems.clear()


def test_good_page_passes_and_has_a_picture(site, visit, tmp_path, monkeypatch):
    monkeypatch.setenv("FINOPS_CREDITS_SHOTS", str(tmp_path / "shots"))
    page = visit()
    page.goto(site.url)
    axe(page)
    page.watch.check()
    shot(page, "good")
    assert (tmp_path / "shots/good.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("script", "problem"), [
    ("console.error('out of paper')", "^console: out of paper"),
    ("null.first", "^script: .*TypeError"),
    ("Promise.reject(new Error('unheard'))", "^script: .*unheard"),
    ("eval('1')", "^policy: script-src blocks eval"),
    ("document.body.setAttribute('style', 'color: red')", "^policy: style-src-attr blocks inline"),
    ("document.querySelector('main').innerHTML = '<b style=\"color: red\">x</b>'", "^policy: style-src-attr blocks inline"),
    ("fetch('http://127.0.0.1:9/other')", "^policy: connect-src blocks http://127.0.0.1:9"),
    ("fetch('/nothing')", "^console: .*status of 404"),
    ("location = 'http://elsewhere.example/'", "^request: http://elsewhere.example/"),
    ("open('http://192.0.2.1/')", "^request: http://192.0.2.1/"),
])
def test_what_a_script_does_wrong_is_seen(shown, script, problem):
    page = shown(script=script)
    page.watch.expect(page, problem)
    forget(page)


@pytest.mark.parametrize(("markup", "problem"), [
    ("<script>1</script>", "^policy: script-src-elem blocks inline"),
    ("<style>p { color: red }</style>", "^policy: style-src-elem blocks inline"),
    ('<p style="color: red">x</p>', "^policy: style-src-attr blocks inline"),
    ('<p onclick="x()">x</p>', "^policy: script-src-attr blocks inline"),
    ('<img alt="" src="http://elsewhere.example/x.png">', "^policy: img-src blocks http://elsewhere.example"),
    ('<img alt="" src="/nothing.png">', "^console: .*status of 404"),
])
def test_what_markup_does_wrong_is_seen(shown, markup, problem):
    page = shown(markup)
    page.watch.expect(page, problem)
    forget(page)


def test_page_with_a_problem_fails_its_test(shown):
    page = shown(script="console.error('out of paper')")
    page.watch.problems += page.watch.expect(page, "out of paper")
    with pytest.raises(AssertionError, match="out of paper"):
        page.watch.check()
    forget(page)


def test_page_that_is_followed_to_is_there_as_a_whole(site, shown):
    site.answers["/slow"] = ("text/html", PAGE.format(head="", body=f"{MOMENT}<p>Late</p>"))
    page = shown('<a href="/slow">Slow</a>')
    follow(page.get_by_role("link"))
    assert page.get_by_text("Late").count() == 1


def test_inaccessible_parts_are_found_under_the_policy(shown):
    page = shown('<p class="faint">faint</p><label>Name</label><input><h4>deep</h4>')
    found = {violation["id"] for violation in axe_violations(page)}
    assert {"color-contrast", "label", "heading-order"} <= found
    with pytest.raises(AssertionError, match="color-contrast"):
        axe(page, "p")
