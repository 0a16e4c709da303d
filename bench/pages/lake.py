"""A lake that is looked at, and what of it."""
import json
import os
import re
import subprocess
import sys
import time
from urllib.parse import urlencode

from pages.served import FinopsCredits, Page, alone

COLD = 3  # servers that each page is the first one of


def address(path, **filters):
    return f"{path}?{urlencode(filters)}" if filters else path


def key_address(key, rest=""):
    return "/credits/" + urlencode({"": key})[1:].replace("+", "%20") + rest


class Lake:
    """A lake that the program has made in a folder, and what of it is looked at."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.settings = binary, folder, folder / "credits.toml"
        if not (folder / "lake").exists():
            start = time.perf_counter()
            self.call("run")
            print(f"{folder.name}: one run, {time.perf_counter() - start:.1f} s", flush=True)
        self.period = self.first("SELECT max(billing_period) AS at FROM net_cost")
        of = f"FROM net_cost WHERE billing_period = '{self.period}'"
        self.unit = self.first(f"SELECT business_unit AS at {of} AND department IS NOT NULL "
                               "GROUP BY business_unit ORDER BY sum(gross_cost) DESC LIMIT 1")
        of += f" AND business_unit = '{self.unit}'"
        self.account = self.first(f"SELECT account_id AS at {of} GROUP BY account_id ORDER BY count(*) DESC, account_id LIMIT 1")
        used = "FROM credits WHERE status <> 'unallocated' ORDER BY"
        self.credit = self.first(f"SELECT credit_key AS at {used} used DESC LIMIT 1")
        self.oldest = self.first(f"SELECT credit_key AS at {used} issue_date, used DESC LIMIT 1")
        self.waiting = self.first("SELECT credit_key AS at FROM credit_queue ORDER BY first_cur_date, credit_key LIMIT 1")
        node = "concat_ws('/', business_unit, department, portfolio, product)"
        self.product = self.first(f"SELECT {node} AS at {of} AND product IS NOT NULL "
                                  "GROUP BY business_unit, department, portfolio, product ORDER BY sum(gross_cost) DESC LIMIT 1")
        # The statements that DuckDB is asked, too.
        where = f"WHERE billing_period = '{self.period}'"
        sums = ", ".join(f"sum({name}) AS {name}" for name in ("gross_cost", "refunds", "credits_applied", "net_cost"))
        levels = "business_unit, department, portfolio, product"
        self.by_node = f"SELECT level, {levels}, gross_cost, refunds, credits_applied, net_cost FROM net_cost_summary {where}"
        self.by_service = (f"SELECT account_id, service, {sums} FROM net_cost {where} AND business_unit = '{self.unit}' "
                           "GROUP BY 1, 2 ORDER BY 1, 2")
        self.cost_lines = f"SELECT * FROM net_cost {where} AND account_id = '{self.account}' ORDER BY usage_date, service"
        self.all_months = ("SELECT billing_period, service, sum(net_cost) AS net_cost FROM net_cost "
                           "GROUP BY 1, 2 ORDER BY 1, 3 DESC")

    def call(self, *words):
        command = [str(word) for word in (self.binary, "--config", self.settings, *words)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout

    def rows(self, sql):
        return json.loads(self.call("query", sql, "--format", "json"))

    def first(self, sql):
        return self.rows(sql)[0]["at"]

    def pages(self):
        period = {"period": self.period}
        return [
            Page("overview, a month", address("/", **period)),
            Page("overview, twelve months", "/"),
            Page("queue", "/queue"),
            Page("credits", "/credits"),
            Page("one credit", key_address(self.credit)),
            Page("net cost, a month", address("/net-cost", **period)),
            Page("net cost, all levels", address("/net-cost", **period, depth=4)),
            Page("net cost of a business unit", address("/net-cost", **period, node=self.unit)),
            Page("cost of an account", address("/net-cost", **period, account=self.account)),
            Page("expiry", address("/expiry", **period)),
            Page("months", address("/months", **period)),
            Page("runs", "/runs"),
            Page("form of a credit", key_address(self.waiting, "/allocate")),
            Page("nodes to choose from", address("/nodes", q=self.unit)),
            Page("query, a month", address("/query", sql=self.by_service)),
            Page("query, all months", address("/query", sql=self.all_months)),
        ]

    def read_pages(self):
        """What people read of one period."""
        unread = ("overview, twelve months", "query, all months")
        return [page for page in self.pages() if page.name not in unread]

    def serve(self, binary=None):
        return FinopsCredits(binary or self.binary, self.settings, self.folder / "serve.log")

    def out_of_memory(self):
        """The system forgets what it holds of the lake's files."""
        for file in (self.folder / "lake").rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def cold(self, binary):
        """ms of each page as the first one of a server, its files not in memory."""
        times = {}
        for page in self.pages():
            for _ in range(COLD):
                self.out_of_memory()
                with self.serve(binary) as server:
                    times.setdefault(page.name, []).append(server.client().ask(page))
        return times


def field(body, name):
    return re.search(rf'name="{name}" value="([^"]*)"', body)[1]


def previews(lake, server, repeats):
    """Previews of one allocation: the form as a browser sends it."""
    client, found = server.client(), {}
    for what, key, node in [("a credit that waits, to a product", lake.waiting, lake.product),
                            ("a credit that waits, to a business unit", lake.waiting, lake.unit),
                            ("the oldest credit anew, to a business unit", lake.oldest, lake.unit)]:
        path = key_address(key, "/allocate")
        client.ask(Page(what, path))
        form = {name: field(client.body.decode(), name) for name in ("form_token", "seen")}
        form |= {"amount": "1000", "node": node, "end_date": "", "reference": "", "action": "preview"}
        page = Page(what, path, urlencode(form))
        client.ask(page)
        if b"What would change by" not in client.body or b"cannot be told" in client.body:
            sys.exit(f"no preview of {what}: {client.body.decode()}")
        found[what] = alone(server, page, repeats)
    return found
