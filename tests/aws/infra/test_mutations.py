"""The tests of this folder notice what must never happen to a template: each change here fails at least one of them."""

import inspect
from collections.abc import Callable

import pytest
import test_business_unit
import test_cluster
import test_export
import test_network
import test_organisation
import test_permissions
import test_storage
import test_web
import test_wiring
from conftest import MAIN, deploying
from template import listed

SUITE = [
    test_storage, test_permissions, test_wiring, test_network, test_cluster, test_export, test_organisation,
    test_business_unit, test_web,
]
EXPORT, ENDPOINTS, QUICKSIGHT = "export.yaml", "endpoints.yaml", "quicksight.yaml"
UNIT, WEB = "business-unit.yaml", "web.yaml"
ABOUT = {
    EXPORT: test_export, ENDPOINTS: test_network, QUICKSIGHT: test_organisation, UNIT: test_business_unit, WEB: test_web,
}


# ---------------------------------------------------------------------------------------------------------- the suite
def cases(test: Callable) -> list[dict]:
    """The arguments that pytest would call a test with, beside its fixtures."""
    found = [{}]
    for mark in (it for it in getattr(test, "pytestmark", []) if it.name == "parametrize"):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
        rows = [dict(zip(names, row if len(names) > 1 else [row])) for row in mark.args[1]]
        found = [{**one, **row} for one in found for row in rows]
    return found


def complaints(root, deploy, first=None):
    """
    What the suite says to these templates, one line for each test that fails; this module of it says it first. Tests that run the
    program are left out.
    """
    given = {"root": root, "deploy": deploy, "main": deploy()}
    given |= {"endpoints": deploy(ENDPOINTS), "unit": deploy(UNIT), "web": deploy(WEB)}
    for module in sorted(SUITE, key=lambda it: it is not first):
        for name, test in inspect.getmembers(module, lambda it: getattr(it, "__name__", "").startswith("test_")):
            for case in cases(test):
                wanted = inspect.signature(test).parameters.keys() - case.keys()
                if not wanted <= given.keys():
                    continue
                try:
                    test(**{fixture: given[fixture] for fixture in wanted}, **case)
                except Exception as error:
                    yield f"{name}: {error!r}"


# ------------------------------------------------------------------------------------------------------- the changes
def holder_of(raw: dict, path: str) -> tuple:
    """What holds the last step of a path below `Resources`, and its key there. In a list a step is a Sid, an Id or a number."""
    holder, key = raw, "Resources"
    for step in path.split("/"):
        holder = holder[key]
        key = step
        if isinstance(holder, list):
            names = [it.get("Sid", it.get("Id")) if isinstance(it, dict) else None for it in holder]
            key = names.index(step) if step in names else int(step)
    return holder, key


def at(raw: dict, path: str):
    holder, key = holder_of(raw, path)
    return holder[key]


def put(path: str, value) -> Callable[[dict], object]:
    """Sets what lies there."""

    def change(raw):
        holder, key = holder_of(raw, path)
        holder[key] = value

    return change


def drop(path: str, item=None) -> Callable[[dict], object]:
    """Takes away what lies there, or an item of the list that lies there."""

    def change(raw):
        holder, key = holder_of(raw, path)
        return holder[key].remove(item) if item is not None else holder.__delitem__(key)

    return change


def edit(path: str, old: str, new: str) -> Callable[[dict], object]:
    """Replaces a part of the text that lies there."""

    def change(raw):
        holder, key = holder_of(raw, path)
        assert old in holder[key]
        holder[key] = holder[key].replace(old, new)

    return change


def statement(holder: str, sid: str) -> str:
    return f"{holder}/Properties/PolicyDocument/Statement/{sid}"


def inline(role: str, sid: str) -> str:
    return f"{role}/Properties/Policies/0/PolicyDocument/Statement/{sid}"


BUCKET = "DataBucket/Properties"
KEY = "Key/Properties/KeyPolicy/Statement"
TLS = {"Bool": {"aws:SecureTransport": "true"}}
EVERYTHING = {"Fn::Sub": "${DataBucket.Arn}/lake/*"}
UPLOAD = statement("AllocatorPolicy", "UploadToTheirFolderOfTheInbox/Resource")
EGRESS = "TaskSecurityGroup/Properties/SecurityGroupEgress/0"
QUERY = "Export/Properties/Export/DataQuery/QueryStatement"
DESTINATION = "Export/Properties/Export/DestinationConfigurations/S3Destination"
CLUSTER = "ClusterTaskDefinition/Properties"
CONTAINER = "TaskDefinition/Properties/ContainerDefinitions/0"
VIEW = "CreditBalances/Properties/TableInput/ViewDefinition"
SQL = f"{VIEW}/Representations/0/ViewOriginalText/Fn::Sub"
VARIABLES = "Function/Properties/Environment/Variables"

CHANGES = {
    "jobs without the key": (MAIN, drop(statement("JobPolicy", "UseTheKey"))),
    "jobs that cannot encrypt": (MAIN, drop(statement("JobPolicy", "UseTheKey/Action"), "kms:GenerateDataKey")),
    "readers that cannot encrypt": (MAIN, drop(statement("ReaderPolicy", "UseTheKey/Action"), "kms:GenerateDataKey")),
    "allocators without the key": (MAIN, drop(statement("AllocatorPolicy", "UseTheKey"))),
    "the state machine without the key": (MAIN, drop(inline("NightlyRole", "UseTheKey"))),
    "the export's key is not used": (MAIN, put("DetectRole/Properties/Policies/0/PolicyDocument/Statement/7",
                                               {"Ref": "AWS::NoValue"})),
    "key that logs may not use": (MAIN, drop(f"{KEY}/LogsAreWritten")),
    "key that alarms may not use": (MAIN, drop(f"{KEY}/AlarmsPublish")),
    "key for alarms of every account": (MAIN, drop(f"{KEY}/AlarmsPublish/Condition")),
    "key that IAM cannot give": (MAIN, drop(f"{KEY}/AccountDecidesByIam")),
    "key that is never rotated": (MAIN, put("Key/Properties/EnableKeyRotation", False)),
    "key that goes with the stack": (MAIN, put("Key/DeletionPolicy", "Delete")),
    "logs without the key": (MAIN, drop("JobLog/Properties/KmsKeyId")),
    "topic without the key": (MAIN, drop("AlertTopic/Properties/KmsMasterKeyId")),
    "bucket without the key": (
        MAIN, put(f"{BUCKET}/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault",
                  {"SSEAlgorithm": "AES256"})),
    "bucket without versions": (MAIN, put(f"{BUCKET}/VersioningConfiguration/Status", "Suspended")),
    "bucket that may be public": (MAIN, put(f"{BUCKET}/PublicAccessBlockConfiguration/BlockPublicPolicy", False)),
    "bucket with TLS refused": (MAIN, put("DataBucketPolicy/Properties/PolicyDocument/Statement/TlsOnly/Condition", TLS)),
    "topics with TLS refused": (MAIN, put("TopicPolicy/Properties/PolicyDocument/Statement/TlsOnly/Condition", TLS)),
    "topics that alarms cannot reach": (MAIN, drop("TopicPolicy/Properties/PolicyDocument/Statement/AlarmsPublish")),
    "work/ kept for 3 days": (MAIN, put(f"{BUCKET}/LifecycleConfiguration/Rules/work/ExpirationInDays", 3)),
    "runs that expire": (MAIN, put(f"{BUCKET}/LifecycleConfiguration/Rules/dropped-runs/ExpirationInDays", 400)),
    "overwritten logs gone after 30 days": (
        MAIN, drop(f"{BUCKET}/LifecycleConfiguration/Rules/undo-for-30-days-reference/Prefix")),
    "overwritten logs that can be deleted": (MAIN, drop("DataBucketPolicy/Properties/PolicyDocument/Statement/OldLogsStay")),
    "allocators that write all of the lake": (MAIN, put(UPLOAD, EVERYTHING)),
    "allocators that write to the log": (MAIN, put(UPLOAD, {"Fn::Sub": "${DataBucket.Arn}/lake/warehouse/*"})),
    "allocators that upload as anybody": (MAIN, edit(f"{UPLOAD}/Fn::Sub", "${!aws:userid}/", "")),
    "allocators that upload as whoever they say": (MAIN, edit(f"{UPLOAD}/Fn::Sub", "aws:userid", "aws:PrincipalTag/name")),
    "allocators that read what others uploaded": (MAIN, put(statement("AllocatorPolicy", "Read/Resource/0"), EVERYTHING)),
    "allocators that cannot preview": (MAIN, drop(statement("AllocatorPolicy", "Read/Resource/3"))),
    "allocators that repoint a table": (
        MAIN, put(statement("AllocatorPolicy", "ReadTheCatalogue/Action"), ["glue:GetTable", "glue:UpdateTable"])),
    "recorders that write all of the lake": (MAIN, put(statement("RecorderPolicy", "AppendToTheLog/Resource"), EVERYTHING)),
    "recorders that repoint every table": (MAIN, edit(statement("RecorderPolicy", "Record/Resource/2/Fn::Sub"),
                                                      "allocations_log", "*")),
    "another job that writes to the log": (
        MAIN, put(inline("JoinRole", "Write/Resource/0"), {"Fn::Sub": "${DataBucket.Arn}/lake/warehouse/*"})),
    "uploads that the night can change": (
        MAIN, edit(inline("DetectRole", "AnswerTheInbox/Resource/0/Fn::Sub"), ".taken.txt", "")),
    "uploads that the night cannot read": (MAIN, drop(inline("DetectRole", "Read/Resource/2"))),
    "overwritten uploads gone at once": (MAIN, drop(f"{BUCKET}/LifecycleConfiguration/Rules/inbox")),
    "allocators that cannot read the settings": (MAIN, drop(statement("AllocatorPolicy", "ReadTheSettings"))),
    "readers that read any parameter": (MAIN, edit(statement("ReaderPolicy", "ReadTheSettings/Resource/Fn::Sub"),
                                                   "${Settings}", "/*")),
    "readers with a right that AWS does not know": (
        MAIN, put(statement("ReaderPolicy", "ReadTheSettings/Action"), "ssm:ReadParameter")),
    "readers with a right that could be limited": (MAIN, put(statement("ReaderPolicy", "ReadTheSettings/Resource"), "*")),
    "readers without partitions": (MAIN, drop(statement("ReaderPolicy", "ReadTheCatalogue/Action"), "glue:GetPartitions")),
    "readers without the console's lists": (MAIN, drop(statement("ReaderPolicy", "Browse"))),
    "readers that write results anywhere": (
        MAIN, edit(statement("ReaderPolicy", "KeepResults/Resource/Fn::Sub"), "athena-results/", "")),
    "publish that repoints every table": (
        MAIN, edit(inline("PublishRole", "Switch/Resource/2/Fn::Sub"), "net_cost", "*")),
    "publish that forgets a table": (MAIN, drop(inline("PublishRole", "Switch/Resource/2"))),
    "detect that may not ask for the export's region": (
        MAIN, drop(inline("DetectRole", "ListTheExport/Action"), "s3:GetBucketLocation")),
    "detect that reads the whole bucket of the export": (
        MAIN, edit(inline("DetectRole", "ReadTheExport/Resource/Fn::Sub"), "/${ExportPrefix}", "")),
    "detect that reads every export": (
        MAIN, put(inline("DetectRole", "7/Fn::If/1/Resource"), "*")),
    "detect that takes any role": (MAIN, put(inline("DetectRole", "8/Fn::If/1/Resource"), "*")),
    "settings without the several exports": (
        MAIN, edit("Settings/Properties/Value/Fn::Sub/1/Sources/Fn::If/1/Fn::Sub", "SourcesParameter", "ExportBucket")),
    "task that anybody may pass a role to": (MAIN, drop(inline("NightlyRole", "GiveJobsTheirRoles/Condition"))),
    "role that any account's service takes": (
        MAIN, drop("DetectRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition")),
    "role without the boundary": (MAIN, drop("FifoRole/Properties/PermissionsBoundary")),
    "policy outside of the path": (MAIN, drop("ReaderPolicy/Properties/Path")),
    "grant that is missing": (MAIN, drop("CheckGrantOnTables")),
    "grant of everything": (MAIN, put("JoinGrantOnTables/Properties/Permissions", ["ALL"])),
    "tables that IAM opens under Lake Formation": (
        MAIN, put("GlueDatabase/Properties/DatabaseInput/CreateTableDefaultPermissions/Fn::If/1",
                  [{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}])),
    "tasks that call by HTTP": (MAIN, lambda raw: at(raw, EGRESS).update(FromPort=80, ToPort=80)),
    "tasks that call by anything": (MAIN, put(f"{EGRESS}/FromPort", 0)),
    "tasks that can be called": (MAIN, put("TaskSecurityGroup/Properties/SecurityGroupIngress", [{"IpProtocol": "-1"}])),
    "container that is root": (MAIN, put(f"{CONTAINER}/User", "0:0")),
    "container with other settings than people read": (MAIN, put(f"{CONTAINER}/Environment/3/Value", "[lake]")),
    "settings with another bucket": (MAIN, edit("Settings/Properties/Value/Fn::Sub/0", "s3://${DataBucket}/lake",
                                                "s3://${ExportBucket}/lake")),
    "settings without what is stored": (MAIN, edit("Settings/Properties/Value/Fn::Sub/0", "${StoredCreditSettings}", "")),
    "workgroup that queries may leave": (
        MAIN, put("WorkGroup/Properties/WorkGroupConfiguration/EnforceWorkGroupConfiguration", False)),
    "answers in plain text": (
        MAIN, drop("WorkGroup/Properties/WorkGroupConfiguration/ResultConfiguration/EncryptionConfiguration")),
    "alarm that tells nobody": (MAIN, drop("RunLate/Properties/AlarmActions")),
    "alarm on nothing": (MAIN, put("TieOutFailed/Properties/MetricName", "TieOut")),
    "alerts by the notices' topic": (MAIN, put("AlertSubscription/Properties/TopicArn", {"Ref": "NoticeTopic"})),
    "executions with amounts in the log": (MAIN, put("Nightly/Properties/LoggingConfiguration/IncludeExecutionData", True)),
    "chat channel that may do everything": (MAIN, drop("SlackChannel/Properties/GuardrailPolicies")),
    "chat channel of the notices": (MAIN, put("TeamsChannel/Properties/SnsTopicArns", [{"Ref": "NoticeTopic"}])),
    "logs' principal of one partition": (
        MAIN, put(f"{KEY}/LogsAreWritten/Principal/Service", {"Fn::Sub": "logs.${AWS::Region}.amazonaws.com"})),
    "role that nobody elsewhere can allow": (MAIN, lambda raw: raw["Outputs"].pop("DetectRoleArn")),
    "export beside the one before": (EXPORT, put(f"{DESTINATION}/S3OutputConfigurations/Overwrite", "CREATE_NEW_REPORT")),
    "export as CSV": (EXPORT, put(f"{DESTINATION}/S3OutputConfigurations/Format", "TEXT_OR_CSV")),
    "export without a column": (EXPORT, edit(QUERY, "line_item_net_unblended_cost, ", "")),
    "export without a column for people": (EXPORT, edit(QUERY, "line_item_usage_amount, ", "")),
    "export into a region of its own": (EXPORT, put(f"{DESTINATION}/S3Region", "us-east-1")),
    "export of every account": (EXPORT, drop("ExportBucketPolicy/Properties/PolicyDocument/Statement/AwsDelivers/Condition")),
    "export with TLS refused": (EXPORT, put("ExportBucketPolicy/Properties/PolicyDocument/Statement/TlsOnly/Condition", TLS)),
    "export that its reader cannot list": (
        EXPORT, put("ExportBucketPolicy/Properties/PolicyDocument/Statement/1", {"Ref": "AWS::NoValue"})),
    "export before its bucket's policy": (EXPORT, drop("BucketIsReady/Metadata")),
    "export that anybody may see": (
        EXPORT, put("ExportBucket/Properties/PublicAccessBlockConfiguration/RestrictPublicBuckets", False)),
    "endpoint for another service": (
        ENDPOINTS, put("Glue/Properties/ServiceName", {"Fn::Sub": "com.amazonaws.${AWS::Region}.ec2"})),
    "endpoint that names do not lead to": (ENDPOINTS, put("Logs/Properties/PrivateDnsEnabled", False)),
    "endpoint that is made twice": (ENDPOINTS, drop("Athena/Condition")),
    "endpoints open to the network": (
        ENDPOINTS, lambda raw: at(raw, "EndpointSecurityGroup/Properties/SecurityGroupIngress/0").update(FromPort=0)),
    "QuickSight kept from its role": (
        QUICKSIGHT, put("DataSourceRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition",
                        {"StringEquals": {"aws:SourceAccount": "123456789012"}})),
    "QuickSight's role without the boundary": (QUICKSIGHT, drop("DataSourceRole/Properties/PermissionsBoundary")),
    "Lake Formation that hands out the whole bucket": (
        MAIN, put("Location/Properties/ResourceArn", {"Fn::GetAtt": ["DataBucket", "Arn"]})),
    "Lake Formation beside which IAM opens tables": (MAIN, put("Location/Properties/HybridAccessEnabled", True)),
    "Lake Formation that reads all of the lake": (MAIN, put(inline("LocationRole", "Read/Resource"), EVERYTHING)),
    "Lake Formation with a role that anybody takes": (
        MAIN, put("LocationRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal", {"AWS": "*"})),
    "location that publish cannot point at": (MAIN, drop("PublishGrantOnLocation")),
    "location where IAM governs": (MAIN, lambda raw: raw["Rules"].pop("LocationIsRegisteredWhereLakeFormationGoverns")),
    "cluster in too few tasks": (MAIN, lambda raw: raw["Rules"].pop("ClusterFitsIntoMaxTasks")),
    "cluster that nobody asked for": (MAIN, lambda raw: raw["Parameters"]["DistributeFromBytes"].update(Default=1)),
    "cluster that anybody reaches": (MAIN, lambda raw: at(raw, "ClusterIngress/Properties").update(
        CidrIp="10.0.0.0/8", SourceSecurityGroupId=None)),
    "cluster that every job reaches": (
        MAIN, put("ClusterIngress/Properties/SourceSecurityGroupId", {"Ref": "TaskSecurityGroup"})),
    "cluster that is reached on any port": (MAIN, put("ClusterIngress/Properties/FromPort", 0)),
    "cluster whose executors get no orders": (MAIN, put("ClusterIngress/Properties/ToPort", 50051)),
    "cluster that calls by anything": (MAIN, drop("ClusterSecurityGroup/Properties/SecurityGroupEgress")),
    "cluster whose tasks cannot call": (MAIN, drop("ClusterEgress")),
    "cluster's rules in every job's group": (MAIN, put("ClusterIngress/Properties/GroupId", {"Ref": "TaskSecurityGroup"})),
    "cluster with another image": (MAIN, put(f"{CLUSTER}/ContainerDefinitions/0/Image", "public.ecr.aws/other:1")),
    "cluster that is root": (MAIN, put(f"{CLUSTER}/ContainerDefinitions/0/User", "0:0")),
    "cluster that writes its root": (MAIN, put(f"{CLUSTER}/ContainerDefinitions/0/ReadonlyRootFilesystem", False)),
    "cluster with settings of its own": (MAIN, put(f"{CLUSTER}/ContainerDefinitions/0/Environment/3/Value", "[lake]")),
    "cluster whose scheduler has rights": (MAIN, put(f"{CLUSTER}/TaskRoleArn", {"Fn::GetAtt": ["DetectRole", "Arn"]})),
    "executors of the size of jobs": (MAIN, put(f"{CLUSTER}/Memory/Fn::FindInMap/1", {"Ref": "TaskSize"})),
    "executors that hold what jobs do": (
        MAIN, put("Nightly/Properties/DefinitionSubstitutions/ExecutorMemoryLimit/Fn::FindInMap/1", {"Ref": "TaskSize"})),
    "executors that cannot run on Spot": (MAIN, drop("Cluster/Properties/CapacityProviders", "FARGATE_SPOT")),
    "executors that AWS takes back unasked": (
        MAIN, lambda raw: raw["Parameters"]["ExecutorCapacity"].update(Default="FARGATE_SPOT")),
    "more executors than one call starts": (MAIN, lambda raw: raw["Parameters"]["ClusterExecutors"].update(MaxValue=40)),
    "state machine that may not start the cluster": (
        MAIN, put(inline("NightlyRole", "RunJobs/Resource/1"), {"Ref": "AWS::NoValue"})),
    "state machine that starts any task": (
        MAIN, edit(inline("NightlyRole", "RunJobs/Resource/1/Fn::If/1/Fn::Sub/1/Family/Fn::Sub"), "-cluster:", "")),
    "redrive without the cluster of before": (MAIN, drop("ClusterTaskDefinition/UpdateReplacePolicy")),
    "view of a unit without its WHERE": (UNIT, edit(SQL, " WHERE business_unit = '${BusinessUnit}'", "")),
    "view of all units but one": (UNIT, edit(SQL, "business_unit =", "business_unit <>")),
    "view of units whose names begin alike": (UNIT, edit(SQL, "= '${BusinessUnit}'", "LIKE '${BusinessUnit}%'")),
    "view of a unit and of what has none": (UNIT, edit(SQL, "WHERE ", "WHERE business_unit IS NULL OR ")),
    "view of another table": (UNIT, edit(SQL, '"credit_balances"', '"net_cost"')),
    "view without a column": (UNIT, edit(SQL, "remaining, ", "")),
    "view that is not protected": (UNIT, put(f"{VIEW}/IsProtected", False)),
    "view with the rights of who asks": (UNIT, drop(f"{VIEW}/Definer")),
    "view with columns, which Glue refuses": (
        UNIT, put("CreditBalances/Properties/TableInput/StorageDescriptor", {"Columns": []})),
    "table without a view": (UNIT, drop("CreditBalances")),
    "table that nobody decided on": (UNIT, lambda raw: raw["Metadata"]["Tables"]["Nothing"].remove("credits")),
    "table that is shown without a view": (UNIT, lambda raw: raw["Metadata"]["Tables"]["Rows"].append("credits")),
    "name of a unit with a quote": (UNIT, lambda raw: raw["Parameters"]["BusinessUnit"].update(AllowedPattern=r"^[^\x00-\x1f]+$")),
    "owner of views that analysts take": (
        UNIT, put("ViewOwnerRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal/AWS", {"Ref": "AnalystsRoleArn"})),
    "owner of views that reads every table": (
        UNIT, edit(statement("ViewOwnerPolicy", "ReadTheCatalogue/Resource/2/Fn::Sub"), "net_cost", "*")),
    "owner of views that is granted every table": (
        UNIT, lambda raw: at(raw, "OwnerGrantOnHierarchy/Properties/Resource/Table").update(Name="reconciliation")),
    "owner of views without the right to grant": (
        UNIT, put("OwnerGrantOnNetCost/Properties/PermissionsWithGrantOption", [])),
    "owner of views that passes any role": (UNIT, put(statement("ViewOwnerPolicy", "GiveTheViewsItself/Resource"), "*")),
    "analysts with the owner's rights": (
        UNIT, put("ViewOwnerPolicy/Properties/Roles", [{"Ref": "ViewOwnerRole"}, "retail-analysts"])),
    "analysts that read files of the lake": (
        UNIT, edit(statement("AnalystsPolicy", "KeepResults/Resource/Fn::Sub"), "athena-results/business-units/${UnitDatabase}", "lake")),
    "analysts that read answers of others": (
        UNIT, edit(statement("AnalystsPolicy", "KeepResults/Resource/Fn::Sub"), "business-units/${UnitDatabase}/", "")),
    "analysts that list the lake": (UNIT, drop(statement("AnalystsPolicy", "ListResults/Condition"))),
    "analysts that see the whole catalogue": (
        UNIT, edit(statement("AnalystsPolicy", "ReadTheCatalogue/Resource/2/Fn::Sub"), "${GlueDatabase}", "${DatabaseName}")),
    "analysts in the workgroup of all": (
        UNIT, edit(statement("AnalystsPolicy", "Ask/Resource/Fn::Sub"), "${WorkGroup}", "finops-credits")),
    "analysts that are granted the tables": (
        UNIT, put("AnalystsGrantOnViews/Properties/Resource/Table/DatabaseName", {"Ref": "DatabaseName"})),
    "analysts that may grant": (UNIT, put("AnalystsGrantOnViews/Properties/PermissionsWithGrantOption", ["SELECT"])),
    "analysts that cannot use the key": (UNIT, drop(statement("AnalystsPolicy", "UseTheKey"))),
    "database of a unit that IAM opens": (
        UNIT, drop("GlueDatabase/Properties/DatabaseInput/CreateTableDefaultPermissions")),
    "answers of units in one place": (
        UNIT, edit("WorkGroup/Properties/WorkGroupConfiguration/ResultConfiguration/OutputLocation/Fn::Sub",
                   "${UnitDatabase}/", "")),
    "workgroup of a unit that queries may leave": (
        UNIT, put("WorkGroup/Properties/WorkGroupConfiguration/EnforceWorkGroupConfiguration", False)),
    "views before their owner may read": (UNIT, put("NetCost/DependsOn", ["ViewOwnerPolicy"])),
    "unit's role without the boundary": (UNIT, drop("ViewOwnerRole/Properties/PermissionsBoundary")),
    "page that is not shared": (WEB, put("Function/Properties/ImageConfig/Command", ["serve"])),
    "page that takes longer than the API waits": (WEB, put("Function/Properties/Timeout", 60)),
    "page with secrets in plain text": (WEB, drop("Function/Properties/KmsKeyArn")),
    "page whose secret does not change": (
        WEB, edit(f"{VARIABLES}/FINOPS_CREDITS_CLIENT_SECRET/Fn::Sub", ":::${ClientSecretVersionId}", "")),
    "page with a secret of its own": (WEB, put(f"{VARIABLES}/FINOPS_CREDITS_CLIENT_SECRET", "hunter2")),
    "page with a short key of sessions": (WEB, put("SessionKey/Properties/GenerateSecretString/PasswordLength", 32)),
    "page whose sessions end with an instance": (
        WEB, edit(f"{VARIABLES}/FINOPS_CREDITS_SETTINGS/Fn::Sub/0", 'session_key = "env:FINOPS_CREDITS_SESSION_KEY"\n', "")),
    "page with settings of its own": (WEB, edit(f"{VARIABLES}/FINOPS_CREDITS_SETTINGS/Fn::Sub/0", "${Settings}", "")),
    "page whose viewers allocate": (
        WEB, edit(f"{VARIABLES}/FINOPS_CREDITS_SETTINGS/Fn::Sub/0", "viewer = [", "allocator = [")),
    "page at another address than it knows": (
        WEB, put(f"{VARIABLES}/FINOPS_CREDITS_SETTINGS/Fn::Sub/1/Url", {"Fn::Sub": "https://${DomainName}"})),
    "page that shows everybody everything": (
        WEB, put(f"{VARIABLES}/FINOPS_CREDITS_SETTINGS/Fn::Sub/1/Access", "")),
    "page that cannot read who sees what": (
        WEB, put("FunctionRole/Properties/Policies/0/PolicyDocument/Statement/1", {"Ref": "AWS::NoValue"})),
    "page that reads all of the bucket": (
        WEB, put("FunctionRole/Properties/Policies/0/PolicyDocument/Statement/1/Fn::If/1/Resource", "arn:aws:s3:::databucket/*")),
    "page that may not allocate": (WEB, drop("FunctionRole/Properties/ManagedPolicyArns")),
    "page with a role that anybody takes": (
        WEB, put("FunctionRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal", {"AWS": "*"})),
    "page's role without the boundary": (WEB, drop("FunctionRole/Properties/PermissionsBoundary")),
    "page before its grants": (WEB, drop("Function/DependsOn")),
    "page that may alter every table": (WEB, put("GrantOnTables/Properties/Permissions", ["DESCRIBE", "ALTER"])),
    "page that any API may ask": (WEB, drop("ApiCallsFunction/Properties/SourceArn")),
    "page below a path": (WEB, put("Stage/Properties/StageName", "prod")),
    "page without limits": (WEB, drop("Stage/Properties/DefaultRouteSettings")),
    "page of some paths": (WEB, put("Route/Properties/RouteKey", "GET /")),
    "page asked in another form": (WEB, put("Integration/Properties/PayloadFormatVersion", "1.0")),
    "page with codes in its log": (WEB, edit("Stage/Properties/AccessLogSettings/Format", "$context.path", "$context.path?$input.params()")),
    "page with sessions in its log": (
        WEB, edit("Stage/Properties/AccessLogSettings/Format", "$context.status", "$context.status $context.identity.cookie")),
    "page with a log that the key is not for": (
        WEB, put("AccessLog/Properties/LogGroupName", {"Fn::Sub": "/aws/apigateway/${MainStackName}-web"})),
    "page with a log in plain text": (WEB, drop("FunctionLog/Properties/KmsKeyId")),
    "page with two addresses": (WEB, put("Api/Properties/DisableExecuteApiEndpoint", False)),
    "page by old TLS": (WEB, lambda raw: at(raw, "Domain/Properties/DomainNameConfigurations/0").update(SecurityPolicy="TLS_1_0")),
    "page whose failures nobody is told of": (WEB, drop("PageFailed/Properties/AlarmActions")),
    "page with an alarm on another function": (
        WEB, put("PageRefused/Properties/Dimensions", [{"Name": "FunctionName", "Value": "web"}])),
    "page whose group could be a setting": (WEB, lambda raw: raw["Parameters"]["ViewerGroups"].update(AllowedPattern="^.*$")),
    "page that limits nobody unless told to": (WEB, lambda raw: raw["Parameters"]["LimitByNode"].update(Default="DISABLED")),
}


def test_the_suite_has_nothing_to_say_to_the_templates_as_they_are(root, deploy):
    assert list(complaints(root, deploy)) == []


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_must_not_be_is_noticed(root, release, name):
    template, change = CHANGES[name]
    deploy = deploying(release, {template: change})
    deploy(template)  # A change that cannot be made proves nothing.
    assert next(complaints(root, deploy, ABOUT.get(template)), None) is not None


@pytest.mark.parametrize("name", [MAIN, *test_permissions.OPTIONAL])
def test_every_right_that_is_taken_away_is_noticed(release, deploy, name):
    """Each action of each statement of roles and policies."""
    raw, reviewed = deploy(name).raw["Resources"], test_permissions.RIGHTS.read_text()
    places = [f"{id}/Properties/PolicyDocument/Statement" for id in raw if raw[id]["Type"] == "AWS::IAM::ManagedPolicy"]
    places += [f"{id}/Properties/Policies/{n}/PolicyDocument/Statement" for id in raw if raw[id]["Type"] == "AWS::IAM::Role"
               for n, it in enumerate(raw[id]["Properties"].get("Policies", [])) if "PolicyDocument" in it]
    given = test_permissions.EVERYTHING.get(name, {})
    assert test_permissions.rights(deploy(name, **given)) in reviewed
    taken = 0
    for place in places:
        for n, it in enumerate(at(deploy(name).raw, place)):
            for action in listed(it.get("Action", [])):
                left = [other for other in listed(it["Action"]) if other != action] or ["none:None"]
                without = deploying(release, {name: put(f"{place}/{n}/Action", left)})
                assert test_permissions.rights(without(name, **given)) not in reviewed, (place, action)
                taken += 1
    assert taken > (100 if name == MAIN else 1)
