"""The DDL of every table agrees with what the program writes."""

import json

import pyarrow.parquet as parquet
import pytest
from sqlglot import exp

from files import ddl_columns, table_ddl

DDL = table_ddl()
LOGS = {"credits_log", "allocations_log", "runs_log"}
HIVE = {
    "string": "string",
    "int32": "int",
    "int64": "bigint",
    "date32[day]": "date",
    "timestamp[us]": "timestamp",
    "decimal128(38, 10)": "decimal(38,10)",
}
ICEBERG = {"long": "bigint", "decimal(38, 10)": "decimal(38,10)"}


def properties(ddl: exp.Create) -> dict[str, str]:
    return {
        item.this.name: item.args["value"].name
        for item in ddl.args["properties"].expressions
        if type(item) is exp.Property
    }


def partition(ddl: exp.Create) -> list[str]:
    found = ddl.find(exp.PartitionedByProperty)
    return [column.name for column in found.find_all(exp.ColumnDef)] if found else []


@pytest.mark.parametrize("name", sorted(DDL.keys() - LOGS))
def test_a_published_table_has_the_columns_of_its_files(name, lake):
    ddl, folder = DDL[name], lake / "published" / name
    files = sorted(folder.rglob("*.parquet"))
    assert files
    for file in files:
        written = {field.name: HIVE[str(field.type)] for field in parquet.read_schema(file)}
        in_path = [part.partition("=")[0] for part in file.relative_to(folder).parts[:-1]]
        assert ddl_columns(ddl) == written | dict.fromkeys(in_path, "string")
        assert partition(ddl) == in_path


@pytest.mark.parametrize("name", sorted(DDL.keys() - LOGS))
def test_partitions_of_a_published_table_are_projected_where_its_files_lie(name):
    ddl = DDL[name]
    location = ddl.find(exp.LocationProperty).this.name
    assert location.endswith(f"/runs/RUN_ID/{name}/")
    if not partition(ddl):
        assert "projection.enabled" not in properties(ddl)
        return
    assert properties(ddl)["projection.enabled"] == "true"
    assert properties(ddl)["projection.billing_period.format"] == "yyyy-MM"
    assert properties(ddl)["storage.location.template"] == f"{location}billing_period=${{billing_period}}"


@pytest.mark.parametrize("name", sorted(LOGS))
def test_a_log_has_the_columns_of_its_iceberg_schema(name, lake):
    newest = max((lake / "warehouse").rglob(f"{name}/metadata/*.metadata.json"), key=lambda path: path.name)
    metadata = json.loads(newest.read_text())
    (current,) = (each for each in metadata["schemas"] if each["schema-id"] == metadata["current-schema-id"])
    written = {field["name"]: ICEBERG.get(field["type"], field["type"]) for field in current["fields"]}
    assert ddl_columns(DDL[name]) == written
    assert properties(DDL[name])["table_type"] == "ICEBERG"


def test_every_table_that_is_published_has_its_ddl(lake):
    published = {path.name for path in (lake / "published").iterdir() if path.is_dir()}
    assert DDL.keys() == published | LOGS
