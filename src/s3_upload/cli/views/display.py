"""What shows while a run goes on: a block at the bottom of the terminal, or now and then a line of a log.

*bar* needs a terminal that understands escape sequences; where stderr is none it is *plain*.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import msgspec

from s3_upload.cli.output import note, screen
from s3_upload.cli.stdin import STDIN
from s3_upload.screen import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from s3_upload.observe.journal import Journal
    from s3_upload.observe.status import Status
    from s3_upload.report import Counts
    from s3_upload.screen.frame import Frame, Line
    from s3_upload.screen.log import Log
    from s3_upload.screen.watch import Watch
    from s3_upload.sources.walk import Entry

Kind = Literal["bar", "plain", "none"]
MAX_NAMED = 3
"""Sources that a title names."""
AWS = ".amazonaws.com"
COUNT_AFTER_S = 5.0
"""A log's first line comes later than that, and in shorter runs nobody asks how much there is."""


def kind_of(wanted: str, *, silent: bool, stdout_is_shown: bool) -> Kind:
    """What --progress comes to here. `silent`: the user wants to hear less; `stdout_is_shown`: rows go there
    that are the progress themselves, or JSON, and somebody watches them."""
    if wanted == "none" or (wanted == "auto" and (silent or stdout_is_shown)):
        return "none"
    if wanted == "plain" or not terminal.understands_escapes():
        return "plain"
    if wanted == "auto" and os.environ.get("CI"):  # some give a terminal, and keep all that goes there
        return "plain"
    return "bar"


class Display:
    """Shows a run: `watch` hears its events.

    `sources`, as they were named, go to `destination`; `walk`: these once more, None where nobody can know
    them; `times`: how often each is uploaded; `bandwidth`: the cap, as it was given; `compared`: objects
    that are compared so far, and bytes read for it.
    """

    def __init__(
        self,
        kind: Kind,
        sources: Sequence[str] = (),
        destination: str = "",
        walk: Callable[[], Iterable[Entry]] | None = None,
        *,
        times: int = 1,
        bandwidth: str = "",
        compared: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self.kind = kind
        self.journal: Journal | None = None
        self._began_s = time.monotonic()
        self._walk, self._times = walk, times
        self._named = sources, destination, bandwidth
        self._compared = compared
        self._endpoint = ""
        self._paint: Callable[[Sequence[Line]], None] = lambda lines: None
        self._frame: Frame | None = None

    @cached_property
    def watch(self) -> Watch:
        """What hears the run's events."""
        from s3_upload.screen.lookahead import Lookahead
        from s3_upload.screen.watch import Watch

        walk = self._walk if self.kind != "none" else None
        return Watch(
            self._show_bar if self.kind == "bar" else self._show_line,
            Lookahead(walk, times=self._times) if walk is not None else None,
            compared=self._compared,
            began_s=self._began_s,
            count_after_s=0.0 if self.kind == "bar" else COUNT_AFTER_S,
        )

    @property
    def kept(self) -> Journal | None:
        """The journal, once a run has begun with it, and as long as the next one will find it."""
        of_run = self.journal.of_run if self.journal is not None else None
        return self.journal if of_run is not None and of_run.works else None

    def shows_what_is_left_by(self, journal: Journal | None) -> None:
        """What earlier runs did, by `journal`, does not count."""
        self.journal = journal
        if journal is not None and self._walk is not None:
            walk = self._walk
            from s3_upload.observe.journal import left_of

            self._walk = lambda: left_of(journal, walk())

    def on(self) -> AbstractContextManager[None]:
        """Within, there is something to be seen."""
        return self._on_screen() if self.kind == "bar" else nullcontext()

    def found(self, endpoint: str) -> None:
        """The store is at `endpoint`."""
        host = urlsplit(endpoint).netloc
        self._endpoint = "" if host.endswith(AWS) else host

    def stands(self, counts: Counts) -> Status:
        """How the run stands now. `counts`: of what was told, which is less where nobody reads it, and all
        where nobody listens."""
        heard = self.watch.status()
        return msgspec.structs.replace(
            heard,
            files=max(counts.uploaded, heard.files),
            failed=max(counts.failed, heard.failed),
            skipped=max(counts.skipped, heard.skipped),
            bytes=max(counts.bytes, heard.bytes),
        )

    @contextmanager
    def _on_screen(self) -> Iterator[None]:
        with screen(terminal.terminal_size, wraps=terminal.wraps_anew()) as self._paint:
            yield

    def _show_bar(self, status: Status) -> None:
        if self._frame is None:
            self._frame = self._new_frame()
        self._paint(self._frame.lines(status, terminal.terminal_size()[0]))

    def _show_line(self, status: Status) -> None:
        self._log.show(status)

    @cached_property
    def _log(self) -> Log:
        """Made at the first look: a short run has none."""
        from s3_upload.screen.log import Log

        return Log(note)

    def _new_frame(self) -> Frame:
        from s3_upload.observe.limits import CAP
        from s3_upload.screen.frame import ASCII, UNICODE, Frame, Title

        glyphs = UNICODE if terminal.can_show("".join(UNICODE)) else ASCII
        sources, destination, bandwidth = self._named
        notes = {CAP: f"held at {bandwidth} by --max-bandwidth"} if bandwidth else {}
        return Frame(Title(_named(sources), destination, self._endpoint), glyphs=glyphs, notes=notes)


def _named(sources: Sequence[str]) -> str:
    names = ["stdin" if name == STDIN else name for name in sources[:MAX_NAMED]]
    rest = len(sources) - len(names)
    return ", ".join(names) + (f" and {rest:,} more" if rest else "")
