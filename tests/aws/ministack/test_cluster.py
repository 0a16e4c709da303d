"""Nights whose export is read by a cluster: the program as scheduler, executors and scan, started by the shipped templates.

One story, in its order: a scan that fails for good, one whose cluster is killed and lost, and a night without changes.
"""

import pytest
from account import STACK, Account

from support.lake import ROOT, Program, assert_same_tables, local_tables, locations, published_tables, settings

AS_OF = "2026-10-31"
SCAN = "detect-credits on the cluster"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    made = Account(
        tmp_path_factory.mktemp("account"), DistributeFromBytes="1", MaxTasks="4", ExecutorCapacity="FARGATE_SPOT"
    )
    made.emulator.control(wait_scale=0.05)
    yield made
    made.emulator.stop()


def kinds(tasks) -> list[str]:
    """Which tasks of clusters there were; what was killed at once has been one, too."""
    return [task.job for task in tasks if task.job in ("scheduler", "executor")]


def running(account) -> list[str]:
    return account.client("ecs").list_tasks(cluster=STACK, desiredStatus="RUNNING")["taskArns"]


def test_a_scan_that_fails_for_good_leaves_nothing_running(account):
    before = locations(account.emulator)
    account.emulator.control(faults=["detect-credits --scheduler: exit 3 always"])
    night = account.night(expect="FAILED", as_of=AS_OF)
    visited = account.visited(night["executionArn"])
    assert visited.count(SCAN) == visited.count("Stop the cluster") == 1
    assert running(account) == [] and locations(account.emulator) == before
    (alert,) = account.mails("alerts")
    assert f"stopped at {SCAN}." in alert["Message"] and "Exit code 3" in alert["Message"]


def test_what_belongs_to_a_cluster_is_stopped_by_its_name_and_ends_well(account):
    tasks = account.emulator.tasks()
    assert kinds(tasks) == ["scheduler", "executor", "executor"], "MaxTasks is 4"
    ended = [task for task in tasks if task.job in ("scheduler", "executor")]
    assert [(task.exit_code, task.left) for task in ended] == [(0, [])] * 3, [task.output for task in ended]


def test_scheduler_has_no_role_and_executors_that_of_detect_credits(account):
    roles = {task.job: task.role for task in account.emulator.tasks()}
    assert roles["scheduler"] == "" and roles["executor"] == roles["detect-credits"] == account.outputs["DetectRoleArn"]


def test_executors_run_on_the_capacity_that_was_asked_for(account):
    ecs = account.client("ecs")
    arns = ecs.list_tasks(cluster=STACK, desiredStatus="STOPPED", family=f"{STACK}-cluster")["taskArns"]
    found = ecs.describe_tasks(cluster=STACK, tasks=arns)["tasks"]
    by_command = {
        task["overrides"]["containerOverrides"][0]["command"][0]: task.get("capacityProviderName") for task in found
    }
    assert by_command == {"scheduler": None, "executor": "FARGATE_SPOT"}


def test_a_cluster_that_is_killed_or_lost_is_replaced_and_the_tables_are_those_of_a_local_lake(account, tmp_path):
    """A scheduler, one of the executors, and the scan on it; each of the clusters is stopped."""
    first = len(account.emulator.tasks())
    account.emulator.control(
        faults=["scheduler: kill once", "executor: kill once", "detect-credits --scheduler: kill once"]
    )
    night = account.night(as_of=AS_OF)
    visited, tasks = account.visited(night["executionArn"]), account.emulator.tasks()[first:]
    clusters = kinds(tasks).count("scheduler")
    assert visited.count("Start the scheduler") == visited.count("Stop the cluster") == clusters > 1
    assert "detect-credits" not in visited and "Read one period" not in visited
    assert running(account) == []
    killed = [task.job for task in tasks if task.exit_code == 137]
    assert sorted(killed) == ["detect-credits", "executor", "scheduler"]
    assert account.mails("alerts") == []
    program = Program(tmp_path, settings(str(ROOT / "data/cur"), str(ROOT / "data/reference"), str(tmp_path / "lake")))
    program.run("run", "--as-of", AS_OF)
    assert_same_tables(published_tables(account.emulator), local_tables(tmp_path / "lake"))


def test_where_nothing_changed_no_cluster_is_started(account):
    first = len(account.emulator.tasks())
    night = account.night(as_of=AS_OF)
    assert kinds(account.emulator.tasks()[first:]) == [] and "detect-credits" in account.visited(night["executionArn"])
