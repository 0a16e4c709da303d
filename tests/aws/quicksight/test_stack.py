"""The template: what CloudFormation and the QuickSight API would say to it, and what they would not."""

import re
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest
import template
from botocore.validate import ParamValidator
from quicksight import DataSet
from sqlglot import parse_one

ATHENA = {"string": "varchar", "int": "bigint", "bigint": "bigint", "double": "double", "date": "date"}
API = botocore.session.get_session().get_service_model("quicksight")
NODE = {"Business unit", "Department", "Portfolio", "Product"}


def problems(operation: str, given: dict) -> str:
    return ParamValidator().validate(given, API.operation_model(operation).input_shape).generate_report()


def created(stack) -> list[tuple[str, str, dict]]:
    """Resource, API operation and its arguments, as CloudFormation would call it."""
    names = {"DataSource": "CreateDataSource", "DataSet": "CreateDataSet", "Dashboard": "CreateDashboard"}
    return [
        (id, operation, stack.properties(id))
        for kind, operation in names.items()
        for id in stack.of_type(f"AWS::QuickSight::{kind}")
        if "Condition" not in stack.resources[id] or stack.condition(stack.resources[id]["Condition"])
    ]


def test_cfn_lint_has_nothing_to_say(root):
    program = Path(sys.executable).parent / "cfn-lint"
    arguments = ["--non-zero-exit-code", "informational", str(root / "infra/quicksight.yaml")]
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_api_takes_every_resource(stack, open_stack):
    assert len(created(stack)) == 1 + 10 + 1 and len(created(open_stack)) == 1 + 8 + 1
    for id, operation, given in created(stack) + created(open_stack):
        assert problems(operation, given) == "", id


@pytest.mark.parametrize("wrong", [{"DataSetIdentifierDeclaration": []}, {"Sheets": [{"Visuals": [{"KPI": {}}]}]}])
def test_the_api_check_finds_what_is_wrong(stack, wrong):
    given = stack.properties("Dashboard")
    assert problems("CreateDashboard", {**given, "Definition": {**given["Definition"], **wrong}}) != ""


def test_columns_are_those_of_the_views(stack, glue_columns):
    views = {
        name: {column["Name"]: ATHENA.get(column["Type"], column["Type"]) for column in columns}
        for name, columns in glue_columns.items()
    }
    seen = set()
    for id, operation, given in created(stack):
        if operation != "CreateDataSet" or "UseAs" in given:
            continue
        data = DataSet(given)
        seen.add(data.table["Name"])
        assert data.inputs == views[data.table["Name"]], id
        subtypes = {it.get("SubType") for it in data.table["InputColumns"] if it["Type"] == "DECIMAL"}
        assert subtypes <= {"FLOAT"}, "SPICE would round to four decimals"
        assert (data.table["Catalog"], data.table["Schema"]) == ("AwsDataCatalog", "lake")
        assert given["ImportMode"] == "SPICE"
    assert seen | {"dashboard_net_cost_daily_view"} == {name for name in views if name.startswith("dashboard_")}


def test_every_data_set_reads_through_the_stacks_own_role(stack):
    for _, operation, given in created(stack):
        if operation == "CreateDataSet":
            assert DataSet(given).table["DataSourceArn"] == stack.arn("DataSource")
    source = stack.properties("DataSource")["DataSourceParameters"]["AthenaParameters"]
    assert source == {"WorkGroup": "finops-credits", "RoleArn": stack.arn("DataSourceRole")}
    role = stack.properties("DataSourceRole")
    assert role["ManagedPolicyArns"] == ["arn:aws:iam::123456789012:policy/reader"]
    (policy,) = role["Policies"]
    wide = [it["Action"] for it in policy["PolicyDocument"]["Statement"] if it["Resource"] == "*"]
    assert wide == [["athena:ListDataCatalogs", "athena:ListWorkGroups"]]
    reads = [it for it in policy["PolicyDocument"]["Statement"] if it["Action"] == "s3:GetObject"]
    assert [it["Resource"] for it in reads] == ["arn:aws:s3:::data-bucket/access/*"]


def test_the_main_stack_may_refresh_what_the_output_lists(stack, open_stack, root):
    main = template.Template(root / "infra/finops-credits.yaml")
    for given in (stack, open_stack):
        ids = given.resolve(given.raw["Outputs"]["DataSetIds"]["Value"]).split(",")
        assert sorted(ids) == sorted(it["DataSetId"] for _, op, it in created(given) if op == "CreateDataSet")
        text = (root / "infra/finops-credits.yaml").read_text()
        assert "dataset/${Ids}/ingestion/*" in text and '{Ids: !Sub "${AWS::StackName}-*"}' in text
        assert all(id.startswith("credits-") for id in ids)
    assert main.parameters["DataSetIds"] == ""
    # Its outputs are this stack's parameters.
    taken = {"DatabaseName", "WorkGroupName", "DataBucketName", "ReaderPolicyArn"}
    assert taken <= main.raw["Outputs"].keys() and taken <= stack.parameters.keys()


def test_nothing_is_refreshed_on_a_schedule_of_its_own(stack):
    assert not stack.of_type("AWS::QuickSight::RefreshSchedule")


def test_readers_may_look_and_owners_may_change(stack, open_stack):
    owner, reader = stack.parameters["OwnerArn"], stack.parameters["ReaderArn"]
    for given in (stack, open_stack):
        for id, operation, it in created(given):
            permissions = {one["Principal"]: one["Actions"] for one in it["Permissions"]}
            assert any(re.search(":(Update|Delete)", action) for action in permissions.pop(owner)), id
            if operation == "CreateDashboard" and given is stack:
                looks = {"DescribeDashboard", "ListDashboardVersions", "QueryDashboard"}
                assert permissions == {reader: permissions[reader]}
                assert set(permissions[reader]) == {f"quicksight:{action}" for action in looks}
            else:
                assert permissions == {}, id


# --- row-level security


def test_no_data_set_is_left_open_with_row_level_security(stack, data_sets):
    for id, operation, given in created(stack):
        if operation != "CreateDataSet" or given.get("UseAs") == "RLS_RULES":
            continue
        rule = given["RowLevelPermissionDataSet"]
        assert (rule["PermissionPolicy"], rule["Status"], rule["FormatVersion"]) == (
            "GRANT_ACCESS",
            "ENABLED",
            "VERSION_1",
        )
        rules = DataSet(data_sets[rule["Arn"]])
        assert rules.properties["UseAs"] == "RLS_RULES"
        # QuickSight wants these names, and every other column in the data set.
        compared = set(rules.columns) - {"UserName", "GroupName"}
        assert {"UserName", "GroupName"} <= set(rules.columns) and compared <= set(DataSet(given).columns), id
        assert compared == (NODE if NODE <= set(DataSet(given).columns) else {"Currency"}), id


def test_without_row_level_security_there_are_no_rules(open_stack):
    given = [it for _, operation, it in created(open_stack) if operation == "CreateDataSet"]
    assert not any("RowLevelPermissionDataSet" in it or "UseAs" in it for it in given)


def test_the_table_of_rules_reads_what_people_put(stack):
    table = stack.properties("AccessTable")["TableInput"]
    assert table["StorageDescriptor"]["Location"] == "s3://data-bucket/access/"
    assert table["Parameters"]["skip.header.line.count"] == "1"


@pytest.fixture
def rules(stack, data_sets, connection):
    """Rules by data set, of lines as they stand in the file: OpenCSVSerde gives empty text, or null at a line's end."""
    columns = [it["Name"] for it in stack.properties("AccessTable")["TableInput"]["StorageDescriptor"]["Columns"]]
    sets = [DataSet(given) for given in data_sets.values() if given.get("UseAs") == "RLS_RULES"]
    connection.execute("CREATE SCHEMA lake")
    connection.execute(f"CREATE TABLE lake.dashboard_access ({', '.join(f'{it} varchar' for it in columns)})")

    def made(*lines: tuple) -> dict[str, list[tuple]]:
        connection.executemany("INSERT INTO lake.dashboard_access VALUES (?, ?, ?, ?, ?, ?)", lines)
        found = {}
        for it in sets:
            result = connection.execute(parse_one(it.table["SqlQuery"], read="athena").sql("duckdb"))
            assert [column[0] for column in result.description] == list(it.inputs)
            found[it.properties["DataSetId"]] = sorted(result.fetchall(), key=str)
        return found

    yield made
    connection.execute("DROP SCHEMA lake CASCADE")


def test_rules_give_nodes_and_only_who_sees_all_nodes_sees_totals(rules):
    made = rules(
        ("ann", "", "Retail", "Online", "", ""),
        ("bob ", "", "Media", None, None, None),
        ("", "finance", "", "", "", ""),
        ("", "", "", "", "", ""),
        (None, None, None, None, None, None),
    )
    assert made == {
        "credits-access": [
            ("ann", None, "Retail", "Online", None, None),
            ("bob", None, "Media", None, None, None),
            (None, "finance", None, None, None, None),
        ],
        "credits-access-to-totals": [(None, "finance", None)],
    }


def test_without_a_line_nobody_sees_anything(rules):
    assert rules(("", "", "", "", "", "")) == {"credits-access": [], "credits-access-to-totals": []}
