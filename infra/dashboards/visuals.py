"""One visual of a sheet, from its lines in dashboard.yaml."""

from html import escape


class Visual:
    KINDS = ("kpi", "waterfall", "line", "bar", "table", "heatmap")

    def __init__(self, dashboard, sheet: dict, spec: dict):
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
