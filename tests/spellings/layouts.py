"""Folders of an export: where the files of a bill lie, and what lies beside them."""

import json
import shutil

import writers

MONTHS = {"2026-08": ("20260801", "20260901"), "2026-09": ("20260901", "20261001")}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def period(month):
    start, end = MONTHS[month]
    return {"start": f"{start}T000000.000Z", "end": f"{end}T000000.000Z"}


def file_name(stem, number, choices):
    return f"{stem}-{number:05}{writers.suffix(choices)}"


def stale(columns):
    """The columns as an earlier delivery had them: with other costs."""
    old = lambda value: None if value is None else "77"
    change = lambda column: [old(value) for value in column.values] if column.kind == "cost" else column.values
    return [type(column)(column.name, column.kind, change(column)) for column in columns]


def exports(folder, months, choices):
    """Data Exports that overwrite: a file that the manifest no longer names lies there still."""
    for month, parts in months.items():
        data = f"acme/data/BILLING_PERIOD={month}"
        names = [file_name("acme", at, choices) for at in range(1, len(parts) + 1)]
        for name, columns in zip(names, parts):
            writers.write(folder / data / name, name, columns, choices)
        left = file_name("acme", len(parts) + 1, choices)
        writers.write(folder / data / left, left, stale(parts[0]), choices)
        manifest = {
            "executionId": "e-1", "exportArn": "arn:aws:bcm-data-exports:us-east-1:111122223333:export/acme",
            "columns": [], "dataFiles": [f"s3://acme-billing/exports/{data}/{name}" for name in names]}
        write_json(folder / f"acme/metadata/BILLING_PERIOD={month}/acme-Manifest.json", manifest)


def executions(folder, months, choices):
    """Data Exports that create new files: an older execution lies beside the current one."""
    for month, parts in months.items():
        old, new = "2026-10-01T09:14:43.337Z-0a0a0a0a", "2026-10-02T09:20:00.001Z-0b0b0b0b"
        for execution in (old, new):
            data = f"acme/data/BILLING_PERIOD={month}/{execution}"
            names = [file_name("acme", at, choices) for at in range(1, len(parts) + 1)]
            for name, columns in zip(names, parts):
                writers.write(folder / data / name, name, stale(columns) if execution == old else columns, choices)
            manifest = {"executionId": execution, "dataFiles": [f"s3://acme-billing/{data}/{name}" for name in names]}
            write_json(folder / f"acme/metadata/BILLING_PERIOD={month}/{execution}/acme-Manifest.json", manifest)
        write_json(folder / f"acme/metadata/BILLING_PERIOD={month}/acme-Manifest.json", manifest)


def assemblies(folder, months, choices):
    """CUR 1.0 that creates new reports, with its Redshift files."""
    for month, parts in months.items():
        name = "-".join(MONTHS[month])
        for assembly in ("20261001T081120Z", "20261002T165709Z"):
            data = f"reports/acme/{name}/{assembly}"
            names = [f"acme-{at}{writers.suffix(choices)}" for at in range(1, len(parts) + 1)]
            for file, columns in zip(names, parts):
                current = columns if assembly.startswith("20261002") else stale(columns)
                writers.write(folder / data / file, file, current, choices)
            keys = [f"{data}/{file}" for file in names]
            manifest = {
                "assemblyId": assembly, "account": "111122223333", "columns": [], "charset": "UTF-8",
                "compression": "GZIP", "contentType": "text/csv", "reportName": "acme", "billingPeriod": period(month),
                "bucket": "acme-billing", "reportKeys": keys, "additionalArtifactKeys": [
                    {"artifactType": "RedshiftCommands", "name": f"{data}/acme-RedshiftCommands.sql"},
                    {"artifactType": "RedshiftManifest", "name": f"{data}/acme-RedshiftManifest.json"}]}
            write_json(folder / data / "acme-Manifest.json", manifest)
            entries = [{"url": f"s3://acme-billing/{key}", "mandatory": True} for key in keys]
            write_json(folder / data / "acme-RedshiftManifest.json", {"entries": entries})
            (folder / data / "acme-RedshiftCommands.sql").write_text("create table acme")
        write_json(folder / f"reports/acme/{name}/acme-Manifest.json", manifest)


def athena(folder, months, choices):
    """CUR 1.0 for Athena, with its status table."""
    for month, parts in months.items():
        place = f"acme/acme/year={month[:4]}/month={int(month[5:])}"
        for at, columns in enumerate(parts, 1):
            name = file_name("acme", at, choices)
            writers.write(folder / place / name, name, columns, choices)
    import pyarrow
    import pyarrow.parquet

    status = folder / "acme/cost_and_usage_data_status/cost_and_usage_data_status.parquet"
    status.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.table({"status": ["READY"]}), status)
    (folder / "acme/acme-create-table.sql").write_text("CREATE EXTERNAL TABLE acme")


def plain(folder, months, choices):
    """Files as somebody put them there."""
    for month, parts in months.items():
        for at, columns in enumerate(parts, 1):
            name = f"bill of {month}, {at}{writers.suffix(choices)}"
            writers.write(folder / name, name, columns, choices)


def bare(folder, months, choices):
    """Files without a suffix, as a query engine names them."""
    for month, parts in months.items():
        for at, columns in enumerate(parts, 1):
            name = f"20261003_101112_0001{at}_abcde_0f1e2d3c-aaaa-bbbb-cccc-{month.replace('-', '')}445566"
            writers.write(folder / name, name, columns, choices)


LAYOUTS = {"exports": exports, "executions": executions, "assemblies": assemblies, "athena": athena, "plain": plain,
           "bare": bare}


def leftovers(folder):
    """Copies of every data file where programs leave theirs: in folders and under names that are no part of an export."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "status" not in path.name]
    for file in files:
        if file.suffix in (".json", ".sql"):
            continue
        for place in (folder / ".Trash-0/files", folder / "_temporary/0", file.parent / ".ipynb_checkpoints"):
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place / file.name)
        shutil.copyfile(file, file.parent / f".{file.name}.part")
        (file.parent / f"._{file.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        (file.parent / "_SUCCESS").write_bytes(b"")
    for manifest in [path for path in files if path.name.endswith("-Manifest.json")]:
        (manifest.parent / f"._{manifest.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
