"""Tables over the files of a run, and views over them."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from files import original_text, template
from server import CLIENTS, Server

TYPES = {"string": "varchar", "int": "integer", "timestamp": "timestamp(3)"}
PARTITION = "billing_period"


def create_table(name: str, columns: dict[str, str], folder: Path) -> str:
    """The statement for a folder of Parquet files. Its months are projected one by one, as `publish` has it."""
    months = [f"'{path.name.partition('=')[2]}'" for path in sorted(folder.glob(f"{PARTITION}=*"))]
    declared = [f"{column} {TYPES.get(kind, kind)}" for column, kind in columns.items()]
    properties = [f"external_location = 'local://{folder}'", "format = 'PARQUET'"]
    if months:
        declared[-1] += f" WITH (partition_projection_type = 'ENUM', partition_projection_values = ARRAY[{', '.join(months)}])"
        properties += [
            f"partitioned_by = ARRAY['{PARTITION}']",
            "partition_projection_enabled = true",
            f"partition_projection_location_template = 'local://{folder}/{PARTITION}=${{{PARTITION}}}'",
        ]
    return f"CREATE TABLE {name} ({', '.join(declared)}) WITH ({', '.join(properties)})"


def add_run(trino: Server, schema: str, published: Path, columns: dict[str, dict[str, str]]) -> None:
    """The tables of a run, and the same as staged tables."""
    trino.ask(f"CREATE SCHEMA {schema}")
    folders = sorted(path for path in published.iterdir() if path.is_dir())
    with ThreadPoolExecutor(CLIENTS) as clients:
        statements = [
            create_table(prefix + folder.name, columns[folder.name], folder) for folder in folders for prefix in ("", "staged_")
        ]
        list(clients.map(lambda statement: trino.ask(statement, schema), statements))


def install_views(trino: Server, schema: str) -> str:
    """The views as the template puts them into Glue, in another schema with the same tables."""
    installed = f"{schema}_installed"
    trino.ask(f"CREATE SCHEMA {installed}")
    for table in (trino.metastore / schema).iterdir():
        if table.is_dir() and not table.name.endswith("_view"):
            shutil.copytree(table, trino.metastore / installed / table.name)
    for resource in template()["Resources"].values():
        view = resource["Properties"]["TableInput"]
        folder = trino.metastore / installed / view["Name"]
        folder.mkdir()
        (folder / ".trinoSchema").write_text(json.dumps(in_metastore(view, installed)))
    return installed


def in_metastore(view: dict, database: str) -> dict:
    """A view as Trino sees that of Glue. A description would be its comment, by which Trino knows a view of Athena."""
    columns = view["StorageDescriptor"]["Columns"]
    return {
        "owner": view.get("Owner"),
        "tableType": view["TableType"],
        "dataColumns": [{"name": column["Name"], "type": column["Type"], "properties": {}} for column in columns],
        "partitionColumns": [],
        "parameters": {**view["Parameters"], **({"comment": view["Description"]} if "Description" in view else {})},
        "originalStorageFormat": {},
        "serdeParameters": {},
        "viewOriginalText": original_text(view["ViewOriginalText"], database),
        "viewExpandedText": view["ViewExpandedText"],
        "columnStatistics": {},
    }
