"""Opens the Iceberg logs of a lake with PyIceberg, through the same catalogue file.

    logs.py LAKE types               types of the columns of all logs, as JSON
    logs.py LAKE rows TABLE          rows of a log, as JSON; dates, instants and decimals are text
    logs.py LAKE append TABLE        appends the rows that stdin holds in that form; each line is one commit
    logs.py LAKE append TABLE --wait the same, but prints "ready" when everything is loaded
"""

import datetime
import decimal
import json
import sys

import pyarrow
from pyiceberg.catalog.sql import SqlCatalog

NAMESPACE = "finops_credits"


def value(text, kind: pyarrow.DataType):
    if text is None:
        return None
    if pyarrow.types.is_decimal(kind):
        return decimal.Decimal(text)
    if pyarrow.types.is_date(kind):
        return datetime.date.fromisoformat(text)
    if pyarrow.types.is_timestamp(kind):
        return datetime.datetime.fromisoformat(text)
    return text


def append(table, wait: bool) -> None:
    schema = table.schema().as_arrow()
    if wait:
        print("ready", flush=True)
    for line in sys.stdin:
        rows = [{field.name: value(row.get(field.name), field.type) for field in schema} for row in json.loads(line)]
        table.append(pyarrow.Table.from_pylist(rows, schema=schema))


def main() -> None:
    lake, command, *rest = sys.argv[1:]
    catalog = SqlCatalog(NAMESPACE, uri=f"sqlite:///{lake}/catalog.db", warehouse=f"file://{lake}/warehouse")
    load = lambda name: catalog.load_table((NAMESPACE, name))
    if command == "types":
        names = sorted(name for _, name in catalog.list_tables(NAMESPACE))
        fields = {name: load(name).schema().fields for name in names}
        print(json.dumps({name: {field.name: str(field.field_type) for field in fields[name]} for name in names}))
    elif command == "rows":
        print(json.dumps(load(rest[0]).scan().to_arrow().to_pylist(), default=text))
    elif command == "append":
        append(load(rest[0]), "--wait" in rest)
    else:
        sys.exit(__doc__)


def text(item) -> str:
    return item.isoformat() if hasattr(item, "isoformat") else format(item, "f")


main()
