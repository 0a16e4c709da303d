"""Files of an export: the columns of a bill as each program writes them, by choices of `one_bill.py`."""

import csv
import decimal
import gzip
import io
import json
import zipfile
from datetime import timedelta, timezone

TEXTS = {"csv", "gz", "gz-zeros", "gz-members", "zip"}
CODECS = ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]
DATE_TEXTS = {
    "iso-z": "%Y-%m-%dT%H:%M:%SZ",
    "iso-fraction": "%Y-%m-%dT%H:%M:%S.000Z",
    "iso-no-zone": "%Y-%m-%dT%H:%M:%S",
    "iso-no-seconds": "%Y-%m-%dT%H:%MZ",
    "iso-offset": "%Y-%m-%dT%H:%M:%S+00:00",
    "iso-east": "%Y-%m-%dT%H:%M:%S+05:30",
    "iso-west": "%Y-%m-%dT%H:%M:%S-08:00",
    "blank": "%Y-%m-%d %H:%M:%S",
    "blank-no-seconds": "%Y-%m-%d %H:%M",
    "blank-fraction": "%Y-%m-%d %H:%M:%S.000000",
    "blank+00": "%Y-%m-%d %H:%M:%S+00",
    "blank+0000": "%Y-%m-%d %H:%M:%S+0000",
    "blank+00:00": "%Y-%m-%d %H:%M:%S+00:00",
    "blank-utc": "%Y-%m-%d %H:%M:%S UTC",
    "blank-fraction-utc": "%Y-%m-%d %H:%M:%S.000 UTC",
    "day": "%Y-%m-%d",
}
OFFSETS = {"iso-east": timedelta(hours=5, minutes=30), "iso-west": timedelta(hours=-8)}
DECIMALS = {"decimal9": (9, 6), "decimal18": (18, 10), "decimal38": (38, 10), "decimal76": (50, 12)}


def cost_text(cost, how):
    if cost is None:
        return None
    if how == "text-exponent":
        return repr(float(cost))
    if how == "text-padded":
        return format(decimal.Decimal(cost), ".10f")
    return cost


def as_text(column, choices):
    """The cells of a column as text; None is a missing value, where it has no word of its own."""
    if column.kind == "instant":
        offset, form = OFFSETS.get(choices["dates"], timedelta()), DATE_TEXTS[choices["dates"]]
        return [(value + offset).strftime(form) for value in column.values]
    if column.kind == "map":
        return [json.dumps(value, ensure_ascii=False) for value in column.values]
    cells = [cost_text(value, choices["costs"]) for value in column.values] if column.kind == "cost" else column.values
    word = {"blank": "", "word": "NULL"}.get(choices.get("missing"))
    return [word if cell is None else cell for cell in cells]


def csv_text(columns, choices):
    buffer = io.StringIO()
    form = choices.get("lines", "lf")
    quoting = csv.QUOTE_ALL if form == "quoted" else csv.QUOTE_MINIMAL
    writer = csv.writer(buffer, lineterminator="\r\n" if form == "crlf" else "\n", quoting=quoting)
    writer.writerow([column.name for column in columns])
    writer.writerows(zip(*(as_text(column, choices) for column in columns)))
    return buffer.getvalue().encode("utf-8-sig" if form == "bom" else "utf-8")


def zipped(name, text):
    """An archive of one entry, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2026, 10, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def packed(text, container, name):
    if container == "csv":
        return text
    if container == "zip":
        return zipped(f"{name}.csv", text)
    if container == "gz-members":
        middle = len(text) // 2
        return b"".join(gzip.compress(part, mtime=0) for part in (text[:middle], text[middle:]))
    zeros = bytes(512) if container == "gz-zeros" else b""
    return gzip.compress(text, mtime=0) + zeros


def is_integer(kind, choices):
    """Whether a column of ids came to be of numbers, without leading zeros."""
    return kind == "account" and choices["ids"] in ("accounts", "integers") or kind == "id" and choices["ids"] == "integers"


def pairs(value):
    return None if value is None else list(value.items())


def arrow_array(column, choices):
    import pyarrow as pa

    texts = {"utf8": pa.string(), "large": pa.large_string(), "view": pa.string_view(),
             "dictionary": pa.dictionary(pa.int32(), pa.string())}
    text = texts[choices["strings"]]
    kind = column.kind.removeprefix("unused ")
    if column.kind.startswith("unused") and choices["unused"] == "null":
        return pa.nulls(len(column.values))
    if is_integer(kind, choices):
        return pa.array([None if value is None else int(value) for value in column.values], pa.int64())
    if kind == "id" and choices["ids"] == "invoice-double":
        return pa.array([None if value is None else float(value) for value in column.values], pa.float64())
    if kind == "instant" and choices["dates"] not in DATE_TEXTS:
        return instants(column.values, choices["dates"])
    if kind == "cost" and choices["costs"] == "double":
        return pa.array([None if value is None else float(value) for value in column.values], pa.float64())
    if kind == "cost" and choices["costs"] in DECIMALS:
        width, scale = DECIMALS[choices["costs"]]
        make = pa.decimal256 if choices["costs"] == "decimal76" else pa.decimal128
        return pa.array([None if value is None else decimal.Decimal(value) for value in column.values], make(width, scale))
    if kind == "map" and choices["maps"] != "json":
        return map_array(column.values, choices["maps"])
    return pa.array(as_text(column, choices), text)


def instants(values, how):
    import pyarrow as pa

    if how == "date":
        return pa.array([value.date() for value in values], pa.date32())
    unit = {"int96": "ns"}.get(how, how.split("-")[0])
    if how.endswith("-zurich"):
        # The same instants; the zone only says how to show them.
        return instants(values, f"{unit}-utc").cast(pa.timestamp(unit, "Europe/Zurich"))
    if how.endswith("-utc"):
        return pa.array([value.replace(tzinfo=timezone.utc) for value in values], pa.timestamp(unit, "UTC"))
    return pa.array(values, pa.timestamp(unit))


def map_array(values, shape):
    import pyarrow as pa

    if shape == "map":
        return pa.array([pairs(value) for value in values], pa.map_(pa.string(), pa.string()))
    if shape == "pairs":
        entry = pa.struct([("key", pa.string()), ("value", pa.string())])
        cells = [[{"key": key, "value": text} for key, text in value.items()] for value in values]
        return pa.array(cells, pa.list_(entry))
    # A month in which no line has a key at all still has a field.
    keys = sorted({key for value in values for key in value}) or ["none"]
    return pa.array([{key: value.get(key) for key in keys} for value in values],
                    pa.struct([(key, pa.string()) for key in keys]))


def arrow_table(columns, choices):
    import pyarrow as pa

    return pa.table([arrow_array(column, choices) for column in columns], names=[column.name for column in columns])


def group_rows(choices):
    return 5 if choices["groups"] == "many" else 1_000_000


def pyarrow(path, columns, choices):
    import pyarrow.parquet as pq

    pq.write_table(
        arrow_table(columns, choices), path, compression=choices["codec"], row_group_size=group_rows(choices),
        use_deprecated_int96_timestamps=choices["dates"] == "int96", store_decimal_as_integer=True,
        data_page_version="2.0" if choices["groups"] == "many" else "1.0")


def duckdb(path, columns, choices):
    import duckdb

    connection = duckdb.connect()
    connection.register("bill", arrow_table(columns, choices))
    codec = {"none": "uncompressed", "lz4": "lz4_raw"}.get(choices["codec"], choices["codec"])
    connection.execute(f"COPY bill TO '{path}' (FORMAT parquet, COMPRESSION {codec})")
    connection.close()


def polars(path, columns, choices):
    import polars

    codec = {"none": "uncompressed"}.get(choices["codec"], choices["codec"])
    frame = polars.from_arrow(arrow_table(columns, choices))
    frame.write_parquet(path, compression=codec, row_group_size=group_rows(choices))


def fastparquet(path, columns, choices):
    import fastparquet
    import pandas

    frame, encoding = {}, {}
    for column in columns:
        kind = column.kind.removeprefix("unused ")
        if is_integer(kind, choices):
            numbers = [None if value is None else int(value) for value in column.values]
            frame[column.name] = pandas.array(numbers, dtype="Int64")
        elif kind == "id" and choices["ids"] == "invoice-double":
            # What pandas makes of whole numbers with gaps.
            frame[column.name] = pandas.Series([None if v is None else float(v) for v in column.values], dtype="float64")
        elif kind == "instant" and choices["dates"] not in DATE_TEXTS:
            unit = {"int96": "ns"}.get(choices["dates"], choices["dates"].split("-")[0])
            zone = ", UTC" if choices["dates"].endswith("-utc") else ""
            values = pandas.to_datetime(pandas.Series(column.values), utc=bool(zone))
            frame[column.name] = values.astype(f"datetime64[{unit}{zone}]")
        elif kind == "cost" and choices["costs"] == "double":
            frame[column.name] = pandas.Series([None if v is None else float(v) for v in column.values], dtype="float64")
        elif kind == "map":
            frame[column.name] = pandas.Series(column.values, dtype="object")
            encoding[column.name] = "json"
        else:
            frame[column.name] = pandas.Series(as_text(column, choices), dtype="object")
            encoding[column.name] = "utf8"
    codec = {"none": "UNCOMPRESSED", "lz4": "LZ4_RAW"}.get(choices["codec"], choices["codec"].upper())
    offsets = list(range(0, len(columns[0].values), group_rows(choices)))
    fastparquet.write(
        str(path), pandas.DataFrame(frame), compression=codec, object_encoding=encoding, row_group_offsets=offsets,
        times="int96" if choices["dates"] == "int96" else "int64", has_nulls=True, write_index=False)


def suffix(choices):
    container = choices["container"]
    if container in TEXTS:
        return {"csv": ".csv", "zip": ".zip"}.get(container, ".csv.gz")
    return {"snappy": ".snappy.parquet"}.get(choices["codec"], ".parquet")


def write(path, name, columns, choices):
    """Writes one file of an export; `name` is what an archive calls its entry."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if choices["container"] in TEXTS:
        path.write_bytes(packed(csv_text(columns, choices), choices["container"], name))
    else:
        {"pyarrow": pyarrow, "duckdb": duckdb, "polars": polars, "fastparquet": fastparquet}[choices["container"]](
            path, columns, choices)
