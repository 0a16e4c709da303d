"""What a month costs: the guide says what the program says, and the program goes by the templates."""

import json
import re
import subprocess
import sys

import pytest
from template import Template


@pytest.fixture(scope="module")
def cost(root):
    sys.path.insert(0, str(root / "infra"))
    import cost
    return cost


def test_tables_of_the_guide_are_those_of_the_program(root):
    printed = subprocess.run(
        [sys.executable, str(root / "infra/cost.py")], capture_output=True, text=True, check=True).stdout
    assert printed in (root / "docs/aws.md").read_text()


@pytest.mark.parametrize("size", ["SMALL", "LARGE"])
def test_task_sizes_are_those_of_the_template(main, cost, size):
    of = getattr(cost, size)
    row = main.raw["Mappings"]["TaskSizes"][of.task]
    assert (of.vcpus * 1024, of.memory_gb * 1024, of.disk_gb) == (int(row["Cpu"]), int(row["Memory"]), row["DiskGiB"])


def test_a_cluster_costs_what_the_template_starts(main, root, cost):
    parameters = main.raw["Parameters"]
    assert parameters["ClusterExecutors"]["Default"] == cost.EXECUTORS
    assert parameters["ExecutorSize"]["Default"] == cost.LARGE.task
    scheduler = (root / "step-functions/nightly.asl.json").read_text().split('"Start the scheduler": {')[1]
    size = [int(it) for it in re.search(r'"Cpu": "(\d+)",\s+"Memory": "(\d+)"', scheduler).groups()]
    assert size == [cost.SCHEDULER_VCPUS * 1024, cost.SCHEDULER_MEMORY_GB * 1024]
    assert cost.cluster() == cost.fargate(1, 2) + 4 * cost.fargate(4, 16, 100) > 1


def test_every_alarm_is_counted(main, cost):
    assert len(main.of_type("AWS::CloudWatch::Alarm")) == cost.ALARMS


def test_key_costs_more_after_each_of_its_first_two_rotations(main, cost):
    assert main.raw["Resources"]["Key"]["Properties"]["EnableKeyRotation"] is True
    assert [cost.rotated(times) for times in (0, 1, 2, 3, 10)] == [0, 1, 2, 2, 2]


def test_a_dashboard_costs_by_its_people(cost):
    assert cost.quicksight(cost.SMALL) == 1 * 24 + 5 * 3 and cost.quicksight(cost.LARGE) == 3 * 24 + 50 * 3


def test_what_stays_after_uninstalling_is_what_the_templates_keep(main, release, cost):
    kept = {it["Type"] for it in main.resources.values() if it.get("DeletionPolicy", "Delete") != "Delete"}
    free = {"AWS::Glue::Database"}  # its tables, too, up to a million
    assert kept - free == {"AWS::S3::Bucket", "AWS::KMS::Key"} and free <= kept
    assert [it for it in Template(release / "image.yaml").resources.values() if "DeletionPolicy" in it] == []
    left = cost.left(cost.LARGE)
    assert left["S3, the data bucket"] == cost.month(cost.LARGE)["S3, stored"] > 0
    assert left["KMS, its key, rotated twice"] == 3 and len(left) == len(kept - free)


def test_as_many_images_are_paid_for_as_the_repository_keeps(release, cost):
    policy = Template(release / "image.yaml").resources["Repository"]["Properties"]["LifecyclePolicy"]
    tagged = json.loads(policy["LifecyclePolicyText"])["rules"][0]["selection"]
    assert tagged["countNumber"] == cost.IMAGES_KEPT
