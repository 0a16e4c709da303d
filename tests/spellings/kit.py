"""What the cases of `make_exports.py` are made of: lines, files and the list of cases."""

import gzip
import io
import json
import struct

import bill
import writers

PAYER, OTHER_PAYER, THIRD_PAYER = "111122223333", "222233334444", "333344445555"
SHOP, DATA = "444455556666", "777788889999"
RULES = bill.RULES.split("\n")[0]
CASES = {}


def case(path, about, files, expected=None, refused=None, says=(), credits=None, settings=None, reference=None):
    """A case: its files, and either the summary by business unit (`MONTH UNIT gross [refunds aws_credits credits_applied]`)
    or an exit code and what the error says. A text that is looked for may hold alternatives, parted by ` | `."""
    assert path not in CASES and (expected is None) != (refused is None), path
    CASES[path] = {
        "about": about, "files": files, "expected": expected, "refused": refused, "says": says, "credits": credits,
        "settings": settings, "reference": reference or {}}


def line(cost="10", account=SHOP, kind="Usage", service="AmazonEC2", start="2026-09-03T00:00", **more):
    return bill.Line(start, account, kind, service, cost, **more)


TWO = [line("10"), line("5", DATA)]
TWO_EXPECTED = ["2026-09 Shop 10", "2026-09 Data 5"]
AUGUST = [line("10", start="2026-08-05T00:00"), line("5", DATA, start="2026-08-05T00:00")]
AUGUST_EXPECTED = ["2026-08 Shop 10", "2026-08 Data 5"]
UNUSED = {"bill/InvoiceId", "bill_invoice_id", "InvoiceId", "bill/BillType", "bill_bill_type"}


def startup(cost, account=SHOP, start="2026-09-03T00:00", **more):
    """A line of a credit that the account owns."""
    return line(cost, account, "Credit", start=start, description=f"Startup Credits, credit from account: {account}", **more)


def columns(form, lines, drop=(), add=None):
    """The columns that are read of these lines, without those of `drop` and with those of `add` (name to kind and values)."""
    found = [column for column in bill.columns(lines, form)
             if not column.kind.startswith("unused") and column.name not in UNUSED and column.name not in drop]
    for name, (kind, values) in (add or {}).items():
        assert len(values) == len(lines), name
        found = [column for column in found if column.name != name] + [bill.Column(name, kind, values)]
    return found


def text(form, lines, drop=(), add=None, dates="iso-z", costs="text", separator=","):
    """A CSV file."""
    plain = writers.csv_text(columns(form, lines, drop, add), {"dates": dates, "costs": costs})
    if separator == ",":
        return plain
    import csv

    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n", delimiter=separator).writerows(csv.reader(io.StringIO(plain.decode())))
    return buffer.getvalue().encode()


def parquet(form, lines, drop=(), add=None, types=None, twice=None, **choices):
    """A Parquet file. `types` gives columns another Arrow type, or whole arrays; `twice` adds columns under names of their
    own, each with the cells of another."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    usual = {"dates": "ms", "costs": "double", "strings": "utf8", "ids": "text", "unused": "typed",
             "maps": "columns" if form == "athena" else "map"}
    table = writers.arrow_table(columns(form, lines, drop, add), usual | choices)
    arrays = dict(zip(table.column_names, (column.combine_chunks() for column in table.columns)))
    for name, kind in (types or {}).items():
        assert name in arrays, name
        arrays[name] = kind if isinstance(kind, pa.Array) else retyped(arrays[name], kind)
    names, values = list(arrays), list(arrays.values())
    for name, source in (twice or {}).items():
        names.append(name)
        values.append(arrays[source])
    buffer = io.BytesIO()
    pq.write_table(pa.table(values, names=names), buffer, compression="snappy", store_decimal_as_integer=True)
    return buffer.getvalue()


def retyped(array, kind):
    """Numbers are read from text: the cells of an id, or of an exact amount."""
    import decimal

    import pyarrow as pa

    cells = array.to_pylist()
    if pa.types.is_null(kind):
        return pa.nulls(len(cells))
    if pa.types.is_integer(kind):
        cells = [None if cell is None else int(cell) for cell in cells]
    elif pa.types.is_floating(kind):
        cells = [None if cell is None else float(cell) for cell in cells]
    elif pa.types.is_decimal(kind):
        cells = [None if cell is None else decimal.Decimal(str(cell)) for cell in cells]
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        cells = [None if cell is None else cell.encode() for cell in cells]
    return pa.array(cells, kind)


def packed(plain):
    return gzip.compress(plain, mtime=0)


def archive(entries, method=None):
    """A ZIP archive of these entries, the same bytes each time."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name, (2026, 10, 1, 0, 0, 0)), content, method or zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def exports_manifest(*files):
    """A manifest of Data Exports."""
    return json.dumps({"executionId": "e-1", "columns": [], "dataFiles": [f"s3://acme-billing/{file}" for file in files]})


def report_manifest(month, assembly, *files):
    """A manifest of CUR 1.0; `month` as its folder has it."""
    start, end = month.split("-")
    return json.dumps({
        "assemblyId": assembly, "account": PAYER, "columns": [], "compression": "GZIP", "contentType": "text/csv",
        "reportName": "acme", "billingPeriod": {"start": f"{start}T000000.000Z", "end": f"{end}T000000.000Z"},
        "bucket": "acme-billing", "reportKeys": list(files)})


def settings(source="", credits="", run='as_of = "2026-09-30"'):
    """Settings with more in a section."""
    credits = f"\n[credits]\n{credits}\n" if credits else ""
    source = source if "location" in source else f'location = "export"\n{source}'.rstrip()
    return f'[source]\n{source}\n\n[reference]\nlocation = "reference"\n\n[lake]\nlocation = "lake"\n{credits}\n[run]\n{run}\n'


def rules(*rows):
    return "\n".join([RULES, *rows, ""])


ALLOCATED = {"allocations.csv": bill.ALLOCATIONS.split("\n")[0] + f"\nStartup Credits,{SHOP},,1000,USD,,,Shop,,,\n"}
# AppleDouble: what macOS writes beside a file on a foreign volume.
RESOURCE_FORK = struct.pack(">IIxxxxxxxxxxxxxxxxH", 0x00051607, 0x00020000, 0)
