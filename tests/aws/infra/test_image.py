"""The image is the program that was measured, built on bases that are what they were."""

import json
import re
import shutil
import subprocess
import tomllib

import pytest
from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

# What cargo reads beside manifests and sources, if it is there.
SETTINGS = [".cargo/config.toml", ".cargo/config", "rust-toolchain", "rust-toolchain.toml", "Cargo.lock"]


@pytest.fixture(scope="module")
def dockerfile(root, tmp_path_factory):
    """Of a copy: the parser opens what it reads for writing."""
    copy = tmp_path_factory.mktemp("image") / "Dockerfile"
    shutil.copy(root / "infra/Dockerfile", copy)
    return DockerfileParser(str(copy))


@pytest.fixture(scope="module")
def context(root, tmp_path_factory):
    """What `docker build` sends to the builder, by Docker's own reading of .dockerignore."""
    folder = tmp_path_factory.mktemp("context")
    for name in exclude_paths(str(root), (root / ".dockerignore").read_text().splitlines(), "infra/Dockerfile"):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    return folder


def packages(folder):
    """Packages of the workspace, each with its targets and its dependencies by path, as cargo sees them."""
    words = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def relative(path):
        return path.removeprefix(f"{folder}/")

    return {
        it["name"]: (
            sorted(relative(target["src_path"]) for target in it["targets"]),
            sorted({relative(dependency["path"]) for dependency in it["dependencies"] if "path" in dependency}),
        )
        for it in json.loads(done.stdout)["packages"]
    }


def test_cargo_finds_every_package_in_the_context(root, context):
    there, all_of_it = packages(context), packages(root)
    assert there.pop("tests")[1] == all_of_it.pop("tests")[1], "a member, so its manifest must be there, but not its examples"
    assert there == all_of_it and len(there) > 5
    assert [path for _, paths in there.values() for path in paths if not (context / path / "Cargo.toml").is_file()] == []


def test_cargo_builds_with_the_settings_of_the_repository(root, context):
    expected = {name: (root / name).read_bytes() for name in SETTINGS if (root / name).is_file()}
    assert {name: (context / name).read_bytes() for name in SETTINGS if (context / name).is_file()} == expected
    assert tomllib.loads(expected[".cargo/config.toml"].decode())["env"], "how jemalloc is built in"


def test_files_that_sources_include_are_in_the_context(context):
    included = {
        source.parent / name
        for source in context.rglob("*.rs")
        for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source.read_text())
    }
    assert included and [str(path) for path in included if not path.is_file()] == []


def test_context_holds_nothing_but_sources(context):
    kept = {path.relative_to(context).parts[0] for path in context.rglob("*") if path.is_file()}
    by_docker = {".dockerignore", "infra"}  # the Dockerfile, which the builder reads itself
    assert kept - by_docker == {".cargo", "Cargo.lock", "Cargo.toml", "crates", "jobs", "schemas", "tests"}


def test_bases_are_pinned_and_of_one_debian(root, dockerfile):
    toolchain = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    build, final = dockerfile.parent_images
    assert re.fullmatch(rf"rust:{re.escape(toolchain)}-slim-trixie@sha256:[0-9a-f]{{64}}", build)
    assert re.fullmatch(r"gcr\.io/distroless/cc-debian13:nonroot@sha256:[0-9a-f]{64}", final), "Debian 13 is trixie"


def test_image_holds_the_program_as_it_runs_on_aws(dockerfile):
    steps = [(step["instruction"], step["value"]) for step in dockerfile.structure]
    last = max(at for at, (name, _) in enumerate(steps) if name == "FROM")
    (build,) = [value for name, value in steps[:last] if name == "RUN" and "cargo build" in value]
    for words in ("--release", "--locked", "--package finops-credits", "--features aws,ballista,openid-connect"):
        assert words in build
    assert not [name for name, _ in steps[last:] if name == "RUN"], "nothing runs in the final stage"


def test_nothing_but_the_bases_is_pulled(root):
    """A syntax line would have the builder fetch its own front end, by tag."""
    assert "# syntax=" not in (root / "infra/Dockerfile").read_text()
