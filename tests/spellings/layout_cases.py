"""Cases of folders, manifests, names of files and archives."""

import json
import zipfile

from kit import (AUGUST, AUGUST_EXPECTED, DATA, OTHER_PAYER, PAYER, RESOURCE_FORK, SHOP, THIRD_PAYER, TWO, TWO_EXPECTED,
                 archive, case, exports_manifest, line, packed, parquet, report_manifest, settings, startup, text)

STALE = [line("700"), line("70", DATA)]
MONTH = "20260901-20261001"


def athena_month(month):
    return f"acme/acme/year=2026/month={month}"


# Manifests of other tools.

FILE = f"reports/acme/{MONTH}/aa1d/acme-1.csv.gz"
QUICKSIGHT = {"fileLocations": [{"URIs": [f"s3://acme-billing/{FILE}"]}], "globalUploadSettings": {"format": "CSV"}}
REDSHIFT = {"entries": [{"url": f"s3://acme-billing/{FILE}", "mandatory": True}]}

case("manifests-of-other-tools/quicksight", "A CUR 1.0 with the QuickSight manifest beside its own.", {
    FILE: packed(text("cur1", TWO)),
    f"reports/acme/{MONTH}/aa1d/acme-Manifest.json": report_manifest(MONTH, "aa1d", FILE),
    f"reports/acme/{MONTH}/aa1d/acme-QuickSightManifest.json": json.dumps(QUICKSIGHT),
    f"reports/acme/{MONTH}/acme-Manifest.json": report_manifest(MONTH, "aa1d", FILE),
    f"reports/acme/{MONTH}/acme-QuickSightManifest.json": json.dumps(QUICKSIGHT),
}, expected=TWO_EXPECTED)

case("manifests-of-other-tools/redshift-alone",
     "Only the Redshift manifest was copied with the file: there is no report manifest.", {
    FILE: packed(text("cur1", TWO)),
    f"reports/acme/{MONTH}/aa1d/acme-RedshiftManifest.json": json.dumps(REDSHIFT),
}, expected=TWO_EXPECTED)

NEW = FILE.replace("aa1d", "bb2e")
case("manifests-of-other-tools/redshift-of-an-older-assembly",
     "The Redshift manifest of the month names an assembly that is superseded.", {
    FILE: packed(text("cur1", STALE)),
    NEW: packed(text("cur1", TWO)),
    f"reports/acme/{MONTH}/acme-Manifest.json": report_manifest(MONTH, "bb2e", NEW),
    f"reports/acme/{MONTH}/acme-RedshiftManifest.json": json.dumps(REDSHIFT),
}, expected=TWO_EXPECTED)

EXPORT = "acme/data/BILLING_PERIOD=2026-09/acme-00001.snappy.parquet"
case("manifests-of-other-tools/json-of-other-kinds",
     "Other JSON lies about, one file named as a manifest is: none has data files.", {
    EXPORT: parquet("cur2", TWO),
    "acme/metadata/BILLING_PERIOD=2026-09/acme-Manifest.json": exports_manifest(EXPORT),
    "acme/metadata/BILLING_PERIOD=2026-09/dashboards-Manifest.json": '{"dashboards": ["cost"], "version": 3}',
    "acme/metadata/BILLING_PERIOD=2026-09/schema.json": '[{"name": "bill_payer_account_id"}]',
}, expected=TWO_EXPECTED)


# Payers under one location.

def delivery(folder, form, lines):
    """A month of Data Exports in a folder of its own."""
    name = f"{folder}/data/BILLING_PERIOD=2026-09/acme-00001.csv.gz"
    return {name: packed(text(form, lines)),
            f"{folder}/metadata/BILLING_PERIOD=2026-09/acme-Manifest.json": exports_manifest(name)}


ONE = delivery(PAYER, "cur2", [line("10")])
ANOTHER = delivery(OTHER_PAYER, "cur2", [line("20", DATA, payer=OTHER_PAYER)])
THIRD = delivery(THIRD_PAYER, "cur2", [line("5", payer=THIRD_PAYER)])

case("payers-under-one-location/three-payers", "Three management accounts deliver into one bucket.",
     ONE | ANOTHER | THIRD, expected=["2026-09 Shop 15", "2026-09 Data 20"])
case("payers-under-one-location/one-payer-twice", "Of three folders two hold the same payer's month.",
     ONE | ANOTHER | delivery("copy", "cur2", [line("10")]), refused=[3, "2026-09", "copy"])
case("payers-under-one-location/focus-and-cur-of-one-payer", "One payer has a CUR 2.0 and a FOCUS export of the same month.",
     delivery("cur", "cur2", [line("10")]) | delivery("focus", "focus12", [line("10")]), refused=[3, "2026-09", "focus"])
case("payers-under-one-location/focus-of-one-and-cur-of-another", "Two payers, each with an export of its own format.",
     ONE | delivery("focus", "focus12", [line("20", DATA, payer=OTHER_PAYER)]),
     expected=["2026-09 Shop 10", "2026-09 Data 20"])
OLD = "old/data/BILLING_PERIOD=2026-08/acme-00001.csv.gz"
case("payers-under-one-location/other-months",
     "One payer's export was set up anew: August lies in the old one, September in the new one.", {
    OLD: packed(text("cur2", AUGUST)),
    "old/metadata/BILLING_PERIOD=2026-08/acme-Manifest.json": exports_manifest(OLD),
} | delivery("new", "focus12", TWO), expected=AUGUST_EXPECTED + TWO_EXPECTED)


# Hidden files.

case("hidden-files/spark-and-trash", "Spark's unfinished tasks and the desktop's bin hold copies of the data.", {
    "part-0.parquet": parquet("cur2", TWO),
    "_temporary/0/task_0/part-0.parquet": parquet("cur2", TWO),
    ".Trash/part-0.parquet": parquet("cur2", TWO),
    "_SUCCESS": b"",
    "._part-0.parquet": RESOURCE_FORK,
}, expected=TWO_EXPECTED, says=["_temporary", ".Trash"])
case("hidden-files/download-under-way", "A copy that is not finished lies beside the data under a hidden name.", {
    "acme/data/BILLING_PERIOD=2026-09/acme-00001.parquet": parquet("focus12", TWO),
    "acme/data/BILLING_PERIOD=2026-09/.tmp-acme-00002.parquet": parquet("focus12", STALE)[:900],
}, expected=TWO_EXPECTED, says=[".tmp-acme-00002.parquet"])
FIRST, SECOND = (f"acme/data/BILLING_PERIOD=2026-09/acme-0000{at}.parquet" for at in (1, 2))
case("hidden-files/manifest", "A hidden manifest names another file, and one is no JSON at all.", {
    FIRST: parquet("cur2", TWO),
    SECOND: parquet("cur2", STALE),
    "acme/metadata/BILLING_PERIOD=2026-09/acme-Manifest.json": exports_manifest(FIRST),
    "acme/metadata/BILLING_PERIOD=2026-09/._acme-Manifest.json": RESOURCE_FORK,
    "acme/metadata/BILLING_PERIOD=2026-09/.old/acme-Manifest.json": exports_manifest(SECOND),
}, expected=TWO_EXPECTED)
case("hidden-files/location-itself", "The location lies in a hidden folder, and that is what the settings say.", {
    ".cache/_export/cur.csv": text("cur1", TWO),
    ".cache/_export/.old/cur.csv": text("cur1", STALE),
}, settings=settings('location = "export/.cache/_export"'), expected=TWO_EXPECTED)


# Deliveries under way.

STATUS = "acme/cost_and_usage_data_status/cost_and_usage_data_status"
READY = f"{athena_month(9)}/acme-00001.snappy.parquet"


def status(word):
    import io

    import pyarrow
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"status": [word]}), buffer)
    return buffer.getvalue()


case("deliveries-under-way/status-as-text", "The status of a delivery under way, as CSV.",
     {READY: parquet("athena", [line("10")]), f"{STATUS}.csv": "status\nUPDATING\n"}, refused=[4, "UPDATING"])
case("deliveries-under-way/status-ready", "The status of a delivery that is done.",
     {READY: parquet("athena", TWO), f"{STATUS}.parquet": status("READY")}, expected=TWO_EXPECTED)
# After September, so that nothing but the note names it.
OCTOBER = settings(run='as_of = "2026-10-05"')
DONE, UNDER_WAY = (f"acme/data/BILLING_PERIOD=2026-0{month}/acme-00001.csv.gz" for month in (8, 9))
case("deliveries-under-way/focus-month-without-manifest",
     "A FOCUS export on the first of a month: data, and no manifest yet.", {
    DONE: packed(text("focus10", AUGUST)),
    "acme/metadata/BILLING_PERIOD=2026-08/acme-Manifest.json": exports_manifest(DONE),
    UNDER_WAY: packed(text("focus10", [line("10")])),
}, settings=OCTOBER, expected=AUGUST_EXPECTED, says=["2026-09"])
REPORT, NEXT = "reports/acme/20260801-20260901/aa1d/acme-1.csv.gz", f"reports/acme/{MONTH}/cc3f/acme-1.csv.gz"
case("deliveries-under-way/report-month-without-manifest",
     "A CUR 1.0 on the first of a month: an assembly, and no manifest yet.", {
    REPORT: packed(text("cur1", AUGUST)),
    "reports/acme/20260801-20260901/acme-Manifest.json": report_manifest("20260801-20260901", "aa1d", REPORT),
    NEXT: packed(text("cur1", [line("10")])),
}, settings=OCTOBER, expected=AUGUST_EXPECTED, says=["2026-09"])
case("deliveries-under-way/no-month-with-a-manifest",
     "Only the data folder was copied: no month has a manifest, and all count.", {
    DONE: packed(text("cur2", AUGUST)), UNDER_WAY: packed(text("cur2", TWO)),
}, expected=AUGUST_EXPECTED + TWO_EXPECTED)


# Files that a re-delivery left behind.

case("files-left-behind/data-exports", "A re-delivery has one file less; the manifest does not name the old one.", {
    FIRST: parquet("focus12", TWO), SECOND: parquet("focus12", STALE),
    "acme/metadata/BILLING_PERIOD=2026-09/acme-Manifest.json": exports_manifest(FIRST),
}, expected=TWO_EXPECTED)
LEFT = f"{athena_month('09')}/acme-00002.snappy.parquet"
KEPT = {month: f"{athena_month(month)}/acme-00001.snappy.parquet" for month in ("08", "09")}
case("files-left-behind/athena-months-with-a-zero", "CUR 1.0 for Athena with `month=09`; August has nothing left behind.", {
    KEPT["08"]: parquet("athena", AUGUST), KEPT["09"]: parquet("athena", TWO), LEFT: parquet("athena", STALE),
    "acme/20260801-20260901/acme-Manifest.json": report_manifest("20260801-20260901", "a", KEPT["08"]),
    f"acme/{MONTH}/acme-Manifest.json": report_manifest(MONTH, "b", KEPT["09"]),
}, expected=AUGUST_EXPECTED + TWO_EXPECTED)
OVERWRITTEN = [f"reports/acme/{MONTH}/acme-{at}.csv.gz" for at in (1, 2)]
case("files-left-behind/overwritten-report", "CUR 1.0 that is overwritten, as CSV.", {
    OVERWRITTEN[0]: packed(text("cur1", TWO)), OVERWRITTEN[1]: packed(text("cur1", STALE)),
    f"reports/acme/{MONTH}/acme-Manifest.json": report_manifest(MONTH, "a", OVERWRITTEN[0]),
}, expected=TWO_EXPECTED)


# Names of files.

case("names-of-files/older-suffixes", "Names that older tools gave.", {
    "a.parq": parquet("cur2", [line("1")]), "b.parquet.snappy": parquet("cur2", [line("2")]),
    "c.csv.gzip": packed(text("cur2", [line("4")])), "d.gz": packed(text("cur2", [line("8")])),
    "e.snappy": parquet("cur2", [line("16")]),
}, expected=["2026-09 Shop 31"])
case("names-of-files/text-without-suffix", "CSV and packed CSV without a suffix.", {
    "export": text("cur1", [line("1")]), "part-0000": packed(text("cur1", [line("2")])),
}, expected=["2026-09 Shop 3"])
case("names-of-files/suffix-of-another-kind", "The content says what a file is, whatever its suffix.", {
    "one.parquet": text("focus12", [line("1")]), "two.csv": parquet("focus12", [line("2")]),
    "three.csv.gz": text("focus12", [line("4")]),
}, expected=["2026-09 Shop 7"])
case("names-of-files/no-data", "Pictures and documents beside the data are left out, and the summary names them.", {
    "cur.csv": text("cur1", TWO), "logo.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "report.pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
}, expected=TWO_EXPECTED, says=["logo.png", "report.pdf"])


# Assemblies and executions by instant.

def assembled(*instants, month=MONTH, lines=TWO):
    """Assemblies of a month, each with its manifest and none for the month; the last is the current one."""
    files = {}
    for instant in instants:
        name = f"reports/acme/{month}/{instant}/acme-1.csv.gz"
        files[name] = packed(text("cur1", lines if instant == instants[-1] else [line("700", start=lines[0].start)]))
        files[f"reports/acme/{month}/{instant}/acme-Manifest.json"] = report_manifest(month, instant, name)
    return files


# Of August an assembly is newer than the current one of September.
TWO_MONTHS = assembled("20260903T081120Z", "20260904T165709Z") | assembled(
    "20260803T081120Z", "20260905T165709Z", month="20260801-20260901", lines=AUGUST)
case("assemblies-by-instant/two-months", "Two months, each with assemblies of its own.",
     TWO_MONTHS, expected=AUGUST_EXPECTED + TWO_EXPECTED)
case("assemblies-by-instant/three", "Three assemblies, two of one day.",
     assembled("20260905T081120Z", "20260903T235959Z", "20260905T165709Z"), expected=TWO_EXPECTED)
EXECUTIONS = {}
for INSTANT, LINES in [("20260905T165709Z-ffff", STALE), ("20260930T081120Z-0000", TWO)]:
    NAME = f"acme/data/BILLING_PERIOD=2026-09/{INSTANT}/acme-00001.csv.gz"
    EXECUTIONS[NAME] = packed(text("cur2", LINES))
    EXECUTIONS[f"acme/metadata/BILLING_PERIOD=2026-09/{INSTANT}/acme-Manifest.json"] = exports_manifest(NAME)
case("assemblies-by-instant/executions", "Executions of Data Exports without hyphens in their instants.",
     EXECUTIONS, expected=TWO_EXPECTED)
case("assemblies-by-instant/no-instants",
     "Two assemblies without an order, and no manifest of the month: nobody can say which counts.",
     assembled("aa1d", "bb2e"), refused=[3, "acme-Manifest.json"])


# Archives.

case("zip/one-entry", "A ZIP of one CSV.", {"cur.zip": archive({"cur.csv": text("cur1", TWO)})}, expected=TWO_EXPECTED)
case("zip/not-compressed", "A ZIP that only stores.",
     {"cur.zip": archive({"cur.csv": text("cur2", TWO)}, zipfile.ZIP_STORED)}, expected=TWO_EXPECTED)
ZIP = f"reports/acme/{MONTH}/aa1d/acme-1.zip"
case("zip/report", "A CUR 1.0 that is delivered as ZIP, with a credit.", {
    ZIP: archive({"acme-1.csv": text("cur1", TWO + [startup("-4")])}),
    f"reports/acme/{MONTH}/aa1d/acme-Manifest.json": report_manifest(MONTH, "aa1d", ZIP),
    f"reports/acme/{MONTH}/acme-Manifest.json": report_manifest(MONTH, "aa1d", ZIP),
}, expected=["2026-09 Shop 10 0 -4", "2026-09 Data 5"], credits=["credit_key,aws_applied", f"code:Startup Credits@{SHOP},4"])
case("zip/two-entries", "A ZIP of two CSV files is no delivery of AWS's.",
     {"cur.zip": archive({"a.csv": text("cur1", TWO), "b.csv": text("cur1", TWO)})}, refused=[3, "cur.zip"])
case("zip/no-entry", "An empty ZIP.", {"cur.zip": archive({})}, refused=[3, "cur.zip"])
case("zip/cut-short",
     "A ZIP that lost its end.", {"cur.zip": archive({"cur.csv": text("cur1", TWO)})[:300]}, refused=[3, "cur.zip"])
DAMAGED = bytearray(archive({"cur.csv": text("cur1", TWO)}))
DAMAGED[120] ^= 0xFF
case("zip/damaged", "A ZIP with one damaged byte in its entry.", {"cur.zip": bytes(DAMAGED)}, refused=[3, "cur.zip"])
case("zip/of-parquet",
     "A ZIP of a Parquet file.", {"cur.zip": archive({"cur.parquet": parquet("cur2", TWO)})}, refused=[3, "cur.zip"])
