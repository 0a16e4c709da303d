"""Nights: what the jobs do, and what the state machine makes of it. Waits take no time; their seconds are compared."""

import os
from datetime import date, timedelta

import pytest

import interpreter
from aws import NO_SLOT, AwsError, NotStarted
from definition import ROOT, read
from jobs import SUMMARY, Jobs, always

RUN_ID = "2026-11-26T033000.123Z"
OPTIONS = ["--run-id", RUN_ID, "--as-of", "2026-11-26", "--log-format", "json"]

PLAN = [
    "Name the run", "Prepare", "detect-credits --plan", "Read the plan", "Large enough for a cluster?", "Many periods?",
]
COMPUTE = ["detect-credits", "join-allocations", "apply-fifo", "write-net-cost", "athena-check", "publish"]
REFRESH = [
    "Read the summary", "Any data set?", "Refresh QuickSight", *["Refresh one data set"] * 2, "Any data set stale?",
]
METRICS = ["Put the metrics", "Read what was told", "See what ends", "Find what is due", "Anything to tell?"]
NOTICE = ["Write the notice", "Join the notice", "Send the notice", "Note what was told"]
END = ["Send the events", "Published"]
GOOD_NIGHT = [*PLAN, *COMPUTE, *REFRESH, *METRICS, *NOTICE, *END]

JUDGE = ["Read the cause", "Parse the task", "Find the exit code", "Judge", "Try again?"]
AGAIN = [*JUDGE, "Wait", "Resume"]
ALERT = [
    "Read the error", "Write the alert", "Join the alert", "Alert", "Send the event of the failure", "Tie-out failed?",
]

ROLES = {
    "detect-credits": "detect", "join-allocations": "join", "apply-fifo": "fifo", "write-net-cost": "netcost",
    "athena-check": "check", "publish": "publish",
}


def night(jobs: Jobs, execution_input: dict | None = None, **substitutions: str) -> interpreter.Night:
    """Whatever happens in it: no task of a cluster is left, unless AWS refuses to stop it."""
    ended = interpreter.run(read(**substitutions), jobs.aws, execution_input)
    assert jobs.aws.left_running() == [] or "ecs:stopTask" in jobs.aws.refuses
    return ended


def commands(jobs: Jobs) -> list[str]:
    """Without the options, which all commands share."""
    assert all(command[-len(OPTIONS):] == OPTIONS for command in jobs.aws.commands)
    return [" ".join(command[: -len(OPTIONS)]) for command in jobs.aws.commands]


def until(job: str) -> list[str]:
    return [*PLAN, *COMPUTE[: COMPUTE.index(job) + 1]]


def the_alert(jobs: Jobs) -> str:
    """The text of the one e-mail that was sent, to those who run finops-credits."""
    [(topic, subject, text)] = jobs.aws.mails
    assert topic == "finops-credits-alerts"
    return f"Subject: {subject}\n\n{text}\n"


def equals_example(text: str, name: str) -> None:
    """`step-functions/notify` shows the e-mails as they are sent; FINOPS_UPDATE_GENERATED=1 writes them anew."""
    file = ROOT / "step-functions" / "notify" / name
    if os.environ.get("FINOPS_UPDATE_GENERATED"):
        file.write_text(text)
    assert text == file.read_text()


# --- good nights


def test_a_good_night_runs_every_job_once_and_tells_finance():
    jobs = Jobs()
    result = night(jobs)
    assert result.status == "SUCCEEDED"
    assert result.states == GOOD_NIGHT
    assert result.output == {"run_id": RUN_ID, "as_of": "2026-11-26"}
    assert commands(jobs) == ["detect-credits --plan", *COMPUTE]
    assert [role.rsplit("-", 1)[1] for role in jobs.aws.roles] == ["detect", *ROLES.values()]
    assert jobs.aws.metrics == {
        "TieOutFailed": 0, "CreditsWaiting": 1, "OldestWaitingDays": 60, "CreditsExpiringSoon": 1, "NewCredits": 2,
    }
    assert sorted(jobs.aws.ingestions) == [
        ("credits", "2026-11-26T033000-123Z-credits"), ("net-cost", "2026-11-26T033000-123Z-net-cost"),
    ]
    assert all((it["EventBusName"], it["Source"]) == ("default", "finops-credits") for it in jobs.aws.events)
    of_credits = {"run_id": RUN_ID, "as_of": "2026-11-26"}
    assert [(it["DetailType"], it["Detail"]) for it in jobs.aws.events] == [
        ("Run published", SUMMARY),
        ("Credits found", {**of_credits, **SUMMARY["new_credits"]}),
        ("Credits expiring", {**of_credits, **SUMMARY["expiring_soon"]}),
    ]
    [(topic, subject, text)] = jobs.aws.mails
    assert topic == "finops-credits-notices"
    equals_example(f"Subject: {subject}\n\n{text}\n", "notice.txt")


def test_the_input_may_name_as_of_date_and_run():
    jobs = Jobs()
    named = {"run_id": "again-1", "as_of": "2026-09-30"}
    assert night(jobs, named).output == named
    assert jobs.aws.commands[-1] == ["publish", "--run-id", "again-1", "--as-of", "2026-09-30", "--log-format", "json"]


def test_two_starts_of_one_night_have_runs_of_their_own():
    first, second = Jobs(), Jobs()
    second.aws.started = "2026-11-26T03:30:00.124Z"
    assert night(first).output["run_id"] != night(second).output["run_id"]


@pytest.mark.parametrize(("execution_input", "news", "expiring", "mails"), [
    ({}, 1, 0, 1), ({}, 0, 1, 1), ({}, 0, 0, 0), ({"notify": True}, 1, 1, 1), ({"notify": False}, 1, 1, 0),
])
def test_a_notice_is_sent_for_new_or_expiring_credits_unless_the_input_says_no(execution_input, news, expiring, mails):
    listed = {"new_credits": {"count": news, "first": ["id:1  1.00 USD"] * news},
              "expiring_soon": {"count": expiring, "first": ["id:2  2.00 USD, ends 2026-12-15"] * expiring}}
    jobs = Jobs(summary=SUMMARY | listed)
    result = night(jobs, execution_input)
    assert result.states == [*PLAN, *COMPUTE, *REFRESH, *METRICS, *NOTICE * mails, *END]
    assert len(jobs.aws.mails) == mails
    for _, _, text in jobs.aws.mails:
        assert ("New: 1" in text, "Expiring soon: 1" in text) == (news == 1, expiring == 1)
    of_credits = ["Credits found"] * news * mails + ["Credits expiring"] * expiring * mails
    assert [event["DetailType"] for event in jobs.aws.events] == ["Run published", *of_credits]


# --- credits that end: told when they are listed first, then 60, 30, 14, 7 and 1 days before


class Nights:
    """One night after the other on the same bucket, with the credits that then expire soon, each with its last day."""

    def __init__(self, **substitutions: str):
        self.objects, self.substitutions, self.sent_ends = {}, substitutions, True

    def told(self, as_of: str, ends: dict[str, str], execution_input: dict | None = None, new=(), unlisted=0) -> list[str]:
        """What the night mails of them."""
        lines = [f"{key}  {len(as_of) + len(ends):,}.00 USD, ends {end}" for key, end in sorted(ends.items())]
        summary = SUMMARY | {
            "as_of": as_of, "new_credits": {"count": len(new), "first": list(new)},
            "waiting": {"count": 0, "oldest_days": 0, "first": []},
            "expiring_soon": {"count": len(lines) + unlisted, "first": lines},
        }
        self.jobs = Jobs(summary=summary)
        self.jobs.aws.objects, self.jobs.aws.started = self.objects, f"{as_of}T05:30:00.000Z"
        if not self.sent_ends:
            self.jobs.aws.refuses["sns:publish"] = AwsError("SNS.NotFoundException", "Topic does not exist")
        self.result = night(self.jobs, execution_input, **self.substitutions)
        return [line.strip().split("  ")[0] for *_, text in self.jobs.aws.mails for line in text.splitlines()
                if line.startswith("  ") and ", ends " in line]


def test_a_credit_that_ends_is_told_six_times_in_sixty_nights():
    nights = Nights()
    days_left = [61, 60, 59, 31, 30, 14, 13, 7, 1, 0]
    as_of = {days: str(date(2026, 12, 15) - timedelta(days)) for days in days_left}
    assert [days for days in days_left if nights.told(as_of[days], {"id:1": "2026-12-15"})] == [61, 60, 30, 14, 7, 1]


def test_one_mail_tells_of_all_that_is_due_and_how_many_more_there_are():
    nights = Nights()
    ends = {"id:1": "2026-12-15", "id:2": "2026-12-31"}
    assert nights.told("2026-12-01", ends) == ["id:1", "id:2"]
    assert nights.told("2026-12-02", ends) == []
    assert nights.told("2026-12-03", ends | {"id:3": "2027-01-20"}) == ["id:3"]
    [(_, subject, text)] = nights.jobs.aws.mails
    assert subject == "AWS credits: 0 new, 3 expiring soon (2026-12-03)"
    assert "Expiring soon: 1\n  id:3  13.00 USD, ends 2027-01-20\n\nExpiring soon, but told before: 2\n\n" in text
    assert nights.told("2026-12-08", ends) == ["id:1"]


def test_nights_that_were_skipped_or_failed_lose_no_threshold():
    nights = Nights()
    ends = {"id:1": "2026-12-31", "id:2": "2027-01-02"}
    assert nights.told("2026-11-20", ends) == ["id:1", "id:2"]
    # 30 days before both ends nothing runs: a week later it is made up for, once.
    assert nights.told("2026-12-08", ends) == ["id:1", "id:2"]
    assert nights.told("2026-12-09", ends) == []
    # 14 days before the first end the mail cannot be sent, before the second somebody runs by hand and wants none.
    nights.sent_ends = False
    assert nights.told("2026-12-17", ends) == []
    nights.sent_ends = True
    assert nights.told("2026-12-19", ends, {"notify": False}) == []
    assert nights.told("2026-12-20", ends) == ["id:1", "id:2"]
    assert nights.told("2026-12-21", ends) == []


def test_another_end_of_a_credit_is_told_anew():
    nights = Nights()
    assert nights.told("2026-11-20", {"id:1": "2026-12-15"}) == ["id:1"]
    assert nights.told("2026-11-21", {"id:1": "2026-12-20"}) == ["id:1"]
    assert nights.told("2026-11-22", {"id:1": "2026-12-20"}) == []


def test_a_run_as_of_the_past_takes_nothing_back():
    nights = Nights()
    assert nights.told("2026-12-10", {"id:1": "2026-12-15"}) == ["id:1"]
    assert nights.told("2026-10-31", {"id:1": "2026-12-15"}) == []
    assert nights.told("2026-12-11", {"id:1": "2026-12-15"}) == []


def test_credits_beyond_the_list_are_told_when_they_become_more():
    nights, ends = Nights(), {"id:1": "2026-12-20"}

    def mailed(as_of: str, unlisted: int) -> str:
        nights.told(as_of, ends, unlisted=unlisted)
        return "".join(text for *_, text in nights.jobs.aws.mails)

    assert "Expiring soon, but beyond this list: 3\n" in mailed("2026-11-26", 3)
    assert mailed("2026-11-27", 3) == ""
    assert "Expiring soon, but told before: 1\n\nExpiring soon, but beyond this list: 4\n" in mailed("2026-11-28", 4)
    assert mailed("2026-11-29", 2) == ""


@pytest.mark.parametrize("note", ["<html>", "[]", '{"reached": 1}', ""])
def test_a_note_that_cannot_be_read_makes_the_night_tell_all(note):
    nights = Nights()
    nights.objects["lake/notices/told.json"] = note
    assert nights.told("2026-11-26", {"id:1": "2026-12-15"}) == ["id:1"]
    assert nights.told("2026-11-27", {"id:1": "2026-12-15"}) == []


def test_each_line_of_a_notice_leads_to_the_page_of_its_credit():
    strange = ["code:50%  off & more?#1@410000000012  -64.27 EUR"]
    jobs = Jobs(summary=SUMMARY | {"new_credits": {"count": 1, "first": strange}})
    night(jobs, WebUrl="https://credits.example.com")
    [(_, _, text)] = jobs.aws.mails
    assert [line for line in text.splitlines() if line.startswith("  ")] == [
        f"  {strange[0]}  https://credits.example.com/credits/code%3A50%25%20%20off%20%26%20more%3F%231%40410000000012",
        f"  {SUMMARY['expiring_soon']['first'][0]}  https://credits.example.com/credits/id%3A10063540211",
        f"  {SUMMARY['waiting']['first'][0]}"
        "  https://credits.example.com/credits/code%3AMAP%20credit%20-%202%2F3%40410000000901",
    ]


def test_a_notice_with_links_looks_like_its_example():
    jobs = Jobs()
    night(jobs, WebUrl="https://credits.example.com")
    [(_, subject, text)] = jobs.aws.mails
    equals_example(f"Subject: {subject}\n\n{text}\n", "notice-with-links.txt")


REFUSED = [
    "AROAEXAMPLEID1234:bob@example.com/july.csv: july.csv, row 3, column amount: is empty; and 2 more",
    "AROAEXAMPLEID1234:jane@example.com/queue.xlsx: queue.xlsx, row 2: node Retial is not in hierarchy.csv; did you mean Retail?",
]


@pytest.mark.parametrize("web", ["", "https://credits.example.com"])
def test_uploads_that_are_refused_fail_no_night_and_are_told_with_what_is_wrong(web):
    nothing, refused = {"count": 0, "first": []}, {"count": 2, "first": REFUSED}
    inbox = {"taken": {"count": 1, "first": ["x/a.csv: Recorded 1 row of a.csv."]}, "refused": refused}
    jobs = Jobs(summary=SUMMARY | {
        "new_credits": nothing, "expiring_soon": nothing, "waiting": nothing | {"oldest_days": 0}, "inbox": inbox})
    result = night(jobs, WebUrl=web)
    assert (result.status, result.states) == ("SUCCEEDED", GOOD_NIGHT)
    [(topic, subject, text)] = jobs.aws.mails
    assert (topic, subject) == ("finops-credits-notices", "AWS credits: 0 new, 0 expiring soon, uploads refused: 2 (2026-11-26)")
    listed = "\n  ".join(["Refused uploads, of which nothing is recorded: 2", *REFUSED])
    assert f"\n\n{listed}\n\nWhat to mend stands beside each of these files of the inbox, in FILE.refused.txt.\n\n" in text
    assert [(it["DetailType"], it["Detail"]) for it in jobs.aws.events[1:]] == [
        ("Uploads refused", {"run_id": RUN_ID, "as_of": "2026-11-26", **refused}),
    ]


def test_uploads_that_were_taken_are_in_the_event_of_the_run_and_in_no_mail():
    taken = {"count": 1, "first": ["x/a.csv: Recorded 1 row of a.csv."]}
    nothing = {"count": 0, "first": []}
    jobs = Jobs(summary=SUMMARY | {
        "new_credits": nothing, "expiring_soon": nothing, "inbox": {"taken": taken, "refused": nothing}})
    night(jobs)
    assert jobs.aws.mails == []
    assert [it["Detail"]["inbox"]["taken"] for it in jobs.aws.events] == [taken]


def test_a_night_whose_image_knows_no_inbox_ends_well():
    jobs = Jobs(summary={key: value for key, value in SUMMARY.items() if key != "inbox"})
    assert night(jobs).states == GOOD_NIGHT
    [(_, subject, text)] = jobs.aws.mails
    assert subject == "AWS credits: 2 new, 1 expiring soon (2026-11-26)" and "refused" not in text


def test_without_quicksight_nothing_is_refreshed():
    jobs = Jobs()
    result = night(jobs, DataSetIds="")
    assert result.states == [*PLAN, *COMPUTE, *REFRESH[:2], *METRICS, *NOTICE, *END]
    assert jobs.aws.ingestions == []


def test_long_lists_stay_below_the_payload_limit():
    lines = [f"code:{'x' * 1000}@{number}  1.00 USD" for number in range(20)]
    credits = {"count": 5000, "first": lines}
    lists = {
        "new_credits": credits, "waiting": {**credits, "oldest_days": 9},
        "expiring_soon": {"count": 5000, "first": [f"{line}, ends 2026-12-15" for line in lines]},
        "inbox": {"taken": credits, "refused": credits},
    }
    jobs = Jobs(periods=[f"{year}-{month:02}" for year in range(2017, 2027) for month in range(1, 13)],
                summary=SUMMARY | lists)
    assert night(jobs).status == "SUCCEEDED"
    assert len(commands(jobs)) == 120 + 7
    [(_, _, text)] = jobs.aws.mails
    assert "New: 5000" in text and "Expiring soon: 20\n" in text and "beyond this list: 4980\n" in text


# --- retries by exit code

ROOM = [300, 600, 1200, 1800, 3600]


@pytest.mark.parametrize("job", COMPUTE)
def test_a_job_that_fails_transiently_is_tried_again_with_the_same_command(job):
    jobs = Jobs({job: [6]})
    result = night(jobs)
    assert result.status == "SUCCEEDED"
    assert result.states == [*until(job), *AGAIN, *GOOD_NIGHT[len(until(job)) - 1:]]
    assert commands(jobs).count(job) == 2
    assert jobs.aws.waits == [60]


def test_the_plan_is_tried_again_too():
    jobs = Jobs({"detect-credits --plan": [NotStarted()]})
    assert night(jobs).states == [*PLAN[:3], *AGAIN, *GOOD_NIGHT[2:]]


@pytest.mark.parametrize(("ending", "waits"), [
    (2, []), (3, []), (4, [1800, 3600, 7200]), (5, []), (6, [60, 120, 300, 600]), (7, [300, 600, 1200]),
    (1, []), (101, []), (137, [60, 300]), (139, []), (NotStarted(), [30, 60, 180]),
    (AwsError("ECS.AccessDeniedException", "not authorized to perform: ecs:RunTask"), [30, 60, 180]),
    (AwsError("ECS.ThrottlingException", "Rate exceeded"), ROOM),
    (AwsError("ECS.AmazonECSException", "Capacity is unavailable at this time. Please try again later"), ROOM),
    (AwsError("ECS.InvalidParameterException", "Error retrieving subnet information: Throttling"), ROOM),
    (AwsError("AmazonECS.Unknown", NO_SLOT), ROOM),
    (NotStarted("Capacity is unavailable at this time. Please try again later or in a different availability zone"), ROOM),
    (AwsError("States.TaskFailed", "{not json}"), [30, 60, 180]),
    (AwsError("States.Timeout", ""), [300]),
])
def test_the_exit_code_decides_how_often_a_job_is_tried(ending, waits):
    jobs = Jobs({"write-net-cost": always(ending)})
    result = night(jobs)
    assert result.status == "FAILED"
    assert jobs.aws.waits == waits
    assert commands(jobs).count("write-net-cost") == len(waits) + 1
    assert "publish" not in commands(jobs)
    again = ["write-net-cost", *AGAIN] * len(waits)
    metric = ["Put the tie-out metric"] if ending == 5 else []
    assert result.states == [*until("apply-fifo"), *again, "write-net-cost", *JUDGE, *ALERT, *metric, "Failed"]
    assert f"Tries: {len(waits) + 1}." in the_alert(jobs)
    assert jobs.aws.metrics == ({"TieOutFailed": 1} if ending == 5 else {})
    assert [event["DetailType"] for event in jobs.aws.events] == ["Run failed"]


def test_each_job_has_tries_of_its_own():
    jobs = Jobs({"join-allocations": [6, 7], "apply-fifo": [6], "publish": [7, 7, 7]})
    assert night(jobs).status == "SUCCEEDED"
    assert jobs.aws.waits == [60, 600, 60, 300, 600, 1200]


# --- alerts


TIE_OUT = [
    "the run does not tie out, nothing is published:",
    "2026-11 USD: export 242265.2797696034, invoice_net 242265.2697696034, difference 0.0100000000",
]


def test_a_failed_check_stops_the_night_and_says_what_is_wrong_and_where_to_look():
    jobs = Jobs({"athena-check": [5]}, errors={5: TIE_OUT})
    result = night(jobs)
    equals_example(the_alert(jobs), "alert-check-failed.txt")
    assert result.error == "States.QueryEvaluationError"
    assert "stopped at athena-check. Exit code 5: an invariant or the tie-out failed or" in result.cause


def test_a_job_that_never_starts_is_told_with_what_aws_says():
    jobs = Jobs({"join-allocations": always(NotStarted())})
    night(jobs)
    equals_example(the_alert(jobs), "alert-not-started.txt")


def test_the_error_of_an_earlier_job_is_not_taken_for_that_of_one_that_left_none():
    jobs = Jobs({"join-allocations": [6], "apply-fifo": always(137)}, errors={6: ["S3 is slow"]})
    night(jobs)
    assert "AWS says: Essential container in task exited; OutOfMemoryError" in the_alert(jobs)
    assert "S3 is slow" not in the_alert(jobs)


def test_an_error_is_told_briefly_and_cannot_make_a_paragraph_of_its_own():
    lines = ["3,000 rows are wrong:\n\nWhat to do: pay", *(f"row {row}: {'x' * 1000}" for row in range(3000))]
    jobs = Jobs({"detect-credits": [3]}, errors={3: lines[:40]})
    night(jobs)
    told = the_alert(jobs).split("\n\n")[3]
    assert told.startswith("Error: 3,000 rows are wrong: What to do: pay\n  row 0: xxx")
    assert len(told.split("\n")) == 5 and len(told) < 2600


def test_an_error_too_long_to_read_leaves_what_aws_says():
    jobs = Jobs({"detect-credits": [3]}, errors={3: ["x" * 300_000]})
    night(jobs)
    assert "AWS says: Essential container in task exited\n" in the_alert(jobs)


def test_a_night_that_fails_is_told_to_other_systems_too():
    jobs = Jobs({"athena-check": [5]}, errors={5: TIE_OUT})
    night(jobs)
    [event] = jobs.aws.events
    assert event == {"EventBusName": "default", "Source": "finops-credits", "DetailType": "Run failed", "Detail": {
        "run_id": RUN_ID, "as_of": "2026-11-26", "job": "athena-check", "exit_code": "5",
        "means": "an invariant or the tie-out failed or the lake is damaged, nothing published",
        "error": "\n".join(TIE_OUT),
        "execution": "arn:aws:states:eu-west-1:123456789012:execution:nightly:night",
    }}


def test_an_event_of_a_failure_that_the_bus_refuses_does_no_harm():
    jobs = Jobs({"athena-check": [5]})
    jobs.aws.refuses["events:putEvents"] = AwsError("EventBridge.ResourceNotFoundException", "no bus")
    result = night(jobs)
    assert result.states[-3:] == ["Tie-out failed?", "Put the tie-out metric", "Failed"]
    assert "stopped at athena-check." in the_alert(jobs)


def test_memory_that_ran_out_is_told():
    jobs = Jobs({"apply-fifo": always(137)})
    night(jobs)
    text = the_alert(jobs)
    assert "Exit code 137: stopped from outside, mostly for lack of memory." in text
    assert "AWS says: Essential container in task exited; OutOfMemoryError: Container killed due to memory" in text


def test_a_run_that_lost_the_race_at_publish_ends_and_says_what_to_do():
    jobs = Jobs({"publish": always(7)})
    night(jobs)
    equals_example(the_alert(jobs), "alert-lost-race.txt")


def test_an_alert_that_cannot_be_sent_fails_the_night_all_the_same():
    jobs = Jobs({"athena-check": [5]})
    jobs.aws.refuses["sns:publish"] = AwsError("SNS.NotFoundException", "Topic does not exist")
    result = night(jobs)
    assert result.states[-3:] == ["Tie-out failed?", "Put the tie-out metric", "Failed"]
    assert (result.status, jobs.aws.metrics) == ("FAILED", {"TieOutFailed": 1})
    assert [event["DetailType"] for event in jobs.aws.events] == ["Run failed"]


@pytest.mark.parametrize(("call", "state"), [
    ("s3:getObject", "Read the plan"), ("cloudwatch:putMetricData", "Put the metrics"),
    ("s3:putObject", "Note what was told"), ("events:putEvents", "Send the events"),
])
def test_a_call_that_aws_refuses_is_tried_again_and_then_told(call, state):
    jobs = Jobs()
    jobs.aws.refuses[call] = AwsError("Some.AccessDeniedException", "not authorized")
    result = night(jobs, {"notify": state == "Note what was told"})
    jobs.aws.mails = [mail for mail in jobs.aws.mails if mail[0] == "finops-credits-alerts"]
    assert (result.status, jobs.aws.waits[:3]) == ("FAILED", [30, 60, 180])
    assert len(jobs.aws.waits) == 3 + (3 if call == "events:putEvents" else 0), "the event of the failure is refused, too"
    text = the_alert(jobs)
    assert f"stopped at {state}." in text
    assert "AWS says: Some.AccessDeniedException not authorized" in text
    assert ("This run is published" in text) == (state != "Read the plan")
    assert "Log: /finops-credits/jobs, if the program ran at all\n\n" in text


def test_a_plan_that_is_no_json_is_told():
    jobs = Jobs()
    play = jobs.aws.job

    def broken(command):
        ending = play(command)
        jobs.aws.objects = dict.fromkeys(jobs.aws.objects, "<html>")
        return ending

    jobs.aws.job = broken
    assert night(jobs).status == "FAILED"
    assert "stopped at Read the plan." in the_alert(jobs)


# --- QuickSight


def test_a_refresh_that_fails_is_told_but_does_not_fail_the_night():
    jobs = Jobs()
    refused = AwsError("QuickSight.LimitExceededException", "Too many ingestions")
    jobs.aws.refuses["quicksight:createIngestion credits"] = refused
    result = night(jobs, {"notify": False})
    assert result.status == "SUCCEEDED"
    refresh = [*REFRESH, "Write of stale data sets", "Alert of stale data sets"]
    assert [state for state in result.states if state != "Refresh noted"] == [*PLAN, *COMPUTE, *refresh, *METRICS, *END]
    assert jobs.aws.metrics["TieOutFailed"] == 0
    equals_example(the_alert(jobs), "alert-stale-dashboards.txt")


def test_a_refresh_that_was_started_before_counts():
    jobs = Jobs()
    jobs.aws.ingestions.append(("credits", f"{RUN_ID.replace('.', '-')}-credits"))
    result = night(jobs, {"notify": False})
    assert (result.status, jobs.aws.mails) == ("SUCCEEDED", [])


# --- many periods

MANY = ("2026-05", "2026-06", "2026-07", "2026-08")


def periods_read(jobs: Jobs) -> list[str]:
    return sorted(command[2] for command in jobs.aws.commands if "--period" in command)


def test_many_periods_are_read_side_by_side_then_detect_credits_runs_once():
    jobs = Jobs(periods=MANY)
    result = night(jobs)
    fan_out = ["detect-credits --period", *["Read one period"] * 4, "Any period failed?"]
    assert result.states == [*PLAN, *fan_out, *GOOD_NIGHT[6:]]
    assert periods_read(jobs) == list(MANY)
    assert commands(jobs)[5:] == COMPUTE
    assert jobs.aws.roles[1].endswith("-detect")


@pytest.mark.parametrize("periods", [(), MANY[:3]])
def test_few_periods_are_left_to_detect_credits(periods):
    jobs = Jobs(periods=periods)
    assert night(jobs).states == GOOD_NIGHT


FIRST_NIGHT = [f"{year}-{month:02}" for year in (2024, 2025, 2026) for month in range(1, 13)]


def first_night(**substitutions: str) -> tuple[Jobs, interpreter.Night]:
    """36 periods of 20 minutes each, where the quota has room for three tasks."""
    jobs = Jobs(periods=FIRST_NIGHT)
    jobs.aws.slots, jobs.aws.job_seconds, jobs.aws.pace = 3, 1200, 1 / 4_000
    return jobs, night(jobs, **substitutions)


def test_a_first_night_runs_no_more_tasks_at_a_time_than_the_quota_has_room_for():
    jobs, result = first_night()
    assert result.status == "SUCCEEDED"
    assert (jobs.aws.most_running, jobs.aws.refused) == (2, 0)
    assert periods_read(jobs) == FIRST_NIGHT


def test_a_first_night_that_may_run_more_than_there_is_room_for_waits_for_room():
    jobs, result = first_night(MaxTasks="8")
    assert result.status == "SUCCEEDED"
    assert jobs.aws.most_running == 3 and jobs.aws.refused > 0
    assert periods_read(jobs) == FIRST_NIGHT


def test_tasks_that_wait_for_room_do_not_wait_in_step():
    jobs, _ = first_night(MaxTasks="8")
    assert len(set(jobs.aws.waits)) > len(jobs.aws.waits) / 2 and max(jobs.aws.waits) <= 600


def test_a_task_that_the_quota_never_has_room_for_is_told_with_what_to_change():
    jobs = Jobs()
    jobs.aws.slots = 0
    assert night(jobs).status == "FAILED"
    assert jobs.aws.waits == ROOM and sum(ROOM) > 3600
    text = the_alert(jobs)
    assert "stopped at detect-credits --plan." in text and "limit on the number of vCPUs" in text
    assert "Lower MaxTasks or TaskSize, or raise the quota of Fargate vCPUs" in text


def test_a_period_that_fails_transiently_is_read_again_alone():
    jobs = Jobs({"detect-credits --period 2026-06": [6]}, MANY)
    result = night(jobs)
    assert result.status == "SUCCEEDED"
    assert periods_read(jobs) == sorted([*MANY, "2026-06"])
    assert jobs.aws.waits == [60]


def test_a_period_that_fails_for_good_is_named_and_the_others_are_read():
    jobs = Jobs({"detect-credits --period 2026-06": [6], "detect-credits --period 2026-07": always(3)}, MANY)
    result = night(jobs)
    assert result.status == "FAILED"
    # The first failed period decides: 2026-06 gets its second chance, and 2026-07 with it.
    assert periods_read(jobs) == sorted([*MANY, "2026-06", "2026-07"])
    assert commands(jobs)[-1].startswith("detect-credits --period")
    equals_example(the_alert(jobs), "alert-period.txt")


def test_all_of_many_periods_can_fail_without_exceeding_the_payload_limit():
    many = [f"{year}-{month:02}" for year in range(2007, 2027) for month in range(1, 13)]
    jobs = Jobs({f"detect-credits --period {period}": [3] for period in many}, many)
    night(jobs)
    assert ", ".join(many) in the_alert(jobs)


def test_a_cause_that_only_looks_like_a_task_is_told():
    jobs = Jobs({"detect-credits --period 2026-05": always(AwsError("States.TaskFailed", "{cut off}"))}, MANY)
    assert night(jobs).status == "FAILED"
    assert "stopped at detect-credits --period." in the_alert(jobs)


# --- a cluster

LARGE = {"plan": {"bytes": 2_000_000_000_000}}
CLUSTER = {"DistributeFromBytes": "1000000000000", "MaxTasks": "5"}
START = ["Start the scheduler", *["Look for the scheduler", "Scheduler runs?", "Wait for the scheduler"] * 2,
         "Look for the scheduler", "Scheduler runs?", "Start the executors", "detect-credits on the cluster"]
SCAN = "detect-credits --scheduler"
AFTER_SCAN = GOOD_NIGHT[GOOD_NIGHT.index("join-allocations"):]


def stop(tasks: int) -> list[str]:
    return ["Stop the cluster", *["Stop one task"] * tasks, "Scanned?"]


def kinds(jobs: Jobs) -> list[str]:
    return [member.command[0] for member in jobs.aws.members]


def scans(jobs: Jobs) -> list[str]:
    """The scheduler of each scan that was started."""
    return [command[2] for command in jobs.aws.commands if "--scheduler" in command]


def test_what_is_too_large_for_one_task_is_read_by_a_cluster_that_is_stopped_then():
    jobs = Jobs(**LARGE)
    result = night(jobs, **CLUSTER)
    assert result.states == [*PLAN[:-1], *START, *stop(4), *AFTER_SCAN]
    assert kinds(jobs) == ["scheduler", *["executor"] * 3]
    assert commands(jobs)[1:] == [f"{SCAN} df://10.0.1.0:50050", *COMPUTE[1:]], "it registers, too: nothing is read twice"
    scheduler, executor, *_ = jobs.aws.members
    assert executor.command[executor.command.index("--scheduler") + 1] == "df://10.0.1.0:50050" == scans(jobs)[0]
    assert scheduler.arguments["Overrides"].keys() == {"Cpu", "Memory", "ContainerOverrides"}
    assert executor.arguments["Overrides"]["TaskRoleArn"].endswith("-detect")
    assert "AwsvpcConfiguration" in executor.arguments["NetworkConfiguration"]


@pytest.mark.parametrize(("size", "limit", "distributes"), [
    (10**12, 10**12, False), (10**12 + 1, 10**12, True), (10**15, 0, False), (0, 0, False), (1, 1, False), (2, 1, True),
])
def test_a_cluster_is_started_only_where_more_changed_than_the_parameter_says(size, limit, distributes):
    jobs = Jobs(plan={"bytes": size})
    night(jobs, **CLUSTER | {"DistributeFromBytes": str(limit)})
    assert bool(jobs.aws.members) == distributes == bool(scans(jobs))


@pytest.mark.parametrize("plan", [{}, {"bytes": 0}])
def test_a_plan_that_knows_no_bytes_is_read_without_a_cluster(plan):
    jobs = Jobs(plan=plan)
    assert night(jobs, **CLUSTER).states == GOOD_NIGHT


def test_what_is_large_is_not_fanned_out_by_months():
    jobs = Jobs(periods=MANY, **LARGE)
    assert night(jobs, **CLUSTER).status == "SUCCEEDED"
    assert periods_read(jobs) == [] and len(scans(jobs)) == 1


@pytest.mark.parametrize(("most", "wanted", "executors"), [
    ("2", "4", 0), ("3", "4", 1), ("5", "4", 3), ("6", "4", 4), ("40", "10", 10), ("40", "1", 1),
])
def test_a_cluster_and_the_scan_are_never_more_tasks_than_there_may_be(most, wanted, executors):
    jobs = Jobs(**LARGE)
    result = night(jobs, **CLUSTER | {"MaxTasks": most, "ClusterExecutors": wanted})
    assert result.status == "SUCCEEDED"
    assert kinds(jobs).count("executor") == executors and jobs.aws.most_running <= int(most)
    assert bool(scans(jobs)) == (executors > 0)


def test_a_scan_goes_on_with_the_executors_that_there_is_room_for():
    jobs = Jobs(**LARGE)
    jobs.aws.room_for_executors = 1
    assert night(jobs, **CLUSTER).status == "SUCCEEDED"
    assert kinds(jobs) == ["scheduler", "executor"] and jobs.aws.waits == [10, 10]


@pytest.mark.parametrize(("ending", "waits"), [
    (6, [60, 120, 300, 600]), (3, []), (137, [60, 300]), (AwsError("States.Timeout", ""), [300]),
    (AwsError("AmazonECS.Unknown", NO_SLOT), ROOM), (NotStarted(), [30, 60, 180]),
])
def test_a_scan_that_fails_stops_its_cluster_and_is_tried_again_on_another_one(ending, waits):
    """6: the scheduler or an executor was killed, or taken back."""
    jobs = Jobs({SCAN: always(ending)}, **LARGE)
    result = night(jobs, **CLUSTER)
    assert result.status == "FAILED"
    assert [wait for wait in jobs.aws.waits if wait != 10] == waits
    assert scans(jobs) == [f"df://10.0.1.{4 * number}:50050" for number in range(len(waits) + 1)], "each has its own"
    assert kinds(jobs) == ["scheduler", *["executor"] * 3] * (len(waits) + 1)
    assert jobs.aws.most_running <= 5
    again = [*START, *stop(4), *AGAIN] * len(waits)
    assert result.states == [*PLAN[:-1], *again, *START, *stop(4), *JUDGE, *ALERT, "Failed"]
    assert "stopped at detect-credits on the cluster." in the_alert(jobs)


def test_a_cluster_that_is_lost_once_costs_a_retry_and_nothing_else():
    jobs = Jobs({SCAN: [6]}, **LARGE)
    result = night(jobs, **CLUSTER)
    assert result.status == "SUCCEEDED"
    assert result.states == [*PLAN[:-1], *START, *stop(4), *AGAIN, *START, *stop(4), *AFTER_SCAN]
    assert jobs.aws.metrics["TieOutFailed"] == 0 and [mail[0] for mail in jobs.aws.mails] == ["finops-credits-notices"]


def test_a_scheduler_that_dies_before_it_runs_is_told_with_what_aws_says():
    jobs = Jobs(**LARGE)
    jobs.aws.scheduler_dies = True
    assert night(jobs, **CLUSTER).status == "FAILED"
    assert kinds(jobs) == ["scheduler"], "its exit code says that it crashed: nothing is tried again"
    text = the_alert(jobs)
    assert "stopped at Look for the scheduler." in text and "Exit code 101: the program crashed." in text
    assert scans(jobs) == []


def test_a_scheduler_that_never_runs_is_given_up_after_ten_minutes():
    jobs = Jobs(**LARGE)
    describe = jobs.aws.describeTasks
    jobs.aws.describeTasks = lambda arguments: describe({"Tasks": []}) | {"Failures": [{"Reason": "MISSING"}]}
    assert night(jobs, **CLUSTER).status == "FAILED"
    assert [wait for wait in jobs.aws.waits if wait != 10] == [30, 60, 180]
    assert jobs.aws.waits.count(10) == 4 * 59 and kinds(jobs) == ["scheduler"] * 4


@pytest.mark.parametrize("kind", ["scheduler", "executor"])
def test_a_cluster_that_there_is_no_room_for_waits_for_it(kind):
    jobs = Jobs(**LARGE)
    if kind == "scheduler":
        play = jobs.aws.job

        def planned(command):
            jobs.aws.slots = 0  # from now on
            return play(command)

        jobs.aws.job = planned
    jobs.aws.room_for_executors = 0
    result = night(jobs, **CLUSTER)
    assert result.status == "FAILED"
    assert [wait for wait in jobs.aws.waits if wait != 10] == ROOM
    assert "AWS had no room for the task" in the_alert(jobs)
    assert set(kinds(jobs)) == (set() if kind == "scheduler" else {"scheduler"})


@pytest.mark.parametrize(("call", "state", "started"), [
    ("ecs:runTask scheduler", "Start the scheduler", []), ("ecs:describeTasks", "Look for the scheduler", ["scheduler"]),
    ("ecs:runTask executor", "Start the executors", ["scheduler"]),
    ("ecs:runTask detect-credits", "detect-credits --plan", None),
])
def test_a_call_for_the_cluster_that_aws_refuses_is_told_and_leaves_nothing(call, state, started):
    jobs = Jobs(**LARGE)
    jobs.aws.refuses[call] = AwsError("Ecs.AccessDeniedException", "not authorized")
    assert night(jobs, **CLUSTER).status == "FAILED"
    assert f"stopped at {state}." in the_alert(jobs) and "Ecs.AccessDeniedException not authorized" in the_alert(jobs)
    assert kinds(jobs) == (started or []) * 4


def test_a_cluster_that_cannot_be_stopped_fails_no_night_as_it_ends_by_itself():
    jobs = Jobs(**LARGE)
    jobs.aws.refuses["ecs:stopTask"] = AwsError("Ecs.ServerException", "later")
    result = night(jobs, **CLUSTER)
    assert result.status == "SUCCEEDED"
    assert result.states.count("Left to itself") == 4
    assert all("--idle-timeout" in member.command for member in jobs.aws.members)


def test_a_redrive_of_a_scan_starts_a_cluster_of_its_own():
    jobs = Jobs({SCAN: [3]}, **LARGE)
    jobs.aws.redrives.append(lambda: None)
    assert night(jobs, **CLUSTER).status == "SUCCEEDED"
    assert scans(jobs) == ["df://10.0.1.0:50050", "df://10.0.1.4:50050"]
    assert commands(jobs).count("detect-credits --plan") == 1


# --- redrive


def test_a_redrive_goes_on_with_the_job_that_failed_in_the_same_run():
    jobs = Jobs({"athena-check": [5], "publish": always(6)})
    jobs.aws.redrives += [lambda: None, lambda: jobs.endings.pop("publish")]
    result = night(jobs)
    assert result.status == "SUCCEEDED"
    assert commands(jobs) == ["detect-credits --plan", *COMPUTE[:5], "athena-check", *["publish"] * 6]
    assert [text.split("\n")[0] for _, _, text in jobs.aws.mails] == [
        "The nightly run of 2026-11-26 stopped at athena-check.", "The nightly run of 2026-11-26 stopped at publish.",
        "AWS credits on 2026-11-26:",
    ]
    assert result.output == {"run_id": RUN_ID, "as_of": "2026-11-26"}
    assert jobs.aws.metrics["TieOutFailed"] == 0


def test_a_redrive_of_the_fan_out_reads_the_failed_periods_only():
    jobs = Jobs({"detect-credits --period 2026-07": [3]}, MANY)
    jobs.aws.redrives.append(lambda: None)
    assert night(jobs).status == "SUCCEEDED"
    assert periods_read(jobs) == sorted([*MANY, "2026-07"])


def test_a_redrive_of_a_job_that_fails_again_has_all_its_tries_and_another_alert():
    jobs = Jobs({"apply-fifo": always(137)})
    jobs.aws.redrives.append(lambda: None)
    result = night(jobs)
    assert (result.status, len(jobs.aws.mails)) == ("FAILED", 2)
    assert jobs.aws.waits == [60, 300, 60, 300]
