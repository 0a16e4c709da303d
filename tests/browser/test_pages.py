"""Every page: that it is there, can be used by everybody, fits the screen, and what its tables give as files."""

import csv
import io
import json
import time
from decimal import Decimal

import openpyxl
import pytest
from playwright.sync_api import expect

from form import fill, open_form, preview
from pages import axe, follow, shot, until

PAGES = {
    "overview": "/",
    "queue": "/queue",
    "credits": "/credits",
    "credit": None,
    "allocate": None,
    "net-cost": "/net-cost",
    "net-cost-node": "/net-cost?node=Retail",
    "expiry": "/expiry",
    "months": "/months",
    "runs": "/runs",
    "query": "/query?sql=SELECT+billing_period%2C+currency%2C+net_cost+FROM+net_cost_summary+WHERE+level+%3D+0",
    "help": "/help",
}


@pytest.fixture(scope="session")
def addresses(lake) -> dict[str, str]:
    from urllib.parse import quote

    allocated = json.loads(lake.call("credits", "--format", "json"))[0]["credit_key"]
    waiting = json.loads(lake.call("queue", "--format", "json"))[0]["credit_key"]
    credit = "/credits/" + quote(allocated, safe="")
    return {**PAGES, "credit": credit, "allocate": f"/credits/{quote(waiting, safe='')}/allocate"}


def drawn(page) -> None:
    """Waits until every picture of the page is drawn."""
    until(page, "[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('svg'))")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_page_is_there_accessible_and_fits_the_screen(visit, server, addresses, name, scheme, width):
    page = visit(server, color_scheme=scheme, viewport={"width": width, "height": 900})
    answer = page.goto(addresses[name])
    assert answer.status == 200
    drawn(page)
    assert page.locator("h1").count() == 1
    shot(page, f"{name}-{scheme}-{width}")
    if (name, scheme, width) == ("overview", "light", 1280):
        shot(page, "readme", full_page=False)
    axe(page)
    # Tables scroll in themselves, the page does not.
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["overview", "queue", "credits", "net-cost-node", "months"])
def test_table_as_file_has_the_totals_of_the_page(page, addresses, name):
    """CSV and XLSX are opened by readers that are not ours."""
    page.goto(addresses[name])
    for table in page.locator(".sheet").all():
        links = table.locator(".downloads a")
        if links.count() == 0:
            continue
        totals = {}
        for row in table.locator("tfoot tr").all():
            for cell in row.locator(".money").all():
                totals[cell.get_attribute("title")] = totals.get(cell.get_attribute("title"), 0) + 1
        answer = page.request.get(links.nth(0).get_attribute("href"))
        rows = list(csv.DictReader(io.StringIO(answer.text())))
        shown = table.locator("tbody tr").count()
        assert len(rows) == shown
        assert "attachment" in answer.headers["content-disposition"]
        sums = {f"{total_of(rows, column):,.10f}" for column in rows[0] if is_money(rows, column)}
        if len({row.get("currency") for row in rows}) == 1:
            assert set(totals) <= sums, f"{name}: {totals} are not all of {sums}"
        workbook = page.request.get(links.nth(1).get_attribute("href")).body()
        sheet = openpyxl.load_workbook(io.BytesIO(workbook)).active
        assert sheet.max_row == len(rows) + 1
        assert sheet.freeze_panes == "A2"
        assert [cell.value for cell in sheet[1]] == list(rows[0])


def is_money(rows, column) -> bool:
    return all(row[column] == "" or row[column].rpartition(".")[2].isdigit() and len(row[column].rpartition(".")[2]) == 10
               for row in rows)


def total_of(rows, column) -> Decimal:
    return sum((Decimal(row[column] or 0) for row in rows), Decimal("0.0000000000"))


def test_figure_of_the_overview_leads_down_to_cost_lines_and_draws(page):
    """From net cost to a node, an account and service, its days, and the credits that were drawn there."""
    page.goto("/")
    follow(page.get_by_role("link", name="Net cost", exact=False).filter(has=page.locator(".sum")))
    follow(page.locator("#net_cost_by_node tbody a", has_text="Retail").first)
    follow(page.locator("#by_account_and_service tbody a").first)
    days = page.locator("#by_day tbody tr")
    assert days.count() > 0
    assert page.locator("#draws").count() == 1


def test_link_shows_what_its_sender_saw(page):
    page.goto("/credits?status=active&sort=-remaining")
    shown = page.locator("#credits tbody").inner_text()
    statuses = page.locator("#credits .badge").all_inner_texts()
    assert set(statuses) == {"active"}
    page.goto("/")
    page.goto("/credits?status=active&sort=-remaining")
    assert page.locator("#credits tbody").inner_text() == shown
    assert page.locator("#credits th[aria-sort=descending]").inner_text().startswith("Left")


@pytest.mark.parametrize(("address", "said"), [
    ("/credits?stauts=active", "stauts is no filter"),
    ("/?period=2026-13", "names no billing periods"),
    ("/credits/id%3Anone", "no credit fits id:none"),
    ("/credits?sort=colour", "no table of this page has a column"),
    ("/queue?download=pdf", "csv or xlsx"),
    ("/queue?currency=XYZ", "has no XYZ"),
    ("/?node=Nowhere", "Nowhere is not in the published run"),
    ("/?period=2031", "2026-05 to 2026-10"),
    ("/credits?status=foo", "foo is none"),
])
def test_what_cannot_be_answered_is_said_and_nothing_is_shown(page, address, said):
    answer = page.goto(address)
    assert answer.status == 400
    assert said in page.locator("[role=alert]").inner_text()
    assert page.locator("table").count() == 0
    page.watch.expect(page, "status of 400")


def test_filter_that_a_page_does_not_apply_is_named(page):
    page.goto("/credits?period=2026-09")
    assert "Not applied here: period" in page.locator("main").inner_text()


def test_figures_of_a_node_tie_from_page_to_page(page, server):
    """Left of credits on the overview is what SQL and the credits' page sum at that node, net cost what its table says."""
    for node in ["Retail", "Logistics", "Retail/Online"]:
        unit, _, department = node.partition("/")
        below = f"AND department = '{department}'" if department else ""
        sql = ("SELECT sum(remaining) AS left_here FROM credit_balances WHERE billing_period = '2026-10' AND business_unit = "
               f"'{unit}' {below}")
        [row] = json.loads(server.lake.call("query", sql, "--format", "json"))
        page.goto("/?node=" + node)
        left = page.locator(".tile", has_text="Left of credits").locator(".money").get_attribute("title")
        net = page.locator(".tile", has_text="Net cost").locator(".money").get_attribute("title")
        own = page.locator("#net_cost_by_node tbody tr").first.locator("td").last.locator(".money")
        assert own.get_attribute("title") == net
        assert left.replace(",", "") == row["left_here"]
        page.goto("/credits?node=" + node)
        here = page.locator("#credits tfoot .money, #credits tbody td:nth-child(7) .money").last
        assert here.get_attribute("title") == left


def test_credit_that_waits_is_found_from_every_page(page):
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("Explore AWS")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    follow(page.get_by_role("link", name="1 that waits fits the search"))
    assert page.locator("#queue tbody tr").count() == 1


def test_statement_that_would_go_on_for_hours_stops_nobody(visit, lake, serve):
    server = serve(lake)
    page = visit(server)
    sql = "SELECT count(DISTINCT a.net_cost + b.net_cost + c.net_cost) FROM net_cost a, net_cost b, net_cost c"
    page.goto("/help")
    page.evaluate("(sql) => { fetch('/query?sql=' + encodeURIComponent(sql)).then(() => { document.title = 'answered' }) }", sql)
    # Long enough for it to be under way, and far less than a statement may take.
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert page.request.get("/help").status == 200
    assert page.title() != "answered"
    page.context.close()
    server.stop()


def test_pages_work_without_script(visit, server):
    page = visit(server, java_script_enabled=False)
    open_form(page)
    fill(page, "100", "Retail")
    preview(page)
    assert "What would change" in page.locator("#preview").inner_text()


def test_keys_go_to_pages_and_along_tables(page):
    page.goto("/")
    with page.expect_navigation(url="**/queue"):
        page.keyboard.type("gq")
    page.keyboard.press("j")
    with page.expect_navigation(url="**/allocate"):
        page.keyboard.press("a")
    expect(page.locator("#amount-1")).to_be_focused()
    page.keyboard.press("Escape")
    with page.expect_navigation(url="**/help"):
        page.keyboard.press("?")
    page.keyboard.press("/")
    page.keyboard.type("MAP")
    with page.expect_navigation(url="**/credits?q=MAP"):
        page.keyboard.press("Enter")
