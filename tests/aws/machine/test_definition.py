"""The file itself: everything that can be seen to be wrong without running it."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import jsonata
import pytest

from definition import (
    FILE,
    ROOT,
    SUBSTITUTIONS,
    call_problems,
    expressions,
    is_expression,
    next_states,
    read,
    scopes,
    states,
)

HERE = Path(__file__).parent
MACHINE = read()
ALL = states(MACHINE)
TOP = MACHINE["States"]
TASKS = {name: state for name, state in ALL.items() if state["Type"] == "Task"}
JOBS = {name: state for name, state in TASKS.items() if state["Resource"].endswith(":ecs:runTask.sync")}
STARTED = {name: state for name, state in TASKS.items() if state["Resource"].endswith(":ecs:runTask")}

# What cannot end in the shared part for failures: it is that part, or part of a Map that notes its failures, or may fail.
OWN_CATCH = {
    "Read one period", "Refresh one data set", "Read the cause", "Read the error", "Alert",
    "Send the event of the failure", "Put the tie-out metric", "Read what was told", "Stop the cluster", "Stop one task",
}
# What runs a cluster, and fails by way of the state that stops it.
OF_CLUSTER = [
    "Start the scheduler", "Look for the scheduler", "Start the executors", "detect-credits on the cluster",
]
CAN_FAIL = {name for name, state in ALL.items() if state["Type"] in ("Task", "Map", "Parallel")} - OWN_CATCH


# --- the language


def validator() -> Path:
    """asl-validator as the lock file pins it, installed outside the checkout."""
    folder = Path(os.environ.get("CARGO_TARGET_DIR", tempfile.gettempdir())) / "finops-credits-asl-validator"
    lock = HERE / "package-lock.json"
    done = folder / "installed.json"
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True)
        shutil.copy(lock, done)
    return folder / "node_modules" / ".bin" / "asl-validator"


def test_asl_validator_accepts_the_definition(tmp_path):
    filled = tmp_path / "nightly.json"
    filled.write_text(json.dumps(MACHINE))
    found = subprocess.run([validator(), "--json-path", filled], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_lock_file_names_no_host():
    text = (HERE / "package-lock.json").read_text()
    assert '"resolved"' not in text


@pytest.mark.parametrize("expression", sorted(set(expressions(MACHINE))))
def test_every_expression_is_jsonata(expression):
    jsonata.Jsonata(expression)


def test_every_text_with_a_variable_is_marked_as_expression():
    def texts(value):
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return [value] if isinstance(value, str) else [text for part in parts for text in texts(part)]

    fields = [{key: part for key, part in state.items() if key != "Comment"} for state in ALL.values()]
    assert [text for text in texts(fields) if re.search(r"\$[a-z]\w*", text) and not is_expression(text)] == []


def test_every_state_says_what_it_is_for():
    assert [name for name, state in ALL.items() if not state.get("Comment")] == []


def test_names_of_states_are_unique_in_maps_too():
    assert len(ALL) == sum(len(inside) for _, _, inside in scopes(MACHINE))


# --- the flow


@pytest.mark.parametrize(("scope", "start", "inside"), list(scopes(MACHINE)), ids=lambda part: str(part)[:30])
def test_every_next_state_exists_and_every_state_is_reached(scope, start, inside):
    reached, ahead = set(), [start]
    while ahead:
        name = ahead.pop()
        assert name in inside, f"no state {name}"
        if name not in reached:
            reached.add(name)
            ahead += [way for way, _ in next_states(inside[name])]
    assert reached == set(inside)


def test_the_input_is_not_needed_after_the_first_state():
    users = {name for name, state in TOP.items() if "$states.input" in str(expressions_here(state))}
    assert users == {"Name the run"}


def expressions_here(state: dict) -> list[str]:
    """Without those of the states inside of it."""
    return expressions({key: part for key, part in state.items() if key not in ("ItemProcessor", "Branches")})


# --- variables


def used(state: dict) -> set[str]:
    """Variables an expression reads: not functions, not the parameters of its lambdas, not what is in texts."""
    found = set()
    for expression in expressions_here(state):
        bare = re.sub(r"'[^']*'|/\^[^/]*/", "", expression)
        own = {name for names in re.findall(r"function\(([^)]*)\)", bare) for name in re.findall(r"\$(\w+)", names)}
        found |= set(re.findall(r"\$(\w+)\b(?!\()", bare)) - own - {"states"}
    return found


def assigned_before() -> dict[str, set[str]]:
    """For each state of the top, what is assigned on every way to it. Resume only leads back to where it was before."""
    everything = {name for state in TOP.values() for _, values in next_states(state) for name in values}
    before = {name: set(everything) for name in TOP}
    before[MACHINE["StartAt"]] = set()
    changed = True
    while changed:
        changed = False
        for name, state in TOP.items():
            for way, values in next_states(state) if name != "Resume" else []:
                known = before[way] & (before[name] | set(values))
                changed |= known != before[way]
                before[way] = known
    return before


@pytest.mark.parametrize("name", TOP)
def test_every_variable_is_assigned_on_every_way_to_its_use(name):
    state = TOP[name]
    for part in states({"StartAt": name, "States": {name: state}}).values():
        assert used(part) - assigned_before()[name] == set()


def test_every_assigned_variable_is_used():
    assigned = {name for state in ALL.values() for _, values in next_states(state) for name in values}
    assert assigned - {name for state in ALL.values() for name in used(state)} == set()


def test_maps_assign_nothing_inside():
    """Inner variables would have to have names that the outer scope has not."""
    inner = [state for scope, _, inside in scopes(MACHINE) if scope for state in inside.values()]
    assert [state for state in inner if any(values for _, values in next_states(state))] == []


# --- calls


@pytest.mark.parametrize("name", TASKS)
def test_every_call_and_its_arguments_are_in_awss_model(name):
    shared = {f"{{% ${key} %}}": TOP["Prepare"]["Assign"][key] for key in ("network", "cluster_network", "dimensions")}

    def insert(value):
        """What is shared is held against the model too."""
        if isinstance(value, dict):
            return {key: insert(part) for key, part in value.items()}
        if isinstance(value, list):
            return [insert(part) for part in value]
        return shared.get(value, value) if isinstance(value, str) else value

    assert call_problems(TASKS[name]["Resource"], insert(TASKS[name]["Arguments"])) == []


@pytest.mark.parametrize("name", JOBS)
def test_every_job_is_a_fargate_task_with_a_role_of_its_own_and_a_time_limit(name):
    job = JOBS[name]
    assert job["Arguments"]["LaunchType"] == "FARGATE"
    assert job["Arguments"]["Overrides"]["TaskRoleArn"].startswith("arn:aws:iam::")
    network = "cluster_network" if name in OF_CLUSTER else "network"
    assert job["Arguments"]["NetworkConfiguration"] == f"{{% ${network} %}}"
    assert 0 < job["TimeoutSeconds"] < MACHINE["TimeoutSeconds"]


@pytest.mark.parametrize("name", [*JOBS, *STARTED])
def test_every_task_has_the_tags_by_which_its_cost_is_found(name):
    arguments = ALL[name]["Arguments"]
    assert (arguments["PropagateTags"], arguments["EnableECSManagedTags"]) == ("TASK_DEFINITION", True)


def test_what_runs_tasks_side_by_side_runs_as_many_as_the_parameter_says():
    side_by_side = {name for name, state in TOP.items()
                    if state["Type"] in ("Map", "Parallel") and ":ecs:runTask" in json.dumps(state)}
    assert side_by_side == {"detect-credits --period"}
    assert read(MaxTasks="7")["States"]["detect-credits --period"]["MaxConcurrency"] == 7


def test_only_what_competes_for_room_or_has_a_catch_of_its_own_is_retried_elsewhere():
    told = {"Alert", "Put the tie-out metric", "Send the event of the failure"}
    assert {name for name, state in ALL.items() if "Retry" in state} == {"Read one period", "Stop one task", *told}


def test_a_task_that_waits_for_room_waits_longer_than_an_hour_and_not_in_step_with_the_others():
    [rule] = ALL["Read one period"]["Retry"]
    delays = (rule["IntervalSeconds"] * rule["BackoffRate"] ** attempt for attempt in range(rule["MaxAttempts"]))
    waits = [min(delay, rule["MaxDelaySeconds"]) for delay in delays]
    assert sum(waits) / 2 > 3600, "with full jitter, half of it on average"
    assert rule["JitterStrategy"] == "FULL"


# --- the cluster


def words_of(name: str) -> dict[str, str]:
    """Options of what a state starts."""
    [container] = ALL[name]["Arguments"]["Overrides"]["ContainerOverrides"]
    words = container["Command"]
    return {word: words[at + 1] for at, word in enumerate(words) if word.startswith("--")}


def test_what_a_cluster_is_made_of_is_not_waited_for():
    assert list(STARTED) == ["Start the scheduler", "Start the executors"]
    assert all(state["Resource"] == "arn:aws:states:::aws-sdk:ecs:runTask" for state in STARTED.values())


def test_every_way_out_of_the_cluster_leads_through_the_state_that_stops_it():
    """From the first task of it on, and whatever happens."""
    inside = {*OF_CLUSTER, "Scheduler runs?", "Wait for the scheduler"}
    outside = {way for name in inside for way, _ in next_states(TOP[name])} - inside
    assert outside == {"Stop the cluster"}
    assert {way for way, _ in next_states(TOP["Stop the cluster"])} == {"Scanned?"}
    entered = {name for name in TOP if name not in inside for way, _ in next_states(TOP[name]) if way in inside}
    assert entered == {"Large enough for a cluster?", "Resume"}


def test_each_task_that_is_started_is_noted_for_being_stopped():
    assert all("Tasks.TaskArn" in state["Assign"]["cluster"] for state in STARTED.values())
    assert TOP["Stop the cluster"]["Items"] == "{% $cluster %}"


@pytest.mark.parametrize("name", STARTED)
def test_what_an_aborted_execution_leaves_ends_by_itself_and_not_before_the_scan(name):
    idle, whole = int(words_of(name)["--idle-timeout"]), int(words_of(name)["--lifetime"])
    started = 60 * TOP["Wait for the scheduler"]["Seconds"]  # "Scheduler runs?" looks so often
    assert f"$looks >= {started // TOP['Wait for the scheduler']['Seconds']}" in str(TOP["Scheduler runs?"])
    assert started < idle <= 1800
    assert TOP["detect-credits on the cluster"]["TimeoutSeconds"] + started < whole <= 6 * 3600


def test_scheduler_has_no_rights_and_what_reads_the_export_those_of_detect_credits():
    roles = {name: TOP[name]["Arguments"]["Overrides"].get("TaskRoleArn") for name in [*STARTED, OF_CLUSTER[-1]]}
    detect = TOP["detect-credits"]["Arguments"]["Overrides"]["TaskRoleArn"]
    assert roles == {
        "Start the scheduler": None, "Start the executors": detect, "detect-credits on the cluster": detect,
    }


def test_only_what_belongs_to_a_cluster_is_in_its_security_group():
    users = {name for name, state in ALL.items() if "cluster_network" in str(state.get("Arguments"))}
    assert users == {*STARTED, "detect-credits on the cluster"}
    groups = {name: TOP["Prepare"]["Assign"][name]["AwsvpcConfiguration"]["SecurityGroups"]
              for name in ("network", "cluster_network")}
    assert groups == {"network": ["sg-0a"], "cluster_network": ["sg-0a", "sg-0b"]}


@pytest.mark.parametrize("capacity", ["FARGATE", "FARGATE_SPOT"])
def test_only_executors_may_be_taken_back(capacity):
    top = read(ExecutorCapacity=capacity)["States"]
    executors = top["Start the executors"]["Arguments"]
    assert executors["CapacityProviderStrategy"] == [{"CapacityProvider": capacity, "Weight": 1}]
    assert "LaunchType" not in executors, "AWS takes one of both"
    for name in ("Start the scheduler", "detect-credits on the cluster"):
        assert top[name]["Arguments"]["LaunchType"] == "FARGATE"


# --- failures


@pytest.mark.parametrize("name", sorted(CAN_FAIL))
def test_every_failure_is_named_and_judged_in_one_place(name):
    assert ALL[name]["Catch"] == [{
        "ErrorEquals": ["States.ALL"],
        "Assign": {"job": name, "failure": "{% $states.errorOutput %}"},
        "Next": "Stop the cluster" if name in OF_CLUSTER else "Read the cause",
    }]


def test_a_retry_resumes_at_the_state_that_failed():
    assert [(choice["Condition"], choice["Next"]) for choice in TOP["Resume"]["Choices"]] == [
        (f"{{% $job = '{name}' %}}", OF_CLUSTER[0] if name in OF_CLUSTER else name) for name in TOP if name in CAN_FAIL
    ]


@pytest.mark.parametrize("name", sorted(OWN_CATCH))
def test_what_tells_of_failures_fails_nothing_itself(name):
    assert ALL[name]["Catch"][-1]["ErrorEquals"] == ["States.ALL"]


def test_waits_before_retries_grow():
    for exit_code, rule in TOP["Prepare"]["Assign"]["exits"].items():
        assert rule["waits"] == sorted(set(rule["waits"])), exit_code


def test_nothing_ends_in_a_fail_state_as_no_redrive_leads_out_of_one():
    assert {state["Type"] for state in ALL.values()} & {"Fail"} == set()
    assert "Default" not in TOP["Failed"]


# --- substitutions and inputs


def test_the_file_uses_every_substitution_and_no_other():
    assert set(re.findall(r"\$\{([^}]*)\}", FILE.read_text())) == set(SUBSTITUTIONS)


@pytest.mark.parametrize("file", sorted((ROOT / "step-functions/inputs").glob("*.json")), ids=lambda file: file.name)
def test_examples_of_inputs_have_fields_that_are_read(file):
    read_fields = set(re.findall(r"\$states\.input\.(\w+)", json.dumps(TOP["Name the run"])))
    assert set(json.loads(file.read_text())) <= read_fields
