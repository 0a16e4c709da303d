"""The program outside of a container, and the lake as other clients read it."""

import io
import os
import re
import subprocess
from pathlib import Path

import pyarrow.parquet as parquet
from pyiceberg.catalog.glue import GlueCatalog

from support.emulator import REGION, Emulator

ROOT = Path(__file__).parents[3]
DATABASE = "finops_credits"
PUBLISHED = (
    "net_cost",
    "net_cost_summary",
    "credit_consumption",
    "credit_balances",
    "credits",
    "credit_queue",
    "credit_impact",
    "allocation_issues",
    "hierarchy",
    "reconciliation",
)
# Not of the figures but of the run: when the allocations of the reference folder were imported.
RUN_DEPENDENT = {"credits": {"recorded_at"}, "allocation_issues": {"recorded_at"}}

Files = dict[str, bytes]  # path below a table's folder to content
Tables = dict[str, Files]


def binary() -> str:
    path = Path(os.environ["FINOPS_CREDITS_BINARY"]).resolve()
    assert os.access(path, os.X_OK), f"FINOPS_CREDITS_BINARY: no program at {path}"
    return str(path)


def settings(source: str, reference: str, lake: str, database: str = DATABASE) -> str:
    """The text of a settings file; a lake on S3 has its catalogue in Glue."""
    catalog = "glue" if lake.startswith("s3://") else "sqlite"
    return (
        f'[source]\nlocation = "{source}"\n[reference]\nlocation = "{reference}"\n'
        f'[lake]\nlocation = "{lake}"\ncatalog = "{catalog}"\ndatabase = "{database}"\n'
    )


class Program:
    """The binary with a settings file, an empty folder to work in, and nothing of this process's environment."""

    def __init__(self, folder: Path, text: str, environment: dict[str, str] | None = None):
        self.folder, self.config = folder, folder / "credits.toml"
        for name in ("home", "tmp", "work"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)
        own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
        self.environment = {**(environment or {}), **own}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [binary(), "--config", str(self.config), *arguments],
            env={**self.environment, **environment},
            cwd=self.folder / "work",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, expect: int | None = 0, timeout: float = 300, **environment: str):
        """Runs to the end; `expect` is the exit code, None for any."""
        process = self.start(*arguments, **environment)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{arguments} did not end within {timeout} s:\n{process.communicate()}") from None
        done = subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)
        assert expect in (None, done.returncode), (
            f"{arguments}: exit {done.returncode}, not {expect}\n{stdout}\n{stderr}"
        )
        return done


def upload(client, bucket: str, prefix: str, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())


def local_tables(lake: Path) -> Tables:
    published = lake / "published"
    return {
        table: {
            str(path.relative_to(published / table)): path.read_bytes()
            for path in (published / table).rglob("*.parquet")
        }
        for table in PUBLISHED
    }


def locations(emulator: Emulator, database: str = DATABASE) -> dict[str, str]:
    """Where each published table points to; a table that is not there yet is left out."""
    tables = emulator.client("glue").get_paginator("get_tables").paginate(DatabaseName=database)
    found = {
        table["Name"]: table["StorageDescriptor"]["Location"]
        for page in tables
        for table in page["TableList"]
        if table["Name"] in PUBLISHED
    }
    return {table: found[table].rstrip("/") for table in PUBLISHED if table in found}


def objects(emulator: Emulator, location: str) -> Files:
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    s3 = emulator.client("s3")
    folder = f"{prefix}/" if prefix else ""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key.removeprefix(folder): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def published_tables(emulator: Emulator, database: str = DATABASE) -> Tables:
    """What a reader of the Glue tables gets."""
    return {table: objects(emulator, location) for table, location in locations(emulator, database).items()}


def said(recorded_by: str | None) -> str | None:
    """Who somebody said it was, without whom AWS named before it: `arn:… (jane)`."""
    return re.sub(r"^(?:arn:|AROA|AIDA)\S+ \((.*)\)$", r"\1", recorded_by) if recorded_by else recorded_by


def rows(table: str, files: Files) -> list[dict]:
    """All rows in an order of their own, without what is of the run or of the lake's place; exact, with the files' types."""
    found = []
    for path, content in files.items():
        data = parquet.read_table(io.BytesIO(content))
        folders = dict(part.split("=", 1) for part in path.split("/")[:-1])
        kinds = {field.name: str(field.type) for field in data.schema}
        for row in data.to_pylist():
            if "recorded_by" in row:
                row["recorded_by"] = said(row["recorded_by"])
            values = {name: (kinds.get(name), value) for name, value in {**row, **folders}.items()}
            found.append({name: value for name, value in values.items() if name not in RUN_DEPENDENT.get(table, ())})
    return sorted(found, key=repr)


def assert_same_tables(actual: Tables, expected: Tables) -> None:
    """The same tables with the same rows, types and partitions."""
    assert sorted(actual) == sorted(expected)
    for table in expected:
        left, right = rows(table, actual[table]), rows(table, expected[table])
        if left != right:
            first = next((pair for pair in zip(left, right, strict=False) if pair[0] != pair[1]), None)
            raise AssertionError(f"{table}: {len(left)} rows, not {len(right)}; first difference: {first}")
        folders = [sorted({path.rpartition("/")[0] for path in tables[table]}) for tables in (actual, expected)]
        assert folders[0] == folders[1], f"{table}: partitions"


def iceberg(emulator: Emulator) -> GlueCatalog:
    keys = {"access-key-id": "test", "secret-access-key": "test", "region": REGION, "endpoint": emulator.endpoint}
    properties = {f"{service}.{name}": value for service in ("glue", "s3") for name, value in keys.items()}
    return GlueCatalog("glue", **properties)


def log_rows(emulator: Emulator, log: str, database: str = DATABASE) -> list[dict]:
    return iceberg(emulator).load_table((database, log)).scan().to_arrow().to_pylist()


# --- a small organisation: three months, two credits, of which one is allocated from the first run on

SHOP_DAY = "2026-03-16"
SHOP_ALLOCATIONS = (
    "promotion_code,account_id,credit_key,amount,currency,end_date,reference,business_unit,department,portfolio,product\n"
    "Credit A,111111111111,,100,USD,,A-1,Retail,,,\n"
)
SHOP_LATE_LINES = (
    "2026-03-01T00:00:00.000Z,AWS,999999999999,Payer,111111111111,2026-03-14T00:00:00.000Z,Usage,AmazonS3,USD,12.5,,"
    "eu-west-1,{},{},,\n"
    "2026-03-01T00:00:00.000Z,AWS,999999999999,Payer,111111111111,2026-03-14T00:00:00.000Z,Credit,AmazonS3,USD,-3,"
    "Credit C,eu-west-1,{},{},,\n"
)


def shop_files(late: bool = False) -> Files:
    """Export and reference files; `late` with two more lines of March."""
    folder = ROOT / "tests/fixtures/vectors/01-worked-example"
    paths = [path for name in ("cur", "reference") for path in sorted((folder / name).iterdir())]
    files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    files["reference/allocations.csv"] = SHOP_ALLOCATIONS.encode()
    if late:
        files["cur/cur-2026-03.csv"] += SHOP_LATE_LINES.encode()
    return files


def put_files(emulator: Emulator, bucket: str, files: Files) -> None:
    s3 = emulator.client("s3")
    if bucket not in [it["Name"] for it in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, content in files.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def make_lake(emulator: Emulator, bucket: str, database: str, files: Files) -> None:
    """What the templates make: a bucket, and a database without tables."""
    put_files(emulator, bucket, files)
    emulator.client("glue").create_database(DatabaseInput={"Name": database})


def write_files(folder: Path, files: Files) -> None:
    for key, content in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)


def local_program(folder: Path) -> Program:
    return Program(folder, settings(str(folder / "cur"), str(folder / "reference"), str(folder / "lake")))


def bucket_settings(bucket: str, database: str = DATABASE) -> str:
    """Export, reference and lake in one bucket."""
    return settings(f"s3://{bucket}/cur", f"s3://{bucket}/reference", f"s3://{bucket}/lake", database)
