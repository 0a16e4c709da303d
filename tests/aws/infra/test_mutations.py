"""The tests of this folder notice what must never happen to a template: each change here fails at least one of them."""

import inspect
from collections.abc import Callable

import pytest
import test_export
import test_network
import test_organisation
import test_permissions
import test_storage
import test_wiring
from conftest import MAIN, deploying
from template import listed

SUITE = [test_storage, test_permissions, test_wiring, test_network, test_export, test_organisation]
EXPORT, ENDPOINTS, QUICKSIGHT = "export.yaml", "endpoints.yaml", "quicksight.yaml"


# ---------------------------------------------------------------------------------------------------------- the suite
def cases(test: Callable) -> list[dict]:
    """The arguments that pytest would call a test with, beside its fixtures."""
    found = [{}]
    for mark in (it for it in getattr(test, "pytestmark", []) if it.name == "parametrize"):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
        rows = [dict(zip(names, row if len(names) > 1 else [row])) for row in mark.args[1]]
        found = [{**one, **row} for one in found for row in rows]
    return found


def complaints(root, deploy):
    """What the suite says to these templates, one line for each test that fails. Tests that run the program are left out."""
    given = {"root": root, "deploy": deploy, "main": deploy(), "endpoints": deploy(ENDPOINTS)}
    for module in SUITE:
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
CONTAINER = "TaskDefinition/Properties/ContainerDefinitions/0"

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
}


def test_the_suite_has_nothing_to_say_to_the_templates_as_they_are(root, deploy):
    assert list(complaints(root, deploy)) == []


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_must_not_be_is_noticed(root, release, name):
    template, change = CHANGES[name]
    deploy = deploying(release, {template: change})
    deploy(template)  # A change that cannot be made proves nothing.
    assert next(complaints(root, deploy), None) is not None


def test_every_right_that_is_taken_away_is_noticed(root, release, deploy):
    """Each action of each statement of roles and policies."""
    raw = deploy().raw["Resources"]
    places = [f"{id}/Properties/PolicyDocument/Statement" for id in raw if raw[id]["Type"] == "AWS::IAM::ManagedPolicy"]
    places += [f"{id}/Properties/Policies/{n}/PolicyDocument/Statement" for id in raw if raw[id]["Type"] == "AWS::IAM::Role"
               for n, it in enumerate(raw[id]["Properties"].get("Policies", [])) if "PolicyDocument" in it]
    taken = 0
    for place in places:
        for n, it in enumerate(at(deploy().raw, place)):
            for action in listed(it.get("Action", [])):
                left = [other for other in listed(it["Action"]) if other != action] or ["none:None"]
                without = deploying(release, {MAIN: put(f"{place}/{n}/Action", left)})
                assert test_permissions.rights(without(LakeFormationEnabled="true")) != test_permissions.RIGHTS.read_text(), (
                    place, action)
                taken += 1
    assert taken > 100
