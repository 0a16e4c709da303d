"""Writes one bill in one of many spellings: format, container, types, dates, folders.

    one_bill.py --list                                 names the axes and their values
    one_bill.py --seed 7 --out FOLDER                  draws one combination
    one_bill.py --choose format=cur1,container=zip --out FOLDER    fixes some of it
    one_bill.py --every-value --draws 40 --seed 1 --out FOLDER     many, each below bills/<number>

A draw depends on its seed and on what is fixed, nothing else. Each bill is one JSON line on stdout: its folder, its seed
and its choices. FOLDER also gets reference/ and credits.toml.
"""

import argparse
import json
import pathlib
import random
import shutil
import sys

import bill
import layouts
import writers

STAMPS = ["ms", "us", "ns", "ms-utc", "us-utc", "ns-utc", "us-zurich", "int96", "date"]
AXES = {
    "format": ["cur1", "athena", "cur2", "focus10", "focus12"],
    "container": ["pyarrow", "duckdb", "polars", "fastparquet", "csv", "gz", "gz-zeros", "gz-members", "zip"],
    "codec": writers.CODECS + ["of-container"],
    "maps": ["columns", "map", "pairs", "struct", "json"],
    "ids": ["text", "integers", "accounts", "invoice-double"],
    "dates": STAMPS + list(writers.DATE_TEXTS),
    "costs": ["double", "decimal9", "decimal18", "decimal38", "decimal76", "text", "text-exponent", "text-padded"],
    "strings": ["utf8", "large", "view", "dictionary"],
    "unused": ["typed", "null", "absent"],
    "layout": list(layouts.LAYOUTS),
    "parts": ["1", "2", "3"],
    "groups": ["one", "many"],
    "names": ["delivered", "upper", "lower"],
    "lines": ["lf", "crlf", "quoted", "bom", "of-container"],
    "missing": ["null", "blank", "word"],
    "beside": ["nothing", "leftovers"],
}
DATES, PARQUET_COSTS = set(AXES["dates"]), {"double", "text", "text-exponent", "text-padded"}
# What each writer can write; without an entry, every value.
WRITERS = {
    "pyarrow": {},
    "duckdb": {"groups": {"one"}, "strings": {"utf8"}, "dates": DATES - {"int96", "ns-utc", "us-zurich"},
               "costs": PARQUET_COSTS | {"decimal9", "decimal18", "decimal38"}},
    "polars": {"strings": {"utf8"}, "dates": DATES - {"int96", "us-zurich"},
               "costs": PARQUET_COSTS | {"decimal18", "decimal38"}, "maps": {"columns", "pairs", "struct", "json"}},
    "fastparquet": {"strings": {"utf8"}, "dates": DATES - {"date", "us-zurich"}, "costs": PARQUET_COSTS,
                    "maps": {"columns", "json"}, "unused": {"typed", "absent"}},
    "text": {"codec": {"of-container"}, "strings": {"utf8"}, "unused": {"typed", "absent"}, "ids": {"text"},
             "costs": PARQUET_COSTS - {"double"}, "maps": {"columns", "json"}, "groups": {"one"},
             "dates": set(writers.DATE_TEXTS), "missing": {"blank", "word"}, "lines": {"lf", "crlf", "quoted", "bom"}},
}
# What AWS delivers; plain files can hold anything.
DELIVERED = {"exports": {"cur2", "focus10", "focus12"}, "executions": {"cur2", "focus10", "focus12"},
             "assemblies": {"cur1"}, "athena": {"athena"}}
# The first of many: as AWS delivers CUR 1.0 for Athena.
USUAL = {"format": "athena", "container": "pyarrow", "codec": "snappy", "maps": "columns", "ids": "text", "dates": "ms",
         "costs": "double", "strings": "utf8", "unused": "typed", "layout": "athena", "parts": "1", "groups": "one",
         "names": "delivered", "lines": "of-container", "missing": "null", "beside": "nothing"}


def allowed(choices):
    """What each axis may be for this format, container and layout; None if they do not go together."""
    text = choices["container"] in writers.TEXTS
    layout, form = choices["layout"], choices["format"]
    if form not in DELIVERED.get(layout, AXES["format"]):
        return None
    if layout == "assemblies" and not text or layout == "athena" and text:
        return None
    usual = {} if text else {"lines": {"of-container"}, "missing": {"null", "blank"}, "codec": set(writers.CODECS)}
    limits = usual | WRITERS["text" if text else choices["container"]]
    # Case tells the words of a CUR 1.0 key apart.
    limits |= {"names": {"delivered"}} if form == "cur1" else {}
    keyed = {"columns"} if form in ("cur1", "athena") else set(AXES["maps"]) - {"columns"}
    limits["maps"] = limits.get("maps", set(AXES["maps"])) & keyed
    return {axis: [value for value in values if value in limits.get(axis, values)] for axis, values in AXES.items()}


def draw(seed, fixed):
    source = random.Random(f"{seed} {sorted(fixed.items())}")
    for _ in range(2_000):
        first = {axis: fixed.get(axis) or source.choice(AXES[axis]) for axis in ("format", "container", "layout")}
        values = allowed(first)
        if values is None or any(fixed.get(axis, values[axis][0]) not in values[axis] for axis in AXES):
            continue
        return {axis: first.get(axis) or fixed.get(axis) or source.choice(values[axis]) for axis in AXES}
    sys.exit(f"no such bill: {fixed}")


def write(folder, seed, choices):
    """Writes the export below `folder`; lines and columns in an order of the seed's."""
    order = random.Random(f"order {seed}")
    lines = bill.lines()
    order.shuffle(lines)
    months = {}
    for month in layouts.MONTHS:
        of_month = [line for line in lines if line.period == month]
        size = -(-len(of_month) // int(choices["parts"]))
        months[month] = [columns(of_month[at:at + size], choices, order) for at in range(0, len(of_month), size)]
    layouts.LAYOUTS[choices["layout"]](folder, months, choices)
    if choices["beside"] == "leftovers":
        layouts.leftovers(folder)


def columns(lines, choices, order):
    found = bill.columns(lines, choices["format"])
    if choices["unused"] == "absent":
        found = [column for column in found if not column.kind.startswith("unused")]
    if choices["names"] != "delivered":
        for column in found:
            column.name = getattr(column.name, choices["names"])()
    order.shuffle(found)
    return found


def write_reference(out):
    (out / "reference").mkdir(parents=True, exist_ok=True)
    for name, text in [("hierarchy", bill.HIERARCHY), ("cost_rules", bill.RULES), ("allocations", bill.ALLOCATIONS)]:
        (out / f"reference/{name}.csv").write_text(text)
    (out / "credits.toml").write_text(bill.SETTINGS)


def every_value(seed, fixed):
    """Draws that have each value of each axis at least once; the usual one is the first."""
    found = [USUAL] if USUAL == USUAL | fixed else []
    seen = {pair for choices in found for pair in choices.items()}
    for axis, values in AXES.items():
        for value in values:
            if (axis, value) in seen or fixed.get(axis, value) != value:
                continue
            choices = draw(seed, fixed | {axis: value})
            seen |= set(choices.items())
            found.append(choices)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--choose", default="")
    parser.add_argument("--every-value", action="store_true")
    parser.add_argument("--draws", type=int)
    parser.add_argument("--out", type=pathlib.Path)
    asked = parser.parse_args()
    if asked.list:
        for axis, values in AXES.items():
            print(f"{axis}: {', '.join(values)}")
        return
    fixed = dict(part.split("=", 1) for part in asked.choose.split(",") if part)
    for axis, value in fixed.items():
        if value not in AXES.get(axis, []):
            sys.exit(f"no such choice: {axis}={value}; see --list")
    write_reference(asked.out)
    if asked.every_value or asked.draws is not None:
        bills = [(asked.seed, choices) for choices in every_value(asked.seed, fixed)] if asked.every_value else []
        bills += [(seed, draw(seed, fixed)) for seed in range(asked.seed, asked.seed + (asked.draws or 0))]
        folders = [f"bills/{at:04}" for at in range(len(bills))]
    else:
        bills, folders = [(asked.seed, draw(asked.seed, fixed))], ["export"]
    for folder, (seed, choices) in zip(folders, bills):
        shutil.rmtree(asked.out / folder, ignore_errors=True)
        write(asked.out / folder, seed, choices)
        print(json.dumps({"folder": folder, "seed": seed, "choices": choices}), flush=True)


if __name__ == "__main__":
    main()
