"""The shipped stack and resources, and the sample organisation behind them."""

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(HERE.parent / "athena"), str(HERE.parent / "infra")]

import template  # noqa: E402
from files import Template as ViewsTemplate  # noqa: E402
from quicksight import Dashboard  # noqa: E402

GIVEN = {
    "MainStackName": "credits",
    "DatabaseName": "lake",
    "DataBucketName": "data-bucket",
    "ReaderPolicyArn": "arn:aws:iam::123456789012:policy/reader",
    "OwnerArn": "arn:aws:quicksight:eu-west-1:123456789012:group/default/owners",
    "ReaderArn": "arn:aws:quicksight:eu-west-1:123456789012:group/default/readers",
    "RowLevelSecurity": "ENABLED",
}
for kind, id in (("DataSource", "DataSourceId"), ("DataSet", "DataSetId"), ("Dashboard", "DashboardId")):
    template.NAMED[f"AWS::QuickSight::{kind}"] = lambda _, it, id=id: it[id]
    arn = f"arn:aws:quicksight:{template.REGION}:{template.ACCOUNT}:{kind.lower()}/{{name}}"
    template.ARNS[f"AWS::QuickSight::{kind}"] = arn


def athena():
    """The Athena tests' way to publish a lake and to open it with its views."""
    spec = importlib.util.spec_from_file_location("athena_lake", HERE.parent / "athena/conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LAKE = athena()
schema, views, lake, connection, scratch = LAKE.schema, LAKE.views, LAKE.lake, LAKE.connection, LAKE.scratch


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def stack() -> template.Template:
    return template.Template(ROOT / "infra/quicksight.yaml", **GIVEN)


@pytest.fixture(scope="session")
def open_stack() -> template.Template:
    """Without row-level security and readers."""
    given = {**GIVEN, "RowLevelSecurity": "DISABLED", "ReaderArn": ""}
    return template.Template(ROOT / "infra/quicksight.yaml", **given)


@pytest.fixture(scope="session")
def data_sets(stack) -> dict[str, dict]:
    """Properties by ARN."""
    ids = stack.of_type("AWS::QuickSight::DataSet")
    return {stack.arn(id): stack.properties(id) for id in ids}


@pytest.fixture(scope="session")
def dashboard(stack, data_sets) -> Dashboard:
    return Dashboard(stack.properties("Dashboard")["Definition"], data_sets)


@pytest.fixture(scope="session")
def resources() -> dict:
    """What cid-cmd loads."""
    return yaml.safe_load((ROOT / "infra/dashboards/finops-credits.yaml").read_text("utf-8"))


@pytest.fixture(scope="session")
def glue_columns(root) -> dict[str, list[dict]]:
    """Columns by view as infra/views.yaml declares them; other code makes that file."""
    installed = yaml.load((root / "infra/views.yaml").read_text("utf-8"), ViewsTemplate)["Resources"].values()
    tables = [resource["Properties"]["TableInput"] for resource in installed]
    return {it["Name"]: it["StorageDescriptor"]["Columns"] for it in tables}


@pytest.fixture(scope="session")
def imported(connection, dashboard):
    """The sample, and in the schema `spice` every data set as QuickSight imports it, by the dashboard's name for it."""
    connection.execute("CREATE SCHEMA spice")
    for name, data in dashboard.data_sets.items():
        connection.execute(f"CREATE VIEW spice.{name} AS SELECT {data.select} FROM {data.table['Name']}")
    return connection
