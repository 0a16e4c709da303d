"""Shared serving: who sees which nodes, who may do what there, and under which name it is recorded."""

import csv
import io
import json
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from form import fill, preview, save
from pages import axe, follow, shot
from shared import ACCESS, is_signed_in, ours

# Credits of the sample that are allocated, to nodes of two people, and that wait.
RETAIL = "code:Contractual Credit - Credits@410000000001"
MEDIA = "id:10063540211"
SPLIT = "code:DBA_MAP Acme Data Center Exit@410000000001"
WAITS_FOR_LOGISTICS = "code:MAP credit - 2/3@410000000901"
WAITS_FOR_NOBODY = "code:AWS Free Tier@410000000902"
ELSEWHERE = ["Media", "Logistics"]


def credit(key: str, rest: str = "") -> str:
    return f"/credits/{quote(key, safe='')}{rest}"


def forms(page):
    """Those that record something or start a run."""
    return page.locator("form[method=post]:not([action='/logout'])")


def token_of(page) -> str:
    return page.locator("[name=form_token]").first.get_attribute("value")


def recorded(lake) -> list[dict]:
    return json.loads(lake.call("allocations", "list", "--format", "json"))


def history(lake, key: str) -> list[dict]:
    return json.loads(lake.call("allocations", "history", key, "--format", "json"))


def forbidden(page, address: str) -> str:
    """What the page says that is there instead."""
    answer = page.goto(address)
    assert answer.status == 403, address
    assert page.locator("table").count() == 0
    page.watch.expect(page, "status of 403")
    return page.locator("main").inner_text()


def test_what_one_allocates_and_another_runs_a_third_does_not_see(own_lake, share, visit_as):
    server = share(own_lake)
    alma = visit_as(server, "alma", "/queue")
    assert alma.locator("#queue tbody tr").count() == 1
    follow(alma.get_by_role("link", name="Allocate"))
    fill(alma, "2500", "Logistics/Warehousing/Inventory")
    preview(alma)
    axe(alma)
    save(alma)
    [row] = history(own_lake, WAITS_FOR_LOGISTICS)
    assert (row["recorded_by"], row["department"]) == ("alma@example.com", "Warehousing")
    carl = visit_as(server, "carl", "/runs")
    follow(carl.get_by_role("button", name="Run now"))
    expect(carl.locator("#runs tbody tr")).to_have_count(2)
    alma.goto(credit(WAITS_FOR_LOGISTICS))
    assert "by alma@example.com" in alma.locator(".history").inner_text()
    forbidden(visit_as(server, "vera"), credit(WAITS_FOR_LOGISTICS))


def test_person_sees_their_node_and_what_is_below_it_only(shared_server, visit_as):
    page = visit_as(shared_server, "vera")
    for address in ["/", "/queue", "/credits", "/net-cost", "/expiry"]:
        assert page.goto(address).status == 200
        assert not any(node in page.content() for node in ELSEWHERE), address
    page.goto("/")
    shot(page, "shared-one-node")
    axe(page)
    assert "Retail" in page.locator("main").inner_text()
    assert page.goto(credit(RETAIL)).status == 200
    assert page.goto("/net-cost?node=Retail/Online").status == 200
    text = page.request.get("/credits?table=credits&download=csv").text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows and all(row["nodes"].startswith("Retail") for row in rows)


@pytest.mark.parametrize("address", [
    "/?node=Media", "/queue?node=Media", "/credits?node=Media", "/net-cost?node=Media", "/expiry?node=Media",
    "/net-cost?node=Media/Streaming", "/net-cost?node=%4dedia", "/net-cost?node=Logistics", "/?node=(none)",
    "/credits?node=Media&table=credits&download=csv", "/net-cost?node=Media&table=net_cost_by_node&download=xlsx",
    "/months", "/months?table=months&download=csv", "/runs", "/query", "/query?sql=SELECT+*+FROM+net_cost_summary",
    # What goes wrong with a statement says what it was about.
    "/query?sql=SELECT+CAST(concat(business_unit,department)+AS+INT)+FROM+net_cost_summary&download=csv",
    credit(MEDIA), credit(MEDIA, "?table=lots&download=csv"), credit(MEDIA, "?node=Retail"), credit(MEDIA, "/allocate"),
    credit(SPLIT), credit(WAITS_FOR_LOGISTICS), credit(WAITS_FOR_NOBODY), credit("id:none"),
])
def test_no_address_shows_a_node_of_others(shared_server, visit_as, address):
    page = visit_as(shared_server, "vera")
    answer = page.request.get(address, max_redirects=0)
    assert answer.status == 403
    assert answer.headers["content-type"].startswith("text/html")
    said = forbidden(page, address)
    assert "Media/Studio" not in said and "12,000" not in said


def test_two_nodes_in_an_address_are_not_a_way_around(shared_server, visit_as):
    request = visit_as(shared_server, "vera").request
    for address in ["/net-cost?node=Retail&node=Media", "/net-cost?node=Media&node=Retail"]:
        assert request.get(address).status in (400, 403)


def test_page_of_others_says_so(shared_server, visit_as):
    page = visit_as(shared_server, "vera")
    assert "nodes that you do not see" in forbidden(page, "/net-cost?node=Media")
    axe(page)
    shot(page, "shared-forbidden")


def test_search_and_suggestions_have_nothing_of_others(shared_server, visit_as):
    page = visit_as(shared_server, "vera")
    for search in ["", "med", "o"]:
        offered = page.request.get(f"/nodes?q={search}").json()
        assert all(one["node"].startswith("Retail") for one in offered), offered
    assert page.request.get("/nodes?q=online").json()
    page.goto(f"/credits?q={MEDIA}")
    assert page.locator("#credits tbody tr").count() == 0
    page.goto("/credits?q=Free Tier")
    assert "waits" not in page.locator("main").inner_text()


def test_line_of_a_group_counts_for_who_is_in_it(shared_server, visit_as):
    page = visit_as(shared_server, "greg", "/net-cost?node=Media")
    assert "Media/Studio" in page.content()
    forbidden(page, "/net-cost?node=Retail")


def test_who_has_several_nodes_looks_at_one_at_a_time(shared_server, visit_as):
    page = visit_as(shared_server, "alma", "/credits")
    assert "Media" not in page.locator("#credits").inner_text()
    follow(page.get_by_label("Your nodes").get_by_role("link", name="Media"))
    assert "Media/Studio" in page.locator("#credits").inner_text()
    assert "Warehousing" not in page.locator("#credits").inner_text()
    axe(page)
    forbidden(page, "/net-cost?node=Logistics")


@pytest.mark.parametrize("login", ["carl", "ada"])
def test_who_is_not_limited_sees_everything(shared_server, visit_as, login):
    page = visit_as(shared_server, login)
    for address in ["/", "/net-cost?node=Media", "/months", "/runs", "/query", credit(MEDIA), credit(WAITS_FOR_NOBODY)]:
        assert page.goto(address).status == 200, address


@pytest.mark.parametrize(("login", "said"), [
    ("nora", "none of your groups has a role here"),
    ("lena", "access.csv has no line for you"),
    # It has one for an address that anybody can say is theirs.
    ("ulf", "access.csv has no line for you"),
])
def test_who_has_no_role_or_no_line_does_not_get_in_and_is_told(shared_server, sign_in, login, said):
    page = sign_in(shared_server, login)
    page.watch.expect(page, "status of 403")
    assert said in page.locator("main").inner_text()
    axe(page)
    assert not is_signed_in(page.request, shared_server)


def test_who_is_taken_off_the_list_sees_nothing_more_at_once(lake, share, visit_as):
    server = share(lake)
    page = visit_as(server, "vera")
    assert page.goto("/credits").status == 200
    server.access.write_text(ACCESS.replace("vera@example.com,,Retail,,,\n", ""), "utf-8")
    assert "access.csv has no line for you" in forbidden(page, "/credits")


def test_viewer_has_no_form_and_can_send_none(shared_server, visit_as):
    page = visit_as(shared_server, "vera")
    for address in ["/", "/queue", "/credits", credit(RETAIL)]:
        page.goto(address)
        assert forms(page).count() == 0
        assert page.get_by_role("link", name="Allocate").or_(page.get_by_role("link", name="Revise")).count() == 0
    for address in [credit(RETAIL, "/allocate"), "/runs"]:
        answer = page.request.post(address, form={"action": "save"}, headers=ours(shared_server))
        assert answer.status == 403 and "You may look here" in answer.text()


def test_runs_are_started_by_closers_and_admins(shared_server, visit_as):
    for login, may in [("finn", False), ("carl", True), ("ada", True)]:
        page = visit_as(shared_server, login, "/runs")
        assert page.get_by_role("button", name="Run now").count() == may, login
    page = visit_as(shared_server, "finn", credit(WAITS_FOR_NOBODY, "/allocate"))
    answer = page.request.post("/runs", form={"form_token": token_of(page)}, headers=ours(shared_server))
    assert answer.status == 403 and "You may start no run" in answer.text()


def test_allocation_outside_of_their_nodes_is_told_at_its_field_and_not_recorded(lake, shared_server, visit_as):
    page = visit_as(shared_server, "alma", credit(WAITS_FOR_LOGISTICS, "/allocate"))
    before = recorded(lake)
    fill(page, "100", "Retail")
    preview(page)
    assert "not among those that you see: Logistics/Warehousing, Media" in page.locator("#node-1-wrong").inner_text()
    assert page.get_by_role("button", name="Save the allocation").count() == 0
    axe(page)
    lot = {"form_token": token_of(page), "amount": "1", "action": "save"}
    move = {"form_token": token_of(page), "action": "save-move", "move_lot": "1", "move_from": "2026-10"}
    for key, form, status in [
        (WAITS_FOR_LOGISTICS, {**lot, "node": "Retail"}, 200),
        (WAITS_FOR_LOGISTICS, {**lot, "node": "Logistics"}, 200),
        (MEDIA, {**lot, "node": "Retail"}, 200),
        (MEDIA, {**move, "move_to": "Retail"}, 200),
        (WAITS_FOR_NOBODY, {**lot, "node": "Media"}, 403),
        # What stands elsewhere would be replaced, or would end.
        (RETAIL, {**lot, "node": "Media"}, 403),
        (SPLIT, {**lot, "node": "Media"}, 403),
        (SPLIT, {**move, "move_to": "Media"}, 403),
        (SPLIT, {**lot, "action": "save-revoke"}, 403),
    ]:
        answer = page.request.post(credit(key, "/allocate"), form=form, headers=ours(shared_server), max_redirects=0)
        assert answer.status == status, (key, form)
        assert status == 403 or "not among those that you see" in answer.text(), (key, form)
    assert recorded(lake) == before


def test_name_in_the_log_is_the_verified_address_else_the_subject_and_never_of_the_form(own_lake, share, visit_as):
    server = share(own_lake)
    for login, name in [("finn", "finn@example.com"), ("una", "sub-una"), ("uwe", "sub-uwe")]:
        page = visit_as(server, login, credit(WAITS_FOR_NOBODY, "/allocate"))
        page.evaluate("""for (const name of ["by", "recorded_by", "person"]) {
            const field = Object.assign(document.createElement("input"), { name, type: "hidden", value: "eve@example.com" });
            document.querySelector("#entry").append(field);
        }""")
        fill(page, "100", "Platform")
        preview(page)
        save(page)
        assert history(own_lake, WAITS_FOR_NOBODY)[-1]["recorded_by"] == name
