"""What people record on the page, and that it is what the next run publishes."""

import json
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from form import fill, open_form, preview, save, try_to_save
from pages import axe, follow, shot

# Amount, node as it is typed, its whole name, end.
FOUR = [
    ("2500", "logist", "Logistics", "2027-03-31"),
    ("1000", "platf", "Platform", ""),
    ("500.50", "media", "Media", "2026-12-31"),
    ("1,250.00", "retail", "Retail", ""),
]


class Keys:
    """A keyboard that counts."""

    def __init__(self, page):
        self.page, self.pressed = page, 0

    def press(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            self.page.keyboard.press(key)
            self.pressed += 1

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)
        self.pressed += len(text)


def waiting(lake) -> list[dict]:
    return json.loads(lake.call("queue", "--format", "json"))


def summary(lake) -> dict[tuple, Decimal]:
    sql = ("SELECT billing_period, business_unit, currency, net_cost FROM net_cost_summary WHERE level = 1")
    rows = json.loads(lake.call("query", sql, "--format", "json"))
    return {(row["billing_period"], row["business_unit"], row["currency"]): Decimal(row["net_cost"]) for row in rows}


def table_of(page, name: str) -> list[dict[str, str]]:
    """The rows of a table; amounts exact, as they are on hover."""
    table = page.locator(f"#{name}")
    heads = [head.strip() for head in table.locator("thead th").all_inner_texts()]
    rows = []
    for row in table.locator("tbody tr").all():
        cells = []
        for cell in row.locator("td").all():
            money = cell.locator(".money")
            cells.append(money.get_attribute("title").replace(",", "") if money.count() else cell.inner_text())
        rows.append(dict(zip(heads, cells, strict=True)))
    return rows


def test_four_waiting_credits_are_allocated_with_the_keyboard_alone(own_page, own_lake):
    own_page.goto("/")
    keys = Keys(own_page)
    for left, (amount, typed, node, end) in zip((4, 3, 2, 1), FOUR, strict=True):
        if left == 4:
            with own_page.expect_navigation(url="**/queue"):
                keys.type("gq")
        assert own_page.locator("#queue tbody tr").count() == left
        keys.press("j")
        with own_page.expect_navigation(url="**/allocate"):
            keys.press("a")
        # A browser gives the first field the focus a moment after the page is there.
        expect(own_page.locator("#amount-1")).to_be_focused()
        keys.type(amount)
        keys.press("Tab")
        keys.type(typed)
        # Not what was offered for the first letters.
        expect(own_page.locator("[role=option]:visible").first).to_contain_text(node)
        keys.press("ArrowDown")
        keys.press("Enter")
        keys.press("Tab")
        keys.type(end)
        with own_page.expect_navigation():
            keys.press("Enter")
        expect(own_page.locator("#preview h2")).to_be_visible()
        expect(own_page.get_by_role("button", name="Save the allocation")).to_be_focused()
        with own_page.expect_navigation():
            keys.press("Enter")
        expect(own_page.locator(".done")).to_be_visible()
    assert own_page.locator("#queue tbody tr").count() == 0
    assert waiting(own_lake) == []
    recorded = json.loads(own_lake.call("allocations", "list", "--format", "json"))
    mine = [(row["business_unit"], row["end_date"] or "") for row in recorded if row["recorded_by"] == "jane@example.com"]
    assert sorted(mine) == sorted((node, end) for _, _, node, end in FOUR)
    # Ten keys for each beside what is typed; more would be in the way.
    typed = sum(len(amount) + len(word) + len(end) for amount, word, _, end in FOUR)
    assert keys.pressed - typed <= 4 * 10, keys.pressed - typed


def test_preview_is_what_the_next_run_publishes(own_page, own_lake):
    open_form(own_page, "MAP credit")
    before = summary(own_lake)
    fill(own_page, "2500", "Logistics", "2027-03-31", "MAP-2026-114")
    preview(own_page)
    shot(own_page, "preview")
    axe(own_page)
    said = {(row["Month"], row["Business unit"]): Decimal(row["Change"]) for row in table_of(own_page, "changes")}
    assert said
    save(own_page)
    own_lake.call("run")
    after = summary(own_lake)
    changed = {key[:2]: after[key] - before[key] for key in after if after[key] != before[key]}
    assert said == changed
    recorded = json.loads(own_lake.call("allocations", "list", "--format", "json"))
    [row] = [row for row in recorded if row["reference"] == "MAP-2026-114"]
    assert (row["recorded_by"], row["amount"]) == ("jane@example.com", "2500.0000000000")


def test_credit_is_split_into_lots(own_page, own_lake):
    open_form(own_page, "MAP credit")
    fill(own_page, "1500", "Logistics", "2026-12-31")
    follow(own_page.get_by_role("button", name="Another lot"))
    fill(own_page, "1,000.25", "Retail", lot=2)
    expect(own_page.locator("#sum")).to_have_text("2,500.25")
    preview(own_page)
    save(own_page)
    own_lake.call("run")
    own_page.goto("/credits?q=MAP credit - 2")
    follow(own_page.locator("#credits tbody a").first)
    lots = table_of(own_page, "lots")
    assert [(lot["Node"], lot["Amount"], lot["Ends"]) for lot in lots] == [
        ("Logistics", "1500.0000000000", "2026-12-31"), ("Retail", "1000.2500000000", "")]


@pytest.mark.parametrize(("lot", "field", "said"), [
    ({"amount": "12,34", "node": "Retail"}, "amount-1", "not an amount"),
    ({"amount": "-5", "node": "Retail"}, "amount-1", "is not above zero"),
    ({"amount": "5", "node": "Retale"}, "node-1", "did you mean Retail"),
    ({"amount": "5", "node": "Retail", "end": "31.12.2026"}, "end_date-1", "not a date (YYYY-MM-DD)"),
    ({"amount": "5", "node": "Retail", "end": "2020-01-01"}, "end_date-1", "before the issue date"),
])
def test_wrong_input_is_told_at_its_field_and_nothing_is_lost(page, lake, lot, field, said):
    open_form(page)
    before = waiting(lake)
    fill(page, reference="T-1", **lot)
    preview(page)
    wrong = page.locator(f"#{field}")
    assert wrong.get_attribute("aria-invalid") == "true"
    assert said in page.locator(f"#{field}-wrong").inner_text()
    for name, value in [("amount", lot["amount"]), ("node", lot["node"]), ("reference", "T-1")]:
        assert page.locator(f"#{name}-1").input_value() == value
    assert page.get_by_role("button", name="Save the allocation").count() == 0
    axe(page)
    assert waiting(lake) == before


def test_suggestions_that_come_late_do_not_open_a_list_that_was_closed(own_page):
    held = []
    own_page.route("**/nodes?*", lambda route: held.append(route))
    open_form(own_page)
    node = own_page.locator("#node-1")
    node.press_sequentially("re")
    expect(node).to_have_value("re")
    node.press("Tab")
    node.focus()
    with own_page.expect_response("**/nodes?q=re"):
        for route in held:
            route.continue_()
    own_page.unroute("**/nodes?*")
    own_page.evaluate("fetch('/nodes?q=').then((answer) => answer.json())")  # which comes after those that were held
    assert node.get_attribute("aria-expanded") == "false"
    node.press("ArrowDown")
    expect(node).to_have_attribute("aria-expanded", "true")


def test_only_what_was_previewed_is_saved(own_page, own_lake):
    open_form(own_page)
    fill(own_page, "100", "Retail")
    preview(own_page)
    own_page.locator("#amount-1").fill("900")
    try_to_save(own_page)
    expect(own_page.locator(".note.warning").first).to_contain_text("not what the preview showed")
    assert len(waiting(own_lake)) == 4
    save(own_page)
    assert len(waiting(own_lake)) == 3


def test_second_of_two_people_sees_what_the_first_recorded(own_page, own_lake):
    key = waiting(own_lake)[0]["credit_key"]
    open_form(own_page)
    fill(own_page, "100", "Retail")
    preview(own_page)
    own_lake.call("allocate", "--key", key, "--amount", "77", "--to", "Media", "--by", "bob@example.com", "--yes")
    try_to_save(own_page)
    expect(own_page.locator(".note.warning").first).to_contain_text("Somebody else recorded")
    assert "bob@example.com" in own_page.locator("#preview").inner_text()
    history = json.loads(own_lake.call("allocations", "history", key, "--format", "json"))
    assert [row["recorded_by"] for row in history] == ["bob@example.com"]
    save(own_page)
    history = json.loads(own_lake.call("allocations", "history", key, "--format", "json"))
    assert [row["recorded_by"] for row in history] == ["bob@example.com", "jane@example.com"]


def test_what_was_recorded_before_the_preview_is_said_too(own_page, own_lake):
    key = waiting(own_lake)[0]["credit_key"]
    open_form(own_page)
    own_lake.call("allocate", "--key", key, "--amount", "77", "--to", "Media", "--by", "bob@example.com", "--yes")
    fill(own_page, "100", "Retail")
    preview(own_page)
    expect(own_page.locator(".note.warning").first).to_contain_text("Somebody else recorded")
    save(own_page)


def test_allocation_is_revised_moved_and_revoked_and_its_history_says_so(own_page, own_lake):
    own_page.goto("/credits?status=active")
    follow(own_page.locator("#credits tbody tr").first.get_by_role("link", name="Revise"))
    address = own_page.url
    amount = own_page.locator("#amount-1").input_value()
    own_page.locator("#reference-1").fill("REV-2")
    preview(own_page)
    save(own_page)
    own_page.goto(address)
    assert own_page.locator("#reference-1").input_value() == "REV-2"
    assert own_page.locator("#amount-1").input_value() == amount
    own_page.locator("summary").click()
    own_page.locator("[name=move_from]").fill("2026-10")
    own_page.locator("[name=move_to]").fill("Media")
    follow(own_page.get_by_role("button", name="Preview the move"))
    follow(own_page.get_by_role("button", name="Save the move"))
    expect(own_page.locator(".done")).to_contain_text("Recorded")
    own_page.goto(address)
    own_page.locator("summary").click()
    follow(own_page.get_by_role("button", name="Preview the revocation"))
    shot(own_page, "revocation")
    follow(own_page.get_by_role("button", name="Revoke the allocation"))
    expect(own_page.locator(".done")).to_contain_text("Recorded")
    own_page.goto(address.removesuffix("/allocate"))
    history = own_page.locator(".history").inner_text()
    for said in ["revoke", "from 2026-10", "REV-2", "by jane@example.com"]:
        assert said in history, history


def test_read_only_page_has_no_form(lake, serve, visit):
    server = serve(lake, "--read-only")
    page = visit(server)
    for address in ["/", "/queue", "/credits", "/runs"]:
        page.goto(address)
        assert page.locator("form[method=post]").count() == 0
        assert page.get_by_role("link", name="Allocate").count() == 0
