"""A process of ours that takes part in a job, as the job sees it.

Rules:

* It is this very program, begun anew: no fork of a process with threads, and no need of a
  `if __name__ == "__main__"` in a caller's script.
* The socket between the two has no name.  When it closes, the other side is gone, however it ended.
* It is in a session of its own: Ctrl-C on the terminal is for the job, which stops it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable

from s3_upload.errors import S3UploadError
from s3_upload.fleet.dispenser import Hand
from s3_upload.fleet.wire import Begin, Frame, check_travels, framed
from s3_upload.fleet.worker import Ear, Worker
from s3_upload.sources.source import Here

_PATH = "PYTHONPATH"
CAN_BEGIN = os.name == "posix" and bool(sys.executable) and not getattr(sys, "frozen", False)
"""Whether there is what is needed: descriptors that a new process is given, and an interpreter of its own (a
program that is one file with it has none)."""


class Child(Worker):
    """Begun by `begin`. `heard` is called with each frame, `gone` when it is no more, with its exit code, and
    `failed` with what it says that cannot be understood."""

    def __init__(
        self,
        number: int,
        heard: Callable[[Child, Frame], None],
        gone: Callable[[Child, int], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(number, Hand())
        self._gone = gone
        self._ear = Ear(lambda frame: heard(self, frame), self._lost, failed)
        self._process: subprocess.Popen[bytes] | None = None
        self._over = asyncio.get_running_loop().create_future()

    async def begin(self, frame: Begin) -> None:
        """Raises `ConfigError` where what is to be done cannot travel, and `S3UploadError` where no process
        can be begun."""
        check_order(frame)
        first = framed(frame)
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    self._process = _spawn(theirs.fileno())
                except BaseException:
                    ours.close()
                    raise
        except OSError as error:
            raise S3UploadError(f"no process can be begun: {error.strerror or error}") from error
        await asyncio.get_running_loop().create_connection(lambda: self._ear, sock=ours)
        assert self._ear.transport is not None
        self.connect(self._ear.transport)
        self._ear.transport.write(first)

    def close(self) -> None:
        """It may go."""
        if self._ear.transport is not None:
            self._ear.transport.close()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def over(self, timeout_s: float | None = None) -> bool:
        """Waits until it is no more; False if it still is after `timeout_s`."""
        await asyncio.wait((self._over,), timeout=timeout_s)
        return self._over.done()

    def _lost(self) -> None:
        assert self._process is not None
        code = self._process.poll()
        # Its end of the socket is closed, or ours: it is through in a moment.
        if code is None:
            self._process.kill()
            code = self._process.wait()
        self._over.set_result(None)
        self._gone(self, code)


def _spawn(descriptor: int) -> subprocess.Popen[bytes]:
    # What the job's functions are made of has to be found again; but not by the programs that it begins
    # (a credential_process), so it is told what there was before.
    # What is no text (a `Path`) Python itself does not look at.
    # "" is the working directory; of one that was removed nothing can be imported.
    entries = [entry or Here().directory for entry in sys.path if isinstance(entry, str)]
    path = os.pathsep.join(entry for entry in entries if entry)
    before = [os.environ[_PATH]] if _PATH in os.environ else []
    return subprocess.Popen(  # noqa: S603 - this program itself
        # -P: what lies in the current directory, the files to upload perhaps, is not taken for modules.
        [sys.executable, "-P", "-m", "s3_upload.fleet", str(descriptor), *before],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env={**os.environ, _PATH: path},
        start_new_session=True,
    )


def check_order(order: Begin) -> None:
    """Raises `ConfigError` where what is to be done cannot travel."""
    check_travels("default_request", order.default_request)
    check_travels("an argument of the client", order.recipe)
