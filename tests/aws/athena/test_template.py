"""What the template installs is what Athena takes for a view with the declared columns."""

import pytest
from sqlglot import exp, parse_one

import athena_sql
from files import ROOT, original_text, template, templates_views, view_files

VIEWS = {view.name: view for view in view_files()}
HIVE = {"varchar": "string", "integer": "int"}
RESOURCES = template()["Resources"]
views = pytest.mark.parametrize("name", sorted(VIEWS))


def table_input(name: str) -> dict:
    (properties,) = (
        resource["Properties"]
        for resource in RESOURCES.values()
        if resource["Properties"]["TableInput"]["Name"] == name
    )
    return properties["TableInput"]


def test_it_installs_every_view_once_into_the_database_it_is_given():
    assert sorted(resource["Properties"]["TableInput"]["Name"] for resource in RESOURCES.values()) == sorted(VIEWS)
    assert all(resource["Properties"]["DatabaseName"] == {"Ref": "Database"} for resource in RESOURCES.values())
    assert template()["Parameters"]["Database"]["Default"] == "finops_credits"


@views
def test_a_views_text_holds_the_query_of_its_file_and_its_columns(name):
    view = templates_views("another_database")[name]
    assert view.keys() == {"originalSql", "catalog", "schema", "columns"}
    assert (view["catalog"], view["schema"]) == ("awsdatacatalog", "another_database")
    head, query = VIEWS[name].text.split("\n" + view["originalSql"], 1)
    assert query == "\n" and all(line.startswith("--") for line in head.splitlines())
    assert {column["name"]: column["type"] for column in view["columns"]} == VIEWS[name].columns


@views
def test_glue_sees_the_same_columns_in_its_own_types(name):
    columns = {column["Name"]: column["Type"] for column in table_input(name)["StorageDescriptor"]["Columns"]}
    assert columns == {column: HIVE.get(kind, kind) for column, kind in VIEWS[name].columns.items()}


@views
def test_a_view_is_marked_as_one_of_athena(name):
    table = table_input(name)
    assert table["TableType"] == "VIRTUAL_VIEW"
    assert table["Parameters"] == {"presto_view": "true", "comment": "Presto View"}
    assert table["ViewExpandedText"] == "/* Presto View */"
    assert original_text(table["ViewOriginalText"], "db").startswith("/* Presto View: ey")


@views
def test_tables_of_a_view_are_looked_up_in_its_own_database(name, schema):
    assert athena_sql.tables(VIEWS[name].text) <= schema.keys()
    query = parse_one(VIEWS[name].text, read="athena")
    assert [table.sql() for table in query.find_all(exp.Table) if table.db] == []


def test_cloudformation_takes_the_template_from_a_bucket():
    assert (ROOT / "infra/views.yaml").stat().st_size < 1_000_000, "the limit of a template in S3 is 1 MB"
