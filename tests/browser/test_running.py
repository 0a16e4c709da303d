"""A run that is started on the page."""

from playwright.sync_api import expect

from form import fill, open_form, preview, save
from pages import follow


def test_run_is_started_and_what_was_recorded_counts(own_page):
    open_form(own_page, "MAP credit")
    fill(own_page, "2500", "Logistics")
    preview(own_page)
    save(own_page)
    own_page.goto("/runs")
    assert own_page.locator("#runs tbody tr").count() == 1
    follow(own_page.get_by_role("button", name="Run now"))
    expect(own_page.locator("#runs tbody tr")).to_have_count(2)
    expect(own_page.get_by_role("button", name="Run now")).to_be_visible()
    own_page.goto("/credits?q=MAP credit - 2/3")
    assert own_page.locator("#credits tbody tr").count() == 1
    assert "Logistics" in own_page.locator("#credits tbody").inner_text()
