"""Damages of a staged run, by the check that finds them: SQL over the staged tables, as small as may be."""

from contextlib import contextmanager

BIT = "0.0000000001"
SUMMIT = "credit_key LIKE '%Summit%'"  # one lot, used from May to August, expired on 15 August


@contextmanager
def damaged(connection, damage: str):
    """A staged run with a damage, whole again afterwards."""
    connection.execute("BEGIN TRANSACTION")
    try:
        for statement in damage.split(";"):
            (changed,) = connection.execute(statement).fetchone()
            assert changed > 0, f"nothing to damage: {statement}"
        yield connection
    finally:
        connection.execute("ROLLBACK")


def off_by_a_bit(table: str, column: str) -> str:
    """The first amount that is not zero, changed in its last decimal."""
    first = f"(SELECT min(rowid) FROM staged_{table} WHERE {column} <> 0)"
    return f"UPDATE staged_{table} SET {column} = {column} + {BIT} WHERE rowid = {first}"


def changed(table: str, change: str, where: str = "true") -> str:
    return f"UPDATE staged_{table} SET {change} WHERE {where}"


def lost(table: str, where: str = "true") -> str:
    return f"DELETE FROM staged_{table} WHERE {where}"


def last_lost(table: str) -> str:
    return lost(table, f"rowid = (SELECT max(rowid) FROM staged_{table})")


def twice(table: str) -> str:
    return f"INSERT INTO staged_{table} FROM staged_{table} WHERE rowid = (SELECT min(rowid) FROM staged_{table})"


def moved(less: str, more: str) -> str:
    """A balance that still adds up, but goes below zero."""
    return changed("credit_balances", f"{less} = {less} - 1000000, {more} = {more} + 1000000")


AMOUNTS = ["gross_cost", "refunds", "aws_credits", "invoice_net", "credits_applied", "net_cost", "clearing"]
LEVELS = ["business_unit", "department", "portfolio", "product"]

DAMAGE = {
    "tie_out": [
        off_by_a_bit("net_cost", "invoice_net"),
        off_by_a_bit("reconciliation", "export_total"),
        changed("reconciliation", f"difference = {BIT}"),
        last_lost("reconciliation"),
        lost("net_cost", "billing_period = '2026-07'"),
        lost("reconciliation") + ";" + lost("net_cost"),
    ],
    "reconciliation": [
        off_by_a_bit("net_cost", "net_cost"),
        off_by_a_bit("net_cost", "clearing"),
        off_by_a_bit("reconciliation", "invoice_net"),
        off_by_a_bit("reconciliation", "unallocated_aws_credits"),
        last_lost("credit_queue"),
    ],
    "books": [off_by_a_bit("net_cost", amount) for amount in ("charges", "refunds", "net_cost", "clearing")],
    "invoice": [off_by_a_bit("net_cost", amount) for amount in ("gross_cost", "aws_credits", "invoice_net")],
    "clearing": [
        off_by_a_bit("net_cost", "aws_credits"),
        off_by_a_bit("net_cost", "credits_applied"),
        off_by_a_bit("credit_impact", "aws_applied"),
        off_by_a_bit("credit_impact", "used"),
        last_lost("credit_impact"),
    ],
    "summary": [
        *(off_by_a_bit("net_cost_summary", amount) for amount in AMOUNTS),
        off_by_a_bit("net_cost_summary", "budget_remaining"),
        lost("net_cost_summary", "level = 0 AND billing_period = '2026-10'"),
        lost("net_cost_summary", "level = 4 AND billing_period = '2026-10'"),
        changed("net_cost_summary", "business_unit = 'Retail'", "business_unit = 'Media'"),
    ],
    "consumption": [
        off_by_a_bit("credit_consumption", "used"),
        off_by_a_bit("net_cost", "credits_applied"),
        last_lost("credit_consumption"),
        changed("credit_consumption", "service = 'AmazonNothing'"),
        lost("net_cost", "credits_applied < 0"),
    ],
    "eligible": [
        changed("net_cost", "eligible_charges = -1", "credits_applied < 0"),
        changed("net_cost", f"credits_applied = {BIT}", "credits_applied = 0"),
    ],
    "draws": [
        lost("credit_balances", "used > 0"),
        changed("credit_consumption", "used = 0"),
        changed("credit_consumption", "fifo_rank = 0"),
        changed("credit_consumption", "currency = 'EUR'"),
        *(changed("credit_balances", f"{level} = 'Nobody'") for level in LEVELS),
        *(changed("credit_consumption", f"{level} = 'Nobody'", f"credit_{level} IS NOT NULL") for level in LEVELS),
        changed("credit_consumption", "product = NULL", "credit_product IS NOT NULL"),
        changed("credit_balances", "issue_date = DATE '2027-01-01'"),
        changed("credit_balances", "end_date = DATE '2026-08-10'", SUMMIT),
        changed("credit_balances", "end_date = DATE '2026-07-31'", f"{SUMMIT} AND billing_period = '2026-08'")
        + ";"
        + changed("credit_consumption", "usage_date = DATE '2026-07-31'", f"{SUMMIT} AND billing_period = '2026-08'"),
    ],
    "balances": [
        off_by_a_bit("credit_balances", "remaining"),
        moved("opening", "issued"),
        moved("issued", "opening"),
        moved("used", "expired"),
        moved("expired", "remaining"),
        moved("remaining", "used"),
    ],
    "carry_over": [
        changed("credit_balances", "opening = opening + 1, issued = issued - 1", "issued > 0"),
        changed("credit_balances", "issued = 0", "issued > 0"),
        changed("credit_balances", "issue_date = issue_date - 40"),
        changed("credit_balances", "issue_date = issue_date - 40, issued = 0, moved = -1", "issued > 0"),
        changed("credit_balances", "issue_date = issue_date + 40, issued = 0", "issued > 0"),
        changed("credit_balances", "opening = opening + 1", "opening > 0"),
        changed("credit_balances", "issued = 1", "opening > 0"),
        lost("credit_balances", f"{SUMMIT} AND billing_period = '2026-09'"),
        lost("credit_balances", f"{SUMMIT} AND billing_period = '2026-10'"),
    ],
    "moves": [changed("credit_balances", "moved = 1", "issued > 0")],
    "used": [
        off_by_a_bit("credit_balances", "used"),
        last_lost("credit_consumption"),
        lost("credit_balances", "used > 0"),
    ],
    "standing": [
        *(off_by_a_bit("credits", amount) for amount in ("allocated_amount", "used", "expired", "remaining")),
        off_by_a_bit("credits", "aws_applied"),
        lost("credit_balances", SUMMIT),
        lost("credits", "allocated_amount IS NOT NULL"),
        lost("credits", "allocated_amount IS NULL"),
    ],
    "queue": [
        last_lost("credit_queue"),
        changed("credits", "status = 'active'", "allocated_amount IS NULL"),
        changed("credits", "status = 'unallocated'", "allocated_amount IS NOT NULL"),
        changed("credits", "status = 'invalid'", "allocated_amount IS NULL"),
        changed("credits", "allocated_amount = 1", "status = 'unallocated'"),
        changed("credits", "allocated_amount = NULL", "status = 'expired'"),
        lost("credits", "status = 'unallocated'"),
        changed("credit_queue", "reason = 'allocation_invalid'"),
    ],
    "nodes": [
        lost("hierarchy", "product = 'A/B Testing'"),
        changed("credit_balances", "department = 'Nobody'"),
    ],
    "unique_rows": [
        twice(table)
        for table in (
            "net_cost", "net_cost_summary", "credit_consumption", "credit_balances", "credits", "credit_queue",
            "credit_impact", "hierarchy", "reconciliation",
        )
    ],
}  # fmt: skip
