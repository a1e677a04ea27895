"""Runs the conformance suite through all stores and prints the table.

A store that cannot run here is left out, with a line that says why.  Exit code 1 if a store did
something otherwise that is not among its known differences, or if one that needs no Go was left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.stores.servers import ALWAYS, STORES, Missing, build, version
from tests.stores.suite import CHECKS, NOT_ASKED, run_check
from tests.stores.table import DOCUMENT, KNOWN, Column, table, write


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stores", description=__doc__)
    parser.add_argument("stores", nargs="*", metavar="STORE", help=f"of {', '.join(STORES)}; default: all")
    parser.add_argument("--write", action="store_true", help=f"write the table to docs/{DOCUMENT.name}")
    arguments = parser.parse_args()
    names = arguments.stores or list(STORES)
    wrong = [name for name in names if name not in STORES]
    if wrong:
        parser.error(f"no such store: {wrong[0]}; there are {', '.join(STORES)}")
    problems = build(names)
    columns, failed = [], 0
    for name in names:
        try:
            columns.append(column := run_store(name))
        except Missing as missing:
            reason = problems.get(name.split()[0].lower(), str(missing))
            print(f"{name}: LEFT OUT: {reason}", flush=True)
            failed += name in ALWAYS
        else:
            failed += report(column)
    text = table(columns)
    print(f"\n{text}")
    if arguments.write:
        if len(columns) < len(STORES):
            parser.error(f"docs/{DOCUMENT.name} is left as it was: not all stores ran")
        write(DOCUMENT, text)
    return 1 if failed else 0


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
        if difference == NOT_ASKED:
            continue
        if difference and not known:
            unexpected += 1
            print(f"{column.name}: {check}: UNEXPECTED: {difference}")
        elif known and not difference:
            print(f"{column.name}: {check}: works now; take it off KNOWN")
    print(f"{column.name} {column.version}: {len(CHECKS)} checks, {unexpected} unexpected", flush=True)
    return unexpected


if __name__ == "__main__":
    sys.exit(main())
