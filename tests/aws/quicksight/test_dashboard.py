"""The definition refers to what exists, and says what it shows."""

import re
from xml.etree import ElementTree

import pytest
from quicksight import in_sql

SHEETS = "executive queue burn-down expiry budget earned reconciliation about".split()
MUST_CHOOSE = {"Currency": "Currency", "Month": "Month", "BudgetLevel": "Budget level"}
# Figures that hold for one month only, by data set: at a month's end, or of a level that contains the others.
MONEY_BY_MONTH = {"overview": {"Remaining"}, "burn_down": {"Remaining", "Opening"}}


def every(value, key: str):
    """All values of a key, wherever it stands."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for it in value.values():
            yield from every(it, key)
    if isinstance(value, list):
        for it in value:
            yield from every(it, key)


def text(rich: str) -> str:
    return "".join(ElementTree.fromstring(rich).itertext())


def test_sheets(dashboard):
    assert list(dashboard.sheets) == SHEETS
    assert all(it["Name"] and (it.get("Visuals") or it.get("TextBoxes")) for it in dashboard.sheets.values())


def test_ids_are_unique_and_readable(dashboard):
    definition = dashboard.definition
    ids = [
        *every(definition, "SheetId"), *every(definition, "FilterGroupId"), *every(definition, "FilterId"),
        *every(definition, "ParameterControlId"), *every(definition, "VisualId"), *every(definition, "SheetTextBoxId"),
    ]  # fmt: skip
    scopes = [*every(definition["FilterGroups"], "SheetId")]
    for id in scopes:
        ids.remove(id)
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", id) for id in ids)
    fields = [field.id for visual in dashboard.visuals for field in dashboard.fields(visual)]
    assert len(fields) == len(set(fields))


def test_every_data_set_is_declared_and_used(dashboard):
    used = set(every(dashboard.definition["Sheets"], "DataSetIdentifier"))
    assert used == set(dashboard.data_sets)
    assert set(every(dashboard.definition, "DataSetIdentifier")) == used


def test_every_column_exists(dashboard):
    columns = [*every(dashboard.definition, "Column"), *every(dashboard.definition, "SortBy")]
    columns += [*every(dashboard.definition, "LinkToDataSetColumn")]
    assert len(columns) > 200
    for it in columns:
        known = dashboard.data_sets[it["DataSetIdentifier"]].columns
        name = (it["DataSetIdentifier"], it["ColumnName"])
        assert it["ColumnName"] in known or name in dashboard.calculated, name


def test_fields_fit_their_columns(dashboard):
    fits = {
        "CategoricalDimensionField": {"varchar"}, "NumericalDimensionField": {"bigint"}, "DateDimensionField": {"date"},
        "NumericalMeasureField": {"double", "bigint"}, "CategoricalMeasureField": {"varchar"},
        "DateMeasureField": {"date"},
    }  # fmt: skip
    for visual in dashboard.visuals:
        for field in dashboard.fields(visual):
            assert dashboard.data_sets[field.data_set].columns[field.column] in fits[field.kind], field


def test_sorts_and_colours_refer_to_fields_and_columns_that_are_shown(dashboard):
    for id, visual in dashboard.visuals.items():
        shown = {field.id for field in dashboard.fields(id)}
        assert set(every(visual, "FieldId")) <= shown, id
        labels = {field.column for field in dashboard.fields(id)}
        for expression in every(visual.get("ConditionalFormatting", {}), "Expression"):
            assert set(re.findall(r"\{([^}]+)\}", expression)) <= labels, expression


def test_parameters_are_declared_and_used(dashboard):
    definition = dashboard.definition
    named = {*every(definition, "SourceParameterName"), *every(definition["FilterGroups"], "ParameterName")}
    in_text = [*every(definition, "RichText"), *(it["Expression"] for it in definition["CalculatedFields"])]
    in_text = {name for it in in_text for name in re.findall(r"\$\{(\w+)\}", it)}
    assert named | in_text == set(dashboard.parameters)
    # What a title shows and a comparison needs must have a value.
    for name in in_text:
        it = dashboard.parameters[name]
        assert it["ParameterValueType"] == "SINGLE_VALUED" and len(it["DefaultValues"]["StaticValues"]) == 1, name
        assert it["ValueWhenUnset"] == {"ValueWhenUnsetOption": "RECOMMENDED_VALUE"}, name


def test_filters_are_of_visuals_that_exist(dashboard):
    scopes = [*every(dashboard.definition["FilterGroups"], "SheetVisualScopingConfigurations")]
    for it in (it for scope in scopes for it in scope):
        assert it["Scope"] == "SELECTED_VISUALS" and it["VisualIds"]
        assert all(dashboard.visuals[visual]["sheet"] == it["SheetId"] for visual in it["VisualIds"])
    for group in dashboard.definition["FilterGroups"]:
        (data_set,) = set(every(group, "DataSetIdentifier"))
        visuals = [visual for it in every(group, "VisualIds") for visual in it]
        assert {dashboard.data_set(visual) for visual in visuals} == {data_set}, group["FilterGroupId"]


def test_everything_has_its_place(dashboard):
    for sheet in dashboard.sheets.values():
        grid = sheet["Layouts"][0]["Configuration"]["GridLayout"]["Elements"]
        things = [*every(sheet.get("Visuals", []), "VisualId"), *every(sheet.get("TextBoxes", []), "SheetTextBoxId")]
        assert [it["ElementId"] for it in grid] == things
        taken = [
            (column, row)
            for it in grid
            for column in range(it["ColumnIndex"], it["ColumnIndex"] + it["ColumnSpan"])
            for row in range(it["RowIndex"], it["RowIndex"] + it["RowSpan"])
        ]
        assert len(taken) == len(set(taken)), "visuals lie upon each other"
        assert max(column for column, _ in taken) == 35, "the grid has 36 columns, and a row should fill them"
        controls = [*every(sheet.get("ParameterControls", []), "ParameterControlId")]
        assert [*every(sheet.get("SheetControlLayouts", []), "ElementId")] == controls


def test_every_visual_has_a_title_of_its_own_on_its_sheet(dashboard):
    titles = [(it["sheet"], text(it["Title"]["FormatText"]["RichText"])) for it in dashboard.visuals.values()]
    assert len(titles) == len(set(titles)) and all(title.strip() for _, title in titles)
    assert all(it["Title"]["Visibility"] == "VISIBLE" for it in dashboard.visuals.values())
    jargon = re.compile(r"_|\bNULL\b")
    names = [name for data in dashboard.data_sets.values() for name in data.columns]
    assert not [it for it in [*(title for _, title in titles), *names] if jargon.search(it)]


# --- money


def test_money_is_formatted_in_one_way(dashboard):
    formats = {
        (it["Column"]["DataSetIdentifier"], it["Column"]["ColumnName"]): it.get("FormatConfiguration")
        for it in dashboard.definition["ColumnConfigurations"]
    }
    money = {
        (id, name)
        for id, data in dashboard.data_sets.items()
        for name, type in data.columns.items()
        if type == "double"
    }
    assert len(money) > 30
    for column in money:
        number = formats[column]["NumberFormatConfiguration"]["FormatConfiguration"]["NumberDisplayFormatConfiguration"]
        assert number["DecimalPlacesConfiguration"] == {"DecimalPlaces": 2}
        assert number["SeparatorConfiguration"]["ThousandsSeparator"]["Visibility"] == "VISIBLE"
        assert number["NegativeValueConfiguration"] == {"DisplayMode": "NEGATIVE"} and number["NumberScale"] == "NONE"
    # A symbol would be the same for every currency. And nothing may undo the format.
    assert not [*every(dashboard.definition, "CurrencyDisplayFormatConfiguration")]
    assert not [
        field
        for visual in dashboard.visuals
        for field in dashboard.money(visual)
        if "FormatConfiguration" in field.spec
    ]


def test_titles_say_the_currency_where_there_is_money(dashboard):
    for id, visual in dashboard.visuals.items():
        says = "<parameter>${Currency}</parameter>" in visual["Title"]["FormatText"]["RichText"]
        assert says == bool(dashboard.money(id)), id


def test_every_sheet_with_money_has_one_currency_at_a_time(dashboard):
    with_money = {dashboard.visuals[id]["sheet"] for id in dashboard.visuals if dashboard.money(id)}
    assert with_money == set(SHEETS) - {"about"}
    for id in with_money:
        controls = [it["Dropdown"] for it in dashboard.sheets[id]["ParameterControls"]]
        (control,) = (it for it in controls if it["SourceParameterName"] == "Currency")
        assert control["Type"] == "SINGLE_SELECT"
        assert control["DisplayOptions"]["SelectAllOptions"] == {"Visibility": "HIDDEN"}


def comparisons(dashboard, visual: str) -> set[str]:
    """Parameters that the visual's rows are compared with, in calculated fields that must say yes."""
    found = set()
    for it in dashboard.filters(visual):
        column = (it["Column"]["DataSetIdentifier"], it["Column"]["ColumnName"])
        if column in dashboard.calculated:
            assert it["Configuration"]["FilterListConfiguration"]["CategoryValues"] == ["yes"]
            found |= set(re.findall(r"\$\{(\w+)\}", dashboard.calculated[column]["Expression"]))
    return found


def test_no_visual_adds_up_currencies_levels_or_months_ends(dashboard):
    for id in dashboard.visuals:
        money = {field.column for field in dashboard.money(id)}
        data_set, compared = dashboard.data_set(id), comparisons(dashboard, id)
        if money:
            assert "Currency" in compared, id
        if "Budget level" in dashboard.data_sets[data_set].columns:
            assert "BudgetLevel" in compared, id
        if money & MONEY_BY_MONTH.get(data_set, set()) and "Month" not in compared:
            months = [it for it in dashboard.fields(id) if it.spec.get("DateGranularity") == "MONTH"]
            assert months, f"{id}: neither one month nor by month"


def test_what_is_compared_can_be_chosen_on_the_sheet(dashboard):
    for id, visual in dashboard.visuals.items():
        on_sheet = {*every(dashboard.sheets[visual["sheet"]], "SourceParameterName")}
        assert comparisons(dashboard, id) <= on_sheet, id


def test_a_choice_has_the_values_of_a_column(dashboard):
    for sheet in dashboard.sheets.values():
        for it in (it["Dropdown"] for it in sheet.get("ParameterControls", [])):
            many = it["SourceParameterName"] not in MUST_CHOOSE
            assert it["Type"] == ("MULTI_SELECT" if many else "SINGLE_SELECT")
            column = it["SelectableValues"]["LinkToDataSetColumn"]["ColumnName"]
            assert column == MUST_CHOOSE.get(it["SourceParameterName"], "Business unit")


def test_business_units_can_be_chosen_wherever_rows_have_one(dashboard):
    for id in dashboard.visuals:
        by_unit = [it for it in dashboard.filters(id) if "CustomFilterConfiguration" in it["Configuration"]]
        has_unit = "Business unit" in dashboard.data_sets[dashboard.data_set(id)].columns
        assert [it["Column"]["ColumnName"] for it in by_unit] == (["Business unit"] if has_unit else []), id


# --- nothing is computed in the dashboard


def test_calculated_fields_only_compare(dashboard):
    """in_sql knows columns, constants, comparisons and ifelse, and refuses sums, quotients and the rest."""
    for data_set, name in dashboard.calculated:
        assert dashboard.expression(data_set, name, dashboard.defaults())
        assert name.removesuffix(" chosen") in MUST_CHOOSE


@pytest.mark.parametrize(
    "expression", ["{Invoiced} - {Net cost}", "sum({Invoiced})", "{Used} / {Issued}", "{a} = {b} / 2"]
)
def test_arithmetic_would_be_refused(expression):
    columns = dict.fromkeys(["Invoiced", "Net cost", "Used", "Issued", "a", "b"])
    with pytest.raises(AssertionError):
        in_sql(expression, columns, {})


def test_the_tie_out_is_shown_and_not_computed(dashboard):
    assert not any(
        data_set == "reconciliation" and name != "Currency chosen" for data_set, name in dashboard.calculated
    )
    (flags,) = every(
        dashboard.visuals["reconciliation-months"]["ConditionalFormatting"], "ConditionalFormattingOptions"
    )
    solid = [it["Cell"]["TextFormat"]["TextColor"]["Solid"] for it in flags]
    assert [it["Expression"] for it in solid] == ['{Tie-out} = "ties out"', '{Tie-out} = "does not tie out"']
    (options,) = every(
        dashboard.visuals["reconciliation-failures"]["ConditionalFormatting"], "ConditionalFormattingOptions"
    )
    total = [it["PrimaryValue"]["TextColor"]["Solid"] for it in options]
    failures = "SUM({Months that do not tie out})"
    assert [it["Expression"] for it in total] == [f"{failures} > 0", f"{failures} = 0"]
    # Red and green, and the same ones.
    assert total[0]["Color"] == solid[1]["Color"] and total[1]["Color"] == solid[0]["Color"] != solid[1]["Color"]
    # A month that fails in another currency is not hidden by the choice of one.
    assert dashboard.filters("reconciliation-failures") == []


def test_waterfall_adds_no_step_for_its_total(dashboard):
    chart = dashboard.visuals["executive-waterfall"]["ChartConfiguration"]
    assert chart["WaterfallChartOptions"] == {"TotalBarLabel": "Net cost"}
    (order,) = every(chart, "ColumnSort")
    assert (order["SortBy"]["ColumnName"], order["Direction"]) == ("Step order", "ASC")
