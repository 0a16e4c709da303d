"""The release is what was reviewed, whole, and the same every time."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib

import pytest
from cfnlint.decode import decode
from conftest import package
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_same_sources_give_the_same_bytes(release, tmp_path, monkeypatch):
    """On a machine with another clock, other rights of new files and other ideas of what git should do."""
    (tmp_path / ".gitconfig").write_text("[core]\nautocrlf = true\n[tar]\numask = user\n[user]\nname = Somebody else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    before = os.umask(0o077)
    again = package(tmp_path / "again")
    os.umask(before)
    assert {name: path.read_bytes() for name, path in files(again).items()} == {
        name: path.read_bytes() for name, path in files(release).items()}
    executable = {name for name, path in files(again).items() if os.access(path, os.X_OK)}
    assert executable == {name for name in files(again) if name.endswith(".sh")}


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
    """The first column of its table, and nothing at the top that is not in it."""
    guide = (release / "README.md").read_text()
    table = guide[guide.index("## Files of a release"):guide.index("## Deployment")]
    version = (release / "VERSION").read_text().strip()
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name.replace("VERSION", version) if "-" in name else name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    at_the_top = {path.name + "/" * path.is_dir() for path in release.iterdir()}
    assert named == at_the_top - {"README.md", "LICENSE"}


def slug(heading):
    """As the forges make anchors of headings."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def test_no_link_of_the_release_is_dead(release):
    documents = {path: path.read_text() for path in release.rglob("*.md")}
    anchors = {path: {slug(it) for it in re.findall(r"^#+ (.+)$", text, re.M)} for path, text in documents.items()}
    dead, followed = [], 0
    for path, text in documents.items():
        for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", text):
            followed += 1
            found = (path.parent / target).resolve() if target else path
            if not found.exists() or (anchor and anchor not in anchors.get(found, {anchor})):
                dead.append((path.relative_to(release).as_posix(), target, anchor))
    assert dead == [] and followed > 20


@pytest.fixture(scope="module")
def source(release):
    """What is in the source archive."""
    (path,) = release.glob("*-source.tar")
    with tarfile.open(path) as archive:
        yield path.name.removesuffix("-source.tar"), archive


def test_source_archive_is_what_git_has(root, source):
    folder, archive = source
    packed = {it.name.removeprefix(f"{folder}/"): it for it in archive if it.isfile()}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    # Of a source archive that was unpacked git knows nothing.
    tracked = listed.stdout.split("\0") if listed.returncode == 0 else packed
    there = {name: root / name for name in tracked if name and (root / name).is_file()}
    assert packed.keys() == there.keys()
    assert [name for name, it in packed.items() if archive.extractfile(it).read() != there[name].read_bytes()] == []
    assert {it.mode for it in packed.values()} == {0o644, 0o755}


def test_version_of_the_release_is_that_of_the_program(release, root, source):
    version = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert (release / "VERSION").read_text() == f"{version}\n" and source[0] == f"finops-credits-{version}"


@pytest.fixture(scope="module")
def sbom(release):
    return json.loads((release / "sbom.cdx.json").read_text())


def test_bill_of_materials_is_valid_cyclonedx(release):
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str((release / "sbom.cdx.json").read_text())
    assert problem is None, problem


def test_bill_of_materials_lists_what_the_program_is_locked_to(sbom, root):
    packages = tomllib.loads((root / "Cargo.lock").read_text())["package"]
    locked = {(it["name"], it["version"]): it.get("checksum") for it in packages}
    listed = {(it["name"], it["version"]): it.get("hashes", [{"content": None}])[0]["content"] for it in sbom["components"]}
    assert listed.items() <= locked.items()
    for name in ("tokio", "datafusion", "aws-sdk-glue", "tikv-jemallocator"):
        assert name in {it for it, _ in listed}
    missing = {name for name, _ in locked.keys() - listed.keys()}
    assert sbom["metadata"]["component"]["name"] == "finops-credits" and {"finops-credits", "tests"} <= missing
    checked = [it for it in locked if locked[it]]
    assert len([it for it in checked if it in listed]) > 0.9 * len(checked), "only what tests alone use is left out"


def test_bill_of_materials_says_what_needs_what(sbom):
    known = {it["bom-ref"] for it in sbom["components"]} | {sbom["metadata"]["component"]["bom-ref"]}
    needs = {it["ref"]: set(it.get("dependsOn", [])) for it in sbom["dependencies"]}
    reached, waiting = set(), [sbom["metadata"]["component"]["bom-ref"]]
    while waiting:
        ref = waiting.pop()
        reached.add(ref)
        waiting += needs[ref] - reached
    assert reached == known == needs.keys()


def test_what_makes_a_release_is_pinned_as_where_it_is_tested(root):
    pins = re.findall(r"^([\w.-]+==\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", (root / "scripts/package.txt").read_text(), re.M)
    assert len(pins) == 7
    for part in ("infra", "ministack"):
        assert set(pins) <= set((root / f"tests/aws/{part}/requirements.txt").read_text().splitlines())


def test_a_folder_that_is_not_empty_is_refused(root, tmp_path):
    (tmp_path / "mine").write_text("")
    done = subprocess.run(
        [sys.executable, str(root / "scripts/package"), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode != 0 and "not empty" in done.stderr and os.listdir(tmp_path) == ["mine"]


@pytest.fixture
def checkout(source, tmp_path):
    """A repository of its own, with what is in the source archive."""
    folder, archive = source
    archive.extractall(tmp_path, filter="data")
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *words], cwd=tmp_path / folder, check=True)
    return tmp_path / folder


def made_from(checkout):
    words = [sys.executable, str(checkout / "scripts/package"), str(checkout.parent / "release")]
    return checkout.parent / "release", subprocess.run(words, capture_output=True, text=True)


def test_a_release_is_made_from_the_source_of_a_release(checkout, release):
    made, done = made_from(checkout)
    assert done.returncode == 0 and done.stderr == "" and files(made).keys() == files(release).keys()


def test_changes_that_are_not_committed_are_in_the_source_and_said(checkout):
    with open(checkout / "crates/lake/src/lib.rs", "a") as source:
        source.write("// changed\n")
    made, done = made_from(checkout)
    assert done.returncode == 0 and "not committed" in done.stderr
    (path,) = made.glob("*-source.tar")
    with tarfile.open(path) as archive:
        name = f"{path.name.removesuffix('-source.tar')}/crates/lake/src/lib.rs"
        assert archive.extractfile(name).read().endswith(b"// changed\n")


def test_a_base_image_without_its_digest_is_refused(checkout):
    dockerfile = checkout / "infra/Dockerfile"
    dockerfile.write_text(re.sub(r"(cc-debian13:nonroot)@sha256:\w+", r"\1", dockerfile.read_text()))
    made, done = made_from(checkout)
    assert done.returncode != 0 and "cc-debian13:nonroot" in done.stderr and not made.exists()


def test_a_link_to_nothing_is_refused(checkout):
    with open(checkout / "docs/aws.md", "a") as guide:
        guide.write("\n[more](nothing.md)\n")
    made, done = made_from(checkout)
    assert done.returncode != 0 and "docs/nothing.md" in done.stderr and not made.exists()
