"""Text of others, and pages of others: what they say is shown, and what they try does not happen."""

import csv
import io
import shutil

import pytest

from form import open_form
from pages import axe, follow
from program import ROOT, Lake

SCRIPT = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
FORMULA = "=cmd|' /C calc'!A0"
COLUMNS = ("bill_billing_period_start_date,bill_billing_entity,bill_payer_account_id,line_item_usage_account_id,"
           "line_item_usage_start_date,line_item_line_item_type,line_item_product_code,line_item_line_item_description,"
           "line_item_currency_code,line_item_unblended_cost").split(",")


@pytest.fixture(scope="module")
def hostile_lake(tmp_path_factory) -> Lake:
    """An export whose descriptions are written by somebody who means harm."""
    folder = tmp_path_factory.mktemp("hostile")
    export = folder / "export"
    export.mkdir()
    with (export / "october.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        line = ["2026-10-01", "AWS", "410000000001", "410000000101", "2026-10-02"]
        rows.writerow([*line, "Usage", "AmazonEC2", "EC2 instances", "USD", "320.00"])
        for place, description in enumerate([SCRIPT, FORMULA, "\u202egpj.exe\u001b[2J"]):
            rows.writerow([*line, "Credit", "AmazonEC2", description, "USD", f"-{10 + place}.00"])
    reference = folder / "reference"
    reference.mkdir()
    for name in ("hierarchy.csv", "cost_rules.csv"):
        shutil.copy(ROOT / "data/reference" / name, reference)
    return Lake(folder, export, reference)


@pytest.fixture
def hostile_page(hostile_lake, serve, visit):
    return visit(serve(hostile_lake))


def test_script_in_a_description_is_text(hostile_page):
    for address in ["/", "/queue", "/credits?q=script", "/query?sql=SELECT+*+FROM+credit_queue"]:
        hostile_page.goto(address)
        assert "owned" not in hostile_page.title()
        assert hostile_page.locator("main img").count() == 0
    hostile_page.goto("/queue")
    assert "<script>document.title" in hostile_page.locator("#queue").inner_text()
    follow(hostile_page.locator("#queue tbody tr", has_text="<script>").locator("a").first)
    assert "<script>" in hostile_page.locator("h1").inner_text()
    assert "owned" not in hostile_page.title().replace("document.title = 'owned'", "")
    axe(hostile_page)


def test_what_hides_or_turns_text_is_shown_escaped(hostile_page):
    hostile_page.goto("/queue")
    shown = hostile_page.locator("#queue").inner_text()
    assert "\\u{202e}" in shown and "\u202e" not in shown


def test_formula_in_a_description_is_text_in_files(hostile_page):
    text = hostile_page.request.get("/queue?table=queue&download=csv").text()
    names = [row["promotion_code"] for row in csv.DictReader(io.StringIO(text))]
    assert "'" + FORMULA in names
    assert not any(name.startswith("=") for name in names)


def test_page_of_another_site_cannot_record(page, server):
    """The session's cookie goes along, the origin and the token do not fit."""
    open_form(page)
    address = page.url
    token = page.locator("[name=form_token]").first.get_attribute("value")
    form = {"amount": "5", "node": "Retail", "action": "save", "form_token": token}
    elsewhere = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert page.request.post(address, form=form, headers=elsewhere).status == 403
    ours = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert page.request.post(address, form={**form, "form_token": "0" * 64}, headers=ours).status == 403
    assert page.request.post(address, form=form, headers=ours).status == 200
    assert server.lake.call("allocations", "history", "code:AWS Free Tier@410000000902").count("\n") <= 1


def test_name_that_was_bound_to_this_address_is_refused(page, server):
    for host in ["evil.example", "evil.example:" + server.url.rsplit(":", 1)[1], "127.0.0.1:1"]:
        assert page.request.get("/queue", headers={"Host": host}).status == 421


def test_address_of_the_login_works_once(server, visit, page):
    other = visit()
    answer = other.goto(server.login_url)
    assert answer.status == 401
    assert "works once" in other.locator("main").inner_text()
    other.watch.expect(other, "status of 401")


def test_without_a_session_nothing_is_shown(server, visit, page):
    other = visit()
    answer = other.goto(server.url + "/credits")
    assert answer.status == 401
    assert other.locator("table").count() == 0
    axe(other)
    other.watch.expect(other, "status of 401")


def test_token_of_the_login_is_in_no_log_and_no_later_address(visit, serve, lake):
    server = serve(lake)
    token = server.login_url.rsplit("=", 1)[1]
    page = visit()
    page.goto(server.login_url)
    assert page.url == server.url + "/"
    assert token not in page.content()
    assert token not in server.err.read_text("utf-8")
