"""Where made-up runs are played: events go to the real fold, frame and painter, and a terminal shows what
comes of them.  Time is what the script says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from s3_upload.errors import FailureKind, UploadError
from s3_upload.observe.events import BytesAcknowledged, Event, LimitsChanged, StoreAway, StoreBack
from s3_upload.observe.status import Comparing, Status, StatusFold, Total
from s3_upload.report import SUCCESS, UploadReport
from s3_upload.screen.frame import UNICODE, Frame, Glyphs, Title
from s3_upload.screen.painter import Painter
from s3_upload.text import printable
from tests.screens.terminal import Terminal

FRAME_S = 0.2
PAINTED = 10
"""One frame in so many: the terminal takes its time."""
PHOTOS = Title("photos", "s3://my-bucket/holidays", "minio.local:9000")


class Stage:
    """One run in a terminal of so many columns."""

    def __init__(
        self,
        columns: int,
        title: Title = PHOTOS,
        *,
        glyphs: Glyphs = UNICODE,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        self.now = 0.0
        self.total: Total | None = None
        self.compared: Comparing | None = None
        self.terminal = Terminal(columns, 24)
        self.shots: list[str] = []
        self.fold = StatusFold()
        self._seq = 0
        self._frame = Frame(title, glyphs=glyphs, notes=notes)
        self._painter = Painter(self.terminal.write, self.terminal.size, colors=True)
        self._each_frame: Callable[[float], None] = lambda now: None

    # --- what happens -------------------------------------------------------------------------------

    def until(self, moment_s: float, each_frame: Callable[[float], None] | None = None) -> None:
        """Frames are shown up to then; before each, `each_frame` says what has happened."""
        if each_frame is not None:
            self._each_frame = each_frame
        frame = 0
        while self.now < moment_s - 1e-9:
            self.now = min(self.now + FRAME_S, moment_s)
            self._each_frame(self.now)
            lines = self._frame.lines(self.status(), self.terminal.size()[0])
            if frame % PAINTED == 0 or self.now >= moment_s - 1e-9:
                self._painter.paint(lines)
            frame += 1

    def status(self) -> Status:
        return replace(self.fold.status(self.now, self.total), compared=self.compared)

    def stored(self, size: int, count: int = 1, *, attempts: int = 1) -> None:
        """`count` files are uploaded."""
        for _ in range(count):
            self._seq += 1
            name = f"f{self._seq:05}"
            report = UploadReport(
                seq=self._seq, key=name, source=name, bytes=size, outcome=SUCCESS, attempts=attempts
            )
            self.fold.report(report, size)

    def stored_big(self, seq: int, size: int) -> None:
        """The one that `sent` told of is uploaded."""
        report = UploadReport(seq=seq, key="", source="", bytes=size, outcome=SUCCESS, attempts=1)
        self.fold.report(report, size)

    def failed(self, source: str, why: str, size: int = 0) -> None:
        """It cannot be uploaded, and a line says so."""
        self._seq += 1
        error = UploadError(why, key=source, kind=FailureKind.SOURCE, attempts=0)
        report = UploadReport(
            seq=self._seq, key=source, source=source, bytes=size, outcome=error.kind.value, error=error
        )
        self.fold.report(report, size)
        self.note(f"failed: {source}: {why}")

    def sent(self, seq: int, key: str, count: float, size: int | None) -> None:
        """So much of a big one has arrived. Its `seq` is below 0, which those of small ones are not."""
        event = BytesAcknowledged(at_s=self.now, seq=seq, key=key, bytes=int(count), size=size)
        self.tell(event)

    def limited(self, name: str, requests: int, accepted_per_s: float = 0.0) -> None:
        self.tell(
            LimitsChanged(
                at_s=self.now,
                requests=requests,
                max_requests=requests,
                limited_by=name,
                rate_per_s=accepted_per_s,
            )
        )

    def away(self, since_s: float, next_try_s: float, cause: str) -> None:
        self.tell(StoreAway(at_s=self.now, since_s=since_s, next_try_s=next_try_s, cause=cause))

    def back(self, since_s: float) -> None:
        self.tell(StoreBack(at_s=self.now, since_s=since_s))

    def tell(self, event: Event) -> None:
        self.fold.hear(event, self.now)

    # --- what is seen -------------------------------------------------------------------------------

    def note(self, line: str) -> None:
        """A line that the command writes."""
        self._painter.above(f"{printable(line)}\n")

    def end(self, *lines: str) -> None:
        """The block goes, and these stay."""
        self._painter.clear()
        for line in lines:
            self.terminal.write(f"{line}\n")

    def shot(self, caption: str) -> None:
        """Keeps what the terminal shows."""
        self.shots.append("\n".join([f"=== {caption}", *self.terminal.lines()]))
