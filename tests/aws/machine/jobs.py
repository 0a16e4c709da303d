"""A program in place of the real one: writes what the state machine reads, and ends as the test says."""

import json
from itertools import chain, repeat

from aws import Aws, Ending

SUMMARY = {
    "run_id": "2026-11-26T033000.123Z",
    "as_of": "2026-11-26",
    "database": "finops_credits",
    "latest_period": "2026-11",
    "periods_read": 2,
    "lines_read": 38186,
    "new_credits": {"count": 2, "first": [
        "code:MAP credit - 2/3@410000000901  1,227.18 USD",
        "code:(no description)@410000000012  64.27 USD",
    ]},
    "waiting": {"count": 1, "oldest_days": 60, "first": ["code:MAP credit - 2/3@410000000901  1,227.18 USD"]},
    "expiring_soon": {"count": 1, "first": ["id:10063540211  1,958.57 USD, ends 2026-12-15"]},
    "expired": {"count": 0, "first": []},
    "allocation_issues": {"count": 0, "first": []},
    "inbox": {"taken": {"count": 0, "first": []}, "refused": {"count": 0, "first": []}},
    "tie_out": [{
        "currency": "USD", "export_total": "242265.2797696034", "invoice_net": "242265.2797696034",
        "difference": "0.0000000000", "net_cost": "226198.7860085720", "clearing": "16066.4937610314",
    }],
}


def always(ending: Ending):
    return repeat(ending)


class Jobs:
    """
    Endings by job (`publish`, `detect-credits --period 2026-05`), one after the other, then 0. What reads on a cluster is
    `detect-credits --scheduler`, whatever its address.
    """

    def __init__(self, endings: dict | None = None, periods=("2026-10", "2026-11"), summary: dict | None = None,
                 errors: dict[int, list[str]] | None = None, plan: dict | None = None):
        """`errors`: what the program says where it ends with this code, a line each. `plan`: more of the scan plan."""
        self.endings = {job: chain(script, repeat(0)) for job, script in (endings or {}).items()}
        self.plan, self.summary, self.errors = {"periods": list(periods), **(plan or {})}, summary or SUMMARY, errors or {}
        self.aws = Aws(self.run)

    def run(self, command: list[str]) -> Ending:
        job = " ".join(word for word in command[: command.index("--run-id")] if not word.startswith("df://"))
        run_id = command[command.index("--run-id") + 1]
        ending = next(self.endings.get(job, repeat(0)))
        if ending == 0 and job == "detect-credits --plan":
            self.aws.objects[f"lake/work/{run_id}/scan-plan.json"] = json.dumps(self.plan)
        if isinstance(ending, int) and (lines := self.errors.get(ending)):
            error = {"kind": "check_failed", "exit_code": ending, "message": lines[0], "lines": lines}
            self.aws.objects[f"lake/work/{run_id}.failure.json"] = json.dumps({"error": error})
        if ending == 0 and job == "publish":
            self.aws.objects[f"lake/summaries/{run_id}.json"] = json.dumps(self.summary)
        return ending
