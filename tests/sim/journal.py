"""A journal in a real file, written in virtual time: what a killed process has not written is lost."""

from __future__ import annotations

import threading
from typing import Any
from unittest.mock import patch

from s3_upload.observe import journal_of_run
from s3_upload.observe.events import Event, Listening, UploadCreated
from s3_upload.observe.journal_file import JournalFile
from s3_upload.observe.journal_of_run import WRITE_EVERY_S, JournalOfRun, Writer
from s3_upload.transfer.resume import Resume
from tests.sim.loop import SimLoop

WAKES_S = 0.001


class SimWriter(Writer):
    """Writes when it is told to, and has no thread."""

    def __init__(self, file: JournalFile, heard: Any) -> None:
        self.problem = ""
        self.closed = False
        self._file = file
        self._heard = heard
        self._lock = threading.Lock()

    def wake(self) -> None:
        """See `ProcessJournal._hear`."""

    def close(self) -> None:
        self.closed = True
        self.flush()


class ProcessJournal:
    """The journal at `path`, as one process has it."""

    def __init__(self, path: str, loop: SimLoop) -> None:
        self._loop = loop
        self._file = JournalFile(path)
        with patch.object(journal_of_run, "Writer", SimWriter):
            self.of_run = JournalOfRun(self._file, {"destination": "the simulator"})
        self.resume = Resume(self.of_run)
        self._planned = False
        self._over = False

    @property
    def listening(self) -> Listening:
        return Listening(self._hear, self.of_run.listening.kinds)

    def close(self) -> None:
        """Its process ends well."""
        if not self._over:
            self._over = True
            self.of_run.close()

    def die(self) -> None:
        """Its process is killed."""
        if not self._over:
            self._over = True
            self._file.close()

    def _hear(self, event: Event) -> None:
        self.of_run.listening.listener(event)
        # An upload that was created wakes the writer.
        if type(event) is UploadCreated:
            self._loop.at(self._loop.time() + WAKES_S, self._write)
        elif not self._planned:
            self._planned = True
            self._loop.at(self._loop.time() + WRITE_EVERY_S, self._write)

    def _write(self) -> None:
        self._planned = False
        if not self._over:
            self.of_run._writer.flush()
