"""What is fetched of an export on S3: few bytes that are not needed, and the summary says how many."""

import io
import json
import random

import pyarrow
import pyarrow.compute
import pyarrow.parquet as parquet
import pytest

from support.emulator import Emulator
from support.lake import ROOT, Program, make_lake, settings
from support.proxy import FaultProxy

BUCKET = "export"
LINES, LINES_PER_GROUP = 120_000, 40_000
MOST = 1.2
# What the cost rules of the sample organisation and the measures need of a CUR 2.0 export.
NEEDED = {
    "bill_billing_entity",
    "bill_billing_period_start_date",
    "bill_payer_account_id",
    "line_item_currency_code",
    "line_item_line_item_description",
    "line_item_line_item_type",
    "line_item_product_code",
    "line_item_unblended_cost",
    "line_item_usage_account_id",
    "line_item_usage_start_date",
    "product_region_code",
    "reservation_reservation_a_r_n",
    "savings_plan_savings_plan_a_r_n",
}
NEEDED_MAPS = ("resource_tags.", "cost_category.", "product.")


def large_file() -> bytes:
    """A month of the sample organisation many times over, with costs of their own: they must not compress away."""
    (path,) = (ROOT / "data/cur/finops-daily/data/BILLING_PERIOD=2026-06").glob("*.parquet")
    month = parquet.read_table(path)
    lines = pyarrow.concat_tables([month] * (LINES // month.num_rows + 1)).slice(0, LINES)
    dice = random.Random(6)
    noise = pyarrow.array([dice.uniform(0.5, 1.5) for _ in range(LINES)])
    column = lines.schema.get_field_index("line_item_unblended_cost")
    costs = pyarrow.compute.multiply(lines.column(column).combine_chunks(), noise)
    lines = lines.set_column(column, lines.schema.field(column), costs)
    file = io.BytesIO()
    parquet.write_table(lines, file, row_group_size=LINES_PER_GROUP, compression="snappy")
    return file.getvalue()


def needed_bytes(file: bytes) -> int:
    """Of the column chunks that hold what is needed."""
    metadata = parquet.ParquetFile(io.BytesIO(file)).metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
    return sum(
        chunk.total_compressed_size
        for chunk in chunks
        if chunk.path_in_schema in NEEDED or chunk.path_in_schema.startswith(NEEDED_MAPS)
    )


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """The file, what went over the wire, and the summary of the run."""
    folder, file = tmp_path_factory.mktemp("traffic"), large_file()
    with Emulator(folder / "state") as emulator, FaultProxy(emulator.endpoint) as proxy:
        names = ("hierarchy.csv", "cost_rules.csv")
        reference = {f"reference/{name}": (ROOT / "data/reference" / name).read_bytes() for name in names}
        make_lake(emulator, BUCKET, "traffic", {"cur/finops-daily-00001.snappy.parquet": file, **reference})
        text = settings(f"s3://{BUCKET}/cur", f"s3://{BUCKET}/reference", f"s3://{BUCKET}/lake", "traffic")
        program = Program(folder / "program", text, emulator.environment(proxy.endpoint))
        first = json.loads(program.run("run", "--as-of", "2026-10-31", "--format", "json").stdout)
        wire = [it for it in proxy.log if "/cur/" in it.request.path or "prefix=cur" in it.request.target]
        proxy.clear()
        second = json.loads(program.run("run", "--as-of", "2026-11-01", "--format", "json").stdout)
        yield file, wire, first, second, proxy.exchanges(r"^/export/cur/")


def test_bytes_fetched_are_at_most_a_fifth_more_than_needed(fetched):
    file, wire, *_ = fetched
    data = [it for it in wire if it.request.path.endswith(".parquet")]
    got, needed = sum(it.sent for it in data), needed_bytes(file)
    assert needed < len(file) * 0.8, "else there is nothing to leave out"
    assert needed * 0.9 < got <= MOST * needed, f"{got} bytes for {needed} of {len(file)}"


def test_summary_says_what_went_over_the_wire(fetched):
    _, wire, first, *_ = fetched
    assert first["export"]["fetched"] == {"requests": len(wire), "bytes": sum(it.sent for it in wire)}


def test_file_that_did_not_change_is_not_fetched_again(fetched):
    *_, second, again = fetched
    assert second["export"]["periods_read"] == []
    assert [it for it in again if it.request.method == "GET" and it.request.path.endswith(".parquet")] == []
