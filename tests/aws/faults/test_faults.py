"""The program on a lake in S3 and Glue while storage and services fail.

Whatever goes wrong: the result is that of a run in which nothing does, or the program ends with the right exit code; a
reader finds each table before or after the run and never between; and the same command once more completes it.
"""

import random
import re
import threading
import time

import pytest

from support.emulator import Emulator
from support.lake import (
    PUBLISHED,
    SHOP_DAY,
    Program,
    assert_same_tables,
    bucket_settings,
    local_program,
    local_tables,
    locations,
    log_rows,
    make_lake,
    objects,
    put_files,
    rows,
    shop_files,
    write_files,
)
from support.proxy import FaultProxy, after_it, cut, delay, lost, reset, status

ALLOCATE_B = (
    "allocate",
    "--key",
    "code:Credit B@111111111111",
    "--amount",
    "50",
    "--to",
    "Retail",
    "--end-date",
    "2026-03-15",
    "--by",
    "finance",
    "--recorded-at",
    "2026-03-16T09:00:00Z",
)
RUN = ("run", "--as-of", SHOP_DAY)
# From the first fault on that never ends: retries with backoff, then the end.
PATIENCE_SECONDS = 150
# Nothing is published when these are seen by the one who waits for the run.
UNAVAILABLE, LOST_RACE = 6, 7


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with Emulator(tmp_path_factory.mktemp("faults") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Tables before and after the change, from a local lake."""
    folder = tmp_path_factory.mktemp("local")
    write_files(folder, shop_files())
    program = local_program(folder)
    program.run(*RUN)
    before = local_tables(folder / "lake")
    write_files(folder, shop_files(late=True))
    program.run(*ALLOCATE_B)
    program.run(*RUN)
    return before, local_tables(folder / "lake")


class Shop:
    """A lake that is before the change, and a program that only reaches it through a proxy."""

    def __init__(self, emulator, folder, expected, name="shop"):
        self.emulator, self.bucket, self.database = emulator, name, name.replace("-", "_")
        self.before, self.after = expected
        self.proxy = FaultProxy(emulator.endpoint)
        make_lake(emulator, self.bucket, self.database, shop_files())
        text = bucket_settings(self.bucket, self.database)
        self.direct = Program(folder / "direct", text, emulator.environment())
        self.faulty = Program(folder / "faulty", text, emulator.environment(self.proxy.endpoint))
        self.direct.run(*RUN)
        put_files(emulator, self.bucket, shop_files(late=True))
        self.direct.run(*ALLOCATE_B)
        self.kept = objects(emulator, f"s3://{self.bucket}"), self.tables()

    def tables(self):
        glue = self.emulator.client("glue")
        return glue.get_tables(DatabaseName=self.database)["TableList"]

    def restore(self):
        """As it was, whatever has happened."""
        files, tables = self.kept
        s3, glue = self.emulator.client("s3"), self.emulator.client("glue")
        for key in objects(self.emulator, f"s3://{self.bucket}").keys() - files.keys():
            s3.delete_object(Bucket=self.bucket, Key=key)
        put_files(self.emulator, self.bucket, files)
        for table in self.tables():
            glue.delete_table(DatabaseName=self.database, Name=table["Name"])
        fields = ("Name", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
        for table in tables:
            glue.create_table(DatabaseName=self.database, TableInput={field: table[field] for field in fields})
        self.proxy.clear()

    def published(self):
        return {
            table: objects(self.emulator, location)
            for table, location in locations(self.emulator, self.database).items()
        }

    def assert_no_reader_sees_between(self):
        """Each table for itself is whole: before, or after."""
        found = self.published()
        assert sorted(found) == sorted(PUBLISHED)
        for table, files in found.items():
            seen = rows(table, files)
            assert seen in (rows(table, self.before[table]), rows(table, self.after[table])), f"{table} is half"

    def assert_after(self):
        assert_same_tables(self.published(), self.after)
        credits = [(row["credit_key"], row["revision"]) for row in self.log("credits_log")]
        assert sorted(credits) == [(f"code:Credit {it}@111111111111", 1) for it in "ABC"], "each is registered once"
        assert len(self.log("allocations_log")) == 2

    def log(self, name):
        return log_rows(self.emulator, name, self.database)


def kind_of(request) -> str:
    """What a request is for: the action and table of a call of Glue, or method, folder of the lake and kind of file."""
    if request.action:
        table = re.search(rb'"Name":"(\w+)"', request.body)
        return f"{request.action} {table[1].decode() if table else ''}"
    listing = " list" if "list-type" in request.target else ""
    folder = re.match(r"/[\w-]+/(\w+/warehouse/\w+/\w+/\w+|\w+/\w+|\w*)", request.path)
    return f"{request.method} {folder[1] if folder else ''} {request.path.rpartition('.')[2][-8:]}{listing}"


def first_of_each_kind(wanted=lambda request: True):
    """Matches every kind of request once: what the program then repeats goes through."""
    seen = set()

    def matches(request):
        kind = kind_of(request)
        if kind in seen or not wanted(request):
            return False
        seen.add(kind)
        return True

    return matches


def is_write(request):
    return request.method in ("PUT", "POST", "DELETE") and not request.action.startswith("Get")


def is_glue(request):
    return bool(request.action)


def is_switch(request):
    return request.action in ("UpdateTable", "CreateTable") and not re.search(rb'"Name":"\w+_log"', request.body)


STAYING = {
    "export cannot be read": lambda request: request.method == "GET" and "/cur/" in request.path,
    "lake cannot be written": lambda request: request.method in ("PUT", "POST") and "/lake/" in request.path,
    "lake cannot be listed": lambda request: request.method == "GET" and "list-type" in request.target,
    "catalogue is away": is_glue,
    "tables cannot be switched": is_switch,
}


@pytest.fixture(scope="module", autouse=True)
def waiting(emulator, expected, tmp_path_factory):
    """A run for each service that stays away, from the first test on: they mostly wait, and are looked at last."""
    started = {}
    for number, (name, wanted) in enumerate(STAYING.items()):
        shop = Shop(emulator, tmp_path_factory.mktemp("staying"), expected, f"staying-{number}")
        shop.proxy.rule(status(503), wanted, times=float("inf"))
        started[name] = (shop, time.monotonic(), shop.faulty.start(*RUN))
    yield started
    for shop, _, process in started.values():
        process.kill()
        shop.proxy.__exit__()


@pytest.fixture(scope="module")
def prepared(emulator, tmp_path_factory, expected):
    made = Shop(emulator, tmp_path_factory.mktemp("shop"), expected)
    yield made
    made.proxy.__exit__()


@pytest.fixture
def shop(prepared):
    prepared.restore()
    return prepared


# --- faults that pass


def once_more_until_done(shop, attempts: int):
    """As a state machine does it: the same command with the same run id, while it says that this may help."""
    for _ in range(attempts):
        ended = shop.faulty.run(*RUN, "--run-id", "again", expect=None)
        assert ended.returncode in (0, UNAVAILABLE) or "already published" in ended.stderr, ended
        assert "panicked" not in ended.stderr
        shop.assert_no_reader_sees_between()
        if ended.returncode == 0 or "already published" in ended.stderr:
            return
    raise AssertionError(f"{attempts} attempts: {ended}")


ANSWERED = {
    "throttled": [(status(503), lambda request: not is_glue(request)), (status(400, "ThrottlingException"), is_glue)],
    "out of order": [(status(500, "InternalError"), lambda request: True)],
    "late": [(delay(0.1), lambda request: True)],
}


@pytest.mark.parametrize("name", ANSWERED)
def test_answer_that_every_kind_of_request_gets_once_is_overcome(shop, name):
    for fault, wanted in ANSWERED[name]:
        shop.proxy.rule(fault, first_of_each_kind(wanted), times=float("inf"))
    shop.faulty.run(*RUN)
    hit = {kind_of(it.request) for it in shop.proxy.log if it.fault}
    assert len(hit) >= 10, f"only {hit}"
    shop.assert_after()


BROKEN = {
    "reset before": (reset(), lambda request: True),
    "cut bodies": (cut(1), lambda request: request.method == "GET" or is_glue(request)),
    "lost responses": (lost(), is_write),
}


@pytest.mark.parametrize("name", BROKEN)
def test_connection_that_breaks_once_at_every_kind_of_request_changes_nothing(shop, name):
    fault, wanted = BROKEN[name]
    shop.proxy.rule(fault, first_of_each_kind(wanted), times=float("inf"))
    once_more_until_done(shop, attempts=12)
    hit = {kind_of(it.request) for it in shop.proxy.log if it.fault}
    assert len(hit) >= 10, f"only {hit}"
    shop.assert_after()


@pytest.mark.parametrize("seed", [1, 2])
def test_storm_changes_nothing(shop, seed):
    dice = random.Random(seed)
    for fault in (status(503), reset(), lost(), cut(5)):
        shop.proxy.rule(fault, lambda _: dice.random() < 0.01, times=float("inf"))
    once_more_until_done(shop, attempts=20)
    shop.assert_after()


# --- the switch


def test_reader_sees_each_table_before_or_after_at_every_step_of_the_switch(shop):
    steps = []

    def look():
        shop.assert_no_reader_sees_between()
        steps.append(sum(location.count(shop.run_id) for location in locations(shop.emulator, shop.database).values()))

    shop.run_id = "switch-step-by-step"
    shop.proxy.rule(after_it(look), is_switch, times=float("inf"))
    shop.faulty.run(*RUN, "--run-id", shop.run_id)
    assert steps == list(range(1, len(PUBLISHED) + 1)), "one table after the other"
    last = [it.request.body for it in shop.proxy.log if is_switch(it.request)][-1]
    assert b'"Name":"reconciliation"' in last, "reconciliation is the last one"
    shop.assert_after()


@pytest.mark.parametrize("table", [1, 5, len(PUBLISHED)])
def test_lost_response_to_a_switch_is_no_lost_race(shop, table):
    shop.proxy.rule(lost(), is_switch, after=table - 1)
    shop.faulty.run(*RUN)
    shop.assert_after()


@pytest.mark.parametrize("tables", [1, 3, len(PUBLISHED)])
def test_switch_that_broke_off_is_completed_by_publish(shop, tables):
    run = ("--run-id", "broken-off", "--as-of", SHOP_DAY)
    for job in ("detect-credits", "join-allocations", "apply-fifo", "write-net-cost"):
        shop.direct.run(job, *run)
    killed = threading.Event()
    process = None

    def kill():
        process.kill()
        killed.set()

    shop.proxy.rule(after_it(kill), is_switch, after=tables - 1)
    process = shop.faulty.start("publish", *run)
    process.communicate(timeout=120)
    assert killed.is_set() and process.returncode == -9
    shop.assert_no_reader_sees_between()
    switched = [
        table for table, location in locations(shop.emulator, shop.database).items() if "broken-off" in location
    ]
    assert len(switched) == tables, switched
    shop.direct.run("publish", *run)
    shop.assert_after()


@pytest.mark.parametrize("place", ["/lake/generations/", "/lake/work/", "/lake/runs/", "/lake/warehouse/"])
def test_run_that_is_killed_while_it_writes_is_done_again(shop, place):
    process = None
    shop.proxy.rule(after_it(lambda: process.kill()), lambda request: request.method == "PUT" and place in request.path)
    run = (*RUN, "--run-id", "killed")
    process = shop.faulty.start(*run)
    process.communicate(timeout=120)
    assert process.returncode == -9, f"nothing is written to {place}"
    shop.assert_no_reader_sees_between()
    other = shop.direct.run(*RUN, expect=LOST_RACE)
    assert "run killed is at work" in other.stderr, "until its lease has ended"
    shop.direct.run(*run)
    shop.assert_after()


def test_two_runs_at_once_lose_nothing(shop):
    runs = [shop.direct.start(*RUN) for _ in range(2)]
    outcomes = [(run.communicate(timeout=300), run.returncode) for run in runs]
    codes = sorted(code for _, code in outcomes)
    assert codes in ([0, 0], [0, LOST_RACE]), outcomes
    shop.assert_after()


# --- faults that stay


@pytest.mark.parametrize("name", STAYING)
def test_service_that_stays_away_ends_in_exit_6_in_time_and_publishes_nothing(waiting, name):
    shop, since, process = waiting[name]
    _, stderr = process.communicate(timeout=max(1, since + PATIENCE_SECONDS - time.monotonic()))
    assert process.returncode == UNAVAILABLE, stderr
    assert "panicked" not in stderr and 1 <= len(stderr.strip().splitlines()) <= 8, stderr
    assert_same_tables(shop.published(), shop.before)
    shop.direct.run(*RUN)
    shop.assert_after()


def test_server_that_refuses_connections_ends_in_exit_6(shop, emulator, tmp_path):
    nobody = Program(tmp_path / "nobody", shop.direct.config.read_text(), emulator.environment("http://127.0.0.1:9"))
    ended = nobody.run(*RUN, expect=UNAVAILABLE, timeout=PATIENCE_SECONDS)
    assert "panicked" not in ended.stderr
