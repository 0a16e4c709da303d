#!/usr/bin/env python3
"""Makes the QuickSight stack and the resources for cid-cmd from dashboard.yaml, stack.yaml and the Athena views.

    infra/dashboards/generate.py            writes ../quicksight.yaml and finops-credits.yaml
    infra/dashboards/generate.py --check    fails if they are not what it would write

Needs PyYAML. What it makes depends on nothing but those files; ids come from the ids in dashboard.yaml.
"""

import sys
from html import escape
from pathlib import Path

import yaml

from data_sets import DAY, MONEY, NODE, DataSet, View, rename, slug
from visuals import Visual

HERE = Path(__file__).resolve().parent
STACK, CID = HERE.parent / "quicksight.yaml", HERE / "finops-credits.yaml"

GRID = 36


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
