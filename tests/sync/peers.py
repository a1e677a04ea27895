"""Trees that others have uploaded are known by checksum, and one changed byte in them is found."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from s3_upload.config import MIB
from tests.sync.tools import BIN, PEERS, command, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store import Store

SIZES = (0, 1, 4_000_000, 5 * MIB, 8 * MIB + 1, 17_000_000, 101 * MIB, 220 * MIB + 3)
"""Some below the sizes of parts, some above; the last is above the 200 MiB from which rclone sends parts."""


def uploads_of_others(store: Store, folder: Path) -> int:
    """Prints a line for each peer; how many went wrong."""
    source = folder / "tree"
    source.mkdir()
    for number, size in enumerate(SIZES):
        (source / f"{number}.bin").write_bytes(os.urandom(size))
    wrong = 0
    for tool in PEERS:
        bucket = store.new_bucket()
        done = run(store, command(tool, source, bucket, "p"))
        if done.returncode:
            print(f"{tool}: could not upload: {done.stderr.strip()[-300:]}")
            wrong += 1
            continue
        in_parts = [
            entry["ETag"].strip('"').partition("-")[2]
            for entry in store.client.list_objects_v2(Bucket=bucket)["Contents"]
        ]
        first = compared(store, source, bucket)
        changed = []
        for number, size in enumerate(SIZES):
            if size:
                changed.append(f"p/{number}.bin")
                flip(source / f"{number}.bin", size // 2)
        second = compared(store, source, bucket)
        for number, size in enumerate(SIZES):
            if size:
                flip(source / f"{number}.bin", size // 2)
        ok = first == ({}, len(SIZES)) and second == (dict.fromkeys(changed, "checksum differs"), 1)
        wrong += not ok
        parts = ", ".join(f"{count or 1}" for count in in_parts)
        print(
            f"{tool}: {len(SIZES)} objects in {parts} parts: {len(first[0])} would be sent again; of "
            f"{len(changed)} with one changed byte {len(second[0])} are found: {'ok' if ok else 'WRONG'}",
            flush=True,
        )
        if not ok:
            print(first, second)
    return wrong


def compared(store: Store, source: Path, bucket: str) -> tuple[dict[str, str], int]:
    """What a dry run by checksum says: key -> reason, and how many are unchanged."""
    words = [str(BIN / "s3-upload"), "sync", str(source), f"s3://{bucket}/p/", "--compare", "checksum"]
    done = run(store, [*words, "--dry-run", "--json"])
    assert done.returncode == 0, done.stderr
    *lines, summary = map(json.loads, done.stdout.splitlines())
    return {line["key"]: line["reason"] for line in lines}, summary["unchanged"]


def flip(path: Path, offset: int) -> None:
    """One bit of one byte; the file keeps its time."""
    info = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
