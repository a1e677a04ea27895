"""What a sync costs where all is there: requests, time, memory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import spawn
from s3_upload.bucket.sync import Sync
from s3_upload.config import UploadConfig
from s3_upload.sources.mapping import Destination
from tests.faults.actions import Answer
from tests.faults.server import FaultServer
from tests.mapped import map_paths
from tests.store import Store
from tests.sync import tools
from tests.sync.big import BigBucket, keys_like
from tests.sync.tools import BIN, environment

if TYPE_CHECKING:
    from tests.faults.actions import Request

SHM = Path("/dev/shm")  # a million files are made soonest where no disk is
MAX_S, MAX_MB, MAX_MB_OF_MILLION = 6.0, 100, 120
TURNS = 2


def make_tree(root: Path, directories: int, files: int) -> None:
    """Empty files, with the names that `keys_like` gives."""
    for number in range(directories):
        folder = root / f"d{number:05}"
        folder.mkdir(parents=True)
        for file in range(files):
            os.close(os.open(folder / f"image-{file:05}.jpg", os.O_CREAT | os.O_WRONLY))


def child(words: list[str], store: Store | None = None) -> tuple[str, float, float, float]:
    """What a process says, how long it took, its processor's seconds, and its peak memory in MB."""
    env = None if store is None else environment(store)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "took.json"
        # This process is large by now, and its size would count as the child's.
        spawned = [sys.executable, "-I", "-S", spawn.__file__, str(result), *words]
        ended = subprocess.run(
            spawned, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout
        took = json.loads(result.read_text())
    return ended.stdout.strip(), took["wall_s"], took["cpu_s"], took["peak_bytes"] / (1 << 20)


def command(tree: Path, bucket: str) -> list[str]:
    return [str(BIN / "s3-upload"), "sync", str(tree), f"s3://{bucket}", "--progress", "none"]


def listed_only(folder: Path) -> int:
    """100,000 objects in a store that only lists: what is asked, and how long it takes."""
    tree = folder / "tree"
    make_tree(tree, 100, 1_000)
    bucket = BigBucket(keys_like(100, 1_000))
    asked: list[str] = []

    def script(request: Request) -> Answer:
        asked.append(f"{request.method} {'list' if request.query.get('list-type') else request.target}")
        query = request.query
        after = query.get("continuation-token", "") or query.get("start-after", "")
        return Answer(200, body=bucket.page(query.get("prefix", ""), after, query.get("delimiter", "")))

    with FaultServer(script, record=False) as server:
        store = Store(server.url, "key", "secret", embedded=True)
        said, took_s, cpu_s, memory = child(command(tree, "bucket"), store)
    kinds = sorted(set(asked))
    kinds_ok = kinds == ["GET list"]
    print(f"100,000 objects at a store that is made up, {len(asked)} requests ({', '.join(kinds)}): {said}")
    return judged(took_s, cpu_s, memory) or not kinds_ok


def judged(took_s: float, cpu_s: float, memory: float, max_s: float = MAX_S) -> int:
    """Prints the figures. A machine that does other things as well makes it late: look at the processor's
    time then."""
    ok = took_s <= max_s and memory < MAX_MB
    print(
        f"  {took_s:.1f} s ({cpu_s:.1f} s of processor), peak memory {memory:.0f} MB: {verdict(ok)}",
        flush=True,
    )
    return not ok


def verdict(ok: object) -> str:
    return "ok" if ok else "NOT OK"


def at_a_store(store: Store, name: str, folder: Path) -> int:
    """The same at a real one."""
    tree = folder / "tree"
    if not tree.exists():
        make_tree(tree, 100, 1_000)
    bucket = store.new_bucket()
    began_s = time.monotonic()
    ours = tools.command("s3-upload sync", tree, bucket, "p")
    theirs = tools.command("s5cmd sync", tree, bucket, "p", size_only=True)
    child(["nice", *ours], store)
    print(f"100,000 empty objects uploaded to {name} in {time.monotonic() - began_s:.0f} s", flush=True)
    # In turns, since what the store has listed once it may list sooner.
    pairs = [(child(ours, store), child(theirs, store)) for _ in range(TURNS)]
    said, took_s, cpu_s, memory = min((mine for mine, _ in pairs), key=lambda ended: ended[1])
    peer_s = min(peer[1] for _, peer in pairs)
    print(f"100,000 objects at {name}, the better of {TURNS}: {said}\n  s5cmd sync: {peer_s:.1f} s")
    # A store that takes longer to list than that has it from nobody sooner.
    return judged(took_s, cpu_s, memory, max(MAX_S, peer_s)) or "100,000 unchanged" not in said


def a_million(folder: Path, answer_s: float) -> int:
    """A real walk of a million files beside a listing that is made up, in a process of its own."""
    tree = folder / "million"
    with ThreadPoolExecutor(2) as pool:
        pool.submit(make_tree, tree, 1_000, 1_000).result()
    words = [sys.executable, "-m", "tests.sync.cost", str(tree), str(answer_s)]
    said, took_s, cpu_s, memory = child(words)
    ok = memory < MAX_MB_OF_MILLION
    print(f"1,000,000 files and objects, answers after {answer_s * 1e3:.0f} ms: {said}")
    print(
        f"  {took_s:.1f} s ({cpu_s:.1f} s of processor, in which the pages are made, too), peak memory "
        f"{memory:.0f} MB: {verdict(ok)}",
        flush=True,
    )
    return not ok


async def _compare(tree: str, answer_s: float) -> None:
    bucket = BigBucket(Numbered(1_000, 1_000), answer_s)
    sync = Sync(Destination("bucket"), "time", UploadConfig())
    began_s = time.monotonic()
    async for _ in sync.compared(bucket, map_paths([tree], Destination("bucket"), in_order=True)):
        pass
    took_s = time.monotonic() - began_s
    print(f"{sync.unchanged:,} unchanged in {took_s:.1f} s, {bucket.asked.total():,} requests", end="")


class Numbered(Sequence[str]):
    """The keys of `keys_like`, made when they are looked at: a million of them need no memory."""

    def __init__(self, directories: int, files: int) -> None:
        self._directories = directories
        self._files = files

    def __len__(self) -> int:
        return self._directories * self._files

    def __getitem__(self, number: Any) -> Any:
        return f"d{number // self._files:05}/image-{number % self._files:05}.jpg"


if __name__ == "__main__":
    asyncio.run(_compare(sys.argv[1], float(sys.argv[2])))
