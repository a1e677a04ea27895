"""tinyproxy, where it is installed: a forward proxy that others have written."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TINYPROXY = shutil.which("tinyproxy") or ""
START_TIMEOUT_S = 10.0


@contextlib.contextmanager
def tinyproxy(folder: Path, *, login: str = "") -> Iterator[str]:
    """Runs one; gives its URL, without the login."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [
        f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 200", f'LogFile "{folder / "log"}"',
        "LogLevel Connect", f'PidFile "{folder / "pid"}"',
    ]  # fmt: skip
    if login:
        settings.append("BasicAuth " + login.replace(":", " "))
    (folder / "tinyproxy.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
    process = subprocess.Popen(
        [TINYPROXY, "-d", "-c", str(folder / "tinyproxy.conf")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_s = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            assert process.poll() is None, "tinyproxy does not start"
            assert time.monotonic() < until_s, "tinyproxy does not listen"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
