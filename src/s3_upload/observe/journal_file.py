"""The file of a journal: SQLite, in one process at a time. Blocking; any thread may call.

Rules:

* What is written is in the file when the call returns: nothing is lost if this process is killed.  A machine
  that loses its power may lose the last moments; what the store has of them is found out again.
* One process has the file, as long as it is open, and in it one run.  Another one is told so at once.
* A name that is not valid Unicode is kept with its bytes escaped (`\\xff`), since neither SQLite nor
  MessagePack takes it.
* A file that is damaged, or of another version of this program, is put aside under another name, and an empty
  one takes its place.  A file that is no journal is left alone, and refused; but where its name is of our own
  making, it was one.
* What a run reads at its beginning is read when the file is opened: so damage shows while there is a way out.

Theory of operation.  In WAL mode (https://sqlite.org/wal.html) a transaction is one sequential write, and
with synchronous=NORMAL none waits for the disk.  locking_mode=EXCLUSIVE keeps the lock between transactions;
with it the file needs no shared memory, so that it may lie on a network file system.

What became of small objects is written as a log, many in one row: Python gives up its lock for each row,
which costs a busy event loop more than the row.  When the file is opened next, the log is sorted into the
table.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from s3_upload.errors import ConfigError
from s3_upload.observe.journal_content import JournalContent
from s3_upload.observe.journal_rows import FAILED, PartRow, Row, UploadRow
from s3_upload.sources import own_journals
from s3_upload.text import unicode_of

APPLICATION_ID = 0x73337570
""" "s3up", in the file's head: it is a journal."""
VERSION = 2
MAGIC = b"SQLite format 3\0"

_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
    key TEXT PRIMARY KEY, source TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    state TEXT NOT NULL, etag TEXT NOT NULL, algorithm TEXT NOT NULL, checksum TEXT NOT NULL,
    why TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE log (number INTEGER PRIMARY KEY, objects BLOB NOT NULL);
CREATE TABLE uploads (
    upload_id TEXT PRIMARY KEY, key TEXT NOT NULL, part_size INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, algorithm TEXT NOT NULL,
    checksum_type TEXT NOT NULL, said TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (key);
CREATE TABLE parts (
    upload_id TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    checksum TEXT NOT NULL, PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;
CREATE TABLE creating (key TEXT PRIMARY KEY, since_s REAL NOT NULL) WITHOUT ROWID;
"""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Row]).decode
_ABOUT = list[tuple[str, str]]
_UPLOADS = list[tuple[str, str, int, int, int, int, str, str, str]]


class InUseError(ConfigError):
    """Another process has the journal."""


class UnwritableError(ConfigError):
    """No journal can be kept there: a full disk, say."""


class UnusableError(ConfigError):
    """A journal that is damaged, or of another version."""


class JournalFile(JournalContent):
    """An open journal. `aside`: where a file was put that could not be used; "" where there was none.
    `puts_aside`: not for one who only looks, who gets an `UnusableError`.  `is_ours`: whatever is there was a
    journal.

    Raises `ConfigError` for what is no journal, `UnwritableError` and `InUseError`.
    """

    def __init__(self, path: str, *, puts_aside: bool = True, is_ours: bool = False) -> None:
        self.path = path
        self._puts_aside = puts_aside
        self._is_ours = is_ours
        self.aside = ""
        self._real_path = os.path.realpath(path)
        if not own_journals.take(self._real_path):
            raise InUseError(f"{path}: another run of this process is at work with this journal")
        try:
            super().__init__(self._opened(path))
        except BaseException:
            own_journals.leave(self._real_path)
            raise
        self._identity = own_journals.identity_of(path)

    def close(self) -> None:
        """The end of the file has all that was written, and nobody has it any more."""
        try:
            super().close()
        finally:
            own_journals.leave(self._real_path)

    @property
    def is_there(self) -> bool:
        """Whether it is still at its path: it may be removed, or another put in its place."""
        return own_journals.identity_of(self.path) == self._identity

    def copied(self) -> JournalContent:
        """What it says now, in memory: the file itself may be closed."""
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with self._lock:
            self._connection.backup(copy)
        return JournalContent(copy)

    # --- what is written ---------------------------------------------------------------------------

    def set_about(self, about: Mapping[str, str]) -> None:
        """Says what the job is; what was said before of other things stays."""
        with self._writing() as connection:
            kept = [(name, unicode_of(value)) for name, value in about.items()]
            connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", kept)

    def forget_objects(self) -> None:
        """Nothing is done. What the store has of files in parts stays known, and is gone on with no more."""
        with self._writing() as connection:
            connection.execute("DELETE FROM objects")
            connection.execute("DELETE FROM log")
            # Parts of no size: nobody adds to them, and who looks for them, or a run at its end, aborts them.
            connection.execute("UPDATE uploads SET part_size = 0")

    def outlive_streams(self) -> None:
        """Nobody goes on with what earlier runs have sent of streams, of which no size is known."""
        with self._writing() as connection:
            connection.execute("UPDATE uploads SET part_size = 0 WHERE size = 0")

    def forget_failed(self) -> None:
        """What failed is tried again, where it is still there."""
        with self._writing() as connection:
            connection.execute("DELETE FROM objects WHERE state = ?", (FAILED,))

    def begin_creating(self, key: str) -> None:
        """From now on the store may have an upload of that key of which nothing else is known."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO creating VALUES (?, ?)", (key, time.time()))

    def write(
        self,
        objects: Sequence[Row],
        in_parts: Sequence[UploadRow | PartRow] = (),
        ended: Collection[str] = (),
        *,
        outlived: Collection[str] = (),
        freed: Collection[str] = (),
    ) -> None:
        """Adds rows, in one transaction. `in_parts`: uploads and parts, in the order in which they were told;
        `ended`: keys of objects that are complete, so that their uploads are no more, but for outlived ones;
        `outlived`: of those whose uploads nobody has ended yet; `freed`: IDs of uploads of which the store
        has nothing any more."""
        log = _encode(objects) if objects else b""
        # Nearly always.  Each statement more has the threads change places: 11,500 times, not 2,900,
        # in 20,000 objects (perf stat -e context-switches).
        if log and not (in_parts or ended or outlived or freed):
            with self._lock:
                self._connection.execute("INSERT INTO log (objects) VALUES (?)", (log,))
            return
        with self._writing() as connection:
            if log:
                connection.execute("INSERT INTO log (objects) VALUES (?)", (log,))
            for row in in_parts:
                if isinstance(row, UploadRow):
                    _add_upload(connection, row)
                else:
                    values = msgspec.structs.astuple(row)
                    connection.execute("INSERT OR REPLACE INTO parts VALUES (?,?,?,?,?)", values)
            keys = [(key,) for key in ended]
            connection.executemany(
                "DELETE FROM parts WHERE upload_id IN"
                " (SELECT upload_id FROM uploads WHERE key = ? AND part_size > 0)",
                keys,
            )
            connection.executemany("DELETE FROM uploads WHERE key = ? AND part_size > 0", keys)
            connection.executemany("DELETE FROM creating WHERE key = ?", keys)
            keys = [(key,) for key in outlived]
            connection.executemany("UPDATE uploads SET part_size = 0 WHERE key = ?", keys)
            ids = [(upload_id,) for upload_id in freed]
            connection.executemany("DELETE FROM parts WHERE upload_id = ?", ids)
            connection.executemany("DELETE FROM uploads WHERE upload_id = ?", ids)

    # --- the file ----------------------------------------------------------------------------------

    def sort_in(self) -> None:
        """What was logged takes its place in the table."""
        with self._lock:
            _sort_in(self._connection)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction. Raises `sqlite3.Error` (a full disk), and then nothing of it is written."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def _opened(self, path: str) -> sqlite3.Connection:
        try:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                return self._connected(path)
            except _UnusableError as unusable:
                why = str(unusable)
            except sqlite3.Error as error:
                # An error in the schema: tables are missing.
                damage = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
                if _code(error) not in damage:
                    raise
                why = "damaged"
            self._give_way(path, why)
            return self._connected(path)
        except _UnusableError as unusable:  # there is another by now
            raise _unwritable(path, unusable) from unusable
        except sqlite3.Error as error:
            raise _not_opened(path, error) from error
        except OSError as error:
            raise _unwritable(path, error.strerror) from error

    def _give_way(self, path: str, why: str) -> None:
        """A file that is of no use makes room for a new one."""
        if not self._puts_aside:
            raise UnusableError(f"{path}: the journal is of no use ({why}): the next run begins a new one")
        self.aside = _put_aside(path, why)

    def _refuse_foreign(self, path: str) -> None:
        """Raises `ConfigError` for a file that is not ours: nothing of it may be lost.

        The head of a SQLite file: https://sqlite.org/fileformat2.html
        """
        try:
            with Path(path).open("rb") as file:
                head = file.read(100)
        except FileNotFoundError:
            return
        # Of a journal that was never written to its end the head may be empty yet.
        if not head or (head[:16] == MAGIC and head[68:72] == APPLICATION_ID.to_bytes(4, "big")):
            return
        if self._is_ours:
            raise _UnusableError("damaged")
        raise ConfigError(f"{path}: is no journal of s3-upload: give the name of a new file")

    def _connected(self, path: str) -> sqlite3.Connection:
        self._refuse_foreign(path)
        # Names of sources and destinations are nobody else's business.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
        own_journals.found(self._real_path)
        connection = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            [(version,)] = connection.execute("PRAGMA user_version").fetchall()
            # Before WAL mode: the file's head itself has to say whose it is, also after a kill.
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise _UnusableError(f"version-{version}")
            connection.execute("COMMIT")
            _refuse_removed(path)
            connection.execute("PRAGMA journal_mode = WAL")
            _check(connection)
        except BaseException:
            connection.close()
            _refuse_removed(path)
            raise
        return connection


class _UnusableError(Exception):
    """A journal, but none that can be used; why, as a part of a file's name."""


def _refuse_removed(path: str) -> None:
    """Raises `InUseError` where who had the file until now has removed it: it would be nobody's."""
    if not os.path.exists(path):  # noqa: PTH110 - a text
        raise InUseError(f"{path}: another s3-upload has just removed this journal")


def _unwritable(path: str, why: object) -> UnwritableError:
    return UnwritableError(f"{path}: the journal cannot be opened: {why}")


def _not_opened(path: str, error: sqlite3.Error) -> ConfigError:
    if _code(error) not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return _unwritable(path, error)
    if (why := _lock_trouble(path)) is None:
        return InUseError(f"{path}: another s3-upload is at work with this journal")
    with suppress(OSError):
        if Path(path).stat().st_size == 0:
            Path(path).unlink()  # made just now, and it would tell of a job that there is not
    return _unwritable(path, f"no file can be locked there ({why})")


def _lock_trouble(path: str) -> str | None:
    """Why the file system of `path` locks no file, not even one of ours; None where it does.

    SQLite has one answer for two cases: a lock that another process has, and ENOLCK, as of NFS without its
    lock daemon.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where every file can be locked
        return None
    try:
        with tempfile.TemporaryFile(dir=Path(path).parent) as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.strerror
    return None


def _add_upload(connection: sqlite3.Connection, row: UploadRow) -> None:
    """`row` may be of an upload that is known, and of another version of its file."""
    # What was known of parts was so of the version before: each that is still right is told again.
    connection.execute(
        "DELETE FROM parts WHERE upload_id = ? AND NOT EXISTS (SELECT 1 FROM uploads WHERE upload_id = ?"
        " AND size = ? AND mtime_ns = ? AND ctime_ns = ?)",
        (row.upload_id, row.upload_id, row.size, row.mtime_ns, row.ctime_ns),
    )
    values = msgspec.structs.astuple(row)
    connection.execute("INSERT OR REPLACE INTO uploads VALUES (?,?,?,?,?,?,?,?,?)", values)
    connection.execute("DELETE FROM creating WHERE key = ?", (row.key,))


def _check(connection: sqlite3.Connection) -> None:
    """Sorts in what was logged. Raises `_UnusableError` for what no run can read, and `sqlite3.Error`."""
    [(said,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if said != "ok":
        raise _UnusableError("damaged")
    # That looks at pages, and not at what is written in them.
    try:
        _sort_in(connection)
        msgspec.convert(connection.execute("SELECT * FROM about").fetchall(), _ABOUT)
        msgspec.convert(connection.execute("SELECT * FROM uploads").fetchall(), _UPLOADS)
    # OverflowError: a number that SQLite cannot keep; UnicodeDecodeError: msgspec leaves it as it is.
    except (msgspec.DecodeError, OverflowError, UnicodeDecodeError) as error:
        raise _UnusableError("damaged") from error


def _sort_in(connection: sqlite3.Connection) -> None:
    # As bytes, whatever has become of them.
    query = "SELECT number, CAST(objects AS BLOB) FROM log ORDER BY number LIMIT 100"
    while log := connection.execute(query).fetchall():
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for _, objects in log:
                connection.executemany(
                    "INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?,?,?,?)", _decode(objects)
                )
            connection.execute("DELETE FROM log WHERE number <= ?", (log[-1][0],))


def _code(error: sqlite3.Error) -> int:
    """That of SQLite. What Python itself says, of text that is no UTF-8, has none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF


def _put_aside(path: str, why: str) -> str:
    """Gives the file another name, and returns that."""
    aside = f"{path}.{why}-{time.strftime('%Y%m%d-%H%M%S')}"
    for end in own_journals.ENDS:
        with suppress(FileNotFoundError):
            Path(path + end).replace(aside + end)
    return aside
