#!/usr/bin/env python3
"""Times the scan in one process and on clusters of 1, 2 and 4 executors, and checks that all write the same bytes.

  bench/cluster.py [--rows 10000000] [--periods 12] [--repeats 3] [--executors 1,2,4] [--memory "1 GiB"]
                   [--partition-size "128 MiB"] [--work DIR] [--binary FILE]

The data is that of bench/run.py. Scheduler, executors and the job are processes of this machine; each executor has one slot, is
pinned to a core of its own as far as there are cores, and is given the memory limit. CPU is of all processes of a cluster, peaks are
per process. Shuffled bytes are what executors wrote to their work folders, sampled: between the stages, and sorted rows for the job.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--periods", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--executors", default="1,2,4")
    parser.add_argument("--memory", default="1 GiB")
    parser.add_argument("--partition-size", default="128 MiB")
    parser.add_argument("--work", type=pathlib.Path, default=HERE.parent / "target" / "bench")
    parser.add_argument("--binary", type=pathlib.Path)
    return parser.parse_args()


def build():
    command = ["cargo", "build", "--release", "--quiet", "--features", "ballista", "--bins"]
    subprocess.run(command, cwd=HERE.parent, check=True)
    meta = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=HERE.parent, check=True, capture_output=True)
    return pathlib.Path(json.loads(meta.stdout)["target_directory"]) / "release" / "finops-credits"


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


class Written:
    """Bytes of every file that was ever seen in a folder."""

    def __init__(self, folder):
        self.folder, self.sizes, self.going = folder, {}, True
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while self.going:
            for path, _, names in os.walk(self.folder):
                for name in names:
                    file = os.path.join(path, name)
                    try:
                        self.sizes[file] = max(self.sizes.get(file, 0), os.stat(file).st_size)
                    except OSError:
                        pass
            time.sleep(0.02)

    def bytes(self):
        self.going = False
        self.thread.join()
        return sum(self.sizes.values())


class Bench:
    def __init__(self, options):
        self.options = options
        self.work = options.work.resolve()
        self.data = self.work / f"data-{options.rows}-{options.periods}"
        self.binary = (options.binary or build()).resolve()
        self.cores = sorted(os.sched_getaffinity(0))
        self.folder = self.work / "cluster"

    def prepare(self):
        if not (self.data / "credits.toml").exists():
            python = self.work / "venv" / "bin" / "python"
            if not python.exists():
                subprocess.run([sys.executable, "-m", "venv", self.work / "venv"], check=True)
                pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"]
                subprocess.run(pip, check=True)
            size = ["--rows", self.options.rows, "--periods", self.options.periods, "--out", self.data]
            subprocess.run([str(word) for word in (python, HERE / "make_data.py", *size)], check=True)
        settings = (self.data / "credits.toml").read_text()
        if "[engine]" not in settings:
            settings += f'\n[engine]\npartition_size = "{self.options.partition_size}"\n'
        self.settings = self.data / "credits.cluster.toml"
        self.settings.write_text(settings)
        for file in self.data.glob("cur/data/*/*.parquet"):  # warm the page cache
            file.read_bytes()

    def scan(self, *more):
        """The scan into an empty lake: its time, CPU and peak, and what it wrote."""
        shutil.rmtree(self.data / "lake", ignore_errors=True)
        os.sync()
        command = [self.binary, "--config", self.settings, "detect-credits", "--run-id", "bench", *more]
        start = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        if status:
            sys.exit(f"failed: {command}")
        of_job = usage.ru_utime + usage.ru_stime
        return {"wall": wall, "cpu": of_job, "job": of_job, "peaks": [usage.ru_maxrss / 1024]}

    def digest(self):
        """Of all tables that the scan wrote, whatever their folders are called."""
        files = {}
        for file in sorted(self.data.glob("lake/generations/*/*/*/*.parquet")) + sorted(self.data.glob("lake/work/**/*.parquet")):
            parts = file.relative_to(self.data / "lake").parts
            name = "/".join(part for at, part in enumerate(parts) if not (parts[0] == "generations" and at == 2))
            files[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        return files

    def member(self, name, core, *command):
        log = (self.folder / f"{name}.log").open("w")
        pinned = ["taskset", "-c", str(core)] if core is not None and shutil.which("taskset") else []
        words = [*pinned, self.binary, *command]
        return subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)

    def on_cluster(self, executors):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        port, members = 20150, []  # below the ports that connections take
        try:
            members.append(self.member("scheduler", None, "scheduler", "--port", port))
            for number in range(executors):
                where = ["--scheduler", f"df://127.0.0.1:{port}", "--port", port + 1 + 2 * number, "--work-dir", self.folder / "work"]
                limits = ["--slots", 1, "--memory-limit", self.options.memory]
                core = self.cores[number % len(self.cores)]
                members.append(self.member(f"executor-{number}", core, "--config", self.settings, "executor", *where, *limits))
            time.sleep(2)
            if ended := [member.args for member in members if member.poll() is not None]:
                sys.exit(f"ended at once, see the logs in {self.folder}: {ended}")
            written, before = Written(self.folder / "work"), sum(cpu(member.pid) for member in members)
            found = self.scan("--scheduler", f"df://127.0.0.1:{port}")
            found["shuffled"] = written.bytes()
            found["cpu"] += sum(cpu(member.pid) for member in members) - before
            found["peaks"] += [peak(member.pid) for member in members]
            return found
        finally:
            for member in reversed(members):
                member.terminate()
            for member in members:
                member.wait()

    def run(self):
        self.prepare()
        counts = [int(count) for count in self.options.executors.split(",")]
        rounds = {count: [] for count in [0, *counts]}
        expected = None
        for _ in range(self.options.repeats):
            for count in rounds:
                rounds[count].append(self.on_cluster(count) if count else self.scan())
                found = self.digest()
                expected = expected or found
                if found != expected or len(found) < self.options.periods:
                    sys.exit(f"{count} executors: other bytes in {sorted(k for k in found if found[k] != expected.get(k))}")
        print(f"{self.options.rows:,} lines, {self.options.periods} periods, {len(self.cores)} cores; medians of {self.options.repeats}; "
              f"{len(expected)} tables of the same bytes\n")
        print("| | wall s | CPU s | CPU, times one process | CPU s of the job | shuffled MiB | peak MiB: job, scheduler, executors |")
        print("|---|---|---|---|---|---|---|")
        alone = statistics.median(one["cpu"] for one in rounds[0])
        for count, of in rounds.items():
            middle = {key: statistics.median(one[key] for one in of) for key in ("wall", "cpu", "job")}
            shuffled = f"{statistics.median(one['shuffled'] for one in of) / 2**20:.0f}" if count else ""
            peaks = ", ".join(f"{max(values):.0f}" for values in zip(*(one["peaks"] for one in of)))
            name = f"{count} executor{'s'[: count - 1]}" if count else "one process"
            cpu = f"{middle['cpu']:.2f} | {middle['cpu'] / alone:.2f} | {middle['job']:.2f}"
            print(f"| {name} | {middle['wall']:.2f} | {cpu} | {shuffled} | {peaks} |")


if __name__ == "__main__":
    Bench(arguments()).run()
