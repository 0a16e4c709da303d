"""A dashboard read back from what is shipped, apart from the code that made it.

QuickSight is not at hand. `Dashboard.sql` says in SQL what a visual asks of its data set, so that DuckDB can answer.
"""

import re
from dataclasses import dataclass

WELLS = "Values TargetValues TrendGroups Categories Breakdowns Category Colors GroupBy Rows Columns".split()
TYPES = {"STRING": "varchar", "INTEGER": "bigint", "DECIMAL": "double", "DATETIME": "date"}


@dataclass(frozen=True)
class Field:
    id: str
    data_set: str
    column: str
    kind: str  # DateDimensionField and so on
    spec: dict

    @property
    def is_measure(self) -> bool:
        return self.kind.endswith("MeasureField")


class DataSet:
    """Its columns as the dashboard sees them, and the SQL that makes them from the view."""

    def __init__(self, properties: dict):
        self.properties = properties
        (self.table,) = (next(iter(it.values())) for it in properties["PhysicalTableMap"].values())
        (self.logical,) = properties["LogicalTableMap"].values()
        declared = self.table.get("InputColumns") or self.table["Columns"]
        self.inputs = {it["Name"]: TYPES[it["Type"]] for it in declared}
        columns = {name: (type, f'"{name}"') for name, type in self.inputs.items()}
        for transform in self.logical["DataTransforms"]:
            ((operation, given),) = transform.items()
            match operation:
                case "CreateColumnsOperation":
                    for it in given["Columns"]:
                        assert it["ColumnName"] not in columns
                        columns[it["ColumnName"]] = ("varchar", in_sql(it["Expression"], columns, {}))
                case "RenameColumnOperation":
                    assert given["NewColumnName"] not in columns, given
                    columns[given["NewColumnName"]] = columns.pop(given["ColumnName"])
                case "ProjectOperation":
                    columns = {name: columns[name] for name in given["ProjectedColumns"]}
                case _:
                    raise NotImplementedError(operation)
        self.columns = {name: type for name, (type, _) in columns.items()}
        self.select = ", ".join(f'{expression} AS "{name}"' for name, (_, expression) in columns.items())


def arguments(text: str) -> list[str]:
    """What stands between top-level commas."""
    parts, depth, quoted = [""], 0, False
    for sign in text:
        quoted ^= sign == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def in_sql(expression: str, columns: dict, values: dict) -> str:
    """Comparisons, ifelse, columns and parameters: a calculated field needs no more, and may not have more."""
    text = " ".join(expression.split())
    if called := re.fullmatch(r"ifelse\((.*)\)", text):
        *pairs, otherwise = (in_sql(it, columns, values) for it in arguments(called[1]))
        cases = " ".join(f"WHEN {when} THEN {then}" for when, then in zip(pairs[::2], pairs[1::2], strict=True))
        return f"CASE {cases} ELSE {otherwise} END"
    if compared := re.fullmatch(r"(\{[^{}]+\}) = (.+)", text):
        return f"{in_sql(compared[1], columns, values)} = {in_sql(compared[2], columns, values)}"
    if column := re.fullmatch(r"\{([^{}]+)\}", text):
        assert column[1] in columns, f"{expression}: no column {column[1]}"
        return f'"{column[1]}"'
    if parameter := re.fullmatch(r"\$\{(\w+)\}", text):
        value = values[parameter[1]]
        return "NULL" if value is None else f"'{value}'"
    assert re.fullmatch(r"'[^']*'|\d+", text), f"not known to be harmless: {text}"
    return text


class Dashboard:
    def __init__(self, definition: dict, data_sets: dict[str, dict]):
        self.definition = definition
        self.arns = {it["Identifier"]: it["DataSetArn"] for it in definition["DataSetIdentifierDeclarations"]}
        self.data_sets = {id: DataSet(data_sets[arn]) for id, arn in self.arns.items()}
        self.sheets = {it["SheetId"]: it for it in definition["Sheets"]}
        self.parameters = {
            it["StringParameterDeclaration"]["Name"]: it["StringParameterDeclaration"]
            for it in definition["ParameterDeclarations"]
        }
        self.calculated = {(it["DataSetIdentifier"], it["Name"]): it for it in definition["CalculatedFields"]}
        self.visuals: dict[str, dict] = {}  # by id; each with its kind and sheet
        for sheet in self.sheets.values():
            for visual in sheet.get("Visuals", []):
                ((kind, it),) = visual.items()
                assert it["VisualId"] not in self.visuals
                self.visuals[it["VisualId"]] = {**it, "kind": kind, "sheet": sheet["SheetId"]}

    def defaults(self) -> dict:
        values = {name: it["DefaultValues"]["StaticValues"] for name, it in self.parameters.items()}
        return {name: it[0] if it else None for name, it in values.items()}

    def fields(self, visual: str) -> list[Field]:
        wells = self.visuals[visual]["ChartConfiguration"]["FieldWells"]
        if not set(wells) & set(WELLS):
            (wells,) = wells.values()
        assert set(wells) <= set(WELLS), wells
        found = []
        for well in wells.values():
            for field in well:
                ((kind, it),) = field.items()
                column = it["Column"]
                found.append(Field(it["FieldId"], column["DataSetIdentifier"], column["ColumnName"], kind, it))
        return found

    def data_set(self, visual: str) -> str:
        (id,) = {field.data_set for field in self.fields(visual)}
        return id

    def money(self, visual: str) -> list[Field]:
        types = self.data_sets[self.data_set(visual)].columns
        return [it for it in self.fields(visual) if types.get(it.column) == "double"]

    def filters(self, visual: str) -> list[dict]:
        """The filters that are on for it."""
        found = []
        for group in self.definition["FilterGroups"]:
            assert (group["CrossDataset"], group["Status"]) == ("SINGLE_DATASET", "ENABLED")
            for scope in group["ScopeConfiguration"]["SelectedSheets"]["SheetVisualScopingConfigurations"]:
                if visual in scope["VisualIds"] and scope["SheetId"] == self.visuals[visual]["sheet"]:
                    found += [it["CategoryFilter"] for it in group["Filters"]]
        return [it for it in found if it["Column"]["DataSetIdentifier"] == self.data_set(visual)]

    def expression(self, data_set: str, column: str, values: dict) -> str:
        if (data_set, column) in self.calculated:
            expression = self.calculated[data_set, column]["Expression"]
            return in_sql(expression, self.data_sets[data_set].columns, values)
        assert column in self.data_sets[data_set].columns, f"{data_set} has no column {column}"
        return f'"{column}"'

    def where(self, visual: str, values: dict) -> list[str]:
        conditions = []
        for it in self.filters(visual):
            left = self.expression(it["Column"]["DataSetIdentifier"], it["Column"]["ColumnName"], values)
            if "FilterListConfiguration" in it["Configuration"]:
                listed = ", ".join(
                    f"'{value}'" for value in it["Configuration"]["FilterListConfiguration"]["CategoryValues"]
                )
                conditions.append(f"{left} IN ({listed})")
            else:
                value = values[it["Configuration"]["CustomFilterConfiguration"]["ParameterName"]]
                # A filter by a parameter without a value lets everything through.
                conditions += [] if value is None else [f"{left} = '{value}'"]
        return conditions

    def sql(self, visual: str, **chosen) -> str:
        """What it asks of its data set, a table in the schema `spice`."""
        values, data_set = {**self.defaults(), **chosen}, self.data_set(visual)
        dimensions, measures = [], []
        for field in self.fields(visual):
            expression = self.expression(data_set, field.column, values)
            if not field.is_measure:
                if field.spec.get("DateGranularity") == "MONTH":
                    expression = f"date_trunc('month', {expression})"
                dimensions.append(f'{expression} AS "{field.id}"')
                continue
            how = field.spec["AggregationFunction"]
            how = how["SimpleNumericalAggregation"] if isinstance(how, dict) else how
            measures.append(f'{how}({expression}) AS "{field.id}"')
        conditions = " AND ".join(self.where(visual, values)) or "true"
        return f"SELECT {', '.join(dimensions + measures)} FROM spice.{data_set} WHERE {conditions}" + (
            " GROUP BY ALL HAVING count(*) > 0 ORDER BY ALL" if dimensions else ""
        )
