"""Kills uploads at random moments, and has each go on: nothing may be lost, left over or sent in vain.

A job of many small files and some in parts goes to a real store, through a relay that counts.  Its process
gets SIGKILL after a random time, again and again, until it ends well; then every object is read back and
compared, no upload in parts may be left, and what was sent twice may be no more than what was under way at
the kills.  Jobs follow each other until there were as many kills as were asked for.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from s3_upload.config import MIB
from s3_upload.units import show_bytes
from tests.stores.relay import CountingRelay
from tests.stores.servers import STORES, Missing, build

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.store import Store

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
OLD_S = 1_600_000_000
FLAGS = ("--multipart-threshold", "5MiB", "--part-size", "5MiB", "-q")
HANG_S = 300
ELSEWHERE_BYTES = 1500 * MIB
"""Of the file that goes on elsewhere.  When it is killed up to `max_in_flight_bytes`, 200 MiB, are under way:
a busy store comes near to that."""
MAX_AGAIN = 0.15
"""Of that file: the share that may go up twice."""


class Job(NamedTuple):
    """What one job came to. `twice`: bytes of bodies that went up beyond those of the files; `under_way`:
    those of requests without an answer at the kills."""

    kills: int
    wrong: list[str]
    left_over: int
    twice: int
    under_way: int


def make_tree(root: Path, rng: random.Random, small: int, big: int, big_bytes: int) -> int:
    """Files of an age at which a journal trusts their times. Returns their bytes."""
    total = 0
    for number in range(small):
        total += _write(
            root / f"small/{number % 50:02}/{number:05}.bin", [rng.randbytes(rng.randrange(1, 8192))]
        )
    for number in range(big):
        total += _write(root / f"big/{number}.bin", [rng.randbytes(big_bytes)])
    return total


def _write(path: Path, pieces: Iterable[bytes]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(pieces)
    os.utime(path, (OLD_S, OLD_S))
    return path.stat().st_size


def crash_until_done(
    store: Store, folder: Path, root: Path, rng: random.Random, *, kills_left: int, longest_s: float
) -> Job:
    """One job: killed after up to `longest_s`, `kills_left` times at most, and run again until it is done."""
    bucket = store.new_bucket()
    kills = under_way = 0
    with CountingRelay(store.endpoint_url) as relay:
        environment = environment_of(store, relay, folder / bucket)
        while True:
            process = subprocess.Popen([COMMAND, str(root), f"s3://{bucket}/p", *FLAGS], env=environment)
            try:
                code = process.wait(rng.uniform(0.0, longest_s) if kills < kills_left else HANG_S)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                under_way = relay.settled()
                continue
            if code:
                raise RuntimeError(f"s3-upload ended with {code}")
            break
        sent = relay.body_bytes
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    objects = store.objects(bucket)
    wrong = [name for name, path in files.items() if objects.get(f"p/{name}") != path.read_bytes()]
    wrong += [key for key in objects if key.removeprefix("p/") not in files]
    left = left_over(store, bucket)
    total = sum(path.stat().st_size for path in files.values())
    return Job(kills, wrong, len(left), sent - total, under_way)


def left_over(store: Store, bucket: str) -> list[str]:
    """Uploads of which the store has something. MinIO lists some a moment longer than it has them."""
    left = []
    for upload in store.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        try:
            store.client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        except store.client.exceptions.NoSuchUpload:
            continue
        left.append(upload["Key"])
    return left


def go_on_elsewhere(store: Store, folder: Path, size: int) -> float:
    """A file is killed when six tenths of it are up, and goes on in another home, which has no journal.

    Returns the share of its bytes that went up twice.
    """
    bucket, path = store.new_bucket(), folder / "one.bin"
    rng = random.Random(size)
    # Each piece is unlike the others, and costs no time to make.
    piece = rng.randbytes(MIB)
    _write(path, (number.to_bytes(8, "big") + piece[8:] for number in range(size // MIB)))
    command = [COMMAND, str(path), f"s3://{bucket}/one.bin", *FLAGS]
    with CountingRelay(store.endpoint_url) as relay:
        slowly = ("--max-bandwidth", "150MB/s")
        here = environment_of(store, relay, folder / f"{bucket}-here")
        with subprocess.Popen([*command, *slowly], env=here) as process:
            relay.wait_for(int(size * 0.6))
            process.kill()
        relay.settled()
        there = environment_of(store, relay, folder / f"{bucket}-there")
        subprocess.run([*command, "--resume-multipart"], env=there, check=True, timeout=HANG_S)
        sent = relay.body_bytes
    body = store.client.get_object(Bucket=bucket, Key="one.bin")["Body"]
    with path.open("rb") as file:
        if any(body.read(MIB) != file.read(MIB) for _ in range(size // MIB)) or body.read(1):
            raise RuntimeError("the object differs")
    if left_over(store, bucket):
        raise RuntimeError("an upload is left over")
    return (sent - size) / size


def environment_of(store: Store, relay: CountingRelay, home: Path) -> dict[str, str]:
    """Of a user of the store behind `relay`, with a home of its own."""
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home), "XDG_STATE_HOME": str(home), "AWS_ENDPOINT_URL_S3": relay.url,
        "AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_REGION": "us-east-1",
    }  # fmt: skip
    environment.pop("S3_UPLOAD_NO_JOURNAL", None)
    return environment


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stores.crash", description=__doc__)
    parser.add_argument("--store", default="MinIO", choices=STORES, help="default: MinIO")
    parser.add_argument("--kills", type=int, default=100, help="how many (100)")
    parser.add_argument("--small", type=int, default=3_000, help="small files (3000)")
    parser.add_argument("--big", type=int, default=5, help="files of 40 MiB (5)")
    parser.add_argument("--longest", type=float, default=2.5, help="until a kill, at most, in seconds (2.5)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(words)
    rng = random.Random(arguments.seed)
    problems = build([arguments.store])
    jobs: list[Job] = []
    with tempfile.TemporaryDirectory(prefix="s3-upload-crash-", dir="/var/tmp") as name:
        folder, root = Path(name), Path(name) / "src"
        total = make_tree(root, rng, arguments.small, arguments.big, 40 * MIB)
        (folder / "data").mkdir()
        try:
            with STORES[arguments.store](folder / "data") as store:
                again = go_on_elsewhere(store, folder, ELSEWHERE_BYTES)
                size = show_bytes(ELSEWHERE_BYTES)
                print(f"{size}, killed at 60 %, gone on elsewhere: {again:.1%} sent twice", flush=True)
                began_s = time.monotonic()
                while (kills := sum(job.kills for job in jobs)) < arguments.kills:
                    left = arguments.kills - kills
                    job = crash_until_done(
                        store, folder, root, rng, kills_left=left, longest_s=arguments.longest
                    )
                    jobs.append(job)
                    print(
                        f"job {len(jobs)}: killed {job.kills} times; {len(job.wrong)} objects differ, "
                        f"{job.left_over} uploads left; {show_bytes(job.twice)} sent twice, "
                        f"{show_bytes(job.under_way)} under way at the kills",
                        flush=True,
                    )
        except Missing as missing:
            print(f"{arguments.store}: {problems.get(arguments.store, missing)}", file=sys.stderr)
            return 1
    print(
        f"{len(jobs)} jobs of {arguments.small + arguments.big:,} files, {show_bytes(total)}, "
        f"{sum(job.kills for job in jobs)} kills in {time.monotonic() - began_s:.0f} s: "
        f"{sum(len(job.wrong) for job in jobs)} objects differ, "
        f"{sum(job.left_over for job in jobs)} uploads are left over; "
        f"{show_bytes(sum(job.twice for job in jobs))} sent twice, "
        f"{show_bytes(sum(job.under_way for job in jobs))} were under way at the kills"
    )
    in_vain = again > MAX_AGAIN or sum(job.twice for job in jobs) > sum(job.under_way for job in jobs)
    return int(in_vain or any(job.wrong or job.left_over for job in jobs))


if __name__ == "__main__":
    sys.exit(main())
