"""A run that is started on the page."""

from playwright.sync_api import expect


def test_run_is_started_and_what_was_recorded_counts(own_page, own_server):
    base = own_server.url
    own_page.goto(base + "/queue")
    own_page.locator("#queue tbody tr", has_text="MAP credit").get_by_role("link", name="Allocate").click()
    own_page.locator("#amount-1").fill("2500")
    own_page.locator("#node-1").fill("Logistics")
    own_page.keyboard.press("Tab")
    own_page.get_by_role("button", name="Preview", exact=True).click()
    own_page.get_by_role("button", name="Save the allocation").click()
    expect(own_page.locator(".done")).to_be_visible()
    own_page.goto(base + "/runs")
    assert own_page.locator("#runs tbody tr").count() == 1
    own_page.get_by_role("button", name="Run now").click()
    expect(own_page.locator("#runs tbody tr")).to_have_count(2, timeout=60_000)
    expect(own_page.get_by_role("button", name="Run now")).to_be_visible(timeout=60_000)
    own_page.goto(base + "/credits?q=MAP credit - 2/3")
    assert own_page.locator("#credits tbody tr").count() == 1
    assert "Logistics" in own_page.locator("#credits tbody").inner_text()
