"""Uploads what is big by the command, through a real store; compares all that is read back.

One sparse file with random blocks in it and many files of random sizes go in one run of `s3-upload`;
what comes in by stdin in another.  Prints what each took, and the highest memory of its process.
Exit code 1 if an object came back otherwise or a process took more memory than it may.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from s3_upload.config import MIB
from s3_upload.units import parse_size, show_size
from tests.store import REGION
from tests.stores.servers import STORES, Missing, build

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO, BinaryIO

    from tests.store import Store

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
COMPARE_BYTES = MIB
BLOCK_BYTES, BLOCK_EVERY_BYTES = 4096, 3 * MIB
"""So that each part of the sparse file differs from the others."""

_LAUNCHER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], check=False).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code)
"""
"""A small process between this one and the command: the kernel counts what a parent holds when it forks as
its child's, and this one may be a whole test run."""


class Ran(NamedTuple):
    """A process that ended well, by the kernel's account."""

    took_s: float
    cpu_s: float
    peak_bytes: int


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stores.big", description=__doc__)
    parser.add_argument("--store", default="MinIO", choices=STORES, help="default: MinIO")
    parser.add_argument("--sparse", type=parse_size, default="5GiB", help="size of the sparse file (5GiB)")
    parser.add_argument("--files", type=int, default=1000, help="how many other files (1000)")
    parser.add_argument("--largest", type=parse_size, default="40MiB", help="their sizes: 0 to this (40MiB)")
    parser.add_argument("--stdin", type=parse_size, default="300MiB", help="how much by stdin (300MiB)")
    parser.add_argument("--memory", type=parse_size, default="400MB", help="what a process may take (400MB)")
    parser.add_argument("--folder", default="/var/tmp", help="where, for the time being (/var/tmp)")
    parser.add_argument("--seed", type=int, default=1, help="of the sizes and the noise (1)")
    parser.add_argument("flags", nargs="*", help="for s3-upload, after --")
    arguments = parser.parse_args(words)
    needed = 2 * (arguments.sparse + arguments.files * arguments.largest // 2 + arguments.stdin)
    free = shutil.disk_usage(arguments.folder).free
    if free < needed * 1.1:
        parser.error(
            f"{arguments.folder} has {free / 1e9:.1f} GB left, {needed * 1.1 / 1e9:.1f} GB are needed"
        )
    problems = build([arguments.store])
    with tempfile.TemporaryDirectory(prefix="s3-upload-big-", dir=arguments.folder) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        try:
            with STORES[arguments.store](data) as store:
                return run(store, Path(folder), arguments)
        except Missing as missing:
            parser.error(f"{arguments.store}: {', '.join(problems.values()) or missing}")


def run(store: Store, folder: Path, arguments: argparse.Namespace) -> int:
    bucket, wrong = store.new_bucket(), 0
    if arguments.sparse or arguments.files:
        source = folder / "source"
        total = make_files(source, arguments)
        ran = upload(store, [str(source), f"s3://{bucket}/files", *arguments.flags])
        print(
            f"{show_size(arguments.sparse)} sparse and {arguments.files} files, {total / 1e9:.2f} GB in all:"
        )
        wrong += told(ran, total, arguments.memory)
        wrong += compare_all(store, bucket, source)
    if arguments.stdin:
        copy = folder / "copy"
        ran = upload_stdin(store, bucket, copy, arguments.stdin, arguments.flags)
        print(f"{show_size(arguments.stdin)} by stdin:")
        wrong += told(ran, arguments.stdin, arguments.memory)
        wrong += report("stdin", {"stdin": same(store, bucket, "stdin", copy)})
    return 1 if wrong else 0


def make_files(source: Path, arguments: argparse.Namespace) -> int:
    """Bytes in all, holes too."""
    rng = random.Random(arguments.seed)
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        for start in range(0, arguments.sparse - BLOCK_BYTES, BLOCK_EVERY_BYTES):
            file.seek(start)
            file.write(rng.randbytes(BLOCK_BYTES))
        file.truncate(arguments.sparse)
    total = int(arguments.sparse)
    for number in range(arguments.files):
        size = rng.randint(0, arguments.largest)
        (source / f"{number % 10}").mkdir(exist_ok=True)
        with (source / f"{number % 10}" / f"{number}").open("wb") as file:
            for start in range(0, size, COMPARE_BYTES):
                file.write(rng.randbytes(min(COMPARE_BYTES, size - start)))
        total += size
    return total


def upload(store: Store, words: list[str], stdin: IO[bytes] | None = None) -> Ran:
    """Runs the command to its end; a failure of it ends this one."""
    foreign = ("AWS_", "S3_UPLOAD_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env |= {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
    flags = ["--endpoint-url", store.endpoint_url, "--region", REGION, "--only-show-errors"]
    if isinstance(store.verify, str):
        flags += ["--ca-bundle", store.verify]
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, COMMAND, *words, *flags],
        env=env,
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    took_s = time.monotonic() - started_s
    if done.returncode:
        raise SystemExit(f"s3-upload ended with {done.returncode}")
    cpu_s, peak = done.stdout.split()[-2:]
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return Ran(took_s, float(cpu_s), int(peak) * unit)


def upload_stdin(store: Store, bucket: str, copy: Path, size: int, flags: list[str]) -> Ran:
    """head -c SIZE /dev/urandom | tee COPY | s3-upload - s3://BUCKET/stdin"""
    with (
        subprocess.Popen(["head", "-c", str(size), "/dev/urandom"], stdout=subprocess.PIPE) as head,
        subprocess.Popen(["tee", str(copy)], stdin=head.stdout, stdout=subprocess.PIPE) as tee,
    ):
        assert head.stdout is not None
        assert tee.stdout is not None
        head.stdout.close()
        return upload(store, ["-", f"s3://{bucket}/stdin", *flags], stdin=tee.stdout)


def told(ran: Ran, size: int, memory: int) -> int:
    """Prints it; 1 if it took more memory than it may."""
    rate = size / 1e6 / ran.took_s
    print(
        f"  {ran.took_s:.1f} s, {rate:.0f} MB/s, {ran.cpu_s:.1f} s of CPU, peak {ran.peak_bytes / 1e6:.0f} MB"
    )
    if ran.peak_bytes > memory:
        print(f"  TOO MUCH MEMORY: more than {memory / 1e6:.0f} MB")
    return int(ran.peak_bytes > memory)


def compare_all(store: Store, bucket: str, source: Path) -> int:
    """Each file with its object; both are deleted, so that the disk is soon free again."""
    files = {f"files/{path.relative_to(source)}": path for path in source.rglob("*") if path.is_file()}
    there = set(store.keys(bucket))
    found = dict.fromkeys(sorted(there ^ set(files)), False)
    for key in sorted(there & set(files)):
        found[key] = same(store, bucket, key, files[key])
        store.client.delete_object(Bucket=bucket, Key=key)
        files[key].unlink()
    return report("objects", found)


def same(store: Store, bucket: str, key: str, path: Path) -> bool:
    body = store.client.get_object(Bucket=bucket, Key=key)["Body"]
    with path.open("rb") as file, contextlib.closing(body):
        return all(left == right for left, right in pieces(file, body))


def pieces(file: BinaryIO, body: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Pieces of both until both have ended."""
    while True:
        left, right = file.read(COMPARE_BYTES), body.read(COMPARE_BYTES)
        if not left and not right:
            return
        yield left, right


def report(what: str, found: dict[str, bool]) -> int:
    different = [key for key, same_ in found.items() if not same_]
    print(f"  {what}: {len(found) - len(different)} identical, {len(different)} different {different[:5]}")
    return len(different)


if __name__ == "__main__":
    sys.exit(main())
