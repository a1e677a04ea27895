"""`progress=True`: the screen on a terminal, a bar in a notebook, now and then a line anywhere else.

A thread writes, so that a stopped terminal, or a pipe that nobody reads, does not stop the upload's loop.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TextIO

from s3_upload.descriptors import write_all
from s3_upload.observe.events import BytesAcknowledged, Event, Listening, ObjectEnded
from s3_upload.observe.status import Status
from s3_upload.screen import terminal
from s3_upload.screen.frame import ASCII, UNICODE, Frame, Title
from s3_upload.screen.log import Log
from s3_upload.screen.lookahead import Lookahead
from s3_upload.screen.painter import Painter
from s3_upload.screen.watch import Watch
from s3_upload.sources.walk import Entry
from s3_upload.text import printable
from s3_upload.threads import DaemonThreads

Walk = Callable[[], Iterable[Entry]]
LAST_S = 0.5
"""How long the end of an upload waits for what is being written."""


@asynccontextmanager
async def show_progress(title: tuple[str, str], walk: Walk | None) -> AsyncIterator[Listening]:
    """Within, what the listener hears is shown. `title`: from where, and to where; `walk`: the sources once
    more, None where they cannot be known twice."""
    if not terminal.understands_escapes() and _in_notebook():
        with _notebook_bar(" → ".join(title)) as listening:
            yield listening
        return
    lookahead = Lookahead(walk) if walk is not None else None
    stderr = _Stderr()
    painter = Painter(
        stderr.write, terminal.terminal_size, colors=terminal.wants_colors(), wraps=terminal.wraps_anew()
    )
    if terminal.understands_escapes():
        glyphs = UNICODE if terminal.can_show("".join(UNICODE)) else ASCII
        frame = Frame(Title(*title), glyphs=glyphs)
        show = _painted(painter, frame)
    else:
        show = Log(lambda line: stderr.write(f"{line}\n")).show
    watch = Watch(lambda status: None if stderr.busy else show(status), lookahead)
    task = asyncio.create_task(watch.run())
    try:
        yield watch.listening
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if await stderr.written():
            painter.clear()
            await stderr.written()
        stderr.close()


class _Stderr:
    """Has a thread write to stderr. While it is `busy`, what there is to show is to be left out."""

    def __init__(self) -> None:
        self._threads = DaemonThreads(1, "s3-upload-progress")
        self._writing: asyncio.Future[None] | None = None

    @property
    def busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    def write(self, text: str) -> None:
        with suppress(RuntimeError):  # the machine is out of threads
            self._writing = self._threads.call(partial(_write, sys.stderr, text))

    async def written(self) -> bool:
        """Whether all is, LAST_S from now at the latest."""
        if self._writing is not None:
            await asyncio.wait((self._writing,), timeout=LAST_S)
        return not self.busy

    def close(self) -> None:
        self._threads.close()


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return
    is_ours = stream is sys.__stderr__
    # A terminal may be gone, and the upload goes on without.
    with suppress(OSError, ValueError):
        if is_ours and os.name != "nt":
            # Past Python's buffer: one that hangs would keep its lock, on which the interpreter's end waits.
            write_all(stream.fileno(), text.encode(stream.encoding, "backslashreplace"))
        else:
            stream.write(text)
            stream.flush()


def _painted(painter: Painter, frame: Frame) -> Callable[[Status], None]:
    return lambda status: painter.paint(frame.lines(status, terminal.terminal_size()[0]))


def _in_notebook() -> bool:
    """Whether this is a kernel of Jupyter's."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def _notebook_bar(title: str) -> Iterator[Listening]:
    """A bar of rich's, which a notebook shows as it shows any of its output."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[files]:,} files"),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(), redirect_stdout=False) as shown:
        task = shown.add_task(printable(title), total=None, files=0)
        under_way: dict[int, int] = {}
        files = done = 0

        def listener(event: Event) -> None:
            nonlocal files, done
            if isinstance(event, BytesAcknowledged):
                under_way[event.seq] = event.bytes
            elif isinstance(event, ObjectEnded):
                under_way.pop(event.report.seq, None)
                if event.report.succeeded:
                    files += 1
                    done += event.report.bytes
            shown.update(task, completed=done + sum(under_way.values()), files=files)

        yield Listening(listener, frozenset({BytesAcknowledged, ObjectEnded}))
