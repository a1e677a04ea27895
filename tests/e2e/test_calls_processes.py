"""`upload` in processes of its own: from a shell's one line, in a loop, and when Ctrl-C comes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.actions import Rule, Stall

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.store import Store

TIMEOUT_S = 60  # bounds a hang


@pytest.fixture
def src(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "a.txt").write_bytes(b"a" * 3_000)
    (tmp_path / "photos" / "sub" / "b").write_bytes(b"b" * 70_000)
    return tmp_path / "photos"


PRINTED = "uploaded 2 objects, 73.0 kB in "


@pytest.mark.parametrize(
    "code",
    [
        "from s3_upload import upload; print(upload('photos', {url!r}, endpoint_url={endpoint!r}))",
        "import asyncio\nfrom s3_upload import upload\n"
        "async def main(): print(upload('photos', {url!r}, endpoint_url={endpoint!r}, progress=True))\n"
        "asyncio.run(main())",
    ],
    ids=["script", "in a loop"],
)
def test_one_line_of_python(store: Store, bucket: str, src: Path, code: str) -> None:
    code = code.format(url=f"s3://{bucket}/x", endpoint=store.endpoint_url)
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            code.format(url=f"s3://{bucket}/x", endpoint=store.endpoint_url),
        ],
        env=os.environ | {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key},
        cwd=src.parent,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(PRINTED)


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)], ids=str)
def test_standard_descriptors_may_be_closed(
    store: Store, bucket: str, src: Path, closed: tuple[int, ...]
) -> None:
    """As a daemon's are. uvloop would abort the process."""

    def close() -> None:
        for number in closed:
            os.close(number)

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from s3_upload import upload; "
            "summary = upload('photos', sys.argv[1], endpoint_url=sys.argv[2], progress=True); "
            "open('said', 'w').write(str(summary))",
            f"s3://{bucket}/x",
            store.endpoint_url,
        ],
        env=os.environ | {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key},
        cwd=src.parent,
        preexec_fn=close,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0
    assert (src.parent / "said").read_text().startswith(PRINTED)


INTERRUPTED = """
import asyncio, sys
from s3_upload import *

QUICK = dict(hedge="off", grace_s=0.2)

def main():
    try:
        {call}
    except KeyboardInterrupt as interrupt:
        told = interrupt if hasattr(interrupt, "summary") else interrupt.__context__  # of asyncio.run
        print("uploaded", told.summary.uploaded)

def call():
    files = (ObjectSource.data(b"x", key) for key in ("1", "2", "stalls"))
    credentials = Credentials("key", "secret")
    return start_upload(files, "s3://bucket", endpoint_url=sys.argv[1], credentials=credentials, **QUICK)

def upload_all():
    files = (ObjectSource.data(b"x", key) for key in ("1", "2", "stalls"))
    credentials = Credentials("key", "secret")
    upload(files, "s3://bucket", endpoint_url=sys.argv[1], credentials=credentials, **QUICK)

async def in_a_loop():
    upload_all()

main()
"""


@pytest.mark.parametrize("call", ["upload_all()", "asyncio.run(in_a_loop())", "call().wait()"])
def test_ctrl_c_ends_it_and_tells_what_was_done(fault_server: StartFaultServer, call: str) -> None:
    server = fault_server([Rule(Stall(), key="stalls")])
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(call=call), server.url], stdout=subprocess.PIPE, text=True
    ) as process:
        server.wait_until(lambda: server.counts["200"] == 2 and server.in_flight == 1, TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert re.fullmatch("uploaded [012]\n", out)  # an answer may be on its way
    assert process.returncode == 0
