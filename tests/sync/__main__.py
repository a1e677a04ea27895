"""Prints what a sync costs where nothing is to be done, that uploads of others are known by their checksums,
and what others send of the same trees.  Exit code 1 if one of it is not as it should be.

MinIO is built with Go at the first run, which takes minutes; without Go the embedded store stands in.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

from tests.stores.servers import Missing, build, minio, rclone
from tests.sync import cases, cost, peers

PARTS = ("listed", "million", "store", "peers", "table")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sync", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    wanted = parser.parse_args().parts or list(PARTS)
    if unknown := [part for part in wanted if part not in PARTS]:
        parser.error(f"no such part: {unknown[0]}; there are {', '.join(PARTS)}")
    wrong = 0
    place = cost.SHM if cost.SHM.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="s3-upload-sync-", dir=place) as made,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(made)
        if "listed" in wanted:
            wrong += cost.listed_only(folder)
        if "million" in wanted:
            wrong += cost.a_million(folder, 0.0)
        if not {"store", "peers", "table"} & set(wanted):
            return 1 if wrong else 0
        build(["MinIO"])
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3-upload-sync-"))) / "data"
        data.mkdir()
        name = "MinIO"
        try:
            store = stack.enter_context(minio(data))
        except Missing as missing:
            print(f"MinIO: {missing}: the embedded store stands in")
            name, store = "the embedded store", stack.enter_context(rclone(data))
        if "peers" in wanted:
            (folder / "peers").mkdir()
            wrong += peers.uploads_of_others(store, folder / "peers")
        if "table" in wanted:
            (folder / "cases").mkdir()
            wrong += cases.table(store, folder / "cases")
        if "store" in wanted:
            wrong += cost.at_a_store(store, name, folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
