"""Has a real Dask cluster upload to a real store, and kills a worker of it in the middle.

A scheduler and three workers run on the loopback, each a process.  20,000 small files and four in parts go to
MinIO; when a third of the objects are there, one worker gets SIGKILL.  Then every object is read back and
compared, none may have been uploaded more than twice, the summary has to be exact, and no upload in parts may
be left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from distributed import Client

from s3_upload import upload
from s3_upload.config import MIB
from s3_upload.units import show_bytes
from tests.stores.crash import environment_of, left_over, make_tree
from tests.stores.relay import CountingRelay
from tests.stores.servers import HOST, STORES, Missing, build

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_upload import UploadReport, UploadSummary
    from tests.store import Store

START_S = 60.0
HANG_S = 600.0


class Cluster(NamedTuple):
    """A scheduler, and workers by the addresses that it has for them."""

    address: str
    workers: dict[str, subprocess.Popen[str]]


@contextlib.contextmanager
def cluster(count: int, environment: dict[str, str], folder: Path) -> Iterator[Cluster]:
    """Runs until the block is left."""
    with contextlib.ExitStack() as stack:
        _, address = _begun(
            stack, ["scheduler", "--host", HOST, "--port", "0", "--no-dashboard"], environment, folder,
            r"Scheduler at:\s+(tcp://\S+)",
        )  # fmt: skip
        workers = {}
        for _ in range(count):
            words = ["worker", address, "--host", HOST, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            worker, name = _begun(stack, words, environment, folder, r"Start worker at:\s+(tcp://\S+)")
            workers[name] = worker
        yield Cluster(address, workers)


def _begun(
    stack: contextlib.ExitStack, words: list[str], environment: dict[str, str], folder: Path, says: str
) -> tuple[subprocess.Popen[str], str]:
    """A process of Dask's that is ready, and the address that it says it has."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        env=environment, cwd=folder, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stderr is not None
    found = ""
    for line in process.stderr:
        match = re.search(says, line)
        if match is not None:
            found = match[1]
            break
    if not found:
        raise RuntimeError(f"dask {words[0]} has not begun")
    # It goes on to log, and must not wait for a reader.
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, found


class Result(NamedTuple):
    """`wrong`: objects that are not their files; `reports`: how often each was told of; `puts`: how often
    each object, or part of one, was sent; `sent`: bytes of bodies."""

    summary: UploadSummary
    wrong: list[str]
    left_over: list[str]
    reports: Counter[str]
    puts: Counter[str]
    sent: int


def upload_and_kill(store: Store, root: Path, home: Path, workers: int) -> Result:
    bucket = store.new_bucket()
    total = sum(1 for path in root.rglob("*") if path.is_file())
    reports: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(CountingRelay(store.endpoint_url))
        environment = environment_of(store, relay, home)
        dask = stack.enter_context(cluster(workers, environment, home))
        stack.enter_context(_set(environment))
        victim = next(iter(dask.workers.values()))

        def progress(report: UploadReport) -> None:
            reports[report.key] += 1
            if len(reports) == total // 3:
                victim.send_signal(signal.SIGKILL)

        with Client(dask.address, set_as_default=False) as client, client.get_executor() as executor:
            summary = upload(
                root, f"s3://{bucket}/p", executor=executor, progress=progress,
                multipart_threshold="5MiB", part_size="5MiB", hedge="off",
            )  # fmt: skip
        assert victim.wait(START_S) == -signal.SIGKILL
    files = {f"p/{path.relative_to(root).as_posix()}": path for path in root.rglob("*") if path.is_file()}
    objects = store.objects(bucket)
    wrong = [key for key, path in files.items() if objects.get(key) != path.read_bytes()]
    wrong += [key for key in objects if key not in files]
    return Result(summary, wrong, left_over(store, bucket), reports, relay.puts, relay.body_bytes)


@contextlib.contextmanager
def _set(environment: dict[str, str]) -> Iterator[None]:
    before = os.environ.copy()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stores.cluster", description=__doc__)
    parser.add_argument("--store", default="MinIO", choices=STORES, help="default: MinIO")
    parser.add_argument("--small", type=int, default=20_000, help="small files (20000)")
    parser.add_argument("--big", type=int, default=4, help="files of 40 MiB (4)")
    parser.add_argument("--workers", type=int, default=3, help="processes of the cluster (3)")
    arguments = parser.parse_args(words)
    problems = build([arguments.store])
    with tempfile.TemporaryDirectory(prefix="s3-upload-cluster-", dir="/var/tmp") as name:
        folder, root = Path(name), Path(name) / "src"
        total = make_tree(root, random.Random(1), arguments.small, arguments.big, 40 * MIB)
        (folder / "data").mkdir()
        try:
            with STORES[arguments.store](folder / "data") as store:
                begun_s = time.monotonic()
                result = upload_and_kill(store, root, folder / "home", arguments.workers)
                elapsed_s = time.monotonic() - begun_s
        except Missing as missing:
            print(f"{arguments.store}: {problems.get(arguments.store, missing)}", file=sys.stderr)
            return 1
    return _tell(result, total, arguments.small + arguments.big, elapsed_s)


def _tell(result: Result, total: int, count: int, elapsed_s: float) -> int:
    summary = result.summary
    exact = (summary.uploaded, summary.bytes, len(summary.failed)) == (count, total, 0)
    exact = exact and len(result.reports) == count and set(result.reports.values()) == {1}
    most, twice = max(result.puts.values()), sum(times > 1 for times in result.puts.values())
    print(f"{summary}, in {elapsed_s:.1f} s with the cluster's start; a worker was killed")
    print(f"{len(result.wrong)} objects differ, {len(result.left_over)} uploads in parts are left over")
    print(f"summary and reports exact: {'yes' if exact else 'NO'}")
    print(f"objects and parts sent more than once: {twice:,}; the most: {most} times")
    print(f"{show_bytes(result.sent - total)} of {show_bytes(total)} went up twice")
    print(f"attempts that failed: {dict(summary.causes)}")
    for note in summary.notes:
        print(f"note: {note}")
    return int(not exact or most > 2 or bool(result.wrong or result.left_over))


if __name__ == "__main__":
    sys.exit(main())
