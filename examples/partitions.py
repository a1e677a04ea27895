"""Uploads a table as one Parquet file for each value of a column, as Athena, Spark and DuckDB read them.

    python examples/partitions.py BUCKET PREFIX

A pandas DataFrame becomes such a table by `pyarrow.Table.from_pandas(frame)`.
"""

import sys
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s3_upload import ObjectSource, upload


def partitions(table: pa.Table, column: str, prefix: str) -> Iterator[ObjectSource]:
    """One at a time: the next is made when there is room for it."""
    for value in table[column].unique().to_pylist():
        part = table.filter(pc.field(column) == value).drop_columns([column])
        buffer = pa.BufferOutputStream()
        pq.write_table(part, buffer, compression="zstd")
        yield ObjectSource.data(memoryview(buffer.getvalue()), f"{prefix}/{column}={value}/part-0.parquet")


def main() -> int:
    bucket, prefix = sys.argv[1:]
    table = pa.table({"year": [2023, 2023, 2024], "name": ["a", "b", "c"]})
    summary = upload(partitions(table, "year", prefix), f"s3://{bucket}", progress=print)
    print(summary)
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
