"""Published runs, on Trino and beside it on DuckDB as the tests of Athena's SQL have them."""

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
ATHENA = ROOT / "tests/aws/athena"
sys.path.append(str(ATHENA))

from server import Server  # noqa: E402
from tables import add_run  # noqa: E402


def athena():
    """The Athena tests' way to publish a lake and to open it with its views."""
    spec = importlib.util.spec_from_file_location("athena_lake", ATHENA / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LAKE = athena()
schema, views, lake, connection = LAKE.schema, LAKE.views, LAKE.lake, LAKE.connection


def export(folder: Path) -> str:
    return "".join(file.read_text() for file in sorted(folder.glob("cur/*")))


#: Organisations that the end-to-end tests have generated, with their lakes; in the same order every time.
GENERATED = sorted(Path(os.environ["FINOPS_TRINO_ORGANISATIONS"]).iterdir(), key=export)


@dataclass
class Run:
    """A published run on both engines; on Trino its tables are in a schema of this name."""

    schema: str
    trino: Server
    duckdb: duckdb.DuckDBPyConnection


@pytest.fixture(scope="session")
def trino(tmp_path_factory):
    home, java = Path(os.environ["FINOPS_TRINO_HOME"]), Path(os.environ["FINOPS_TRINO_JAVA"])
    server = Server(home, java, tmp_path_factory.mktemp("trino"), os.environ["FINOPS_TRINO_HEAP"])
    yield server
    server.stop()


#: Runs by name: how to make the lake in a new folder.
WRITTEN = {
    "sample": lambda folder: LAKE.publish_sample(folder, "unblended"),
    "sample_amortized": lambda folder: LAKE.publish_sample(folder, "amortized"),
    **{f"scenario_{name[:2]}": lambda folder, name=name: LAKE.publish_scenario(name, folder) for name in LAKE.SCENARIOS},
}
RUNS = WRITTEN | {
    f"generated_{number:02}": lambda _, folder=folder: folder / "lake" for number, folder in enumerate(GENERATED)
}


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory, trino, schema, views) -> Run:
    """Each run that is compared."""
    name = request.param
    lake = RUNS[name](tmp_path_factory.mktemp(name))
    add_run(trino, name, (lake / "published").resolve(), schema)
    return Run(name, trino, LAKE.opened(lake, schema, views))
