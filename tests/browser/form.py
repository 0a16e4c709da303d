"""The form of an allocation, as people come to it and use it."""

from playwright.sync_api import Page, expect

from pages import follow


def open_form(page: Page, credit: str = "") -> None:
    """Of the first credit in the queue, or of the first with this in its row."""
    page.goto("/queue")
    follow(page.locator("#queue tbody tr", has_text=credit).first.get_by_role("link", name="Allocate"))


def fill(page: Page, amount: str = "", node: str = "", end: str = "", reference: str = "", lot: int = 1) -> None:
    """Fills in a lot."""
    for name, value in [("amount", amount), ("node", node), ("end_date", end), ("reference", reference)]:
        page.locator(f"#{name}-{lot}").fill(value)
    page.keyboard.press("Tab")


def preview(page: Page) -> None:
    follow(page.get_by_role("button", name="Preview", exact=True))


def try_to_save(page: Page) -> None:
    follow(page.get_by_role("button", name="Save the allocation"))


def save(page: Page) -> None:
    try_to_save(page)
    expect(page.locator(".done")).to_contain_text("Recorded")
