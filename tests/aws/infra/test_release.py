"""The release is what was reviewed, whole, and the same every time. Figures in the guide are those of the program."""

import hashlib
import os
import subprocess
import sys

import pytest
from conftest import package
from cfnlint.decode import decode


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_same_sources_give_the_same_bytes(release, tmp_path):
    again = package(tmp_path / "again")
    assert {name: path.read_bytes() for name, path in files(again).items()} == {
        name: path.read_bytes() for name, path in files(release).items()}
    assert {name: os.access(path, os.X_OK) for name, path in files(again).items() if os.access(path, os.X_OK)} == {
        "preflight.sh": True, "smoke-test.sh": True}


def test_checksums_are_those_of_all_files(release):
    lines = (release / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files(release).items()}
    del found["SHA256SUMS"]
    assert listed == found and list(listed) == sorted(listed)


def test_the_template_holds_the_reviewed_state_machine(release, root):
    template, _ = decode(str(release / "finops-credits.yaml"))
    text = template["Resources"]["Nightly"]["Properties"]["DefinitionString"]
    assert text == (root / "step-functions/nightly.asl.json").read_text()


def test_nothing_else_of_the_template_is_changed(release, root):
    shipped = (release / "finops-credits.yaml").read_text().splitlines()
    source = (root / "infra/finops-credits.yaml").read_text().splitlines()
    at = source.index("      DefinitionString: step-functions/nightly.asl.json")
    assert shipped[:at] == source[:at] and shipped[-len(source[at + 1:]):] == source[at + 1:]


def test_templates_fit_what_cloudformation_takes(release):
    assert all(path.stat().st_size <= 1_000_000 for path in release.glob("*.yaml"))


def test_every_file_the_guide_names_is_in_the_release(release):
    there = set(files(release)) | {f"{name.split('/')[0]}/" for name in files(release)}
    named = {"views.yaml", "export.yaml", "endpoints.yaml", "preflight.sh", "smoke-test.sh", "sample/", "SHA256SUMS"}
    named.add("finops-credits.yaml")
    assert named <= there and all(f"`{name}`" in (release / "README.md").read_text() for name in named)


def test_a_folder_that_is_not_empty_is_refused(root, tmp_path):
    (tmp_path / "mine").write_text("")
    done = subprocess.run(
        [sys.executable, str(root / "scripts/package"), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode != 0 and "not empty" in done.stderr and os.listdir(tmp_path) == ["mine"]


def test_cost_tables_of_the_guide_are_those_of_the_program(root):
    printed = subprocess.run(
        [sys.executable, str(root / "infra/cost.py")], capture_output=True, text=True, check=True).stdout
    assert printed in (root / "docs/aws.md").read_text()


@pytest.mark.parametrize("size", ["small", "large"])
def test_task_sizes_of_the_estimate_are_those_of_the_template(main, root, size):
    sys.path.insert(0, str(root / "infra"))
    import cost
    of = {"small": cost.SMALL, "large": cost.LARGE}[size]
    row = main.raw["Mappings"]["TaskSizes"][of.task]
    assert (of.vcpus * 1024, of.memory_gb * 1024, of.disk_gb) == (int(row["Cpu"]), int(row["Memory"]), row["DiskGiB"])
    assert len(main.of_type("AWS::CloudWatch::Alarm")) == 4
