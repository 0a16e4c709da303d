"""A credit whose lots end on different days, and one whose allocation cannot be used, in views and checks."""

import shutil
from datetime import date

import pytest

from conftest import VECTORS, opened, publish
from files import check_files

LOTS = """promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product
Long Credit,111111111111,,70,USD,2026-03-31,PO-1,Retail,,,
Long Credit,111111111111,,30,USD,2026-06-30,PO-2,Retail,,,
Long Credit,111111111111,,5,USD,2026-12-31,PO-3,Retail,,,
Long Credit,111111111111,,4,USD,,PO-4,Retail,,,
Short Credit,111111111111,,40,USD,,,Retail,Gone,,
"""


@pytest.fixture(scope="module")
def lots(tmp_path_factory, schema, views):
    folder = tmp_path_factory.mktemp("lots")
    shutil.copytree(VECTORS / "05-older-credit-ends-later", folder, dirs_exist_ok=True)
    hierarchy = folder / "reference/hierarchy.csv"
    before = hierarchy.read_text()
    hierarchy.write_text(before + "Retail,Gone,,\n")
    (folder / "reference/allocations.csv").write_text(LOTS)
    publish(folder / "credits.toml", "2026-05-02")
    hierarchy.write_text(before)
    return opened(publish(folder / "credits.toml", "2026-05-02", "--accept-removed-nodes"), schema, views)


def test_each_lot_has_its_own_days_left_and_status(lots):
    expiring = lots.execute("SELECT lot, end_date, days_left, status FROM expiring_credits_view ORDER BY lot").fetchall()
    assert expiring == [
        (2, date(2026, 6, 30), 59, "expiring_soon"),
        (3, date(2026, 12, 31), 243, "active"),
    ]
    standing = lots.execute("SELECT lot, days_left, status FROM dashboard_expiry_view ORDER BY lot").fetchall()
    assert standing == [(1, -32, "expired"), (2, 59, "expiring_soon"), (3, 243, "active"), (4, None, "active")]


def test_burn_down_has_one_row_per_month_and_credit(lots):
    rows = lots.execute("SELECT billing_period, end_date, amount FROM credit_burn_down_view ORDER BY 1").fetchall()
    assert rows == [(f"2026-0{month}", None, 109) for month in range(1, 6)]


def test_credit_that_cannot_be_used_is_invalid_and_no_check_finds_anything(lots):
    assert lots.execute("SELECT status FROM credits WHERE promotion_code = 'Short Credit'").fetchall() == [("invalid",)]
    checks = check_files()
    assert {name: found for name in checks if (found := lots.execute(checks[name]).fetchall())} == {}
