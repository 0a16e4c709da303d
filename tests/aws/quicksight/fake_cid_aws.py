"""As much of AWS as `cid-cmd deploy` asks for, in this process. Every request is checked against botocore's models."""

import re

from botocore.validate import ParamValidator

ACCOUNT, REGION, DATABASE = "123456789012", "eu-west-1", "lake"
OWNER = f"arn:aws:quicksight:{REGION}:{ACCOUNT}:user/default/ann"


class Aws:
    def __init__(self, columns: dict[str, list[dict]]):
        self.columns = columns  # of the views that may come, as Glue would tell
        self.calls: list[tuple[str, dict]] = []
        self.views: dict[str, str] = {}  # name to the statement that made it
        self.data_sets: dict[str, dict] = {}
        self.dashboards: dict[str, dict] = {}
        self.schedules: dict[str, list] = {}

    def answer_as_method(self):
        return lambda client, operation, given: self.answer(client, operation, given)

    def answer(self, client, operation: str, given: dict) -> dict:
        """Stands in for botocore.client.BaseClient._make_api_call."""
        model = client.meta.service_model.operation_model(operation)
        if model.input_shape:
            report = ParamValidator().validate(given, model.input_shape).generate_report()
            assert not report, f"{operation}: {report}"
        self.calls.append((operation, given))
        handler = getattr(self, operation, None)
        assert handler, f"{client.meta.service_model.service_name} {operation} {given}"
        return handler(client, **given)

    def error(self, client, code: str, operation: str = "") -> Exception:
        return client.exceptions.from_code(code)({"Error": {"Code": code, "Message": code}}, operation)

    # --- identity
    def GetCallerIdentity(self, client):
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ann", "UserId": "ann"}

    # --- Athena
    def GetWorkGroup(self, client, WorkGroup):
        where = {"OutputLocation": "s3://data-bucket/athena-results/"}
        return {"WorkGroup": {"Name": WorkGroup, "State": "ENABLED", "Configuration": {"ResultConfiguration": where}}}

    def ListDataCatalogs(self, client, **_):
        return {"DataCatalogsSummary": [{"CatalogName": "AwsDataCatalog", "Type": "GLUE"}]}

    def GetDatabase(self, client, **_):
        return {"Database": {"Name": DATABASE}}

    def GetTableMetadata(self, client, TableName, **_):
        if TableName not in self.views:
            raise self.error(client, "MetadataException", "GetTableMetadata")
        return {"TableMetadata": {"Name": TableName, "Columns": self.columns[TableName]}}

    def StartQueryExecution(self, client, QueryString, QueryExecutionContext, WorkGroup):
        assert (QueryExecutionContext["Database"], WorkGroup) == (DATABASE, "credits")
        if made := re.match(rf'CREATE OR REPLACE VIEW "{DATABASE}"\.(\w+) AS\s', QueryString):
            needs = set(re.findall(r"\b(\w+_view)\b", QueryString)) - {made[1]}
            assert needs <= self.views.keys(), f"{made[1]} before {needs - self.views.keys()}"
            self.views[made[1]] = QueryString
        else:
            assert "cid_parameters" in QueryString  # Where cid-cmd keeps its answers.
        return {"QueryExecutionId": "query"}

    def GetQueryExecution(self, client, **_):
        return {"QueryExecution": {"Status": {"State": "SUCCEEDED"}}}

    def GetQueryResults(self, client, **_):
        return {"ResultSet": {"Rows": []}}

    # --- QuickSight
    def DescribeAccountSubscription(self, client, **_):
        return {"AccountInfo": {"Edition": "ENTERPRISE", "AccountSubscriptionStatus": "ACCOUNT_CREATED"}}

    def DescribeUser(self, client, UserName, **_):
        return {"User": {"UserName": UserName, "Arn": OWNER, "Role": "ADMIN", "Active": True}}

    def ListDashboards(self, client, **_):
        return {"DashboardSummaryList": []}

    def ListDataSets(self, client, **_):
        return {"DataSetSummaries": []}

    def ListDataSources(self, client, **_):
        return {"DataSources": [self.source()]}

    def source(self) -> dict:
        return {
            "DataSourceId": "credits-athena", "Name": "credits", "Type": "ATHENA", "Status": "CREATION_SUCCESSFUL",
            "Arn": f"arn:aws:quicksight:{REGION}:{ACCOUNT}:datasource/credits-athena",
            "DataSourceParameters": {"AthenaParameters": {"WorkGroup": "credits"}},
        }  # fmt: skip

    def DescribeDataSource(self, client, **_):
        return {"DataSource": self.source()}

    def DescribeDataSet(self, client, DataSetId, **_):
        if DataSetId not in self.data_sets:
            raise self.error(client, "ResourceNotFoundException", "DescribeDataSet")
        return {"DataSet": self.data_sets[DataSetId]}

    def CreateDataSet(self, client, **given):
        (logical,) = given["LogicalTableMap"].values()
        (names,) = (
            it["ProjectOperation"]["ProjectedColumns"] for it in logical["DataTransforms"] if "ProjectOperation" in it
        )
        id = given["DataSetId"]
        arn = f"arn:aws:quicksight:{REGION}:{ACCOUNT}:dataset/{id}"
        columns = [{"Name": name, "Type": "STRING"} for name in names]
        self.data_sets[id] = {**given, "Arn": arn, "OutputColumns": columns}
        return {"DataSetId": id, "Arn": arn}

    def ListRefreshSchedules(self, client, DataSetId, **_):
        return {"RefreshSchedules": self.schedules.get(DataSetId, [])}

    def CreateRefreshSchedule(self, client, DataSetId, Schedule, **_):
        self.schedules[DataSetId] = [Schedule]
        return {"ScheduleId": Schedule["ScheduleId"]}

    def DescribeDashboard(self, client, DashboardId, **_):
        if DashboardId not in self.dashboards:
            raise self.error(client, "ResourceNotFoundException", "DescribeDashboard")
        arn = f"arn:aws:quicksight:{REGION}:{ACCOUNT}:dashboard/{DashboardId}"
        sets = [it["Arn"] for it in self.data_sets.values()]
        version = {
            "VersionNumber": 1,
            "Status": "CREATION_SUCCESSFUL",
            "Errors": [],
            "DataSetArns": sets,
            "Arn": f"{arn}/version/1",
        }
        given = self.dashboards[DashboardId]
        return {"Dashboard": {"DashboardId": DashboardId, "Name": given["Name"], "Arn": arn, "Version": version}}

    def DescribeDashboardDefinition(self, client, DashboardId, **_):
        return {"Definition": self.dashboards[DashboardId]["Definition"]}

    def CreateDashboard(self, client, **given):
        self.dashboards[given["DashboardId"]] = given
        arn = f"arn:aws:quicksight:{REGION}:{ACCOUNT}:dashboard/{given['DashboardId']}"
        return {"Arn": arn, "VersionArn": f"{arn}/version/1", "DashboardId": given["DashboardId"]}

    def TagResource(self, client, **_):
        return {}

    def ListTagsForResource(self, client, **_):
        return {"Tags": []}
