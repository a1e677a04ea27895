"""The command with a terminal as its stderr, looked at while it runs."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from collections.abc import Callable, Mapping, Sequence

TIMEOUT_S = 60.0


def on_terminal(
    words: Sequence[str], env: Mapping[str, str], *, until: str, then: Callable[[], str]
) -> tuple[str, str]:
    """What the terminal shows, and stdout, of a run that succeeds.

    When `until` is on the screen, `then` lets the run go on: it returns all of stdin.
    """
    terminal, stderr = pty.openpty()
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
                shown += os.read(terminal, 1 << 16).decode()
            stdout, _ = process.communicate(then(), timeout=TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
    while select.select([terminal], [], [], 0.0)[0]:
        shown += os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    os.close(stderr)
    assert process.returncode == 0
    return shown, stdout
