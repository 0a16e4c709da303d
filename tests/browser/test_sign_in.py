"""Shared serving: how people get in, who and what does not, and what browsers and logs keep of it."""

import subprocess
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

import pytest

from pages import axe, follow, shot
from shared import (
    FORGED,
    GENUINE,
    Provider,
    SharedServer,
    is_signed_in,
    ours,
    signed_in,
    through_the_provider,
    up_to_the_callback,
)

HOUR = 3600


def query_of(address: str) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}


def with_query(address: str, **changes: str) -> str:
    return urlsplit(address)._replace(query=urlencode({**query_of(address), **changes})).geturl()


def session_of(page) -> dict:
    """The cookie that this program has set; those of the provider, on the same host, are others."""
    [cookie] = [cookie for cookie in page.context.cookies() if "finops-credits" in cookie["name"]]
    return cookie


def refuses(request, server, address: str) -> None:
    answer = request.get(address, max_redirects=0)
    assert 400 <= answer.status < 500, answer.status
    assert not is_signed_in(request, server)


def test_person_signs_in_and_goes_on_at_the_address_that_they_opened(shared_server, sign_in):
    page = sign_in(shared_server, "carl", "/credits?status=active&sort=-remaining")
    assert page.url == shared_server.url + "/credits?status=active&sort=-remaining"
    assert set(page.locator("#credits .badge").all_inner_texts()) == {"active"}
    assert "carl@example.com" in page.locator("footer").inner_text()
    shot(page, "shared")
    axe(page)


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example/"])
def test_sign_in_goes_on_at_a_page_of_the_server_only(shared_server, sign_in, elsewhere):
    page = sign_in(shared_server, "carl", "/login?next=" + quote(elsewhere, safe=""))
    assert page.url == shared_server.url + "/"


def test_nothing_is_shown_before_the_sign_in(shared_server, visit):
    request = visit().request
    for address in ["/", "/queue", "/credits/id%3A10063540211", "/credits?table=credits&download=csv", "/nodes?q=re", "/runs"]:
        answer = request.get(shared_server.url + address, max_redirects=0)
        assert 300 <= answer.status < 400
        location = urljoin(shared_server.url, answer.headers["location"])
        assert location.startswith(shared_server.url + "/login?") and query_of(location)["next"] == address
    for address in ["/runs", "/credits/id%3A10063540211/allocate"]:
        assert request.post(shared_server.url + address, headers=ours(shared_server)).status == 401


def test_provider_is_asked_with_state_nonce_and_pkce_new_for_each_sign_in(shared_server, visit):
    request = visit().request
    begun = [request.get(shared_server.url + "/login?next=/", max_redirects=0).headers["location"] for _ in range(2)]
    asked = [query_of(address) for address in begun]
    for one in asked:
        assert (one["response_type"], one["code_challenge_method"]) == ("code", "S256")
        assert one["redirect_uri"] == shared_server.url + "/login/callback"
        assert {"openid", "email"} <= set(one["scope"].split())
        assert shared_server.client_secret not in one.values()
    assert all(asked[0][name] != asked[1][name] for name in ["state", "nonce", "code_challenge"])


def test_sign_in_is_finished_only_in_the_browser_that_began_it(shared_server, visit):
    """Else somebody could have another record things under a name that is not theirs."""
    address = up_to_the_callback(visit().request, shared_server, "carl")
    other = visit().request
    refuses(other, shared_server, address)
    own = up_to_the_callback(other, shared_server, "finn")
    refuses(other, shared_server, address)
    refuses(other, shared_server, with_query(own, code=query_of(address)["code"]))
    own = up_to_the_callback(other, shared_server, "finn")
    refuses(other, shared_server, with_query(own, state="forged"))
    refuses(other, shared_server, shared_server.url + "/login/callback")


def test_answer_of_the_provider_works_once(shared_server, visit):
    context = visit().context
    address = up_to_the_callback(context.request, shared_server, "carl")
    # All that the browser had then, since the server takes back what it needs.
    before = context.storage_state()
    context.request.get(address)
    assert is_signed_in(context.request, shared_server)
    refuses(visit(storage_state=before).request, shared_server, address)


def test_sign_in_that_the_provider_refuses_is_told_as_text(shared_server, visit):
    page = visit()
    state = query_of(page.request.get(shared_server.url + "/login?next=/", max_redirects=0).headers["location"])["state"]
    said = {"error": "access_denied", "error_description": "<script>document.title = 'owned'</script>", "state": state}
    answer = page.goto(f"{shared_server.url}/login/callback?{urlencode(said)}")
    assert 400 <= answer.status < 500
    assert "owned" not in page.title()
    axe(page)
    page.watch.expect(page, f"status of {answer.status}")


@pytest.mark.parametrize("forgery", FORGED)
def test_token_that_is_not_for_this_sign_in_lets_nobody_in(shared_server, visit, forgery):
    request = visit().request
    refuses(request, shared_server, up_to_the_callback(request, shared_server, forgery))


@pytest.mark.parametrize("genuine", GENUINE)
def test_token_that_is_made_as_the_provider_makes_it_lets_in(shared_server, visit, genuine):
    """Also with a key that it has published since the server started."""
    assert is_signed_in(signed_in(visit().request, shared_server, genuine), shared_server)


@pytest.mark.parametrize("url", ["http", "https://credits.example"])
def test_cookies_are_for_this_server_and_no_script(lake, share, visit, url):
    """By way of raw requests, as of a proxy that has the certificate."""
    server = share(lake, **({"url": url} if url != "http" else {}))
    begun = server.raw("/login?next=/")
    cookies = begun.headers.get_all("Set-Cookie")
    address = through_the_provider(visit().request, begun.headers["Location"], "carl")
    assert address.startswith(server.url)
    ended = server.raw(address.removeprefix(server.url), "; ".join(cookie.partition(";")[0] for cookie in cookies))
    assert 300 <= ended.status < 400
    set_at_the_end = [cookie for cookie in ended.headers.get_all("Set-Cookie") if "Max-Age=0" not in cookie]
    assert cookies and set_at_the_end
    for cookie in cookies + set_at_the_end:
        attributes = {attribute.strip().partition("=")[0]: attribute for attribute in cookie.split(";")[1:]}
        assert {"HttpOnly", "SameSite"} <= attributes.keys() and "Domain" not in attributes, cookie
        assert attributes["SameSite"].strip() == "SameSite=Lax"
        assert ("Secure" in attributes) == server.url.startswith("https:"), cookie
    assert server.raw("/help", set_at_the_end[-1].partition(";")[0]).status == 200


def test_cookie_that_the_server_did_not_make_is_no_session(lake, shared_server, share, sign_in, visit):
    page = sign_in(shared_server, "carl")
    cookie = session_of(page)
    value = cookie["value"]
    changed = value[:40] + ("A" if value[40] != "A" else "B") + value[41:]
    others = session_of(sign_in(share(lake), "carl"))["value"]
    plain = quote('{"person":"carl@example.com","form_token":"x","ends_at":"2099-01-01T00:00:00","role":"admin"}')
    for forged, expected in [(value, True), (changed, False), (others, False), (plain, False), ("", False)]:
        request = visit(storage_state={"cookies": [{**cookie, "value": forged}], "origins": []}).request
        assert is_signed_in(request, shared_server) == expected, forged


def test_session_outlives_the_process_where_its_key_does_and_ends_after_eight_hours(lake, share, visit, tmp_path):
    later = tmp_path / "later.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", later, Path(__file__).with_name("later.c"), "-ldl"], check=True)
    server = share(lake, session_key="env:FINOPS_CREDITS_SESSION_KEY")
    request = signed_in(visit().request, server, "carl")
    for hours, expected in [(0, True), (7.9, True), (8, False)]:
        server.stop()
        server.begin(LD_PRELOAD=str(later), SECONDS_LATER=str(int(hours * HOUR)))
        assert is_signed_in(request, server) == expected, hours


def test_session_without_a_key_ends_with_the_process(lake, share, visit):
    server = share(lake)
    request = signed_in(visit().request, server, "carl")
    server.stop()
    server.begin()
    assert not is_signed_in(request, server)


def test_sign_out_ends_the_session(shared_server, sign_in):
    page = sign_in(shared_server, "vera")
    session_of(page)
    follow(page.get_by_role("button", name="Sign out"))
    assert page.get_by_role("button", name="Sign out").count() == 0
    assert page.url.startswith(shared_server.url)
    axe(page)
    assert not any("finops-credits" in cookie["name"] for cookie in page.context.cookies())
    assert not is_signed_in(page.request, shared_server)


def test_page_of_another_site_signs_nobody_out(shared_server, sign_in):
    page = sign_in(shared_server, "finn")
    for headers in [{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]:
        assert page.request.post(shared_server.url + "/logout", headers=headers).status == 403
    assert is_signed_in(page.request, shared_server)


def test_name_that_was_bound_to_this_address_is_refused(lake, share, visit):
    server = share(lake, url="https://credits.example")
    request = visit().request
    for address in ["/", "/login?next=/", "/login/callback?code=x&state=x"]:
        for host in ["evil.example", "credits.example:8443", "credits.example.evil.example", f"127.0.0.1:{server.port}"]:
            answer = request.get(f"http://127.0.0.1:{server.port}{address}", headers={"Host": host}, max_redirects=0)
            assert answer.status == 421, (address, host)


def test_secrets_are_in_no_log_and_no_later_address(lake, share, visit):
    server = share(lake, "-vvv", session_key="env:FINOPS_CREDITS_SESSION_KEY")
    page = visit()
    address = up_to_the_callback(page.request, server, "carl")
    page.goto(address)
    assert page.url == server.url + "/"
    page.goto(server.url + "/queue")
    asked = query_of(address)
    secrets = [server.client_secret, server.session_key, session_of(page)["value"], asked["code"], asked["state"]]
    content = page.content()
    assert not is_signed_in(visit().request, server)
    server.stop()
    for secret in secrets:
        assert secret not in server.said()
        assert secret not in content and secret not in page.url


def test_secret_may_stand_in_a_file(lake, provider, tmp_path_factory, started, visit):
    server = SharedServer(lake, tmp_path_factory.mktemp("shared"), provider, client_secret="file:client-secret")
    (lake.folder / "client-secret").write_text(server.client_secret + "\n", "utf-8")
    server.client_secret = "not-this-one"
    server.begin()
    started.append(server)
    assert is_signed_in(signed_in(visit().request, server, "carl"), server)


@pytest.mark.parametrize(("web", "said"), [
    ({"issuer": None}, ["issuer"]),
    ({"issuer": "http://login.example.com"}, ["issuer", "https://"]),
    ({"url": "http://credits.example.com"}, ["url", "https://"]),
    ({"client_secret": "hunter2-hunter2"}, ["line 14", "env:NAME", "file:"]),
    ({"client_secret": "env:SET_NOWHERE"}, ["client_secret", "SET_NOWHERE"]),
    ({"roles": {"owner": ["platform"]}}, ["owner", "viewer"]),
    ({"access": "missing.csv"}, ["access", "missing.csv"]),
    ({"session_key": "file:short-key"}, ["session_key", "64"]),
    ({"group_claim": "groups"}, ["group_claim", "groups_claim"]),
])
def test_wrong_settings_are_named_with_what_to_do(lake, provider, tmp_path_factory, web, said):
    (lake.folder / "short-key").write_text("hunter2", "utf-8")
    message = SharedServer(lake, tmp_path_factory.mktemp("shared"), provider, **web).refused(3)
    assert all(word in message for word in said), message
    assert "hunter2" not in message


@pytest.mark.parametrize("options", [["--by", "jane@example.com"], ["--port", "0"]])
def test_shared_page_takes_name_and_port_from_nowhere_else(lake, provider, tmp_path_factory, options):
    SharedServer(lake, tmp_path_factory.mktemp("shared"), provider, *options).refused(2)


def test_sharing_needs_settings(lake):
    lake.call("serve", "--shared", code=3)


def test_provider_that_cannot_be_reached_is_named_and_sessions_go_on(lake, share, visit, tmp_path_factory):
    own = Provider(tmp_path_factory.mktemp("provider"))
    server = share(lake, provider=own, session_key="env:FINOPS_CREDITS_SESSION_KEY")
    request = signed_in(visit().request, server, "carl")
    page = visit()
    begun = up_to_the_callback(page.request, server, "finn")
    assert is_signed_in(request, server)
    own.stop()
    # It need not be there when the server starts, either.
    server.stop()
    server.begin()
    for address in [begun, server.url + "/login?next=/"]:
        assert page.goto(address).status == 503
        said = page.locator("main").inner_text()
        assert own.issuer in said and "lake" not in said, said
        axe(page)
        page.watch.expect(page, "status of 503")
    assert is_signed_in(request, server)
