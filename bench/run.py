#!/usr/bin/env python3
"""Times finops-credits beside other engines on the same data, in turn, and checks that all find the same.

  bench/run.py [--rows 10000000] [--periods 12] [--repeats 5] [--work DIR] [--binary FILE] [--before FILE]

Makes a virtual environment and the data below --work (default: target/bench of the checkout), builds the release binary
unless one is named, and prints a table. The common work is the scan to cells: cost lines by rule, credit lines and cells,
written as Parquet; `run` is everything, from an empty lake; the runs after it find nothing changed, one period of the export
delivered again, and a new date. --before times the nights of another version of the binary beside. Every other engine's tables must equal ours to the last decimal.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PEERS = ("duckdb", "chdb", "datafusion", "polars", "pyspark")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--periods", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=pathlib.Path, default=HERE.parent / "target" / "bench")
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--before", type=pathlib.Path, help="another version of the binary, to be timed beside")
    return parser.parse_args()


def timed(command, **options):
    """Wall seconds, CPU seconds and peak memory in MiB of a process that must succeed."""
    os.sync()  # What the one before left to be written is not written at this one's expense.
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{command[0]} failed: {command}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss / 1024}


def together(parts):
    return {"wall": sum(p["wall"] for p in parts), "cpu": sum(p["cpu"] for p in parts), "rss": max(p["rss"] for p in parts)}


def runnable():
    """The peers that can run on this machine; the others are left out with a word."""
    if shutil.which("java") or os.environ.get("JAVA_HOME"):
        return PEERS
    print("pyspark is left out: no java on the PATH and no JAVA_HOME", flush=True)
    return tuple(name for name in PEERS if name != "pyspark")


class Bench:
    def __init__(self, options):
        self.options = options
        self.peers = runnable()
        self.work = options.work.resolve()
        self.data = self.work / f"data-{options.rows}-{options.periods}"
        self.old = self.work / "old"
        self.python = self.work / "venv" / "bin" / "python"
        self.binary = options.binary or self.build()
        self.decode_limit = self.binary.parent / "examples" / "decode_limit"

    def build(self):
        subprocess.run(["cargo", "build", "--release", "--quiet", "--bins", "--examples"], cwd=HERE.parent, check=True)
        meta = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=HERE.parent, check=True, capture_output=True)
        return pathlib.Path(json.loads(meta.stdout)["target_directory"]) / "release" / "finops-credits"

    def decode(self):
        """The columns that our scan needs, decoded with their dictionaries and dropped: the limit of any scan."""
        return timed([self.decode_limit, self.data / "cur" / "data", self.options.threads])

    def aside(self, folder):
        """Puts what an earlier round left out of the way: where much was removed just before, ext4 is slow to make files."""
        if folder.exists():
            self.old.mkdir(parents=True, exist_ok=True)
            folder.rename(self.old / str(time.monotonic_ns()))

    def scan(self, binary):
        """The first of our jobs: the scan to cost lines and credit lines, as written."""
        self.aside(self.data / "lake")
        return self.ours("detect-credits", "--run-id", "bench", binary=binary)

    def prepare(self):
        self.work.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.old, ignore_errors=True)
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", self.work / "venv"], check=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
        if not (self.data / "credits.toml").exists():
            size = ["--rows", self.options.rows, "--periods", self.options.periods, "--out", self.data]
            subprocess.run([str(word) for word in (self.python, HERE / "make_data.py", *size)], check=True)
        for file in self.data.glob("cur/data/*/*.parquet"):  # warm the page cache
            file.read_bytes()

    def ours(self, *command, binary=None):
        return timed([binary or self.binary, "--config", self.data / "credits.toml", *command])

    def common_work(self):
        self.aside(self.data / "lake")
        return together([self.ours(job, "--run-id", "bench") for job in ("detect-credits", "join-allocations")])

    def delivered(self):
        """Periods to deliver again: the newest one, which is the largest here, and the one nearest to the average."""
        sizes = {period: sum(file.stat().st_size for file in period.glob("*.parquet")) for period in self.data.glob("cur/data/*")}
        average = statistics.mean(sizes.values())
        return max(sizes), min(sizes, key=lambda period: abs(sizes[period] - average))

    def nights(self, name, binary):
        """A whole run from an empty lake, and nights after it, in this order."""
        newest, average = self.delivered()
        tomorrow = (datetime.date.today() + datetime.timedelta(days=1)).isoformat()

        def run(*options, again=None):
            for file in again.glob("*.parquet") if again else ():
                os.utime(file)  # They look new.
            return self.ours(*options, "run", binary=binary)

        def first():
            self.aside(self.data / "lake")
            return run()

        return {
            f"{name}, whole run": first,
            f"{name}, nothing changed": run,
            f"{name}, the newest period changed": lambda: run(again=newest),
            f"{name}, a period of average size changed": lambda: run(again=average),
            f"{name}, a new date": lambda: run("--as-of", tomorrow),
            f"{name}, scan": lambda: self.scan(binary),
        }

    def peer(self, name):
        out = self.work / "out" / name
        self.aside(out)
        return timed([self.python, HERE / "peers" / f"{name}_peer.py", self.data, out, self.options.threads])

    def check(self):
        """Every peer's tables equal ours."""
        self.common_work()
        for name in self.peers:
            self.peer(name)
            subprocess.run([self.python, HERE / "compare.py", self.data / "lake", self.work / "out" / name], check=True)

    def measure(self):
        contestants = {"finops-credits, common work": self.common_work}
        contestants |= self.nights("finops-credits", self.binary)
        if self.options.before:
            contestants |= self.nights("the version before", self.options.before)
        if self.decode_limit.exists():
            contestants |= {"the needed columns decoded, nothing else": self.decode}
        else:
            print(f"the decode limit is left out: {self.decode_limit} is not built", flush=True)
        contestants |= {f"{name}, common work": (lambda name=name: self.peer(name)) for name in self.peers}
        times = {name: [] for name in contestants}
        for _ in range(self.options.repeats):
            for name, work in contestants.items():
                times[name].append(work())
        return times


def table(times):
    median = lambda name, key: statistics.median(sample[key] for sample in times[name])
    ours = next(iter(times))
    lines = ["| | wall s | spread | CPU s | peak MiB | wall, times ours | CPU, times ours |", "|---|---|---|---|---|---|---|"]
    for name, samples in times.items():
        walls = [sample["wall"] for sample in samples]
        lines.append(
            f"| {name} | {median(name, 'wall'):.2f} | {min(walls):.2f}-{max(walls):.2f} | {median(name, 'cpu'):.2f} | {median(name, 'rss'):.0f} "
            f"| {median(name, 'wall') / median(ours, 'wall'):.2f} | {median(name, 'cpu') / median(ours, 'cpu'):.2f} |")
    return "\n".join(lines)


def main():
    options = arguments()
    bench = Bench(options)
    bench.prepare()
    bench.check()
    times = bench.measure()
    left_out = set(PEERS) - set(bench.peers)
    versions = [pin for pin in (HERE / "requirements.txt").read_text().split() if pin.split("==")[0] not in left_out]
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    about = f"{options.rows:,} lines, {options.periods} periods, {options.threads} threads, medians of {options.repeats}; {cpu}; {', '.join(versions)}"
    shutil.rmtree(bench.old, ignore_errors=True)
    (bench.work / "results.json").write_text(json.dumps({"about": about, "times": times}, indent=1))
    print(f"{about}\n\n{table(times)}")


if __name__ == "__main__":
    main()
