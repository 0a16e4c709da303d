"""The state machine agrees with the program and with what is written: commands, exit codes, waits, inputs, diagram."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from definition import ROOT, next_states, read, states
from interpreter import evaluate

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path.home() / ".cache/finops-credits/target"))
BINARY = os.environ.get("FINOPS_CREDITS_BINARY", str(TARGET / "debug" / "finops-credits"))

MACHINE = read()
EXITS = MACHINE["States"]["Prepare"]["Assign"]["exits"]
README = (ROOT / "step-functions" / "README.md").read_text()


# --- commands

VARIABLES = {
    "options": ["--run-id", "2026-11-26T033000.123Z", "--as-of", "2026-11-26", "--log-format", "json"],
    "states": {"input": "2026-05"},
}


def commands() -> list[list[str]]:
    found = []
    for state in states(MACHINE).values():
        if state.get("Resource", "").endswith(":ecs:runTask.sync"):
            [container] = state["Arguments"]["Overrides"]["ContainerOverrides"]
            found.append(evaluate(container["Command"].removeprefix("{%").removesuffix("%}"), VARIABLES))
    return found


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
    """With settings that do not exist: a command line that parses ends in exit 3, one that does not in exit 2."""
    arguments = [*command, "--config", str(folder / "none.toml")]
    return subprocess.run([BINARY, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", commands(), ids=lambda command: " ".join(command[:2]))
def test_every_command_parses_with_the_program(command, tmp_path):
    result = run(command, tmp_path)
    assert result.returncode == 3, result.stderr
    assert "none.toml" in result.stderr


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
