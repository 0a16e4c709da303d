#!/usr/bin/env python3
"""Makes the QuickSight stack and the resources for cid-cmd from dashboard.yaml, stack.yaml and the Athena views.

    infra/dashboards/generate.py            writes ../quicksight.yaml and finops-credits.yaml
    infra/dashboards/generate.py --check    fails if they are not what it would write

Needs PyYAML. What it makes depends on nothing but those files; ids come from the ids in dashboard.yaml.
"""

import re
import sys
from html import escape
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
VIEWS = HERE.parents[1] / "schemas/athena/views"
STACK, CID = HERE.parent / "quicksight.yaml", HERE / "finops-credits.yaml"

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
GRID = 36


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


# --------------------------------------------------------------------------------------------------------- dashboard
class Dashboard:
    def __init__(self, source: dict):
        self.source, self.controls = source, source["controls"]
        self.sets = {id: DataSet(id, source, spec) for id, spec in source["data_sets"].items()}

    def definition(self, arns: dict, default_currency) -> dict:
        return {
            "DataSetIdentifierDeclarations": [{"Identifier": id, "DataSetArn": arns[id]} for id in self.sets],
            "Options": {"WeekStart": "MONDAY"},
            "AnalysisDefaults": {
                "DefaultNewSheetConfiguration": {
                    "InteractiveLayoutConfiguration": {"Grid": {"CanvasSizeOptions": CANVAS}},
                    "SheetContentType": "INTERACTIVE",
                }
            },
            "ParameterDeclarations": [self.declaration(it, default_currency) for it in self.controls.values()],
            "CalculatedFields": [it for id in self.sets for it in self.chosen_fields(id)],
            "ColumnConfigurations": [it for data in self.sets.values() for it in formats(data)],
            "FilterGroups": self.filter_groups(),
            "Sheets": [self.sheet(it) for it in self.source["sheets"]],
        }

    def declaration(self, control: dict, default_currency) -> dict:
        default = control.get("single")
        if default == "DEFAULT_CURRENCY":
            default = default_currency
        return {
            "StringParameterDeclaration": {
                "Name": control["parameter"],
                "ParameterValueType": "SINGLE_VALUED" if default else "MULTI_VALUED",
                "DefaultValues": {"StaticValues": [default] if default else []},
                "ValueWhenUnset": {"ValueWhenUnsetOption": "RECOMMENDED_VALUE" if default else "NULL"},
            }
        }

    # A choice of one value is compared in a calculated field, not handed to a filter: a filter without a value lets
    # everything through, a comparison nothing. So no link and no reset control can mix currencies.
    def chosen_fields(self, id: str) -> list[dict]:
        data, fields = self.sets[id], []
        for control in self.controls.values():
            if "single" in control and data.has(control["column"]):
                same = f"{{{data.column(control['column'])}}} = ${{{control['parameter']}}}"
                expression = f"ifelse({same}, 'yes', 'no')"
                fields.append({"DataSetIdentifier": id, "Name": chosen(control), "Expression": expression})
        return fields

    def visuals(self):
        return ((sheet, visual) for sheet in self.source["sheets"] for visual in sheet["visuals"])

    def obeys(self, sheet: dict, visual: dict, name: str) -> bool:
        control = self.controls[name]
        applies = self.sets[visual["data"]].has(control["column"]) and visual.get(name) != "all"
        assert not (applies and "single" in control and name not in sheet["controls"]), (
            f"{sheet['id']} needs the control {name}"
        )
        return applies and name in sheet["controls"]

    def filter_groups(self) -> list[dict]:
        groups = []
        for name, control in self.controls.items():
            for id, data in self.sets.items():
                scope = [(s, v) for s, v in self.visuals() if v["data"] == id and self.obeys(s, v, name)]
                if not scope:
                    continue
                if "single" in control:
                    column = {"DataSetIdentifier": id, "ColumnName": chosen(control)}
                    groups.append(filter_group(f"{slug(name)}-{slug(id)}", column, listed(["yes"]), scope))
                else:
                    by = {
                        "MatchOperator": "EQUALS",
                        "NullOption": "NON_NULLS_ONLY",
                        "ParameterName": control["parameter"],
                    }
                    by = {"CustomFilterConfiguration": by}
                    groups.append(filter_group(f"{slug(name)}-{slug(id)}", data.at(control["column"]), by, scope))
        for sheet, visual in self.visuals():
            for column, value in visual.get("where", {}).items():
                id = f"{sheet['id']}-{visual['id']}-{slug(column)}"
                at = self.sets[visual["data"]].at(column)
                groups.append(filter_group(id, at, listed([value]), [(sheet, visual)]))
        return groups

    def sheet(self, sheet: dict) -> dict:
        id = sheet["id"]
        made = {"SheetId": id, "Name": sheet["name"], "ContentType": "INTERACTIVE"}
        elements, boxes = [], []
        if sheet["controls"]:
            made["ParameterControls"] = [self.control(id, name) for name in sheet["controls"]]
            spans = [
                {
                    "ElementId": f"{id}-choose-{slug(name)}",
                    "ElementType": "PARAMETER_CONTROL",
                    "ColumnSpan": 3,
                    "RowSpan": 1,
                }
                for name in sheet["controls"]
            ]
            made["SheetControlLayouts"] = [{"Configuration": {"GridLayout": {"Elements": spans}}}]
        if sheet["visuals"]:
            made["Visuals"] = [Visual(self, sheet, it).made() for it in sheet["visuals"]]
            elements = placed([(f"{id}-{it['id']}", it["size"]) for it in sheet["visuals"]], "VISUAL")
        if "text" in sheet:
            lines = [escape(line.strip().format(version=self.source["version"])) for line in sheet["text"]]
            content = f"<text-box>{'<br/><br/>'.join(lines)}</text-box>"
            made["TextBoxes"] = boxes = [{"SheetTextBoxId": f"{id}-text", "Content": content}]
            elements = placed([(boxes[0]["SheetTextBoxId"], [GRID, 14])], "TEXT_BOX")
        grid = {"CanvasSizeOptions": CANVAS, "Elements": elements}
        made["Layouts"] = [{"Configuration": {"GridLayout": grid}}]
        return made

    def control(self, sheet: str, name: str) -> dict:
        control = self.controls[name]
        values = self.sets[control["values_of"]].at(control["column"])
        return {
            "Dropdown": {
                "ParameterControlId": f"{sheet}-choose-{slug(name)}",
                "Title": control["title"],
                "SourceParameterName": control["parameter"],
                "Type": "SINGLE_SELECT" if "single" in control else "MULTI_SELECT",
                "DisplayOptions": {"SelectAllOptions": {"Visibility": "HIDDEN" if "single" in control else "VISIBLE"}},
                "SelectableValues": {"LinkToDataSetColumn": values},
            }
        }


def chosen(control: dict) -> str:
    return f"{control['parameter']} chosen"


def listed(values: list[str]) -> dict:
    return {
        "FilterListConfiguration": {
            "MatchOperator": "CONTAINS", "CategoryValues": values, "NullOption": "NON_NULLS_ONLY",
        }
    }  # fmt: skip


def filter_group(id: str, column: dict, configuration: dict, scope: list) -> dict:
    sheets = {}
    for sheet, visual in scope:
        sheets.setdefault(sheet["id"], []).append(f"{sheet['id']}-{visual['id']}")
    scopes = [{"SheetId": it, "Scope": "SELECTED_VISUALS", "VisualIds": visuals} for it, visuals in sheets.items()]
    return {
        "FilterGroupId": f"group-{id}",
        "CrossDataset": "SINGLE_DATASET",
        "Status": "ENABLED",
        "Filters": [{"CategoryFilter": {"FilterId": f"filter-{id}", "Column": column, "Configuration": configuration}}],
        "ScopeConfiguration": {"SelectedSheets": {"SheetVisualScopingConfigurations": scopes}},
    }


def formats(data: DataSet) -> list[dict]:
    by_type = {"double": {"FormatConfiguration": MONEY}, "date": {"FormatConfiguration": DAY}}
    return [
        {"Column": {"DataSetIdentifier": data.id, "ColumnName": name}, **by_type[type]}
        for name, type in data.columns.items()
        if type in by_type
    ]


CANVAS = {"ScreenCanvasSizeOptions": {"ResizeOption": "FIXED", "OptimizedViewPortWidth": "1600px"}}


def placed(sizes: list, type: str) -> list[dict]:
    """Left to right; a new row where the next would not fit."""
    elements, left, top, height = [], 0, 0, 0
    for id, (columns, rows) in sizes:
        if left + columns > GRID:
            left, top, height = 0, top + height, 0
        elements.append(
            {"ElementId": id, "ElementType": type, "ColumnIndex": left, "ColumnSpan": columns, "RowIndex": top,
             "RowSpan": rows}
        )  # fmt: skip
        left, height = left + columns, max(height, rows)
    return elements


# ----------------------------------------------------------------------------------------------------------- visuals
class Visual:
    KINDS = ("kpi", "waterfall", "line", "bar", "table", "heatmap")

    def __init__(self, dashboard: Dashboard, sheet: dict, spec: dict):
        self.dashboard, self.sheet, self.spec = dashboard, sheet, spec
        self.data = dashboard.sets[spec["data"]]
        self.id = f"{sheet['id']}-{spec['id']}"
        (self.kind,) = (kind for kind in self.KINDS if kind in spec)

    def made(self) -> dict:
        type, configuration, more = getattr(self, self.kind)()
        return {
            type: {
                "VisualId": self.id,
                "Title": {"Visibility": "VISIBLE", "FormatText": {"RichText": self.title()}},
                "Subtitle": self.subtitle(),
                "ChartConfiguration": configuration,
                **more,
            }
        }

    def title(self) -> str:
        currency = " (<parameter>${Currency}</parameter>)" if self.shows_money() else ""
        return f"<visual-title>{escape(self.spec[self.kind])}{currency}</visual-title>"

    def subtitle(self) -> dict:
        month = "Month (<parameter>${Month}</parameter>)"  # Parentheses, as a space before a tag may be dropped.
        lines = [escape(self.spec["note"])] if "note" in self.spec else []
        lines += [month] if self.dashboard.obeys(self.sheet, self.spec, "month") else []
        if not lines:
            return {"Visibility": "HIDDEN"}
        text = f"<visual-subtitle>{'. '.join(lines)}</visual-subtitle>"
        return {"Visibility": "VISIBLE", "FormatText": {"RichText": text}}

    def shows_money(self) -> bool:
        shown = [self.spec.get("value"), *self.spec.get("values", [])]
        return any(self.data.view.columns.get(name) == "double" for name in shown)

    def field(self, column: str) -> str:
        return f"{self.id}.{column}"

    def dimension(self, column: str, granularity: str = "DAY", date_format: str = "YYYY-MM-DD") -> dict:
        field = {"FieldId": self.field(column), "Column": self.data.at(column)}
        match self.data.columns[self.data.column(column)]:
            case "date":
                how = {"DateGranularity": granularity, "FormatConfiguration": {"DateTimeFormat": date_format}}
                return {"DateDimensionField": {**field, **how}}
            case "varchar":
                return {"CategoricalDimensionField": field}
        return {"NumericalDimensionField": field}

    def axis(self) -> dict:
        return self.dimension(self.spec["x"], "MONTH", "YYYY-MM")

    def measure(self, column: str, how: str = "SUM") -> dict:
        field = {"FieldId": self.field(column), "Column": self.data.at(column)}
        return {"NumericalMeasureField": {**field, "AggregationFunction": {"SimpleNumericalAggregation": how}}}

    def measures(self) -> list[dict]:
        return [self.measure(column) for column in self.spec["values"]]

    def order(self, shown: list[str]) -> list[dict]:
        """By a field that is shown, or by a column that is not."""
        sorts = []
        for column, direction in self.spec.get("sort", {}).items():
            if column in shown:
                sorts.append({"FieldSort": {"FieldId": self.field(column), "Direction": direction}})
            else:
                sorts.append({"ColumnSort": self.column_sort(column, direction)})
        return sorts

    def column_sort(self, column: str, direction: str, how: str = "SUM") -> dict:
        function = {"NumericalAggregationFunction": {"SimpleNumericalAggregation": how}}
        return {"SortBy": self.data.at(column), "Direction": direction, "AggregationFunction": function}

    def limit(self) -> dict:
        return {"ItemsLimit": self.spec["top"], "OtherCategories": "INCLUDE"}

    def kpi(self):
        spec = self.spec
        if "latest" in spec:
            field = {"FieldId": self.field(spec["latest"]), "Column": self.data.at(spec["latest"])}
            how = {"AggregationFunction": "MAX", "FormatConfiguration": {"DateTimeFormat": "MMM YYYY"}}
            value = {"DateMeasureField": {**field, **how}}
        elif "count" in spec:
            field = {"FieldId": self.field(spec["count"]), "Column": self.data.at(spec["count"])}
            value = {"CategoricalMeasureField": {**field, "AggregationFunction": "COUNT"}}
        elif "largest" in spec:
            value = self.measure(spec["largest"], "MAX")
        else:
            value = self.measure(spec["value"])
        wells = {"Values": [value], "TargetValues": [], "TrendGroups": []}
        more = {}
        if spec.get("red_above_zero"):
            total, colours = f"SUM({{{self.data.column(spec['value'])}}})", self.dashboard.source["colours"]
            rules = [(f"{total} > 0", colours["bad"]), (f"{total} = 0", colours["good"])]
            options = [
                {"PrimaryValue": {"TextColor": {"Solid": {"Expression": when, "Color": colour}}}}
                for when, colour in rules
            ]
            more = {"ConditionalFormatting": {"ConditionalFormattingOptions": options}}
        return "KPIVisual", {"FieldWells": wells, "KPIOptions": {"PrimaryValueDisplayType": "ACTUAL"}}, more

    def waterfall(self):
        spec = self.spec
        wells = {
            "Categories": [self.dimension(spec["category"])],
            "Values": [self.measure(spec["value"])],
            "Breakdowns": [],
        }
        by = [{"ColumnSort": self.column_sort(spec["order"], "ASC", "MIN")}]
        configuration = {
            "FieldWells": {"WaterfallChartAggregatedFieldWells": wells},
            "SortConfiguration": {"CategorySort": by},
            "WaterfallChartOptions": {"TotalBarLabel": spec["total"]},
            "DataLabels": {"Visibility": "VISIBLE"},
            "Legend": {"Visibility": "HIDDEN"},
        }
        return "WaterfallVisual", configuration, {}

    def line(self):
        spec = self.spec
        wells = {"Category": [self.axis()], "Values": self.measures(), "Colors": []}
        sorting = {"CategorySort": [{"FieldSort": {"FieldId": self.field(spec["x"]), "Direction": "ASC"}}]}
        if "colour" in spec:
            wells["Colors"] = [self.dimension(spec["colour"])]
            sorting["ColorItemsLimitConfiguration"] = self.limit()
        configuration = {
            "FieldWells": {"LineChartAggregatedFieldWells": wells},
            "SortConfiguration": sorting,
            "Type": "LINE",
            "Legend": {"Visibility": "VISIBLE", "Position": "BOTTOM"},
        }
        return "LineChartVisual", configuration, {}

    def bar(self):
        spec = self.spec
        wells = {"Category": [self.axis()], "Values": self.measures(), "Colors": []}
        by = self.order([spec["x"], *spec["values"]])
        by = by or [{"FieldSort": {"FieldId": self.field(spec["x"]), "Direction": "ASC"}}]
        sorting = {"CategorySort": by}
        if "top" in spec:
            # What is beyond has a bar for itself: nothing is left out of a sum.
            sorting["CategoryItemsLimit"] = self.limit()
        if "colour" in spec:
            wells["Colors"] = [self.dimension(spec["colour"])]
        configuration = {
            "FieldWells": {"BarChartAggregatedFieldWells": wells},
            "SortConfiguration": sorting,
            "Orientation": "HORIZONTAL" if spec["x"].endswith("node") else "VERTICAL",
            "BarsArrangement": "STACKED" if spec.get("stacked") else "CLUSTERED",
            "Legend": {"Visibility": "VISIBLE", "Position": "BOTTOM"},
        }
        return "BarChartVisual", configuration, {}

    def table(self):
        spec = self.spec
        wells = {"GroupBy": [self.dimension(column) for column in spec["by"]], "Values": self.measures()}
        configuration = {
            "FieldWells": {"TableAggregatedFieldWells": wells},
            "SortConfiguration": {"RowSort": self.order([*spec["by"], *spec["values"]])},
            "TotalOptions": {"TotalsVisibility": "VISIBLE" if spec.get("total") else "HIDDEN", "Placement": "END"},
        }
        more = {}
        if "colours" in spec:
            palette = self.dashboard.source["colours"]
            options = [
                self.cell(column, value, palette[mood])
                for column, moods in spec["colours"].items()
                for mood, value in moods.items()
            ]
            more = {"ConditionalFormatting": {"ConditionalFormattingOptions": options}}
        return "TableVisual", configuration, more

    def cell(self, column: str, value: str, colour: str) -> dict:
        colour = {"Solid": {"Expression": f'{{{self.data.column(column)}}} = "{value}"', "Color": colour}}
        return {"Cell": {"FieldId": self.field(column), "TextFormat": {"TextColor": colour}}}

    def heatmap(self):
        spec = self.spec
        wells = {
            "Rows": [self.dimension(spec["rows"])],
            "Columns": [self.dimension(spec["columns"])],
            "Values": [self.measure(spec["value"])],
        }
        by = {"FieldSort": {"FieldId": self.field(spec["columns"]), "Direction": "ASC"}}
        configuration = {
            "FieldWells": {"HeatMapAggregatedFieldWells": wells},
            "SortConfiguration": {"HeatMapColumnSort": [by]},
            "DataLabels": {"Visibility": "VISIBLE"},
        }
        return "HeatMapVisual", configuration, {}


# -------------------------------------------------------------------------------------------------------- the stack
OWN_DATA_SET = [
    "DescribeDataSet", "DescribeDataSetPermissions", "PassDataSet", "DescribeIngestion", "ListIngestions",
    "UpdateDataSet", "DeleteDataSet", "CreateIngestion", "CancelIngestion", "UpdateDataSetPermissions",
]  # fmt: skip
OWN_DASHBOARD = [
    "DescribeDashboard", "ListDashboardVersions", "QueryDashboard", "UpdateDashboard", "DeleteDashboard",
    "UpdateDashboardPermissions", "DescribeDashboardPermissions", "UpdateDashboardPublishedVersion",
]  # fmt: skip
READ_DASHBOARD = ["DescribeDashboard", "ListDashboardVersions", "QueryDashboard"]
NOTHING = {"Ref": "AWS::NoValue"}


def sub(text: str) -> dict:
    return {"Fn::Sub": text}


def attribute(resource: str) -> dict:
    return {"Fn::GetAtt": [resource, "Arn"]}


def allowed(principal: str, actions: list[str]) -> dict:
    return {"Principal": {"Ref": principal}, "Actions": [f"quicksight:{it}" for it in actions]}


def resource_id(id: str) -> str:
    return "".join(part.capitalize() for part in id.split("_")) + "DataSet"


def data_set_resource(id: str, properties: dict, condition: str | None = None) -> dict:
    head = {"Type": "AWS::QuickSight::DataSet", **({"Condition": condition} if condition else {})}
    named = {"AwsAccountId": {"Ref": "AWS::AccountId"}, "DataSetId": sub(f"${{MainStackName}}-{slug(id)}")}
    named["Name"] = sub(f"${{MainStackName}} {id.replace('_', ' ')}")
    permissions = {"Permissions": [allowed("OwnerArn", OWN_DATA_SET)]}
    return {resource_id(id): {**head, "Properties": {**named, **properties, **permissions}}}


def rules_resource(id: str, rules: dict, labels: dict) -> dict:
    query = {
        "DataSourceArn": attribute("DataSource"),
        "Name": id,
        "SqlQuery": sub(rules["sql"].replace("{database}", "${DatabaseName}")),
        "Columns": [{"Name": name, "Type": "STRING"} for name in rules["columns"]],
    }
    names = [labels.get(name, name.replace("_", " ").capitalize()) for name in rules["columns"]]
    transforms = [rename(old, new) for old, new in zip(rules["columns"], names, strict=True)]
    transforms.append({"ProjectOperation": {"ProjectedColumns": names}})
    logical = {"Alias": id, "Source": {"PhysicalTableId": "rules"}, "DataTransforms": transforms}
    maps = {"PhysicalTableMap": {"rules": {"CustomSql": query}}, "LogicalTableMap": {"named": logical}}
    return data_set_resource(id, {"ImportMode": "SPICE", "UseAs": "RLS_RULES", **maps}, "ByNode")


def restricted(data: DataSet, rules: dict) -> dict:
    """Only rows that a rule gives to the reader."""
    has_node = all(column in data.view.columns for column in NODE)
    (id,) = (id for id, it in rules.items() if it["node"] == has_node)
    given = {"Arn": attribute(resource_id(id)), "PermissionPolicy": "GRANT_ACCESS", "FormatVersion": "VERSION_1"}
    return {"RowLevelPermissionDataSet": {"Fn::If": ["ByNode", {**given, "Status": "ENABLED"}, NOTHING]}}


def stack(source: dict, dashboard: Dashboard) -> str:
    rules, sets = {}, {}
    for id, it in source["rules"].items():
        rules |= rules_resource(id, it, source["labels"])
    for id, data in dashboard.sets.items():
        maps = data.maps(attribute("DataSource"), {"Ref": "DatabaseName"})
        sets |= data_set_resource(id, {**maps, **restricted(data, source["rules"])})
    arns = {id: attribute(resource_id(id)) for id in dashboard.sets}
    readers = {"Fn::If": ["HasReaders", allowed("ReaderArn", READ_DASHBOARD), NOTHING]}
    made = {
        "Dashboard": {
            "Type": "AWS::QuickSight::Dashboard",
            "Properties": {
                "AwsAccountId": {"Ref": "AWS::AccountId"},
                "DashboardId": sub("${MainStackName}-dashboard"),
                "Name": source["name"],
                "VersionDescription": source["version"],
                "Permissions": [allowed("OwnerArn", OWN_DASHBOARD), readers],
                "DashboardPublishOptions": {
                    "AdHocFilteringOption": {"AvailabilityStatus": "DISABLED"},
                    "ExportToCSVOption": {"AvailabilityStatus": "ENABLED"},
                    "SheetControlsOption": {"VisibilityState": "EXPANDED"},
                },
                "ValidationStrategy": {"Mode": "STRICT"},
                "Definition": dashboard.definition(arns, {"Ref": "DefaultCurrency"}),
            },
        }
    }
    ids = ",".join(f"${{MainStackName}}-{slug(id)}" for id in dashboard.sets)
    rules_ids = ",".join(f"${{MainStackName}}-{slug(id)}" for id in source["rules"])
    output = {"Fn::If": ["ByNode", sub(f"{ids},{rules_ids}"), sub(ids)]}
    parts = {
        "rules": indented(rules, 2),
        "data sets": indented(sets, 2),
        "dashboard": indented(made, 2),
        "ids": indented({"Value": output}, 4),
    }
    text = (HERE / "stack.yaml").read_text("utf-8")
    for name, part in parts.items():
        marker = f"# GENERATED: {name}\n"
        assert text.count(marker) == 1, name
        text = text.replace(marker, part + ("" if name == "ids" else "\n"))
    return f"# Made by infra/dashboards/generate.py from the files beside it. Do not edit.\n{text}"


# ----------------------------------------------------------------------------------------------------------- cid-cmd
def cid(source: dict, dashboard: Dashboard) -> str:
    names = {id: f"finops_credits_{id}" for id in dashboard.sets}
    # Other ids than the stack's, but such that the main stack may refresh them, too.
    ids = {id: f"finops-credits-cid-{slug(id)}" for id in dashboard.sets}
    arns = {id: f"arn:aws:quicksight:::dataset/{it}" for id, it in ids.items()}
    wanted = [data.view.name for data in dashboard.sets.values()]
    views = {}
    while wanted:
        view = View(wanted.pop())
        wanted += [it for it in view.needs if it not in views]
        text = f'CREATE OR REPLACE VIEW "${{athena_database_name}}".{view.name} AS\n{view.query}\n'
        views[view.name] = {**({"dependsOn": {"views": view.needs}} if view.needs else {}), "data": text}
    texts = {name for data in dashboard.sets.values() for name, type in data.columns.items() if type == "varchar"}
    currency = {"default": "USD", "description": "the currency shown first", "global": True}
    resources = {
        "dashboards": {
            "FINOPS-CREDITS": {
                "name": source["name"],
                "dashboardId": source["dashboard_id"],
                "category": "Custom",
                "version": source["version"],
                "dependsOn": {"datasets": {name: id for id, name in names.items()}},
                # These have filters of their own, or none on purpose: cid-cmd is to add no others.
                "nonTaxonomyColumns": sorted(texts),
                "parameters": {"default_currency": currency},
                "data": dashboard.definition(arns, "${default_currency}"),
            }
        },
        "datasets": {
            names[id]: {
                "dependsOn": {"views": [data.view.name]},
                "data": {
                    "DataSetId": ids[id],
                    "Name": names[id],
                    **data.maps("${athena_datasource_arn}", "${athena_database_name}"),
                },
            }
            for id, data in dashboard.sets.items()
        },
        "views": dict(sorted(views.items())),
    }
    return f"# Made by generate.py. Do not edit. For cid-cmd: README.md says how.\n{indented(resources, 0)}"


# -------------------------------------------------------------------------------------------------------------- text
WIDTH = 104  # PyYAML breaks a line after it is full, not before.


class Dumper(yaml.SafeDumper):
    """Short: what fits on a line is on one; texts of many lines stay as they are."""

    def ignore_aliases(self, data):
        return True

    def represent_str(self, data):
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


Dumper.add_representer(str, Dumper.represent_str)


def indented(data: dict, by: int) -> str:
    text = yaml.dump(
        data, Dumper=Dumper, sort_keys=False, width=WIDTH - by, default_flow_style=None, allow_unicode=True
    )
    return "".join(f"{' ' * by}{line}\n" if line else "\n" for line in text.splitlines())


def generated() -> dict[Path, str]:
    source = yaml.safe_load((HERE / "dashboard.yaml").read_text("utf-8"))
    dashboard = Dashboard(source)
    return {STACK: stack(source, dashboard), CID: cid(source, dashboard)}


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        raise SystemExit(__doc__.strip())
    stale = [path.name for path, text in generated().items() if not path.exists() or path.read_text("utf-8") != text]
    if sys.argv[1:]:
        raise SystemExit(f"stale: {', '.join(stale)}; run {Path(__file__).name}" if stale else 0)
    for path, text in generated().items():
        path.write_text(text, "utf-8")
