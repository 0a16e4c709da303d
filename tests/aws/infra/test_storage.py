"""What holds the data: encrypted, not public, by TLS only, and kept as long as somebody may ask for it."""

from template import ACCOUNT, listed, statements, tls_only


def rules(template):
    return template.properties("DataBucket")["LifecycleConfiguration"]["Rules"]


def days(template, key: str, kind: str) -> int | None:
    """After how many days S3 removes this file, or its old versions; of several rules the shortest counts."""
    found = [rule[kind] for rule in rules(template) if kind in rule and key.startswith(rule.get("Prefix", ""))]
    return min((it if isinstance(it, int) else it["NoncurrentDays"] for it in found), default=None)


def test_only_what_nobody_reads_again_expires(main):
    expiring = {rule.get("Prefix", ""): rule["ExpirationInDays"] for rule in rules(main) if "ExpirationInDays" in rule}
    assert expiring.keys() == {"lake/work/", "athena-results/"}
    assert expiring["lake/work/"] > 14, "a failed night can be redriven for 14 days"


def test_an_overwritten_file_of_the_logs_can_be_brought_back_for_more_than_a_year(main, deploy):
    file = "lake/warehouse/finops_credits/allocations_log/data/x.parquet"
    assert days(main, file, "NoncurrentVersionExpiration") == 400 and days(main, file, "ExpirationInDays") is None
    assert days(deploy(KeepOldLogsDays=2000), file, "NoncurrentVersionExpiration") == 2000
    assert main.raw["Parameters"]["KeepOldLogsDays"]["MinValue"] > 365
    (stays,) = [it for it in policy(main, "DataBucketPolicy") if it["Sid"] == "OldLogsStay"]
    assert stays == {
        "Sid": "OldLogsStay", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjectVersion",
        "Resource": f"{main.arn('DataBucket')}/lake/warehouse/*",
    }


def test_what_people_uploaded_stays_and_so_does_what_they_overwrote_for_more_than_a_year(main):
    upload = "lake/inbox/AROAEXAMPLEID1234:jane/july.csv"
    assert days(main, upload, "NoncurrentVersionExpiration") == 400 and days(main, upload, "ExpirationInDays") is None


def test_old_versions_go_and_not_before_a_mistake_is_noticed(main):
    """Of all that somebody writes; what nights make anew goes soon."""
    soon = ("lake/runs/", "lake/work/", "athena-results/", "lake/lock.json")
    bucket = main.arn("DataBucket") + "/"
    written = {resource.removeprefix(bucket).split("*")[0] for _, it in statements(main)
               if "s3:PutObject" in listed(it["Action"]) for resource in listed(it["Resource"])}
    assert len(written) > 6
    for place in written | {"reference/", "access/"}:
        assert (days(main, place, "NoncurrentVersionExpiration") >= 30) == (not place.startswith(soon)), place
    unfinished = [rule for rule in rules(main) if "AbortIncompleteMultipartUpload" in rule]
    assert [rule.get("Prefix", "") for rule in unfinished] == [""]
    assert all(rule["Status"] == "Enabled" for rule in rules(main))


def policy(template, id: str) -> list[dict]:
    return template.properties(id)["PolicyDocument"]["Statement"]


def test_the_bucket_is_encrypted_versioned_and_not_public(main):
    bucket = main.properties("DataBucket")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": main.arn("Key")}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert tls_only(policy(main, "DataBucketPolicy"), main.arn("DataBucket"), f"{main.arn('DataBucket')}/*")


def test_topics_take_nothing_without_tls_and_are_encrypted(main):
    topics = [main.arn(id) for id in main.of_type("AWS::SNS::Topic")]
    assert tls_only(policy(main, "TopicPolicy"), *topics) and len(topics) == 2
    for id in main.of_type("AWS::SNS::Topic"):
        assert main.properties(id)["KmsMasterKeyId"] == main.ref("Key")


def test_everybody_who_is_told_is_told_by_the_right_topic(main):
    told = {it["Endpoint"]: it["TopicArn"] for it in map(main.properties, main.of_type("AWS::SNS::Subscription"))}
    assert told == {"alerts@example.com": main.arn("AlertTopic"), "finance@example.com": main.arn("NoticeTopic")}


def test_the_key_serves_the_account_its_alarms_and_its_logs_and_nobody_else(main):
    key = main.properties("Key")
    statements = {it["Sid"]: it for it in key["KeyPolicy"]["Statement"]}
    assert key["EnableKeyRotation"] is True and statements.keys() == {
        "AccountDecidesByIam", "AlarmsPublish", "LogsAreWritten"}
    assert statements["AccountDecidesByIam"]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    alarms, logs = statements["AlarmsPublish"], statements["LogsAreWritten"]
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert set(alarms["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert logs["Principal"] == {"Service": "logs.eu-west-1.amazonaws.com"}
    assert {"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*"} <= set(logs["Action"])
    assert logs["Condition"] == {"ArnLike": {"kms:EncryptionContext:aws:logs:arn":
                                             f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:*/finops-credits"}}


def test_alarms_may_write_to_the_topics(main):
    (alarms,) = [it for it in policy(main, "TopicPolicy") if it["Effect"] == "Allow"]
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"} and alarms["Action"] == "sns:Publish"
    assert set(alarms["Resource"]) == {main.arn("AlertTopic"), main.arn("NoticeTopic")}
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_logs_are_encrypted_end_and_have_names_that_the_key_knows(main):
    groups = [main.properties(id) for id in main.of_type("AWS::Logs::LogGroup")]
    assert len(groups) == 2
    for group in groups:
        assert group["KmsKeyId"] == main.arn("Key") and group["RetentionInDays"] == 90
        assert group["LogGroupName"].endswith("/finops-credits")


def test_answers_of_athena_are_encrypted_and_nobody_asks_past_the_workgroup(main):
    group = main.properties("WorkGroup")["WorkGroupConfiguration"]
    assert group["EnforceWorkGroupConfiguration"] is True and group["BytesScannedCutoffPerQuery"] == 107374182400
    assert group["ResultConfiguration"] == {
        "OutputLocation": "s3://databucket/athena-results/",
        "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": main.arn("Key")},
    }


def test_what_people_recorded_outlives_the_stack(main):
    kept = {id for id, it in main.resources.items() if it.get("DeletionPolicy") == "RetainExceptOnCreate"}
    assert kept == {"Key", "DataBucket", "GlueDatabase"}
    assert all(main.resources[id]["UpdateReplacePolicy"] == "Retain" for id in kept)


def test_published_tables_are_not_the_stack_s(main):
    assert main.of_type("AWS::Glue::Table") == []


def test_every_policy_of_a_bucket_and_topic_denies_only(main):
    """What may be done is in roles; a bucket's own policy gives nobody anything."""
    assert {it["Effect"] for it in policy(main, "DataBucketPolicy")} == {"Deny"}
    assert all(listed(it["Action"]) == ["sns:Publish"] for it in policy(main, "TopicPolicy"))
