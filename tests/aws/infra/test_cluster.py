"""A cluster that reads the export: there only where it is asked for, reached by nothing but itself, and within its limits."""

import json
import re

import pytest
from template import ACCOUNT, REGION, statements

ON = {"DistributeFromBytes": "1000000000000", "MaxTasks": "6"}
GROUP = {"IpProtocol": "tcp", "FromPort": 50050, "ToPort": 50052, "GroupId": "ClusterSecurityGroup"}


def given(template) -> dict:
    return template.properties("Nightly")["DefinitionSubstitutions"]


def machine(root) -> str:
    return (root / "step-functions/nightly.asl.json").read_text()


def test_nothing_of_it_is_there_unless_asked_for(main, deploy):
    added = deploy(**ON).resources.keys() - main.resources.keys()
    assert added == {"ClusterSecurityGroup", "ClusterIngress", "ClusterEgress", "ClusterTaskDefinition"}
    assert (given(main)["ClusterSecurityGroupId"], given(main)["ClusterTaskDefinitionArn"]) == ("", "")
    assert main.raw["Parameters"]["DistributeFromBytes"]["Default"] == 0


def test_state_machine_is_given_what_it_starts(deploy):
    found = given(deploy(**ON, ClusterExecutors="3", ExecutorCapacity="FARGATE_SPOT", ExecutorSize="xlarge"))
    assert found["ClusterTaskDefinitionArn"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/finops-credits-cluster:1"
    assert found["ClusterSecurityGroupId"] == "ClusterSecurityGroup" != found["SecurityGroupId"]
    assert [found[name] for name in ("DistributeFromBytes", "ClusterExecutors", "ExecutorCapacity", "ExecutorMemoryLimit")] == [
        "1000000000000", "3", "FARGATE_SPOT", "16 GiB"]


# ---------------------------------------------------------------------------------------------------------- network
def test_tasks_of_a_cluster_are_reached_by_each_other_alone(deploy):
    cluster = deploy(**ON)
    (way,) = cluster.of_type("AWS::EC2::SecurityGroupIngress")
    found = cluster.properties(way)
    assert found.pop("Description") and found == {**GROUP, "SourceSecurityGroupId": "ClusterSecurityGroup"}
    for id in cluster.of_type("AWS::EC2::SecurityGroup"):
        assert "SecurityGroupIngress" not in cluster.properties(id)


def test_tasks_of_a_cluster_call_each_other_and_what_jobs_call(deploy, main):
    cluster = deploy(**ON)
    assert [it["CidrIp"] for it in cluster.properties("ClusterSecurityGroup")["SecurityGroupEgress"]] == ["127.0.0.1/32"]
    (way,) = cluster.of_type("AWS::EC2::SecurityGroupEgress")
    found = cluster.properties(way)
    assert found.pop("Description") and found == {**GROUP, "DestinationSecurityGroupId": "ClusterSecurityGroup"}
    assert cluster.properties("TaskSecurityGroup") == main.properties("TaskSecurityGroup")
    assert cluster.properties("ClusterSecurityGroup")["VpcId"] == "vpc-1"


def test_ports_that_are_let_through_are_those_that_are_used(deploy, root):
    """An executor takes orders on the port after its own."""
    commands = re.findall(r'"(scheduler|executor)",.*?"--port", "(\d+)"', machine(root), re.S)
    assert commands == [("scheduler", "50050"), ("executor", "50051")]
    (container,) = deploy(**ON).properties("ClusterTaskDefinition")["ContainerDefinitions"]
    used = [int(port) for _, port in commands] + [int(commands[1][1]) + 1]
    assert [it["ContainerPort"] for it in container["PortMappings"]] == used == [50050, 50051, 50052]
    assert (GROUP["FromPort"], GROUP["ToPort"]) == (used[0], used[-1])
    assert "& ':50050'" in machine(root)


# ------------------------------------------------------------------------------------------------------------- tasks
def test_its_tasks_are_containers_like_those_of_jobs(deploy):
    cluster = deploy(**ON)
    ours, jobs = (cluster.properties(id) for id in ("ClusterTaskDefinition", "TaskDefinition"))
    for key in ("ExecutionRoleArn", "NetworkMode", "RequiresCompatibilities", "RuntimePlatform", "Volumes"):
        assert ours[key] == jobs[key], key
    (container,), (of_jobs,) = ours["ContainerDefinitions"], jobs["ContainerDefinitions"]
    assert {key: it for key, it in container.items() if key != "PortMappings"} == of_jobs


def test_what_a_failed_night_is_redriven_with_is_kept(deploy):
    assert deploy(**ON).resources["ClusterTaskDefinition"]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("size", ["small", "medium", "large", "xlarge"])
def test_executors_have_a_size_of_their_own_and_half_its_memory_for_sums(deploy, size):
    cluster = deploy(**ON, ExecutorSize=size)
    row, found = cluster.raw["Mappings"]["TaskSizes"][size], cluster.properties("ClusterTaskDefinition")
    assert (found["Cpu"], found["Memory"]) == (row["Cpu"], row["Memory"])
    assert found["EphemeralStorage"] == {"SizeInGiB": row["DiskGiB"]}
    assert given(cluster)["ExecutorMemoryLimit"] == row["MemoryLimit"]


def test_scheduler_has_a_size_that_fargate_has(main, root):
    start = json.loads(re.search(r'"Overrides": (\{\s*"Cpu".*?\n        \})', machine(root), re.S)[1])
    assert {"Cpu": start["Cpu"], "Memory": start["Memory"]}.items() <= main.raw["Mappings"]["TaskSizes"]["small"].items()


def test_capacity_is_that_of_the_cluster_and_nothing_is_taken_back_unasked(main):
    capacity = main.raw["Parameters"]["ExecutorCapacity"]
    assert main.properties("Cluster")["CapacityProviders"] == capacity["AllowedValues"] == ["FARGATE", "FARGATE_SPOT"]
    assert capacity["Default"] == "FARGATE"


def test_no_more_executors_than_one_call_starts(main):
    assert main.raw["Parameters"]["ClusterExecutors"]["MaxValue"] == 10, "RunTask takes no higher count"


@pytest.mark.parametrize(("most", "fits"), [("1", False), ("2", False), ("3", True), ("10", True), ("20", True)])
def test_a_cluster_needs_room_for_three_tasks(main, most, fits):
    rule = main.raw["Rules"]["ClusterFitsIntoMaxTasks"]
    assert rule["RuleCondition"] == main.raw["Conditions"]["Distributes"]
    (assertion,) = rule["Assertions"]
    refused, parameter = assertion["Assert"]["Fn::Not"][0]["Fn::Contains"]
    assert parameter == {"Ref": "MaxTasks"} and (most not in refused) == fits


# ------------------------------------------------------------------------------------------------------------ rights
def test_the_state_machine_may_start_it_and_nobody_gets_another_right(deploy, main):
    def rights(template):
        return {(holder, action, resource) for holder, it in statements(template)
                for action in (it["Action"] if isinstance(it["Action"], list) else [it["Action"]])
                for resource in (it["Resource"] if isinstance(it["Resource"], list) else [it["Resource"]])}

    assert rights(deploy(**ON)) - rights(main) == {
        ("NightlyRole", "ecs:RunTask", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/finops-credits-cluster:*")}
    assert rights(main) - rights(deploy(**ON)) == set()


def test_what_is_started_has_no_rights_but_those_that_the_state_machine_gives(deploy, root):
    assert "TaskRoleArn" not in deploy(**ON).properties("ClusterTaskDefinition")
    (executor,) = re.findall(r'"TaskRoleArn": "(.+?)",\s*"ContainerOverrides": \[\s*\{[^[]*\[\s*"executor"', machine(root))
    assert executor == "${DetectRoleArn}", "the role that buckets of other accounts and roles of exports let in"
