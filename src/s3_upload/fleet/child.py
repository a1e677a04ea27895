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
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from s3_upload.errors import ConfigError, S3UploadError
from s3_upload.fleet.dispenser import Hand
from s3_upload.fleet.wire import Begin, Frame, framed
from s3_upload.fleet.worker import Ear, Worker

CAN_BEGIN = hasattr(socket, "AF_UNIX") and os.name == "posix"
"""Whether this system has what is needed: descriptors that a new process is given."""


class Child(Worker):
    """Begun by `begin`. `heard` is called with each frame, `gone` when it is no more, with its exit code."""

    def __init__(
        self, number: int, heard: Callable[[Child, Frame], None], gone: Callable[[Child, int], None]
    ) -> None:
        super().__init__(number, Hand())
        self._gone = gone
        self._ear = Ear(lambda frame: heard(self, frame), self._lost)
        self._process: subprocess.Popen[bytes] | None = None
        self._over = asyncio.get_running_loop().create_future()

    async def begin(self, frame: Begin) -> None:
        """Raises `ConfigError` where what is to be done cannot travel, and `S3UploadError` where no process
        can be begun."""
        try:
            first = framed(frame)
        except Exception as error:
            raise ConfigError(_cannot_travel(frame, error)) from error
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _spawn(theirs.fileno())
            except OSError as error:
                ours.close()
                raise S3UploadError(f"no process can be begun: {error.strerror}") from error
        await asyncio.get_running_loop().create_connection(lambda: self._ear, sock=ours)
        assert self._ear.transport is not None
        self.connect(self._ear.transport)
        self._ear.transport.write(first)

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

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
    # What the job's functions are made of has to be found again.
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return subprocess.Popen(  # noqa: S603 - this program itself
        [sys.executable, "-m", "s3_upload.fleet", str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def _cannot_travel(frame: Begin, error: Exception) -> str:
    what = "what is to be done"
    for name, value in (("default_request", frame.default_request), ("the client's look_up", frame.recipe)):
        try:
            pickle.dumps(value)
        except Exception:
            what = name
            break
    return (
        f"processes: {what} cannot be sent to another process ({error}): make it a function of a module, or "
        "take processes=1"
    )
