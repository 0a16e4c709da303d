"""The files that are shipped, read apart from the code that makes them."""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from sqlglot import exp, parse

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT / "schemas"


@dataclass
class View:
    """A file of `schemas/athena/views`."""

    name: str
    text: str

    @property
    def question(self) -> str:
        return self.text.splitlines()[0].removeprefix("-- ")

    @property
    def grain(self) -> list[str]:
        return re.search(r"^-- Grain: (.*)$", self.text, re.MULTILINE)[1].split(", ")

    @property
    def columns(self) -> dict[str, str]:
        declared = self.text.split("-- Columns:\n")[1]
        return dict(re.findall(r"^--   (\w+) +(\S+) +\S", declared, re.MULTILINE))


def view_files() -> list[View]:
    return [View(path.stem, path.read_text()) for path in sorted((SCHEMAS / "athena/views").glob("*.sql"))]


def check_files() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted((SCHEMAS / "athena/checks").glob("*.sql"))}


def table_ddl() -> dict[str, exp.Create]:
    files = sorted((SCHEMAS / "generated/athena").glob("*.sql"))
    return {path.stem: statement for path in files for statement in parse(path.read_text(), read="athena") if statement}


def ddl_columns(ddl: exp.Create) -> dict[str, str]:
    """Name to type of a table's columns, the partition's last."""
    return {column.name: column.kind.sql("hive").lower().replace(", ", ",") for column in ddl.find_all(exp.ColumnDef)}


class Template(yaml.SafeLoader):
    """CloudFormation's short forms as their long ones."""


for function in ("Join", "Sub"):
    name = f"Fn::{function}"
    Template.add_constructor(
        f"!{function}",
        lambda loader, node, name=name: {
            name: loader.construct_scalar(node)
            if isinstance(node, yaml.ScalarNode)
            else loader.construct_sequence(node, True)
        },
    )
Template.add_constructor("!Ref", lambda loader, node: {"Ref": loader.construct_scalar(node)})


def template() -> dict:
    return yaml.load((ROOT / "infra/views.yaml").read_text(), Template)


def original_text(text: dict, database: str) -> str:
    """A view's text as CloudFormation makes it."""
    separator, parts = text["Fn::Join"]

    def value(part):
        if isinstance(part, str):
            return part
        substituted = part["Fn::Base64"]["Fn::Sub"].replace("${Database}", database)
        assert not re.search(r"\$\{(?!!)", substituted), f"Fn::Sub would look for a parameter: {substituted}"
        return base64.b64encode(substituted.replace("${!", "${").encode()).decode()

    return separator.join(value(part) for part in parts)


def decoded(text: str) -> dict:
    """A view's text as Athena reads it."""
    return json.loads(base64.b64decode(re.fullmatch(r"/\* Presto View: (\S+) \*/", text)[1]))


def templates_views(database: str = "finops_credits") -> dict[str, dict]:
    """What Athena finds of each view once the template is installed."""
    tables = [resource["Properties"]["TableInput"] for resource in template()["Resources"].values()]
    return {table["Name"]: decoded(original_text(table["ViewOriginalText"], database)) for table in tables}
