"""The state machine agrees with the program and with what is written: commands, exit codes, waits, inputs, diagram."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from moto.events.models import EventPattern

from definition import ROOT, expressions, next_states, read, states
from interpreter import evaluate
from jobs import SUMMARY

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path.home() / ".cache/finops-credits/target"))
BINARY = os.environ.get("FINOPS_CREDITS_BINARY", str(TARGET / "debug" / "finops-credits"))

MACHINE = read()
EXITS = MACHINE["States"]["Prepare"]["Assign"]["exits"]
README = (ROOT / "step-functions" / "README.md").read_text()


# --- commands

VARIABLES = {
    "options": ["--run-id", "2026-11-26T033000.123Z", "--as-of", "2026-11-26", "--log-format", "json"],
    "states": {"input": "2026-05"}, "scheduler": "df://10.0.1.7:50050",
}


def commands() -> list[list[str]]:
    found = []
    for state in states(MACHINE).values():
        if ":ecs:runTask" in state.get("Resource", ""):
            [container] = state["Arguments"]["Overrides"]["ContainerOverrides"]
            command = container["Command"]
            if isinstance(command, str):
                found.append(evaluate(command.removeprefix("{%").removesuffix("%}"), VARIABLES))
            else:
                found.append([VARIABLES["scheduler"] if word == "{% $scheduler %}" else word for word in command])
    return found


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
    """With settings that do not exist: a command line that parses ends in exit 3, one that does not in exit 2."""
    arguments = [*command, "--config", str(folder / "none.toml")]
    return subprocess.run([BINARY, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", commands(), ids=lambda command: " ".join(command[:2]))
def test_every_command_parses_with_the_program(command, tmp_path):
    # The scheduler of a cluster needs no settings: it is to listen where this machine cannot.
    is_scheduler = command[0] == "scheduler"
    result = run(["192.0.2.1" if is_scheduler and word == "0.0.0.0" else word for word in command], tmp_path)
    assert result.returncode == (6 if is_scheduler else 3), result.stderr
    assert ("cannot listen on 192.0.2.1:50050" if is_scheduler else "none.toml") in result.stderr


def test_a_command_that_does_not_parse_is_told_apart(tmp_path):
    assert run([*commands()[0], "--no-such-option"], tmp_path).returncode == 2


# --- exit codes


def of_the_program() -> dict[str, str]:
    """Exit codes and their meanings, from the program's source."""
    source = (ROOT / "crates/application/src/failure.rs").read_text()
    codes = dict(re.findall(r"Self::(\w+) => (\d+),", source))
    meanings = dict(re.findall(r'Self::(\w+) => "([^"]+)",', source))
    assert codes.keys() == meanings.keys()
    return {code: meanings[kind] for kind, code in codes.items()}


def of_the_state_machine() -> dict[str, str]:
    """Those that the program gives itself: 137 is given by whoever kills it."""
    return {code: rule["means"] for code, rule in EXITS.items() if code.isdigit() and code != "137"}


def of_a_text(text: str) -> dict[str, str]:
    listed = re.search(r"Exit codes: 0 done; (.*?)\.?\s*\n\n", text, re.DOTALL)[1]
    return dict(re.findall(r"(\d+) ((?:[^;(]|\([^)]*\))+)", re.sub(r"\s+", " ", listed)))


def test_the_state_machine_knows_the_programs_exit_codes():
    assert of_the_state_machine() == of_the_program()


def test_the_readme_lists_the_same_exit_codes():
    assert of_a_text((ROOT / "README.md").read_text()) == of_the_program()


def test_the_help_text_lists_the_same_exit_codes():
    result = subprocess.run([BINARY, "--help"], capture_output=True, text=True, check=True)
    assert of_a_text(result.stdout) == of_the_program()


# --- what the program writes and the state machine reads


def value(state: str, name: str, known: dict):
    """What a state assigns to a variable."""
    [expression] = expressions(MACHINE["States"][state]["Assign"][name])
    return evaluate(expression, known)


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> dict:
    """The program's own, of the sample organisation."""
    folder = tmp_path_factory.mktemp("sample")
    places = {"source": ROOT / "data/cur", "reference": ROOT / "data/reference", "lake": folder / "lake"}
    (folder / "credits.toml").write_text("".join(f'[{name}]\nlocation = "{place}"\n' for name, place in places.items()))
    command = [BINARY, "run", "--as-of", "2026-10-31", "--notify", f"cat > {shlex.quote(str(folder / 'summary.json'))}"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=120)
    return json.loads((folder / "summary.json").read_text())


def test_the_summary_has_what_the_state_machine_reads(summary):
    assert SUMMARY.keys() <= summary.keys()
    for name in ("new_credits", "waiting", "expiring_soon"):
        assert summary[name].keys() == SUMMARY[name].keys() and summary[name]["count"] > 0
    assert summary["inbox"] == SUMMARY["inbox"]


def test_the_state_machine_finds_credit_and_end_in_each_line_of_the_summary(summary):
    known = {"ending": summary["expiring_soon"]["first"]}
    assert value("See what ends", "ids", known) == ["id:10063544630 ends 2026-10-31", "id:10063540211 ends 2026-12-15"]
    known |= {"reminders": MACHINE["States"]["Prepare"]["Assign"]["reminders"], "midnight": "2026-10-31T00:00:00.000Z"}
    known["thresholds"] = value("Read the summary", "thresholds", known)
    assert value("See what ends", "reached", known) == [1, 60]


def test_the_state_machine_finds_the_keys_in_a_notice(summary):
    lines = [line for name in ("new_credits", "waiting", "expiring_soon") for line in summary[name]["first"]]
    mail = "".join(f"\n  {line}" for line in lines)
    [linked] = expressions(MACHINE["States"]["Send the notice"]["Arguments"]["Message"])
    found = evaluate(linked, {"mail": mail, "web": ["  https://x/"]}).splitlines()[1:]
    keys = [re.sub(r"  -?[\d,.]+ [A-Z]{3}(, ends .*)?$", "", line) for line in lines]
    assert [unquote(line.rsplit("  https://x/", 1)[1]) for line in found] == keys
    assert any(" " in key for key in keys)


def test_the_state_machine_reads_the_error_as_the_program_says_it(tmp_path):
    result = run([*commands()[0], "--format", "json"], tmp_path)
    known = {"states": {"result": {"Body": result.stderr}}, "exit_code": str(result.returncode)}
    [line] = value("Read the error", "said", known)
    assert "none.toml" in line
    assert value("Read the error", "said", known | {"exit_code": "137"}) == []


# --- the README beside the state machine


def table(heading: str) -> list[list[str]]:
    """Rows of the first table below a heading."""
    below = README.split(f"## {heading}\n", 1)[1]
    rows = [line for line in below.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def in_words(seconds: list[int]) -> str:
    """`1, 2, 5 min` as the README writes waits."""
    if not seconds:
        return "no retry"
    hours = all(wait % 1800 == 0 for wait in seconds)
    unit, size = ("h", 3600) if hours else ("min", 60)
    return ", ".join(f"{wait / size:g}" for wait in seconds) + f" {unit}"


def test_the_readme_has_each_exit_with_meaning_and_waits():
    names = {"States.Timeout": "time limit", "none": "none", "other": "any other"}
    rows = {row[0].strip("`"): row[1:3] for row in table("Exit codes")}
    assert rows == {names.get(key, key): [rule["means"], in_words(rule["waits"])] for key, rule in EXITS.items()}


def test_the_readme_lists_the_inputs_that_are_read():
    read_fields = re.findall(r"\$states\.input\.(\w+)", str(MACHINE["States"]["Name the run"]))
    assert [row[0].strip("`") for row in table("Inputs")] == sorted(set(read_fields), key=read_fields.index)


def test_the_days_before_an_end_are_those_that_are_written():
    *days, first_listed = MACHINE["States"]["Prepare"]["Assign"]["reminders"]
    *before, last = [str(day) for day in sorted(days, reverse=True)]
    written = f"{', '.join(before)} and {last} days before"
    mail = " ".join(MACHINE["States"]["Write the notice"]["Assign"]["mail"])
    for text in (README, (ROOT / "CHANGELOG.md").read_text(), mail):
        assert written in re.sub(r"\s+", " ", text)
    assert first_listed > 366, "the most days of ExpiringSoonDays"


def test_the_readme_tells_how_long_a_task_waits_for_room():
    [rule] = states(MACHINE)["Read one period"]["Retry"]
    delays = (rule["IntervalSeconds"] * rule["BackoffRate"] ** attempt for attempt in range(rule["MaxAttempts"]))
    hours = sum(min(delay, rule["MaxDelaySeconds"]) for delay in delays) / 3600
    attempts, minutes = rule["MaxAttempts"], rule["MaxDelaySeconds"] // 60
    said = f"up to {attempts} times, 1 to {minutes} minutes apart with full jitter: {hours:.1f} hours"
    assert said in re.sub(r"\s+", " ", README)


EVENT_STATES = {
    "Run published": "Read the summary", "Credits found": "Write the notice", "Credits expiring": "Write the notice",
    "Uploads refused": "Write the notice", "Run failed": "Send the event of the failure",
}
DETAILS = {
    "Run published": SUMMARY, "Credits found": {"count": 1, "first": ["id:1  1.00 USD"]},
    "Credits expiring": {"count": 1, "first": ["id:1  1.00 USD, ends 2026-12-15"]},
    "Uploads refused": {"count": 1, "first": ["AROAEXAMPLEID1234:jane/july.csv: july.csv, row 3, column amount: is empty"]},
    "Run failed": {"job": "athena-check", "exit_code": "5"},
}


def test_the_readme_has_each_event_with_a_rule_that_finds_it_alone():
    assert [row[0].strip("`") for row in table("Events")] == list(EVENT_STATES)
    rules = [json.loads(rule) for rule in re.findall(r"--event-pattern '([^']+)'", README)]
    events = [{"source": "finops-credits", "detail-type": name, "detail": detail} for name, detail in DETAILS.items()]
    found = [[event["detail-type"] for event in events if EventPattern.load(json.dumps(rule)).matches_event(event)]
             for rule in rules]
    assert found == [[name] for name in EVENT_STATES]


@pytest.mark.parametrize(("name", "state"), EVENT_STATES.items())
def test_the_state_machine_sends_each_event_that_the_readme_has(name, state):
    assert f"'DetailType': '{name}'" in str(MACHINE["States"][state])


def test_the_diagram_shows_the_ways_of_the_state_machine():
    """All states but those of type Pass, and all ways but into the part for failures and back from it."""
    diagram = re.search(r"```mermaid\n(.*?)```", README, re.DOTALL)[1]
    boxes = re.findall(r'^ *(\w+)[\[{]"(.+)"[\]}]', diagram, re.MULTILINE)
    names = dict(boxes)
    arrows = re.findall(r"^ *(\w+).*? -->(?:\|.+\|)? (\w+)$", diagram, re.MULTILINE)
    top = MACHINE["States"]
    assert sorted(names.values()) == sorted(name for name, state in top.items() if state["Type"] != "Pass")
    assert {(names[start], names[end]) for start, end in arrows} == {
        (name, way) for name in names.values() if name != "Resume" for way in shown_ways(top, name)
    }


def shown_ways(top: dict, name: str) -> set[str]:
    state = {key: part for key, part in top[name].items() if key != "Catch"}
    ways = {way for way, _ in next_states(state)}
    return {shown for way in ways for shown in (shown_ways(top, way) if top[way]["Type"] == "Pass" else {way})}
