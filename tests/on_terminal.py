"""The command with a terminal as its stderr, looked at while it runs."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

TIMEOUT_S = 60.0


def on_terminal(
    words: Sequence[str], env: Mapping[str, str], *, until: str, then: Callable[[], str]
) -> tuple[str, str]:
    """What the terminal shows, and stdout, of a run that succeeds.

    When `until` is on the screen, `then` lets the run go on: it returns all of stdin.
    """
    terminal, stderr = pty.openpty()
    decoder = codecs.getincrementaldecoder("utf-8")()  # a character may come in two pieces
    shown = ""
    with subprocess.Popen(
        words,
        env={**env, "TERM": "xterm", "CI": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as process:
        try:
            while until not in shown:
                assert select.select([terminal], [], [], TIMEOUT_S)[0], shown
                shown += decoder.decode(os.read(terminal, 1 << 16))
            stdout, _ = process.communicate(then(), timeout=TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
    os.close(stderr)  # the last one: behind what was written comes the end, as an error or as nothing
    with suppress(OSError):
        while data := os.read(terminal, 1 << 16):
            shown += decoder.decode(data)
    os.close(terminal)
    assert process.returncode == 0
    return shown, stdout
