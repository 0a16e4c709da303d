"""Writes the cases of `fixtures/exports` that are listed here, the same bytes each time.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r requirements.txt
    /tmp/venv/bin/python make_exports.py

The cases are committed: their tests need no Python. Cases that are not listed here are left as they are.
"""

import pathlib
import shutil

import charges_cases  # noqa: F401: each of these lists its cases
import columns_cases  # noqa: F401
import kit
import layout_cases  # noqa: F401

EXPORTS = pathlib.Path(__file__).parent.parent / "fixtures/exports"
SHARED = {
    "credits.toml": kit.settings(),
    "reference/hierarchy.csv": "business_unit,department,portfolio,product\nShop,,,\nData,,,\n",
    "reference/cost_rules.csv": kit.rules(f"shop,10,,{kit.SHOP},,,,,,,Shop,,,,", f"data,20,,{kit.DATA},,,,,,,Data,,,,"),
}
LARGEST = 20_000


def amount(text):
    from decimal import Decimal

    return format(Decimal(text).normalize() + 0, "f")


def summary(rows):
    """The summary by business unit; net cost is gross cost, refunds and credits applied."""
    from decimal import Decimal

    lines = ["billing_period,business_unit,gross_cost,refunds,aws_credits,credits_applied,net_cost"]
    for row in rows:
        month, unit, *figures = row.split(" ")
        gross, refunds, aws, applied = [Decimal(figure) for figure in figures] + [Decimal(0)] * (4 - len(figures))
        net = gross + refunds + applied
        lines.append(",".join([month, unit, *(amount(figure) for figure in (gross, refunds, aws, applied, net))]))
    return "\n".join(lines) + "\n"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    assert len(content) <= LARGEST, f"{path}: {len(content)} bytes"
    path.write_bytes(content)


def lines(texts):
    return "".join(f"{text}\n" for text in texts)


def main():
    for name, content in SHARED.items():
        write(EXPORTS / name, content)
    for path, case in kit.CASES.items():
        folder = EXPORTS / path
        shutil.rmtree(folder, ignore_errors=True)
        write(folder / "about.txt", case["about"] + "\n")
        for name, content in case["files"].items():
            write(folder / "export" / name, content)
        for name, content in case["reference"].items():
            write(folder / "reference" / name, content)
        if case["settings"]:
            write(folder / "credits.toml", case["settings"])
        if case["refused"]:
            code, *texts = case["refused"]
            write(folder / "refused.txt", lines([f"exit {code}", *texts]))
        else:
            write(folder / "expected.csv", summary(case["expected"]))
        if case["credits"]:
            write(folder / "credits.csv", lines(case["credits"]))
        if case["says"]:
            write(folder / "says.txt", lines(case["says"]))
    print(len(kit.CASES), "cases")


if __name__ == "__main__":
    main()
