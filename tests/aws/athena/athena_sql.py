"""Athena SQL without Athena: parsed and typed by sqlglot as Trino would, translated and run by DuckDB.

What this shows: syntax, names, types, rows. What it cannot show: that Trino computes the same. So views keep to the few
functions that mean the same in both, and `problems` refuses the rest.
"""

from sqlglot import exp, parse_one
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

#: Functions that are the same in Trino and DuckDB for the types used here.
SAME_IN_BOTH = (
    exp.And, exp.ArgMax, exp.Case, exp.Cast, exp.Coalesce, exp.Count, exp.DateDiff, exp.If, exp.Lag, exp.Lead, exp.Max, exp.Min,
    exp.Or, exp.RowNumber, exp.Substring, exp.Sum,
)  # fmt: skip
TEXT, NUMBER, DAY, TRUTH = "text", "number", "day", "truth"
FAMILIES = {
    TEXT: exp.DataType.TEXT_TYPES,
    NUMBER: exp.DataType.NUMERIC_TYPES,
    DAY: {exp.DataType.Type.DATE},
    TRUTH: {exp.DataType.Type.BOOLEAN},
}
#: Words that Athena takes for a name only in quotes.
RESERVED = """alter and as between by case cast constraint create cross cube current_date current_path current_time
    current_timestamp current_user deallocate delete describe distinct drop else end escape except execute exists
    extract false first for from full group grouping having in inner insert intersect into is join last left like
    listagg localtime localtimestamp natural normalize not null on or order outer prepare recursive right rollup select
    skip table then trim true uescape union unnest using values when where with"""


def resolved(sql: str, schema: dict) -> exp.Expression:
    """The query with every column's table and every expression's type.

    Aliases are not expanded: Trino knows an alias in ORDER BY only, where DuckDB and sqlglot take it anywhere.
    """
    query = qualify(
        parse_one(sql, read="athena"),
        schema=schema,
        dialect="athena",
        expand_alias_refs=False,
        validate_qualify_columns=True,
    )
    return annotate_types(query, schema=schema, dialect="athena")


def duckdb(sql: str, schema: dict) -> str:
    """The query in DuckDB's dialect."""
    return resolved(sql, schema).sql("duckdb")


def tables(sql: str) -> set[str]:
    """The tables and views it reads."""
    query = parse_one(sql, read="athena")
    return {table.name for table in query.find_all(exp.Table)} - {cte.alias for cte in query.find_all(exp.CTE)}


def in_order(views: dict[str, str]) -> list[str]:
    """The names of views, each after those it reads."""
    waiting, names = dict(views), []
    while waiting:
        ready = [name for name, sql in waiting.items() if not tables(sql) & waiting.keys()]
        assert ready, f"views that wait for each other: {sorted(waiting)}"
        names += ready
        waiting = {name: sql for name, sql in waiting.items() if name not in ready}
    return names


def problems(sql: str, schema: dict) -> list[str]:
    """What DuckDB takes but Trino refuses or computes otherwise."""
    query = resolved(sql, schema)
    names = {name.name.lower() for name in parse_one(sql, read="athena").find_all(exp.Identifier) if not name.quoted}
    found = [f"is a reserved word: {name}" for name in sorted(names & set(RESERVED.split()))]
    for node in query.walk():
        text = node.sql("athena")
        match node:
            case exp.Div() | exp.IntDiv() | exp.Mod() | exp.Avg():
                found.append(f"divides: {text}")
            case exp.Mul() if any(money(side) for side in (node.left, node.right)):
                found.append(f"multiplies money: {text}")
            case exp.DPipe() if {family(node.left), family(node.right)} != {TEXT}:
                found.append(f"joins what is not text: {text}")
            case (
                exp.EQ()
                | exp.NEQ()
                | exp.LT()
                | exp.LTE()
                | exp.GT()
                | exp.GTE()
                | exp.NullSafeEQ()
                | exp.NullSafeNEQ()
            ):
                if family(node.left) != family(node.right):
                    found.append(f"compares {family(node.left)} with {family(node.right)}: {text}")
            case exp.Coalesce() if len({family(part) for part in [node.this, *node.expressions]}) != 1:
                found.append(f"mixes types: {text}")
            case exp.Substring() if not (node.args["start"].is_int and int(node.args["start"].name) > 0):
                found.append(f"does not count characters from 1: {text}")
            case exp.Func() if not isinstance(node, SAME_IN_BOTH):
                found.append(f"is no function known to be the same in both: {text}")
    return found


def family(node: exp.Expression) -> str:
    """Values of one family compare with each other in Trino."""
    for name, types in FAMILIES.items():
        if node.type is not None and node.type.this in types:
            return name
    return f"unknown ({node.sql('athena')})"


def money(node: exp.Expression) -> bool:
    """True for exact amounts."""
    return node.type is not None and node.type.this == exp.DataType.Type.DECIMAL
