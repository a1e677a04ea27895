"""`progress=True`: what shows must neither end nor stop what it shows."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from s3_upload import showing
from s3_upload.observe.events import ObjectEnded
from tests.unit.reports import attempt, uploaded

HANG_S = 60.0


class Gone:
    """The stderr of a program whose terminal was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None: ...


def test_a_terminal_that_is_gone_does_not_end_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    for stderr in (Gone(), None):
        monkeypatch.setattr(sys, "stderr", stderr)
        asyncio.run(_shown())


def test_to_a_stderr_that_was_closed_nothing_is_written() -> None:
    program = """
import sys
from s3_upload import showing

sys.stderr.close()
showing._write(sys.stderr, "12 %")
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=HANG_S)
    assert b"12 %" not in ended.stderr


async def _shown() -> None:
    stderr = showing._Stderr()
    stderr.write("12 %")
    assert await stderr.written()
    stderr.close()


ON_AND_ON = """
import asyncio, sys
from s3_upload import showing
from s3_upload.observe.events import ObjectEnded
from tests.unit.reports import attempt, uploaded
from s3_upload.screen import log, watch

watch.FIRST_S = watch.FRAME_S = log.FIRST_S = log.SECOND_S = log.LATER_S = 0.0

async def main():
    async with showing.show_progress(("here", "there"), None):
        for _ in range(1_000):
            await asyncio.sleep(0)

asyncio.run(main())
print("uploaded")
"""


@pytest.mark.skipif(os.name == "nt", reason="no such pipes")
def test_a_display_that_nobody_takes_in_does_not_stop_an_upload() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    try:
        done = subprocess.run(
            [sys.executable, "-c", ON_AND_ON],
            stdout=subprocess.PIPE, stderr=writing, text=True, timeout=HANG_S, check=True,
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(writing)
    assert done.stdout == "uploaded\n"


def test_a_bar_in_a_notebook_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """And not as rich's markup, in which "[raw]" is a style, and "[/old]" an error."""
    with showing._notebook_bar("data[raw]/runs[/old]\n → s3://b") as listening:
        listening.listener(ObjectEnded(at_s=0.0, report=uploaded(0, attempt(0.0, 1.0, 10))))
    assert "data[raw]/runs[/old]\\n → s3://b" in " ".join(capsys.readouterr().out.split())
