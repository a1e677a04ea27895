"""What a journal says, and how it is looked up. Blocking; any thread may call."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from s3_upload.observe.journal_rows import (
    DONE,
    FAILED,
    KnownUploads,
    ObjectRow,
    PartRow,
    State,
    Tally,
    UploadRow,
)

MAX_AHEAD = 1_000
"""Objects that a `Lookup` reads at a time, at most."""
END = "\U0010ffff" * 256
"""Behind all keys: none is longer (1,024 bytes)."""


class JournalContent:
    """What a journal says, over a connection to its tables."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def about(self) -> dict[str, str]:
        """What was said by `set_about`."""
        return dict(self._rows("SELECT name, value FROM about"))

    def states_from(self, key: str, count: int) -> dict[str, State]:
        """Those of the first objects from that key on, in the order of keys."""
        rows = self._rows(
            "SELECT key, source, size, mtime_ns, state, etag FROM objects"
            " WHERE key >= ? ORDER BY key LIMIT ?",
            (key, count),
        )
        return {row[0]: row[1:] for row in rows}

    def objects(self, state: str) -> Iterator[ObjectRow]:
        """Those in that state, in the order of their keys."""
        last = ""
        while rows := self._rows(
            "SELECT * FROM objects WHERE state = ? AND key > ? ORDER BY key LIMIT 1000", (state, last)
        ):
            yield from (ObjectRow(*row) for row in rows)
            last = rows[-1][0]

    def uploads(self, key: str | None = None) -> list[UploadRow]:
        """Those in parts that are not known to have ended: of one key, or all."""
        rows = self._rows("SELECT * FROM uploads WHERE ? IS NULL OR key = ?", (key, key))
        return [UploadRow(*row) for row in rows]

    def parts(self, upload_id: str) -> dict[int, PartRow]:
        """Those that the store was known to have, by their numbers."""
        rows = self._rows("SELECT * FROM parts WHERE upload_id = ?", (upload_id,))
        return {row[1]: PartRow(*row) for row in rows}

    def known_uploads(self, key: str) -> KnownUploads:
        """Those of one key, with their parts."""
        known = tuple((row, self.parts(row.upload_id)) for row in self.uploads(key))
        creating = self._rows("SELECT since_s FROM creating WHERE key = ?", (key,))
        return KnownUploads(known, creating[0][0] if creating else None)

    def has_objects(self) -> bool:
        """Whether it tells of any object."""
        return bool(self._rows("SELECT 1 FROM objects LIMIT 1"))

    def tally(self) -> Tally:
        [(done, done_bytes)] = self._rows(
            "SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE state = ?", (DONE,)
        )
        [(failed,)] = self._rows("SELECT count(*) FROM objects WHERE state = ?", (FAILED,))
        [(uploads,)] = self._rows("SELECT count(*) FROM uploads")
        return Tally(done, done_bytes, failed, uploads)

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()


class Lookup:
    """Looks up what a journal says of objects, for one thread.

    Walks come in the order of keys: so it reads ahead, twice as far each time as long as they do, and
    most need no query of their own.
    """

    def __init__(self, file: JournalContent) -> None:
        self._file = file
        self._ahead = 1
        self._first = self._last = ""
        self._states: dict[str, State] = {}

    def state_of(self, key: str) -> State | None:
        """None where the journal says nothing of it. Raises `sqlite3.Error` and `UnicodeEncodeError`."""
        if not self._first <= key <= self._last:
            self._ahead = min(2 * self._ahead, MAX_AHEAD) if key > self._last else 1
            self._states = self._file.states_from(key, self._ahead)
            is_all = len(self._states) < self._ahead
            self._first, self._last = key, END if is_all else next(reversed(self._states))
        return self._states.get(key)
