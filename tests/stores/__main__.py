"""Runs the conformance suite through all stores, prints the table and writes it to docs/reliability.md.

Exit code 1 if a store did something otherwise that is not among its known differences.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.stores.servers import STORES, Missing, version
from tests.stores.suite import CHECKS, run_check
from tests.stores.table import KNOWN, Column, table, write

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stores", description=__doc__)
    parser.add_argument("stores", nargs="*", metavar="STORE", help=f"of {', '.join(STORES)}; default: all")
    names = parser.parse_args().stores or list(STORES)
    wrong = [name for name in names if name not in STORES]
    if wrong:
        parser.error(f"no such store: {wrong[0]}; there are {', '.join(STORES)}")
    columns, unexpected = [], 0
    for name in names:
        try:
            column = run_store(name)
        except Missing as reason:
            print(f"{name}: skipped: {reason}", flush=True)
            continue
        columns.append(column)
        unexpected += report(column)
    text = table(columns)
    print(f"\n{text}")
    if len(columns) == len(STORES):
        write(DOCUMENT, text)
    else:
        print(f"{DOCUMENT.name} is left as it was: not all stores ran")
    return 1 if unexpected else 0


def run_store(name: str) -> Column:
    with tempfile.TemporaryDirectory(prefix="s3-upload-stores-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        with STORES[name](data) as store:
            return Column(name, version(name), {check: run_check(check, store) for check in CHECKS})


def report(column: Column) -> int:
    """Prints what is worth a line; how many differences were not known."""
    unexpected = 0
    for check, difference in column.differences.items():
        known = KNOWN.get(column.name, {}).get(check)
        if difference and not known:
            unexpected += 1
            print(f"{column.name}: {check}: UNEXPECTED: {difference}")
        elif known and not difference:
            print(f"{column.name}: {check}: works now; take it off KNOWN")
    print(f"{column.name} {column.version}: {len(CHECKS)} checks, {unexpected} unexpected", flush=True)
    return unexpected


if __name__ == "__main__":
    sys.exit(main())
