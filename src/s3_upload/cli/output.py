"""What the command writes, and the few ways it can end early.

Rules: results go to stdout, everything else to stderr; a line is a line whatever names it quotes;
a reader that went away ends the run quietly; one that does not read holds up the run, and nothing else.

While a run is on (`in_background`) lines are written by threads (`outlet.py`), so that the event loop goes on
and signals are heard.  Else they are written at once, and a signal interrupts that.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, TextIO

from s3_upload.cli.outlet import Outlet, Write
from s3_upload.descriptors import write_all
from s3_upload.errors import S3UploadError
from s3_upload.text import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from s3_upload.screen.frame import Line
    from s3_upload.screen.painter import Painter, Size

EXIT_OK = 0
EXIT_FILES_FAILED = 1
EXIT_USAGE = 2
EXIT_RUN = 3
EXIT_PIPE = 141
"""128 + SIGPIPE, what a shell shows of any program whose reader went away."""
STOPPING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""The signals that end a run; the last comes when the terminal is closed."""
LAST_WORDS_S = 5.0
"""How long an interrupted run waits for its lines to be read; and, of those that are waited for as long as
somebody reads, for the next to be taken."""


class UsageError(S3UploadError):
    """What was asked for makes no sense: one line says what, where and what to do."""


class InterruptedRun(S3UploadError):  # noqa: N818 - no error: someone wanted it
    """SIGINT, SIGTERM or SIGHUP stopped the run, and that was said."""


_state = SimpleNamespace(signal=int(signal.SIGINT), silent=False)
"""The last signal that was to end the process, and whether `note` and `error_line` say nothing."""


def hear(number: int) -> None:
    """`number` is to end the process."""
    _state.signal = number


def exit_code() -> int:
    """That of a process which a signal ended: 128 and its number, as a shell has it."""
    return 128 + int(_state.signal)


def interrupt(number: int, frame: object = None) -> None:
    """A signal's handler: KeyboardInterrupt unwinds the process."""
    hear(number)
    raise KeyboardInterrupt


class StdoutError(S3UploadError):
    """Nobody reads stdout any more (`gone`), or it cannot be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to stdout: {error.strerror}")
        self.gone = isinstance(error, BrokenPipeError)


def be_silent(silent: bool) -> None:
    """From now on, whether `note` and `error_line` say nothing."""
    _state.silent = silent


def emit(line: str) -> None:
    """Writes one line to stdout, at once or in the background.

    Raises `StdoutError` the first time that fails; what follows is discarded, or the interpreter
    would complain at exit.
    """
    _emit(f"{line}\n", utf8=False)


def emit_json(line: str) -> None:
    """The same in UTF-8, as JSON has to be, whatever the locale has."""
    _emit(f"{line}\n", utf8=True)


def require_stdout(flag: str) -> None:
    """Raises `UsageError` where stdout is closed: what `flag` asks for could not be told to anybody."""
    if sys.stdout is None:
        raise UsageError(f"{flag}: stdout is closed: there is nowhere to write to")


def note(line: str) -> None:
    """Writes one line to stderr, at once or in the background, unless that is to be silent. If that fails,
    nobody is left to tell."""
    if _state.silent:
        return
    channel = _channels.get("stderr")
    try:
        if channel is not None:
            channel.put(_encoded(f"{line}\n", sys.stderr))
        elif sys.stderr is not None:  # closed, or print would take stdout
            print(line, file=sys.stderr, flush=True)
    except OSError:
        if channel is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def error_line(message: str) -> None:
    """The one line that every failure of the command itself ends with."""
    note(f"s3-upload: error: {printable(message)}")


def discard_stdout() -> None:
    """Points file descriptor 1 at nothing: what Python still buffers for it has somewhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def end_at_once(number: int | None = None, frame: object = None) -> None:
    """Ends the process, whatever it waits for; also as a signal's handler."""
    if number is not None:
        hear(number)
    with suppress(OSError):  # on Windows select knows sockets alone
        if _screen.painter is not None and select.select([], [2], [], 0.0)[1]:
            os.write(2, b"\n")  # the prompt does not come behind the block
    os._exit(exit_code())


# --- at once, or in the background ------------------------------------------------------------------------


class _Channel:
    """How lines get to stdout or stderr through an outlet, which both may share."""

    def __init__(self, write: Write, outlet: Outlet) -> None:
        self.outlet = outlet
        self._write = write
        self._told = False

    def put(self, data: bytes, write: Write | None = None) -> None:
        """Raises the `OSError` of a write before, once. `write`: another way than its own."""
        try:
            self.outlet.put(write or self._write, data)
        except OSError:
            if not self._told:
                self._told = True
                raise

    def flush(self, timeout_s: float | None) -> bool:
        """The same; says whether all is written."""
        try:
            return self.outlet.flush(timeout_s)
        except OSError:
            if not self._told:
                self._told = True
                raise
            return True


_channels: dict[str, _Channel] = {}


@contextmanager
def in_background() -> Iterator[None]:
    """Within, lines are written by threads, one for each open file. `flush` before it ends, or what has not
    been written by then may be lost."""
    outlets: dict[tuple[int, int], Outlet] = {}
    for name, write in (("stdout", _write_stdout), ("stderr", _write_stderr)):
        fd = _descriptor(name)
        if fd is not None:
            info = os.fstat(fd)
            outlet = outlets.setdefault((info.st_dev, info.st_ino), Outlet())
            _channels[name] = _Channel(write, outlet)
    try:
        yield
    finally:
        _channels.clear()
        for outlet in outlets.values():
            outlet.close()


@contextmanager
def written_in_background() -> Iterator[None]:
    """`in_background`, and at its end all is written; of what is interrupted, as far as LAST_WORDS_S reach.

    Raises `StdoutError`."""
    with in_background():
        try:
            yield
        except BaseException as error:
            with suppress(StdoutError):  # this one is worse
                flush(None if isinstance(error, Exception) else LAST_WORDS_S)
            raise
        flush()


class _Screen:
    """The block at the bottom of the terminal that stderr is. `painter`: None where there is none."""

    painter: Painter | None = None
    stopped = False
    """Whether the process was stopped since the last frame."""
    _next: Sequence[Line] = ()
    _waits = False

    def put(self, lines: Sequence[Line]) -> None:
        """Has `lines` painted; not while those before are not, since nobody takes them in."""
        channel = _channels.get("stderr")
        if self.painter is None or channel is None or self._waits:
            return
        self._next, self._waits = lines, True
        with suppress(OSError):
            channel.put(b".", self._paint)

    def _paint(self, _: bytes) -> None:
        self._waits = False
        if self.painter is None:
            return
        is_ours = _in_foreground()
        if self.stopped or not is_ours:  # a shell has written to the terminal
            self.stopped = False
            self.painter.forget()
        if is_ours:
            self.painter.paint(self._next)

    def take_away(self) -> None:
        """No block any more, once what was written before is."""
        channel = _channels.get("stderr")
        if self.painter is not None and channel is not None:
            with suppress(OSError):
                channel.put(b".", self._clear)

    def _clear(self, _: bytes) -> None:
        painter, self.painter = self.painter, None
        if painter is not None:
            painter.clear()


_screen = _Screen()


@contextmanager
def screen(size: Size, *, wraps: bool = True) -> Iterator[Callable[[Sequence[Line]], None]]:
    """Within, what is given to it stands at the bottom of the terminal that stderr is, of that size, and what
    is written scrolls above. `wraps`: see `Painter`."""
    from s3_upload.screen.painter import Painter
    from s3_upload.screen.terminal import wants_colors

    def write(text: str) -> None:
        write_all(2, text.encode(sys.stderr.encoding, "replace"))

    def go_on(*_signal: object) -> None:
        _screen.stopped = True

    _screen.painter = Painter(write, size, colors=wants_colors(), wraps=wraps)
    hears = hasattr(signal, "SIGCONT") and threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGCONT, go_on) if hears else None
    try:
        yield _screen.put
    finally:
        _screen.take_away()
        if hears:
            signal.signal(signal.SIGCONT, before)


def _in_foreground() -> bool:
    """Whether the terminal is ours: a job in the background leaves it to whoever has it."""
    if not hasattr(os, "tcgetpgrp"):
        return True
    try:
        return os.tcgetpgrp(2) == os.getpgrp()
    except OSError:  # not the terminal that started us
        return True


def room() -> Awaitable[None] | None:
    """What to await before more lines are written; None where there is room for them."""
    for channel in _channels.values():
        if channel.outlet.full:
            return channel.outlet.room()
    return None


def flush(timeout_s: float | None = None) -> bool:
    """Waits until all lines are written, and says whether they are. Raises `StdoutError`, when the others are
    written."""
    written, failed = True, None
    until_s = None if timeout_s is None else time.monotonic() + timeout_s
    for name, channel in _channels.items():
        left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
        try:
            written = channel.flush(left_s) and written
        except OSError as error:
            if name == "stdout":
                discard_stdout()
                failed = error
    if failed is not None:
        raise StdoutError(failed) from failed
    return written


def last_words() -> None:
    """Waits until stderr has all its lines, as long as somebody reads them."""
    if (channel := _channels.get("stderr")) is not None:
        channel.outlet.flush_while_read(LAST_WORDS_S)


def _emit(text: str, *, utf8: bool) -> None:
    channel = _channels.get("stdout")
    try:
        if channel is not None:
            channel.put(text.encode() if utf8 else _encoded(text, sys.stdout))
        elif utf8 and sys.stdout is not None:
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode())
            sys.stdout.buffer.flush()
        else:
            print(text, end="", flush=True)
    except OSError as error:
        discard_stdout()
        raise StdoutError(error) from error


def _encoded(text: str, stream: TextIO) -> bytes:
    return text.encode(stream.encoding, "backslashreplace")


def _write_stderr(data: bytes) -> None:
    """Above the block, where there is one."""
    painter = _screen.painter
    if painter is None:
        write_all(2, data)
    else:
        painter.above(data.decode(sys.stderr.encoding, "replace"))


def _write_stdout(data: bytes) -> None:
    """The same, where stdout is a terminal too."""
    painter = _screen.painter
    if painter is None or not os.isatty(1):
        write_all(1, data)
    else:
        painter.above(data.decode(sys.stdout.encoding, "replace"), lambda _: write_all(1, data))


def _descriptor(name: str) -> int | None:
    """That of sys.stdout or sys.stderr, None where these are something else."""
    stream = getattr(sys, name)
    return stream.fileno() if stream is not None and stream is getattr(sys, f"__{name}__") else None
