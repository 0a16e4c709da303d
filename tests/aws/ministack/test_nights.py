"""Nights of the sample organisation in an account where the shipped templates are deployed.

The tests of this file are one story and run in its order: the first night, more of the same night, one that fails, and
the night after with a new allocation. Every night's tables are compared with those of a local lake on the same inputs.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
import second
from account import DATA_SETS, EXPORT, STACK, Account

from support.emulator import REGION
from support.lake import (
    DATABASE,
    PUBLISHED,
    ROOT,
    Program,
    assert_same_tables,
    local_tables,
    locations,
    log_rows,
    published_tables,
    settings,
)

AS_OF, NEXT = "2026-10-31", "2026-11-01"
JOBS = ("detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "athena-check", "publish")
PERIODS = [f"2026-{month:02}" for month in range(5, 11)]
ALLOCATION = (
    "allocate",
    "--code",
    "MAP credit - 2/3",
    "--account",
    "410000000901",
    "--amount",
    "2500",
    "--end-date",
    "2027-03-31",
    "--to",
    "Logistics",
    "--reference",
    "MAP-2026-114",
    "--by",
    "jane@example.com",
    "--recorded-at",
    "2026-10-31T20:00:00Z",
)


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    made = Account(tmp_path_factory.mktemp("account"))
    yield made
    made.emulator.stop()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same organisation in a local lake, after its first night."""
    folder = tmp_path_factory.mktemp("local")
    program = Program(folder, settings(str(ROOT / "data/cur"), str(ROOT / "data/reference"), str(folder / "lake")))
    program.run("run", "--as-of", AS_OF)
    program.first = local_lake(program)
    return program


def local_lake(local):
    return local_tables(local.folder / "lake")


@pytest.fixture(scope="module")
def first_night(account):
    """Started by the deployed schedule, whose own input is empty: the day is put in, as the sample ends in the past."""
    scheduler = account.client("scheduler")
    schedule = scheduler.get_schedule(Name=f"{STACK}-nightly")
    assert json.loads(schedule["Target"]["Input"]) == {} and schedule["State"] == "ENABLED"
    kept = ("Name", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "State")
    target = {**schedule["Target"], "Input": json.dumps({"as_of": AS_OF})}
    scheduler.update_schedule(**{key: schedule[key] for key in kept}, Target=target)
    account.emulator.put_scheduler_forward(schedule["Name"], 86_400)
    deadline = time.monotonic() + 60
    while not (started := account.executions()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(started) == 1, "once a day"
    return account.finish(started[0])


# --- the first night


def test_schedule_starts_the_machine_and_every_job_runs_once(account, first_night):
    assert json.loads(first_night["input"]) == {"as_of": AS_OF}
    visited = account.visited(first_night["executionArn"])
    order = [
        "detect-credits --plan",
        "Many periods?",
        "detect-credits --period",
        *JOBS,
        "Read the summary",
        "Refresh QuickSight",
        "Put the metrics",
        "Send the notice",
        "Note what was told",
        "Send the events",
        "Published",
    ]
    assert [name for name in visited if name in order] == order
    assert "Read the cause" not in visited, account.story(first_night["executionArn"])
    run = [task.job for task in account.emulator.tasks()]
    assert run == ["detect-credits"] * (1 + len(PERIODS) + 1) + list(JOBS[1:])


def test_many_periods_fan_out_to_one_task_each(account, first_night):
    commands = [task.command for task in account.emulator.tasks()]
    fanned = [command[command.index("--period") + 1] for command in commands if "--period" in command]
    assert sorted(fanned) == PERIODS
    assert "detect-credits --period" in account.visited(first_night["executionArn"])


def test_jobs_share_run_id_and_day_and_run_in_roles_of_their_own(account, first_night):
    tasks = account.emulator.tasks()
    shared = {
        (command[command.index("--run-id") + 1], command[command.index("--as-of") + 1])
        for command in (task.command for task in tasks)
    }
    assert len(shared) == 1
    (run_id, as_of) = shared.pop()
    assert as_of == AS_OF and run_id.startswith(first_night["startDate"].strftime("%Y-%m-%dT%H"))
    roles = {task.job: task.role for task in tasks}
    assert len(set(roles.values())) == len(JOBS), "least privilege: a role per job"


def test_jobs_leave_nothing_behind_in_the_container(account, first_night):
    for task in account.emulator.tasks():
        assert (task.exit_code, task.left) == (0, []), task.output


def test_tables_equal_those_of_a_local_lake(account, first_night, local):
    assert_same_tables(published_tables(account.emulator), local_lake(local))


def test_tables_project_their_partitions(account, first_night):
    glue = account.client("glue")
    for name in PUBLISHED:
        table = glue.get_table(DatabaseName=DATABASE, Name=name)["Table"]
        partitioned = [key["Name"] for key in table["PartitionKeys"]]
        assert table["StorageDescriptor"]["Location"].startswith(f"s3://{account.bucket}/lake/runs/"), name
        assert partitioned in ([], ["billing_period"])
        assert (table["Parameters"].get("projection.enabled") == "true") == bool(partitioned), name


def test_logs_hold_what_the_run_found(account, first_night, local):
    credits = log_rows(account.emulator, "credits_log")
    assert len(credits) == 15 and {row["revision"] for row in credits} == {1}
    allocations = log_rows(account.emulator, "allocations_log")
    assert len(allocations) == 12 and {row["action"] for row in allocations} == {"allocate"}
    runs = log_rows(account.emulator, "runs_log")
    assert sorted(row["billing_period"] for row in runs) == PERIODS
    assert {row["outcome"] for row in runs} == {"published"}


def test_views_of_the_second_stack_answer_by_name_in_athena(account, first_night):
    tables = account.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
    views = [table["Name"] for table in tables if table["TableType"] == "VIRTUAL_VIEW"]
    assert views and all(view.endswith("_view") for view in views)
    counts = {view: account.ask(f"SELECT count(*) FROM {view}") for view in views}
    assert all(int(count) > 0 for count in counts.values()), counts


def test_people_and_dashboards_are_told(account, first_night):
    (notice,) = account.mails("notices")
    for words in ("New: 15", "Waiting for an owner: 4", "Expiring soon: 2", "MAP credit - 2/3"):
        assert words in notice["Message"], notice["Message"]
    assert account.mails("alerts") == []
    events = {event["detail-type"]: event["detail"] for event in account.messages(account.events)}
    assert {name: detail["as_of"] for name, detail in events.items()} == dict.fromkeys(
        ("Run published", "Credits found", "Credits expiring"), AS_OF
    )
    assert events["Run published"]["tie_out"][0]["difference"] in ("0", "0.0000000000")
    assert (events["Credits found"]["count"], events["Credits expiring"]["count"]) == (15, 2)
    account.wait_for_alarm("queue-old", "ALARM")
    account.wait_for_alarm("tie-out", "OK")
    assert account.metric("TieOutFailed") == [0] and max(account.metric("CreditsWaiting")) == 4
    assert max(account.metric("OldestWaitingDays")) == 109
    refreshed = account.emulator.quicksight_calls()
    assert sorted(call["DataSetId"] for call in refreshed) == sorted(DATA_SETS)


# --- the same night again


def test_second_start_does_no_harm(account, first_night, local):
    account.night(as_of=AS_OF, notify=False)
    assert_same_tables(published_tables(account.emulator), local_lake(local))
    assert len(log_rows(account.emulator, "credits_log")) == 15, "nothing new"
    assert len(log_rows(account.emulator, "allocations_log")) == 12


def test_two_starts_at_once_do_no_harm(account, first_night, local):
    """One publishes, the other waits for the lake; where it was overtaken, it says so and that nothing is left to do."""
    account.emulator.control(wait_scale=0.02)
    nights = [account.start(as_of=AS_OF, notify=False) for _ in range(2)]
    ended = sorted(account.finish(night, expect=None)["status"] for night in nights)
    account.emulator.control(wait_scale=0.001)
    mails = account.mails("alerts")
    assert ended in (["SUCCEEDED", "SUCCEEDED"], ["FAILED", "SUCCEEDED"]), [account.story(night) for night in nights]
    assert len(mails) == ended.count("FAILED")
    for mail in mails:
        assert "Exit code 7" in mail["Message"] and "nothing is left to do" in mail["Message"]
    assert_same_tables(published_tables(account.emulator), local_lake(local))
    assert len(log_rows(account.emulator, "credits_log")) == 15
    assert len(log_rows(account.emulator, "allocations_log")) == 12


def test_night_that_was_overtaken_does_no_harm(account, first_night, local):
    """A whole other night is published while this one waits between two jobs: what it wrote counts no more."""
    account.emulator.control(wait_scale=0.05, faults=["join-allocations: exit 7 once"])
    overtaken = account.start(as_of=AS_OF, notify=False)
    account.wait_until_visited(overtaken, "Wait")
    account.night(as_of=AS_OF, notify=False)
    account.emulator.control(wait_scale=0.001, faults=[])
    ended = account.finish(overtaken, expect=None)["status"]
    mails = account.mails("alerts")
    assert len(mails) == (ended == "FAILED")
    for mail in mails:
        assert "Exit code 7" in mail["Message"] and "nothing is left to do" in mail["Message"]
    assert_same_tables(published_tables(account.emulator), local_lake(local))
    assert len(log_rows(account.emulator, "credits_log")) == 15


def failed_tasks(account, before):
    return [(task.job, task.exit_code) for task in account.emulator.tasks()[before:] if task.exit_code != 0]


def test_transient_failures_are_healed_by_retries(account, first_night, local):
    faults = {
        "detect-credits": "exit 6",
        "join-allocations": "refuse",
        "apply-fifo": "exit 6",
        "write-net-cost": "kill",
        "publish": "exit 7",
    }
    before = len(account.emulator.tasks())
    account.emulator.control(faults=[f"{job}: {fault} once" for job, fault in faults.items()])
    night = account.night(as_of=AS_OF, notify=False)
    assert failed_tasks(account, before) == [
        ("detect-credits", 6),
        ("apply-fifo", 6),
        ("write-net-cost", 137),
        ("publish", 7),
    ]
    assert account.visited(night["executionArn"]).count("Wait") == len(faults)
    assert_same_tables(published_tables(account.emulator), local_lake(local))
    assert account.mails("alerts") == []


def test_job_that_fails_after_its_work_is_done_again_without_harm(account, first_night, local):
    before = len(account.emulator.tasks())
    account.emulator.control(faults=[f"{job}: work, exit 6 once" for job in JOBS])
    account.night(as_of=AS_OF, notify=False)
    assert failed_tasks(account, before) == [(job, 6) for job in JOBS]
    assert_same_tables(published_tables(account.emulator), local_lake(local))
    assert len(log_rows(account.emulator, "credits_log")) == 15
    assert len(log_rows(account.emulator, "allocations_log")) == 12


# --- nights that fail


@pytest.mark.parametrize(
    ("fault", "tries", "words"),
    [
        ("write-net-cost: exit 5 always", 1, ("Exit code 5", "tie-out")),
        ("apply-fifo: exit 6 always", 5, ("Exit code 6", "unavailable")),
        ("publish: exit 3 always", 1, ("Exit code 3", "bad input")),
    ],
)
def test_failure_for_good_alerts_and_publishes_nothing(account, first_night, fault, tries, words):
    before, tasks = locations(account.emulator), len(account.emulator.tasks())
    account.emulator.control(faults=[fault])
    account.night(expect="FAILED", as_of=NEXT)
    account.emulator.control(faults=[])
    job = fault.split(":")[0]
    assert [task.job for task in account.emulator.tasks()[tasks:]].count(job) == tries
    assert locations(account.emulator) == before, "readers see the run before"
    (alert,) = account.mails("alerts")
    text = alert["Subject"] + alert["Message"]
    for word in (job, NEXT, f"Tries: {tries}", *words):
        assert word in text, text
    group, stream = re.search(r"Log: (\S+), (?:stream )?(\S+)", alert["Message"]).groups()
    logged = account.client("logs").get_log_events(logGroupName=group, logStreamName=stream)
    assert "injected" in logged["events"][0]["message"], "the log that the alert names is that of the failed job"
    if "exit 5" in fault:
        account.wait_for_alarm("tie-out", "ALARM")


def test_athena_check_stops_a_night_whose_staged_tables_are_off(account, first_night):
    """The staged reconciliation is replaced by that of a run without its last period, after it was written."""
    before = locations(account.emulator)
    account.emulator.control(faults=["athena-check: exit 6 once"], wait_scale=0.1)
    night = account.start(as_of=NEXT)
    account.wait_until_visited(night, "Wait")
    run_id = account.emulator.tasks()[-1].command
    prefix = f"lake/runs/{run_id[run_id.index('--run-id') + 1]}/reconciliation/billing_period=2026-10/"
    s3 = account.client("s3")
    (item,) = s3.list_objects_v2(Bucket=account.bucket, Prefix=prefix)["Contents"]
    s3.delete_object(Bucket=account.bucket, Key=item["Key"])
    account.finish(night, expect="FAILED")
    account.emulator.control(faults=[], wait_scale=0.001)
    assert account.emulator.tasks()[-1].job == "athena-check" and account.emulator.tasks()[-1].exit_code == 5
    assert locations(account.emulator) == before
    (alert,) = account.mails("alerts")
    assert "Exit code 5" in alert["Message"]


# --- the night after


def person(account, name: str):
    """Somebody who may allocate credits, and no more: the id that AWS gives them, their environment, and their S3."""
    iam = account.client("iam")
    user = iam.create_user(UserName=name)["User"]
    iam.attach_user_policy(UserName=name, PolicyArn=account.outputs["AllocatorPolicyArn"])
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    environment = {
        **account.emulator.environment(),
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
    }
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], region_name=REGION)
    return user["UserId"], environment, lambda service: session.client(service, endpoint_url=account.emulator.endpoint)


@pytest.fixture(scope="module")
def jane(account):
    return person(account, "jane")


def refused(call, **arguments) -> bool:
    with pytest.raises(Exception, match="AccessDenied"):
        call(**arguments)
    return True


def objects(account, prefix: str) -> dict[str, str]:
    """Texts of the files below the inbox that end so, by what follows the prefix."""
    s3 = account.client("s3")
    listed = s3.list_objects_v2(Bucket=account.bucket, Prefix=prefix).get("Contents", [])
    read = {it["Key"]: s3.get_object(Bucket=account.bucket, Key=it["Key"])["Body"].read().decode() for it in listed}
    return {key.removeprefix(prefix): text for key, text in read.items()}


def test_who_allocates_uploads_to_their_own_folder_and_writes_nowhere_else(account, first_night, jane):
    user, _, client = jane
    s3, place = client("s3"), {"Bucket": account.bucket, "Body": b""}
    for key in (
        "lake/runs/x", "lake/warehouse/finops_credits/allocations_log/data/x.parquet", "lake/inbox/july.csv",
        "lake/inbox/AIDAOTHER/july.csv", f"lake/inbox/{user}x/july.csv", "reference/hierarchy.csv", "lake/lock.json",
    ):
        assert refused(s3.put_object, Key=key, **place), key
    account.client("s3").put_object(Key="lake/inbox/AIDAOTHER/july.csv", Bucket=account.bucket, Body=b"theirs")
    assert refused(s3.get_object, Key="lake/inbox/AIDAOTHER/july.csv", Bucket=account.bucket)
    account.client("s3").delete_object(Key="lake/inbox/AIDAOTHER/july.csv", Bucket=account.bucket)
    account.client("ssm").put_parameter(Name="/another", Value="secret", Type="String")
    assert refused(client("ssm").get_parameter, Name="/another")
    glue = account.client("glue").get_table(DatabaseName=DATABASE, Name="allocations_log")["Table"]
    kept = {key: glue[key] for key in ("Name", "StorageDescriptor", "Parameters", "TableType") if key in glue}
    assert refused(client("glue").update_table, DatabaseName=DATABASE, TableInput=kept)


def test_allocation_from_a_laptop_lies_in_the_inbox_and_counts_in_the_next_night(account, first_night, local, jane, tmp_path):
    user, environment, client = jane
    text = client("ssm").get_parameter(Name=account.outputs["SettingsParameterName"])["Parameter"]["Value"]
    program = Program(tmp_path, text, environment)
    before = len(log_rows(account.emulator, "allocations_log"))
    direct = program.run(*ALLOCATION, expect=3)
    assert direct.stderr.rstrip().endswith("; with --to-inbox the next run records it"), direct.stderr
    put = program.run(*ALLOCATION, "--to-inbox")
    (name,) = objects(account, f"lake/inbox/{user}/")
    assert f"Put into the inbox: s3://{account.bucket}/lake/inbox/{user}/{name}. The next run records it" in put.stdout
    # As somebody does without the program, and gets wrong.
    header = "credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product"
    client("s3").put_object(
        Bucket=account.bucket, Key=f"lake/inbox/{user}/wrong.csv", Body=f"{header}\nid:1,5,USD,,,Logistics,,,\n".encode())
    assert len(log_rows(account.emulator, "allocations_log")) == before
    assert_same_tables(published_tables(account.emulator), local_lake(local))
    account.night(as_of=NEXT)

    local.run(*ALLOCATION)
    local.run("run", "--as-of", NEXT)
    assert_same_tables(published_tables(account.emulator), local_lake(local))
    (row,) = [row for row in log_rows(account.emulator, "allocations_log") if row["reference"] == "MAP-2026-114"]
    assert (row["recorded_by"], row["business_unit"]) == (f"{user} (jane@example.com)", "Logistics")
    receipts = {key: it for key, it in objects(account, f"lake/inbox/{user}/").items() if key.endswith(".txt")}
    assert receipts.keys() == {f"{name}.taken.txt", "wrong.csv.refused.txt"}
    assert row["allocation_id"] in receipts[f"{name}.taken.txt"]
    assert "wrong.csv, row 2: credit id:1 is not registered" in receipts["wrong.csv.refused.txt"]
    (notice,) = account.mails("notices")
    # 60 days before its end one credit is listed first; the other was told the night before.
    for words in (
        "Waiting for an owner: 3", "Expiring soon: 1\n  code:Sales PoC - Robotics", "told before: 1\n",
        f"Refused uploads, of which nothing is recorded: 1\n  {user}/wrong.csv: wrong.csv, row 2: credit id:1 is not registered",
    ):
        assert words in notice["Message"], notice["Message"]


def test_night_after_takes_nothing_of_the_inbox_twice(account, first_night, local):
    before = len(log_rows(account.emulator, "allocations_log"))
    account.messages(account.events)
    account.night(as_of=NEXT)
    assert len(log_rows(account.emulator, "allocations_log")) == before
    assert_same_tables(published_tables(account.emulator), local_lake(local))
    (published,) = [it["detail"] for it in account.messages(account.events) if it["detail-type"] == "Run published"]
    nothing = {"count": 0, "first": []}
    assert published["inbox"] == {"taken": nothing, "refused": nothing}


def test_no_file_of_the_logs_was_ever_overwritten_or_deleted(account, first_night):
    """By nights or by people: so one that was shows."""
    pages = account.client("s3").get_paginator("list_object_versions").paginate(
        Bucket=account.bucket, Prefix="lake/warehouse/"
    )
    seen = list(pages)
    keys = [it["Key"] for page in seen for it in page.get("Versions", [])]
    assert len(keys) == len(set(keys)) > 10
    assert not [it for page in seen for it in page.get("DeleteMarkers", [])]



def test_period_that_did_not_change_is_not_read_again(account, first_night):
    plans = [task for task in account.emulator.tasks() if "--period" in task.command]
    assert len(plans) == len(PERIODS), "by the first night alone"


# --- the same nights, the state machine run by another interpreter


@pytest.fixture(scope="module")
def moto(account, tmp_path_factory):
    return second.Nights(account, tmp_path_factory.mktemp("moto"), f"s3://{EXPORT[0]}/{EXPORT[1]}")


def test_both_interpreters_visit_the_same_states_of_the_first_night(account, first_night, local, moto):
    night = moto.night("2026-11-27T03:30:00.123Z", AS_OF, [])
    assert night.status == "SUCCEEDED", night
    assert night.states == account.visited(first_night["executionArn"])
    assert_same_tables(published_tables(account.emulator, second.DATABASE), local.first)


def test_both_interpreters_visit_the_same_states_of_a_night_that_fails(account, first_night, moto):
    faults = ["join-allocations: refuse once", "apply-fifo: exit 6 2 times", "write-net-cost: exit 5 always"]
    account.emulator.control(faults=faults)
    failed = account.night(expect="FAILED", as_of=NEXT)
    account.emulator.control(faults=[])
    night = moto.night("2026-11-28T03:30:00.123Z", NEXT, faults)
    assert night.status == "FAILED"
    assert night.states == account.visited(failed["executionArn"])


# --- what a customer runs


def test_smoke_test_passes_on_the_deployed_stack(account, first_night):
    tools = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "SMOKE_POLL_SECONDS": "0.5"}
    command = [account.release / "smoke-test.sh", "--stack", STACK, "--region", REGION]
    environment = {**account.emulator.environment(), **tools, "HOME": str(account.release)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    failed = [line for line in ended.stdout.splitlines() if line.startswith("FAIL")]
    assert ended.stdout.count("PASS") >= 20, ended
    assert failed == [], ended
