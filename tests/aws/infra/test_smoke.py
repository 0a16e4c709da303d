"""The smoke test says PASS and FAIL where it should, and leaves a sandbox as it found it."""

import json
import subprocess

import pytest

ACCOUNT = {
    "objects": {"data/other/file": ""}, "tables": {}, "views": ["credit_queue_view", "net_cost_view"],
    "inputs": [], "queries": [], "stopped": [], "nights": ["SUCCEEDED", "SUCCEEDED"], "difference": "0.0000000000",
    "encryption": "aws:kms", "subscription": "arn:aws:sns:eu-west-1:123456789012:alerts:1", "behind": None, "drift": 0,
    "broken_view": None, "parameters": {"settings": "[lake]\nx = 1\n"}, "task_settings": "[lake]\nx = 1\n",
    "versions": [f"data/lake/{it}" for it in ("warehouse/log/a.parquet", "warehouse/log/b.parquet", "lock.json", "lock.json")],
}


@pytest.fixture
def smoke(release, fake):
    """Runs the shipped script in an account; gives exit code, what was printed, and the account afterwards."""

    def run(*arguments, wait_seconds=60, **changes):
        environment, file = fake({**ACCOUNT, **changes})
        environment |= {"SMOKE_POLL_SECONDS": "0", "SMOKE_WAIT_SECONDS": str(wait_seconds)}
        words = [str(release / "smoke-test.sh"), "--region", "eu-west-1", *map(str, arguments)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr, json.loads(file.read_text())

    return run


def failures(printed: str) -> list[str]:
    return [line.removeprefix("FAIL  ") for line in printed.splitlines() if line.startswith("FAIL")]


def test_a_stack_that_works_passes_every_check_and_stays_as_it_is(smoke):
    theirs = {"data/reference/hierarchy.csv", "export/billing/daily/x", "data/lake/y"}
    code, printed, account = smoke(objects=dict.fromkeys(theirs, ""))
    assert failures(printed) == [] and code == 0
    passed = sum(line.startswith("PASS") for line in printed.splitlines())
    assert printed.rstrip().endswith(f"{passed} passed, 0 failed") and passed == 20
    assert account["inputs"] == [{"notify": False}] * 2, "nobody gets notices of a test"
    assert account["objects"].keys() - theirs == {f"data/lake/summaries/run-{night}.json" for night in (1, 2)}
    assert account["objects"].keys() >= theirs and "credits_log" in account["tables"], "nothing is removed"


def test_what_is_wrong_is_said_and_fails_the_test(smoke):
    code, printed, _ = smoke(
        difference="0.0000000001", behind="credits", broken_view="net_cost_view", encryption="AES256",
        subscription="PendingConfirmation", drift=1, parameters={"settings": "{{resolve:ssm:/a:1}}"},
        versions=["data/lake/warehouse/log/a.parquet"] * 2)
    assert code == 1 and failures(printed) == [
        "the data bucket is encrypted with a key of the account: expected aws:kms, found AES256",
        'tasks have the settings that people read: expected "{{resolve:ssm:/a:1}}", found "[lake]\\nx = 1\\n"',
        "settings that are stored elsewhere are in them: expected , found {{resolve:ssm:/a:1}}",
        "the run ties to the export, by its own account: expected true, found false",
        "every published table shows this run: expected run-1, found run-0",
        "net_cost_view answers: FAILED COLUMN_NOT_FOUND",
        "a second start changes no amount: expected 0, found 1",
        "a second start finds no new credit: expected 0, found 1",
        "no file of the logs was ever overwritten: expected , found data/lake/warehouse/log/a.parquet",
        "e-mail addresses of Alert are confirmed: expected , found a@example.com",
        "e-mail addresses of Notice are confirmed: expected , found a@example.com",
    ]


@pytest.mark.parametrize(("nights", "failed"), [(["FAILED"], "the night succeeds"),
                                                (["SUCCEEDED", "FAILED"], "a second start succeeds")])
def test_a_night_that_fails_is_said_with_its_cause(smoke, nights, failed):
    code, printed, _ = smoke(nights=nights)
    (line,) = failures(printed)
    assert code == 1 and line.startswith(f"{failed}: FAILED after") and line.endswith("Job failed exit code 5")


def test_views_that_are_not_there_are_missed(smoke):
    code, printed, _ = smoke(views=[])
    assert code == 1 and failures(printed) == ["there are views: deploy views.yaml"]


def test_the_sample_goes_where_the_stack_looks_and_is_gone_afterwards(smoke, release):
    code, printed, account = smoke("--sample", release / "sample")
    assert (code, failures(printed)) == (0, [])
    assert account["inputs"] == [{"notify": False, "as_of": "2026-10-31"}] * 2
    assert account["objects"] == {"data/other/file": ""} and account["tables"] == {}
    assert account["views"] == ACCOUNT["views"]


def test_the_sample_is_removed_also_when_a_night_fails(smoke, release):
    code, printed, account = smoke("--sample", release / "sample", nights=["FAILED"])
    assert code == 1 and "The sample is removed." in printed
    assert account["objects"] == {"data/other/file": ""}


@pytest.mark.parametrize("there", [
    {"objects": {"export/billing/daily/data/x.parquet": ""}}, {"objects": {"data/reference/hierarchy.csv": ""}},
    {"objects": {"data/lake/generations/x": ""}}, {"tables": {"credits_log": "s3://data/lake/warehouse/x"}},
], ids=["export", "reference", "lake", "tables"])
def test_the_sample_is_put_nowhere_where_something_is(smoke, release, there):
    code, printed, account = smoke("--sample", release / "sample", **there)
    assert code == 2 and "--sample is for an empty sandbox" in printed
    assert {name: account[name] for name in there} == there and account["inputs"] == []


def test_a_night_that_hangs_is_stopped(smoke):
    code, printed, account = smoke(nights=["RUNNING"], wait_seconds=0)
    assert "FAIL  the night succeeds: RUNNING" in printed and code == 1
    assert account["stopped"] == ["execution-1"]


def test_wrong_use_ends_with_two_and_the_usage(smoke):
    code, printed, account = smoke("--frobnicate")
    assert code == 2 and "smoke-test.sh [--stack NAME]" in printed
    code, printed, _ = smoke("--stack", "another")
    assert code == 2 and "no stack another" in printed
