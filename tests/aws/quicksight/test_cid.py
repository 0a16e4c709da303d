"""cid-cmd itself deploys the resources, on an AWS that checks every request and answers it."""

import copy

import botocore.client
import pytest
from cid.common import Cid
from cid.helpers.quicksight.definition import Definition
from cid.utils import set_parameters
from fake_cid_aws import DATABASE, OWNER, REGION, Aws
from files import templates_views
from sqlglot import parse_one


@pytest.fixture(scope="module")
def deployed(root, tmp_path_factory, glue_columns):
    """The account after `cid-cmd deploy`."""
    aws, folder = Aws(glue_columns), tmp_path_factory.mktemp("cid")
    (folder / "catalog.yaml").write_text("Resources: []\n")  # Instead of the one in the internet.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", aws.answer_as_method())
        patch.setattr(Cid, "track", lambda *_: None)
        patch.chdir(folder)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        cid = Cid(log_filename=str(folder / "cid.log"))
        set_parameters(
            {
                "catalog": str(folder / "catalog.yaml"),
                "resources": str(root / "infra/dashboards/finops-credits.yaml"),
                "dashboard-id": "finops-credits",
                "athena-database": DATABASE,
                "athena-workgroup": "credits",
                "quicksight-datasource-id": "credits-athena",
                "quicksight-user": "ann",
                "default-currency": "EUR",
                "share-with-account": "no",
            },
            all_yes=True,
        )
        cid.deploy()
    return aws


def test_it_deploys_the_dashboard_with_its_data_sets(deployed, resources):
    assert list(deployed.dashboards) == ["finops-credits"]
    assert sorted(it["Name"] for it in deployed.data_sets.values()) == sorted(resources["datasets"])
    # The main stack may refresh data sets with ids like these.
    assert all(id.startswith("finops-credits-") for id in deployed.data_sets)
    for it in [*deployed.data_sets.values(), *deployed.dashboards.values()]:
        assert [one["Principal"] for one in it["Permissions"]] == [OWNER]


def test_its_views_are_those_of_the_stack(deployed):
    stack = templates_views(DATABASE)
    assert {name for name in deployed.views if name.startswith("dashboard_")} == {
        name for name in stack if name.startswith("dashboard_") and name != "dashboard_net_cost_daily_view"
    }
    for name, statement in deployed.views.items():
        assert "$" not in statement and "--" not in statement
        made = parse_one(statement, read="athena")
        assert made.expression == parse_one(stack[name]["originalSql"], read="athena"), name


def test_its_data_sets_are_those_of_the_stack(deployed, stack, data_sets):
    shared = {it["DataSetId"].removeprefix("credits-"): it for it in data_sets.values()}
    for id, made in deployed.data_sets.items():
        expected = copy.deepcopy(shared[id.removeprefix("finops-credits-cid-")])
        table = expected["PhysicalTableMap"]["view"]["RelationalTable"]
        assert table["DataSourceArn"] == stack.arn("DataSource")
        table["DataSourceArn"] = deployed.source()["Arn"]
        for part in ("PhysicalTableMap", "LogicalTableMap", "ImportMode"):
            assert made[part] == expected[part], (id, part)


def test_its_dashboard_is_that_of_the_stack(deployed, stack):
    (made,) = deployed.dashboards.values()
    expected = copy.deepcopy(stack.properties("Dashboard"))
    assert made["Name"] == expected["Name"]
    definition = expected["Definition"]
    for it in definition["DataSetIdentifierDeclarations"]:
        id = it["DataSetArn"].rsplit("/credits-", 1)[1]
        it["DataSetArn"] = deployed.data_sets[f"finops-credits-cid-{id}"]["Arn"]
    (currency,) = (
        it["StringParameterDeclaration"]
        for it in definition["ParameterDeclarations"]
        if it["StringParameterDeclaration"]["Name"] == "Currency"
    )
    assert currency["DefaultValues"] == {"StaticValues": ["USD"]}
    currency["DefaultValues"] = {"StaticValues": ["EUR"]}  # As asked for.
    declared = [sorted(it.pop("DataSetIdentifierDeclarations"), key=str) for it in (definition, made["Definition"])]
    assert declared[0] == declared[1]
    assert made["Definition"] == definition


def test_it_finds_the_version(resources):
    (dashboard,) = resources["dashboards"].values()
    assert str(Definition(dashboard["data"]).cid_version) == dashboard["version"]


def test_it_asks_for_no_filters_of_its_own(resources):
    """cid-cmd offers columns that all data sets share as filters. Ours are filtered on purpose."""
    (dashboard,) = resources["dashboards"].values()
    columns = [
        {
            name
            for it in logical["DataTransforms"]
            for name in it.get("ProjectOperation", {}).get("ProjectedColumns", [])
        }
        for data_set in resources["datasets"].values()
        for logical in data_set["data"]["LogicalTableMap"].values()
    ]
    assert len(columns) == 8 and set.intersection(*columns) <= set(dashboard["nonTaxonomyColumns"])
