#!/usr/bin/env python3
"""What a month of finops-credits costs on AWS: list prices times assumptions, both stated here.

    infra/cost.py        prints the tables of docs/aws.md, as Markdown

A test compares the two. Change a price or an assumption here, then put the output there.
"""

from dataclasses import dataclass

# US dollars, us-east-1, Linux on x86. Free tiers are left out.
PRICES = {
    "Fargate, vCPU hour": 0.04048,
    "Fargate, GB of memory, hour": 0.004445,
    "Fargate, GB of disk beyond 20, hour": 0.000111,
    "Public IPv4 address, hour": 0.005,
    "S3 Standard, GB month": 0.023,
    "S3, 1,000 PUT, COPY or LIST": 0.005,
    "S3, 1,000 GET": 0.0004,
    "Athena, TB read (at least 10 MB a query)": 5.0,
    "Step Functions, 1,000 transitions": 0.025,
    "KMS, key month": 1.0,
    "KMS, each of the first two rotations of a key, month": 1.0,
    "KMS, 10,000 requests": 0.03,
    "CloudWatch, alarm month": 0.10,
    "CloudWatch, metric month (by the hour)": 0.30,
    "CloudWatch Logs, GB taken in": 0.50,
    "ECR, GB month": 0.10,
    "CodeBuild, minute of 8 vCPU": 0.02,
    "QuickSight Enterprise, author month": 24.0,
    "QuickSight Enterprise, reader month": 3.0,
    "NAT gateway, hour": 0.045,
    "NAT gateway, GB": 0.045,
    "Interface endpoint, hour and zone": 0.01,
}
NIGHTS, HOURS = 30, 730

# Measured on one machine of two cores (docs/performance.md).
CPU_SECONDS_PER_LINE = 0.399e-6
CPU_SECONDS_PER_DRAW = 2.7e-6 * 2
CELLS_PER_LINE = 0.062
BYTES_FETCHED_PER_LINE = 32.7
BYTES_PER_CELL = {"generation": 17, "intermediate": 18, "run": 29}

# Assumed.
VCPU_FACTOR = 2  # a vCPU is half a core, and TLS takes its share
BYTES_PER_SECOND_AND_VCPU = 37.5e6
JOBS = 7
SECONDS_PER_JOB = 60  # to start, to call S3 and Glue; Fargate bills a minute at least
ROWS_BESIDE_NET_COST = 1.5  # draws and balances, as a factor on what net_cost takes
RUNS_STORED = 30 + 3  # kept, and dropped ones that the bucket still holds
LINES_PER_ROW_GROUP, LINES_PER_FILE = 131_072, 500_000
TABLES_BY_PERIOD = 7  # published ones and cells, written or copied once
REQUESTS_PER_NIGHT = 1_000  # logs, lock, markers, lists
QUERIES, QUERIES_OF_ALL = 40, 10  # check and dashboards a night; those that read every period
TRANSITIONS = 30
LOG_MEGABYTES = 1
ALARMS, METRICS_OF_RUN, METRICS_OF_CONTAINERS = 4, 5, 20
IMAGE_GIGABYTES, IMAGES_KEPT = 0.1, 10
BUILDS, BUILD_MINUTES = 1, 20  # a release a month
ROTATIONS_PAID = 2  # AWS rotates the key once a year, and later ones cost nothing more
ENDPOINTS, ZONES = 5, 2
EXECUTORS = 4  # of a cluster, as large as the tasks of a large organisation; on demand, as Spot has no list price
SCHEDULER_VCPUS, SCHEDULER_MEMORY_GB = 1, 2


@dataclass(frozen=True)
class Organisation:
    name: str
    lines: int  # of the export, per month
    periods: int
    draws: int  # a night
    task: str  # TaskSize of the template
    vcpus: int
    memory_gb: int
    disk_gb: int
    authors: int  # of QuickSight
    readers: int

    @property
    def lines_read(self) -> int:
        """A night: the open month and the one before, whole. AWS delivers less than that on most days."""
        return 2 * self.lines

    @property
    def cells(self) -> float:
        return self.lines * CELLS_PER_LINE * self.periods

    @property
    def seconds(self) -> float:
        """Of tasks, a night."""
        cpu = (self.lines_read * CPU_SECONDS_PER_LINE + self.draws * CPU_SECONDS_PER_DRAW) * VCPU_FACTOR / self.vcpus
        network = self.lines_read * BYTES_FETCHED_PER_LINE / (BYTES_PER_SECOND_AND_VCPU * self.vcpus)
        return JOBS * SECONDS_PER_JOB + max(cpu, network)

    @property
    def run_gigabytes(self) -> float:
        """Of the tables of one run."""
        return self.cells * BYTES_PER_CELL["run"] * ROWS_BESIDE_NET_COST / 1e9

    @property
    def stored_gigabytes(self) -> float:
        state = self.cells * (BYTES_PER_CELL["generation"] + BYTES_PER_CELL["intermediate"]) / 1e9
        return state + self.run_gigabytes * RUNS_STORED


SMALL = Organisation("small", 1_000_000, 12, 100_000, "small", 1, 2, 21, 1, 5)
LARGE = Organisation("large", 100_000_000, 36, 20_000_000, "large", 4, 16, 100, 3, 50)


def fargate(vcpus: int, memory_gb: int, disk_gb: int = 20) -> float:
    """US dollars an hour of a task."""
    return (
        vcpus * PRICES["Fargate, vCPU hour"]
        + memory_gb * PRICES["Fargate, GB of memory, hour"]
        + (disk_gb - 20) * PRICES["Fargate, GB of disk beyond 20, hour"]
    )


def cluster() -> float:
    """US dollars an hour of a scheduler and its executors."""
    executor = fargate(LARGE.vcpus, LARGE.memory_gb, LARGE.disk_gb)
    return fargate(SCHEDULER_VCPUS, SCHEDULER_MEMORY_GB) + EXECUTORS * executor


def month(of: Organisation) -> dict[str, float]:
    """US dollars by what they are paid for."""
    price = PRICES.__getitem__
    hours = of.seconds * NIGHTS / 3600
    gets = 3 * of.lines_read / LINES_PER_ROW_GROUP + 2 * of.lines_read / LINES_PER_FILE + REQUESTS_PER_NIGHT
    puts = TABLES_BY_PERIOD * of.periods + REQUESTS_PER_NIGHT
    terabytes = QUERIES_OF_ALL * max(of.run_gigabytes, 0.01) / 1e3 + (QUERIES - QUERIES_OF_ALL) * 10 / 1e6
    requests = puts / 1e3 * price("S3, 1,000 PUT, COPY or LIST") + gets / 1e3 * price("S3, 1,000 GET")
    metrics = METRICS_OF_RUN * NIGHTS + METRICS_OF_CONTAINERS * NIGHTS
    return {
        "Fargate": hours * fargate(of.vcpus, of.memory_gb, of.disk_gb),
        "S3, stored": of.stored_gigabytes * price("S3 Standard, GB month"),
        "S3, requests": NIGHTS * requests,
        "Athena": NIGHTS * terabytes * price("Athena, TB read (at least 10 MB a query)"),
        "Step Functions": NIGHTS * TRANSITIONS / 1e3 * price("Step Functions, 1,000 transitions"),
        "KMS": price("KMS, key month") + NIGHTS * REQUESTS_PER_NIGHT / 1e4 * price("KMS, 10,000 requests"),
        "CloudWatch": ALARMS * price("CloudWatch, alarm month")
        + metrics / HOURS * price("CloudWatch, metric month (by the hour)")
        + NIGHTS * LOG_MEGABYTES / 1e3 * price("CloudWatch Logs, GB taken in"),
        "image, built and kept": BUILDS * BUILD_MINUTES * price("CodeBuild, minute of 8 vCPU")
        + IMAGES_KEPT * IMAGE_GIGABYTES * price("ECR, GB month"),
    }


def rotated(times: int) -> float:
    """US dollars a month on top of the key's own."""
    return min(times, ROTATIONS_PAID) * PRICES["KMS, each of the first two rotations of a key, month"]


def quicksight(of: Organisation) -> float:
    """US dollars a month, if its dashboard is used. The data sets fit into what authors have of SPICE."""
    authors = of.authors * PRICES["QuickSight Enterprise, author month"]
    return authors + of.readers * PRICES["QuickSight Enterprise, reader month"]


def left(of: Organisation) -> dict[str, float]:
    """US dollars a month of what stays when the stacks are deleted, until it is removed by hand."""
    return {
        "S3, the data bucket": of.stored_gigabytes * PRICES["S3 Standard, GB month"],
        "KMS, its key, rotated twice": PRICES["KMS, key month"] + rotated(2),
    }


def networks(of: Organisation) -> dict[str, float]:
    """US dollars a month of each way to reach AWS. An S3 gateway endpoint, which costs nothing, is there in each."""
    price = PRICES.__getitem__
    pulled = NIGHTS * JOBS * IMAGE_GIGABYTES
    nat = HOURS * price("NAT gateway, hour") + pulled * price("NAT gateway, GB")
    return {
        "public IP": of.seconds * NIGHTS / 3600 * price("Public IPv4 address, hour"),
        "one NAT gateway of its own": nat,
        "endpoints.yaml in two zones": ENDPOINTS * ZONES * HOURS * price("Interface endpoint, hour and zone"),
    }


def tables() -> str:
    small, large = month(SMALL), month(LARGE)
    ways = networks(SMALL), networks(LARGE)
    facts = [
        ("lines a month, periods kept", lambda of: f"{of.lines:,}, {of.periods}"),
        ("draws of credits a night", lambda of: f"{of.draws:,}"),
        ("`TaskSize`", lambda of: f"{of.task}: {of.vcpus} vCPU, {of.memory_gb} GB"),
        ("authors and readers in QuickSight", lambda of: f"{of.authors} and {of.readers}"),
        ("minutes of tasks a night", lambda of: f"{of.seconds / 60:.1f}"),
        ("GB in S3", lambda of: f"{of.stored_gigabytes:,.1f}"),
    ]
    rows = ["| | small | large |", "|---|---|---|"]
    rows += [f"| {name} | {fact(SMALL)} | {fact(LARGE)} |" for name, fact in facts]
    rows += ["", "| USD a month | small | large |", "|---|---|---|"]
    rows += [f"| {name} | {small[name]:.2f} | {large[name]:.2f} |" for name in small]
    rows += [f"| **sum** | **{sum(small.values()):.2f}** | **{sum(large.values()):.2f}** |"]
    rows += [f"| and by {name} | {ways[0][name]:.2f} | {ways[1][name]:.2f} |" for name in ways[0]]
    hour = f"and by each hour of a cluster, if there is one: {EXECUTORS} executors of size {LARGE.task}"
    rows += [f"| {hour} | {cluster():.2f} | {cluster():.2f} |"]
    years = {"second": rotated(1), "third": rotated(2)}
    rotation = "and from the {} year on, by rotation of the key"
    rows += [f"| {rotation.format(year)} | {cost:.2f} | {cost:.2f} |" for year, cost in years.items()]
    rows += [f"| and by people in QuickSight | {quicksight(SMALL):.2f} | {quicksight(LARGE):.2f} |"]
    stays = left(SMALL), left(LARGE)
    rows += ["", "| USD a month after uninstalling | small | large |", "|---|---|---|"]
    rows += [f"| {name} | {stays[0][name]:.2f} | {stays[1][name]:.2f} |" for name in stays[0]]
    rows += [f"| **sum** | **{sum(stays[0].values()):.2f}** | **{sum(stays[1].values()):.2f}** |"]
    rows += ["", "| list price | USD |", "|---|---|"]
    rows += [f"| {name} | {value:g} |" for name, value in PRICES.items()]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(tables(), end="")
