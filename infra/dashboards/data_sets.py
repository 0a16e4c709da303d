"""The Athena views as SPICE data sets, their columns named for people."""

import re
from pathlib import Path

VIEWS = Path(__file__).resolve().parents[2] / "schemas/athena/views"

# Athena's types as SPICE's. A date is a point in time there.
TYPES = {
    "varchar": {"Type": "STRING"}, "integer": {"Type": "INTEGER"}, "bigint": {"Type": "INTEGER"},
    "double": {"Type": "DECIMAL", "SubType": "FLOAT"}, "date": {"Type": "DATETIME"},
}  # fmt: skip
NODE = ("business_unit", "department", "portfolio", "product")
# No symbol: the currency is the reader's choice and stands in the titles. A symbol here would be a constant.
MONEY = {
    "NumberFormatConfiguration": {
        "FormatConfiguration": {
            "NumberDisplayFormatConfiguration": {
                "DecimalPlacesConfiguration": {"DecimalPlaces": 2},
                "NegativeValueConfiguration": {"DisplayMode": "NEGATIVE"},
                "NullValueFormatConfiguration": {"NullString": "-"},
                "NumberScale": "NONE",
                "SeparatorConfiguration": {
                    "DecimalSeparator": "DOT", "ThousandsSeparator": {"Symbol": "COMMA", "Visibility": "VISIBLE"},
                },
            }
        }
    }
}  # fmt: skip
DAY = {"DateTimeFormatConfiguration": {"DateTimeFormat": "YYYY-MM-DD"}}


class View:
    """A file of schemas/athena/views."""

    def __init__(self, name: str):
        text = (VIEWS / f"{name}.sql").read_text("utf-8")
        head = [line for line in text.splitlines() if line.startswith("--")]
        self.name = name
        self.query = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        columns = "\n".join(head).split("-- Columns:\n")[1]
        self.columns: dict[str, str] = dict(re.findall(r"^--   (\w+) +(\S+) +\S", columns, re.MULTILINE))
        self.needs = sorted(set(re.findall(r"\b(?:FROM|JOIN)\s+(\w+_view)\b", self.query)))


class DataSet:
    """A view in SPICE, its columns named for people."""

    def __init__(self, id: str, source: dict, spec: dict):
        self.id, self.view = id, View(spec["view"])
        self.own = {**source["labels"], **spec.get("labels", {})}
        self.added = {n: it for n, it in source["added"].items() if it["needs"] in self.view.columns}

    @property
    def columns(self) -> dict[str, str]:
        """Type by name as readers see it."""
        named = {self.label(name): type for name, type in self.view.columns.items()}
        assert len(named) == len(self.view.columns), f"{self.id}: two columns of one name"
        return {**named, **{name: "varchar" for name in self.added}}

    def label(self, column: str) -> str:
        return self.own.get(column, column.replace("_", " ").capitalize())

    def column(self, name: str) -> str:
        """The name readers see, of a view's column or of one that is added."""
        assert name in self.added or name in self.view.columns, f"{self.id} has no column {name}"
        return name if name in self.added else self.label(name)

    def has(self, name: str) -> bool:
        return name in self.added or name in self.view.columns

    def at(self, name: str) -> dict:
        return {"DataSetIdentifier": self.id, "ColumnName": self.column(name)}

    def maps(self, data_source, database) -> dict:
        columns = [{"Name": name, **TYPES[type]} for name, type in self.view.columns.items()]
        table = {"DataSourceArn": data_source, "Catalog": "AwsDataCatalog", "Schema": database, "Name": self.view.name}
        transforms = [create(self.id, name, it["expression"]) for name, it in self.added.items()]
        transforms += [rename(name, self.label(name)) for name in self.view.columns]
        transforms.append({"ProjectOperation": {"ProjectedColumns": list(self.columns)}})
        return {
            "ImportMode": "SPICE",
            "PhysicalTableMap": {"view": {"RelationalTable": {**table, "InputColumns": columns}}},
            "LogicalTableMap": {
                "named": {"Alias": self.id, "Source": {"PhysicalTableId": "view"}, "DataTransforms": transforms}
            },
        }


def create(data_set: str, name: str, expression: str) -> dict:
    id = f"{data_set}-{slug(name)}"
    return {"CreateColumnsOperation": {"Columns": [{"ColumnId": id, "ColumnName": name, "Expression": expression}]}}


def rename(old: str, new: str) -> dict:
    return {"RenameColumnOperation": {"ColumnName": old, "NewColumnName": new}}


def slug(name: str) -> str:
    return re.sub(r"\W+|_", "-", name.lower())
