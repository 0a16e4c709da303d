"""business-unit.yaml: analysts of one business unit see its rows, of every table that has some, and nothing else."""

import re
import sqlite3

import pytest
from template import ACCOUNT, REGION, listed, statements

NAME = "business-unit.yaml"
CATALOGUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
RESULTS = "arn:aws:s3:::databucket/athena-results/business-units/finops_credits_retail/*"
ANALYSTS = f"arn:aws:iam::{ACCOUNT}:role/finops/retail-analysts"


@pytest.fixture(scope="session")
def unit(deploy):
    return deploy(NAME)


def columns(root) -> dict[str, list[str]]:
    """Of every table of the schema, logs too."""
    return {path.stem: re.findall(r"^  `(\w+)` ", path.read_text(), re.M)
            for path in (root / "schemas/generated/athena").glob("*.sql")}


def views(template) -> dict[str, dict]:
    found = [template.properties(id) for id in template.of_type("AWS::Glue::Table")]
    assert all(it["DatabaseName"] == "finops_credits_retail" and it["CatalogId"] == ACCOUNT for it in found)
    return {it["TableInput"]["Name"]: it["TableInput"] for it in found}


def statement(view: dict) -> str:
    (representation,) = view["ViewDefinition"]["Representations"]
    assert (representation["Dialect"], representation["DialectVersion"]) == ("ATHENA", "3")
    return representation["ViewOriginalText"]


def allowed(template, holder: str) -> set[tuple[str, str]]:
    return {(action, resource) for found, it in statements(template) if found == holder
            for action in listed(it["Action"]) for resource in listed(it["Resource"])}


def grants(template, who: str) -> set[tuple[str, str, str, str]]:
    """Database, table, permission, and whether it may be handed on."""
    found = set()
    for id in template.of_type("AWS::LakeFormation::PrincipalPermissions"):
        grant = template.properties(id)
        if grant["Principal"]["DataLakePrincipalIdentifier"] != who:
            continue
        (kind, on), = grant["Resource"].items()
        database, table = (on["Name"], "") if kind == "Database" else (on["DatabaseName"], on.get("Name", "*"))
        assert kind in ("Database", "Table") and on["CatalogId"] == ACCOUNT and (table != "*" or on["TableWildcard"] == {})
        found |= {(database, table, it, "may grant" if it in grant["PermissionsWithGrantOption"] else "")
                  for it in grant["Permissions"]}
        assert set(grant["PermissionsWithGrantOption"]) <= set(grant["Permissions"])
    return found


# ------------------------------------------------------------------------------------------------------------ tables
def test_every_table_of_the_schema_is_shown_by_rows_or_not_at_all(unit, root):
    """A new table fails here until somebody decides: a view, if it is published and has a business unit, else nothing."""
    decided, of_schema = unit.raw["Metadata"]["Tables"], columns(root)
    assert sorted([*decided["Rows"], *decided["Nothing"]]) == sorted(of_schema)
    with_unit = {name for name, its in of_schema.items() if "business_unit" in its and not name.endswith("_log")}
    assert set(decided["Rows"]) == with_unit and len(with_unit) == 5
    assert views(unit).keys() == with_unit


def test_a_view_has_every_column_of_its_table_and_takes_them_from_there(unit, root):
    for name, view in views(unit).items():
        select, source = re.fullmatch(r'SELECT (.+) FROM "finops_credits"\."(\w+)" WHERE .+', statement(view)).groups()
        assert source == name and set(select.split(", ")) == set(columns(root)[name]), name
        assert view["ViewDefinition"]["SubObjects"] == [f"{CATALOGUE}:table/finops_credits/{name}"]


# -------------------------------------------------------------------------------------------------------------- rows
# A name as it is given, and as it stands in the tables. Others that are there must never be shown for it.
UNITS = {
    "Retail": "Retail", "R&D": "R&D", "O''Neill": "O'Neill", "Köln / Süd": "Köln / Süd", "C:\\": "C:\\",
    "${DatabaseName}": "${DatabaseName}", '" OR 1=1 --': '" OR 1=1 --', "'' OR ''1''=''1": "' OR '1'='1", "%": "%",
    "retail": "retail", "Retail / Online": "Retail / Online",
}


@pytest.mark.parametrize("given", UNITS)
def test_a_view_shows_the_rows_of_its_business_unit_and_no_other(deploy, root, given):
    template = deploy(NAME, BusinessUnit=given)
    database = sqlite3.connect(":memory:")
    database.execute("ATTACH ':memory:' AS finops_credits")
    for name, view in views(template).items():
        its = columns(root)[name]
        database.execute(f'CREATE TABLE finops_credits."{name}" ({", ".join(its)})')
        for place in (None, *UNITS.values()):
            row = [place if column == "business_unit" else column for column in its]
            database.execute(f'INSERT INTO finops_credits."{name}" VALUES ({", ".join("?" * len(its))})', row)
        answer = database.execute(statement(view))
        at = [it[0] for it in answer.description].index("business_unit")
        assert [row[at] for row in answer] == [UNITS[given]], name


def test_names_that_would_end_the_text_in_a_view_are_refused(unit):
    pattern = unit.raw["Parameters"]["BusinessUnit"]["AllowedPattern"]
    assert all(re.fullmatch(pattern, name) for name in UNITS)
    refused = ["", "'", "O'Neill", "x' OR 'a'='a", "'''", "a'''b", "x' --", "a\nb", "a\x00"]
    assert not any(re.fullmatch(pattern, name) for name in refused)


def test_views_have_the_rights_of_their_owner_and_hide_what_they_leave_out(unit):
    """Glue refuses a storage descriptor and an expanded text where Athena checks the view."""
    for view in views(unit).values():
        assert view.keys() == {"Name", "TableType", "ViewDefinition"} and view["TableType"] == "VIRTUAL_VIEW"
        definition = view["ViewDefinition"]
        assert definition["IsProtected"] is True and definition["Definer"] == unit.arn("ViewOwnerRole")
        assert definition["Representations"][0].keys() == {
            "Dialect", "DialectVersion", "ValidationConnection", "ViewOriginalText"}
        assert definition["Representations"][0]["ValidationConnection"] == "finops_credits_retail"
    connection = unit.properties("ViewCheck")["ConnectionInput"]
    assert (connection["ConnectionType"], connection["ConnectionProperties"]) == (
        "VIEW_VALIDATION_ATHENA", {"WORKGROUP_NAME": "finops_credits_retail"})


# ------------------------------------------------------------------------------------------------------------- owner
def test_the_owner_of_the_views_can_be_taken_by_nobody_but_the_services_that_answer(unit):
    role = unit.properties("ViewOwnerRole")
    assert role["AssumeRolePolicyDocument"]["Statement"] == [{
        "Effect": "Allow", "Principal": {"Service": ["glue.amazonaws.com", "lakeformation.amazonaws.com"]},
        "Action": "sts:AssumeRole"}]
    assert not {"Policies", "ManagedPolicyArns"} & role.keys() and unit.of_type("AWS::IAM::Role") == ["ViewOwnerRole"]
    assert unit.properties("ViewOwnerPolicy")["Roles"] == [unit.arn("ViewOwnerRole")]
    assert "Roles" not in unit.properties("AnalystsPolicy")
    (passing,) = [it for _, it in statements(unit) if "iam:PassRole" in listed(it["Action"])]
    assert passing["Resource"] == unit.arn("ViewOwnerRole") and passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": ["glue.amazonaws.com", "lakeformation.amazonaws.com"]}}


def test_the_owner_reads_the_tables_that_views_show_and_no_other(unit):
    shown = set(unit.raw["Metadata"]["Tables"]["Rows"])
    found = grants(unit, unit.arn("ViewOwnerRole"))
    assert found == {
        ("finops_credits", "", "DESCRIBE", ""),
        ("finops_credits_retail", "", "DESCRIBE", ""), ("finops_credits_retail", "", "CREATE_TABLE", ""),
        *((("finops_credits", table, "DESCRIBE", "")) for table in shown),
        *((("finops_credits", table, "SELECT", "may grant")) for table in shown),
    }
    may = allowed(unit, "ViewOwnerPolicy")
    tables = {resource.removeprefix(f"{CATALOGUE}:table/") for action, resource in may if action == "glue:GetTable"
              and ":table/" in resource}
    assert tables == {"finops_credits_retail/*", *(f"finops_credits/{table}" for table in shown)}
    changed = {resource for action, resource in may if re.search("Create|Put|Update|Delete", action)}
    assert {it for it in changed if "finops_credits_retail" not in it} == {f"{CATALOGUE}:catalog"}


# ---------------------------------------------------------------------------------------------------------- analysts
def test_analysts_are_granted_what_is_in_their_database_and_nothing_of_another(unit):
    assert grants(unit, ANALYSTS) == {
        ("finops_credits_retail", "", "DESCRIBE", ""),
        ("finops_credits_retail", "*", "DESCRIBE", ""), ("finops_credits_retail", "*", "SELECT", ""),
    }
    made = unit.properties("GlueDatabase")["DatabaseInput"]
    assert made["Name"] == "finops_credits_retail" and made["CreateTableDefaultPermissions"] == []


# What an analyst of one business unit may touch.
OWN = [
    rf"{CATALOGUE}:(catalog|database/default|database/finops_credits_retail|table/finops_credits_retail/\*)",
    rf"arn:aws:athena:{REGION}:{ACCOUNT}:(workgroup/finops_credits_retail|datacatalog/AwsDataCatalog)",
    rf"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-the-data",
    re.escape(RESULTS), "arn:aws:s3:::databucket",
]


def test_analysts_may_touch_neither_files_of_the_lake_nor_its_database(unit):
    for holder, it in statements(unit):
        for resource in listed(it["Resource"]) if holder == "AnalystsPolicy" else []:
            known = resource == "*" and all(re.match("athena:List|lakeformation:GetDataAccess", action)
                                            for action in listed(it["Action"]))
            assert known or any(re.fullmatch(own, resource) for own in OWN), (it["Sid"], resource)
    may = allowed(unit, "AnalystsPolicy")
    assert {resource for action, resource in may if action.startswith("s3:") and "Object" in action} == {RESULTS}
    assert {resource for action, resource in may if re.search("Put|Create|Update|Delete", action)} == {RESULTS}


def test_names_of_files_are_listed_where_answers_of_the_unit_lie_only(unit):
    listing = [it for _, it in statements(unit) if {"s3:ListBucket", "s3:ListBucketMultipartUploads"} & {*listed(it["Action"])}]
    assert [it["Condition"] for it in listing] == [{"StringLike": {"s3:prefix": RESULTS.removeprefix("arn:aws:s3:::databucket/")}}]


def test_analysts_of_a_unit_ask_as_other_analysts_do(unit, main):
    def asking(template, holder: str) -> set[str]:
        return {action for action, _ in allowed(template, holder) if not action.startswith("glue:")}

    assert asking(unit, "AnalystsPolicy") == asking(main, "ReaderPolicy") - {"ssm:GetParameter"} | {"lakeformation:GetDataAccess"}


def test_answers_are_encrypted_and_each_unit_s_lie_apart(unit, deploy):
    group = unit.properties("WorkGroup")
    configuration = group["WorkGroupConfiguration"]
    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["ResultConfiguration"] == {
        "OutputLocation": "s3://databucket/athena-results/business-units/finops_credits_retail/",
        "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": unit.parameters["KeyArn"]}}
    other = deploy(NAME, UnitDatabase="finops_credits_media", BusinessUnit="Media")
    shared = {resource for _, resource in allowed(unit, "AnalystsPolicy") & allowed(other, "AnalystsPolicy")}
    assert shared == {
        "*", "arn:aws:s3:::databucket", unit.parameters["KeyArn"], f"{CATALOGUE}:catalog", f"{CATALOGUE}:database/default",
        f"arn:aws:athena:{REGION}:{ACCOUNT}:datacatalog/AwsDataCatalog"}


def test_grants_are_made_one_after_the_other_and_views_when_their_owner_may_read(unit):
    ids = unit.of_type("AWS::LakeFormation::PrincipalPermissions")
    assert [unit.resources[id].get("DependsOn") for id in ids] == [None, *ids[:-1]]
    before = ids[:ids.index("OwnerGrantOnUnitDatabase") + 1]
    assert {unit.properties(id)["Principal"]["DataLakePrincipalIdentifier"] for id in before} == {unit.arn("ViewOwnerRole")}
    assert {unit.properties(id)["Principal"]["DataLakePrincipalIdentifier"] for id in ids[len(before):]} == {ANALYSTS}
    for id in unit.of_type("AWS::Glue::Table"):
        assert unit.resources[id]["DependsOn"] == ["ViewOwnerPolicy", "OwnerGrantOnUnitDatabase"]


def test_every_parameter_is_in_a_group_and_what_main_gives_is_an_output_of_it(unit, main):
    groups = {it["Label"]["default"]: it["Parameters"] for it in
              unit.raw["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]}
    assert sorted(name for group in groups.values() for name in group) == sorted(unit.raw["Parameters"])
    assert set(groups["Outputs of the main stack"]) <= main.outputs().keys()


# -------------------------------------------------------------------------------------------------- the main stack
def test_lake_formation_hands_out_the_published_tables_and_nothing_else_of_the_bucket(deploy):
    main = deploy(LakeFormationEnabled="true", RegisterLocation="true")
    location = main.properties("Location")
    assert location["ResourceArn"] == f"{main.arn('DataBucket')}/lake/runs"
    assert location["RoleArn"] == main.arn("LocationRole") and location["UseServiceLinkedRole"] is False
    assert location["HybridAccessEnabled"] is False, "else IAM opens the tables beside Lake Formation"
    assert allowed(main, "LocationRole") == {
        ("s3:ListBucket", main.arn("DataBucket")), ("s3:GetObject", f"{main.arn('DataBucket')}/lake/runs/*"),
        ("kms:Decrypt", main.arn("Key"))}
    (trust,) = main.properties("LocationRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lakeformation.amazonaws.com"}
    (listing,) = [it for holder, it in statements(main) if holder == "LocationRole" and it["Sid"] == "List"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "lake/runs/*"}}


def test_who_points_tables_at_a_registered_location_may(deploy):
    main = deploy(LakeFormationEnabled="true", RegisterLocation="true")
    found = [main.properties(id) for id in main.of_type("AWS::LakeFormation::PrincipalPermissions")]
    located = {it["Principal"]["DataLakePrincipalIdentifier"]: it for it in found if "DataLocation" in it["Resource"]}
    pointing = {holder for holder, it in statements(main) if "glue:CreateTable" in listed(it["Action"])
                and not str(it["Resource"]).count("_log")}
    assert located.keys() == {main.arn(holder) for holder in pointing} and len(pointing) == 2
    for it in located.values():
        assert it["Resource"] == {"DataLocation": {
            "CatalogId": ACCOUNT, "ResourceArn": main.properties("Location")["ResourceArn"]}}
        assert it["Permissions"] == ["DATA_LOCATION_ACCESS"] and it["PermissionsWithGrantOption"] == []


@pytest.mark.parametrize("given", [{}, {"LakeFormationEnabled": "true"}])
def test_nothing_is_registered_unless_asked_for(deploy, given):
    made = deploy(**given).resources
    assert not {"Location", "LocationRole", "CheckGrantOnLocation", "PublishGrantOnLocation"} & made.keys()


def test_a_location_is_registered_only_where_lake_formation_governs(main):
    rule = main.raw["Rules"]["LocationIsRegisteredWhereLakeFormationGoverns"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "RegisterLocation"}, "true"]}
    assert [it["Assert"] for it in rule["Assertions"]] == [{"Fn::Equals": [{"Ref": "LakeFormationEnabled"}, "true"]}]
