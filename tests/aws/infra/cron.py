"""What EventBridge Scheduler takes as a schedule; linters do not look into it."""

import re

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()
# Name, least, most, names that count from 1, what else may stand there.
FIELDS = [
    ("minutes", 0, 59, [], r"$^"),
    ("hours", 0, 23, [], r"$^"),
    ("day of month", 1, 31, [], r"\?|L|LW|([1-9]|[12]\d|3[01])W"),
    ("month", 1, 12, MONTHS, r"$^"),
    ("day of week", 1, 7, DAYS, r"\?|L|[1-7]L|[1-7]#[1-5]"),
    ("year", 1970, 2199, [], r"$^"),
]


def problem(expression: str) -> str | None:
    if rate := re.fullmatch(r"rate\(([1-9]\d*) (minute|hour|day)(s?)\)", expression):
        return None if (rate[1] == "1") == (rate[3] == "") else "one of a unit is singular, more are plural"
    cron = re.fullmatch(r"cron\((.+)\)", expression)
    if not cron:
        return "neither rate(…) nor cron(…)"
    values = cron[1].split()
    if len(values) != len(FIELDS):
        return f"{len(values)} fields instead of {len(FIELDS)}"
    if (values[2] == "?") == (values[4] == "?"):
        return "exactly one of day of month and day of week is ?"
    for value, (name, least, most, names, special) in zip(values, FIELDS):
        if not re.fullmatch(special, value) and not all(in_range(it, least, most, names) for it in value.split(",")):
            return f"{name}: {value}"
    return None


def in_range(item: str, least: int, most: int, names: list[str]) -> bool:
    """`*`, `5`, `1-5`, `MON-FRI`, each also with `/step`."""
    span, _, step = item.partition("/")
    if step and not (step.isdigit() and 1 <= int(step) <= most):
        return False
    if span == "*":
        return True
    ends = [names.index(end) + 1 if end in names else int(end) if end.isdigit() else -1 for end in span.split("-")]
    return len(ends) <= 2 and all(least <= end <= most for end in ends) and ends == sorted(ends)
