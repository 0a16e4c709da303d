#!/usr/bin/env python3
"""Times the pages of `finops-credits serve`, alone and with people reading, beside Fava and DuckDB's UI where they do the same.

  bench/load.py [--credits 10000] [--nodes 5000] [--periods 36] [--cells 600000] [--people 20] [--seconds 60] [--repeats 10]
                [--work DIR] [--binary FILE] [--before FILE] [--no-peers]

Makes a virtual environment, an organisation of that size and the sample's lake below --work (default: target/bench/load of the
checkout), builds the release binary unless one is named, runs it once on each, serves them, and prints tables. --before times
another version of the binary on the same lake. All samples are in results.json. Nothing but this machine is asked.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import socket
import subprocess
import sys
import time

from pages.lake import Lake, address, previews
from pages.served import DuckdbUi, Page, Server, alone, crowd
from pages.tables import table_of_large, table_of_peers, table_of_sample

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SIZE = {"credits": 10_000, "nodes": 5_000, "periods": 36, "cells": 600_000}
PAUSE = 3  # seconds that a person looks at a page, on average


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, size in SIZE.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target" / "bench" / "load")
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--before", type=pathlib.Path, help="another version of the binary, to be timed on the same lake")
    parser.add_argument("--no-peers", action="store_true", help="neither Fava nor DuckDB's UI")
    return parser.parse_args()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Load:
    def __init__(self, options):
        self.options, self.work = options, options.work.resolve()
        self.python = self.work / "venv" / "bin" / "python"
        self.size = {name: getattr(options, name) for name in SIZE}
        self.prepare()
        binary = (options.binary or self.build()).resolve()
        self.binaries = {"finops-credits": binary} | ({"the version before": options.before.resolve()} if options.before else {})
        self.sample = Lake(binary, self.sample_folder())
        self.large = Lake(binary, self.large_folder())

    def build(self):
        subprocess.run(["cargo", "build", "--release", "--quiet", "--bins"], cwd=ROOT, check=True)
        command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
        meta = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return pathlib.Path(json.loads(meta.stdout)["target_directory"]) / "release" / "finops-credits"

    def prepare(self):
        self.work.mkdir(parents=True, exist_ok=True)
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", self.work / "venv"], check=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "pages/requirements.txt"], check=True)

    def run(self, *words):
        subprocess.run([str(word) for word in (self.python, *words)], check=True)

    def sample_folder(self):
        """A lake of its own on the sample's export."""
        folder = self.work / "sample"
        folder.mkdir(exist_ok=True)
        places = {"source": ROOT / "data/cur", "reference": ROOT / "data/reference", "lake": "lake"}
        tables = [f"[{table}]\nlocation = {json.dumps(str(place))}\n" for table, place in places.items()]
        (folder / "credits.toml").write_text("".join(tables) + '[run]\nas_of = "2026-10-31"\nthreads = 2\n')
        return folder

    def large_folder(self):
        folder = self.work / ("organisation-" + "-".join(map(str, self.size.values())))
        if not (folder / "credits.toml").exists():
            size = [word for name, value in self.size.items() for word in (f"--{name}", value)]
            self.run(HERE / "pages/make_organisation.py", "--out", folder, *size)
        return folder

    def sample_pages(self, binary):
        with self.sample.serve(binary) as server:
            found = {"alone": {page.name: alone(server, page, self.options.repeats) for page in self.sample.pages()}}
            found["memory"] = server.memory("VmHWM")
        return found | {"cold": self.sample.cold(binary)}

    def large_pages(self, binary):
        options, lake = self.options, self.large
        found = {"cold": lake.cold(binary), "crowds": {}}
        with lake.serve(binary) as server:
            memory = {"just started": server.memory("VmRSS")}
            found["alone"] = {page.name: alone(server, page, options.repeats) for page in lake.pages()}
            memory["after each page alone"] = server.memory("VmRSS")
            found["previews"] = previews(lake, server, options.repeats)
            memory["after previews"] = server.memory("VmRSS")
            for pause, how in ((PAUSE, f"with pauses of {PAUSE} s"), (0, "at once")):
                found["crowds"][how] = crowd(server, lake.read_pages(), options.people, options.seconds, pause)
                memory[f"most so far, {options.people} people {how}"] = server.memory("VmHWM")
            time.sleep(10)
            memory["ten seconds later"] = server.memory("VmRSS")
        return found | {"memory": memory}

    def same_work(self):
        """What other servers do, too: of each server a page for each."""
        lake, month = self.large, self.large.period
        unit = "Expenses:" + re.sub(r"[^A-Za-z0-9]+", "-", lake.unit)
        keys = "YEAR(date), MONTH(date), narration"
        bql = f"SELECT {keys}, SUM(position) WHERE account ~ '^Expenses' GROUP BY {keys} ORDER BY {keys}"
        ours = lambda **asked: address("/net-cost", period=month, **asked)
        fava = lambda report, **asked: address(f"/load/api/{report}", **asked)
        works = {
            "net cost of all nodes, a month": (ours(depth=4), fava("income_statement", time=month), lake.by_node),
            "a business unit, a month": (
                ours(node=lake.unit), fava("account_report", a=unit, r="changes", time=month), lake.by_service),
            "cost lines of an account, a month": (
                ours(account=lake.account),
                fava("journal_page", page=1, order="desc", time=month, filter=f'payee:"{lake.account}"'), lake.cost_lines),
            "services by month, all months": (
                address("/query", sql=lake.all_months), fava("query", query_string=bql), lake.all_months),
        }
        return {
            "finops-credits": [Page(work, path) for work, (path, _, _) in works.items()],
            "Fava": [Page(work, path) for work, (_, path, _) in works.items()],
            "DuckDB UI": [Page(work, "/ddb/run", sql) for work, (_, _, sql) in works.items()],
        }

    def start_fava(self, page):
        """With every cell's net cost as a transaction; the month must have the sum that it has with us."""
        lake, port = self.large, free_port()
        journal = lake.folder / "net-cost.beancount"
        if not journal.exists():
            self.run(HERE / "pages/peers.py", "journal", lake.folder / "lake", journal)
        server = Server([self.python.parent / "fava", "--port", port, journal], lake.folder / "fava.log")
        server.answers(f"127.0.0.1:{port}", page)
        client = server.client()
        client.ask(page)
        expenses = next(tree for tree in json.loads(client.body)["data"]["trees"] if tree["account"] == "Expenses")
        theirs = expenses["balance_children"]["USD"]
        ours = lake.first(f"SELECT sum(net_cost) AS at FROM net_cost WHERE billing_period = '{lake.period}'")
        if abs(float(theirs) - float(ours)) > 0.01:
            sys.exit(f"net cost of {lake.period} is {ours}, in Fava {theirs}")
        return server

    def start_duckdb(self, page):
        lake, home, port = self.large, self.work / "home", free_port()
        (home / ".duckdb/extension_data").mkdir(parents=True, exist_ok=True)
        command = [self.python, HERE / "pages/peers.py", "duckdb-ui", lake.folder / "lake", port]
        server = DuckdbUi(command, lake.folder / "duckdb.log", HOME=str(home))
        server.answers(f"localhost:{port}", page)
        return server

    def beside_others(self):
        options, found = self.options, {}
        starts = {"finops-credits": lambda _page: self.large.serve(), "Fava": self.start_fava, "DuckDB UI": self.start_duckdb}
        for name, pages in self.same_work().items():
            begun = time.perf_counter()
            with starts[name](pages[0]) as server:
                of = found[name] = {"starts": time.perf_counter() - begun}
                of["alone"] = {page.name: alone(server, page, options.repeats) for page in pages}
                of["crowd"] = crowd(server, pages, options.people, options.seconds, 0)
                of["memory"] = server.memory("VmHWM")
        return found


def main():
    options = arguments()
    load = Load(options)
    names = (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    size = ", ".join(f"{count:,} {name}" for name, count in load.size.items())
    pins = ", ".join(re.findall(r"^(?:beancount|duckdb|fava)==.*", (HERE / "pages/requirements.txt").read_text(), re.MULTILINE))
    machine = f"{os.cpu_count()} cores, {next(names, platform.machine())}, load before {os.getloadavg()[0]:.1f}"
    about = (f"{size}; {options.people} people, {options.seconds} s each; {machine}; {pins}; "
             f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC")
    print(about, flush=True)
    results = {"about": about, "sample": {}, "large": {}, "peers": {}}

    def tell(table):
        print(f"\n{table}", flush=True)
        (load.work / "results.json").write_text(json.dumps(results, indent=1))

    for name, binary in load.binaries.items():
        results["sample"][name], results["large"][name] = load.sample_pages(binary), load.large_pages(binary)
        tell(f"{name}\n\n{table_of_sample(results['sample'][name])}\n\n{table_of_large(results['large'][name])}")
    if not options.no_peers:
        results["peers"] = load.beside_others()
        tell(table_of_peers(results["peers"]))


if __name__ == "__main__":
    main()
