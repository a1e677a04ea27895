"""Want of a file descriptor: counted beforehand, waited for, and nobody's failure."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from s3_upload import UploadConfig, descriptors
from s3_upload.api import DEFAULT_MAX_CONNECTIONS, RESERVED_FILES, controls_for, max_connections
from s3_upload.descriptors import (
    ASSUMED_OPEN,
    COMMAND_LIMIT,
    MAX_PAUSE_S,
    PATIENCE_S,
    count_open,
    is_want,
    patiently,
)
from s3_upload.errors import SourceError
from s3_upload.s3.checksum import Digests
from s3_upload.sources.files import NO_LINKS, HashedBody, Reader
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import Versions
from s3_upload.sources.walk import files_recursive
from s3_upload.threads import DaemonThreads

WANTS = [OSError(number, os.strerror(number)) for number in (errno.EMFILE, errno.ENFILE)]


class Time:
    """Passes only when somebody pauses."""

    def __init__(self) -> None:
        self.now_s = 5.0
        self.pauses_s: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds


class Scarce:
    """A call that lacks a descriptor so many times."""

    def __init__(self, works: Callable[..., Any], times: int, error: OSError = WANTS[0]) -> None:
        self._works = works
        self._error = error
        self.left = times

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self.left:
            self.left -= 1
            raise self._error
        return self._works(*arguments, **named)


# --- to wait


@pytest.mark.parametrize("want", WANTS, ids=lambda want: errno.errorcode[want.errno])
def test_who_wants_a_descriptor_waits_and_tries_again(want: OSError) -> None:
    time = Time()
    assert patiently(Scarce(lambda: "there", 7, want), clock=time.clock, pause=time.pause) == "there"
    assert time.pauses_s == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, MAX_PAUSE_S]


def test_nobody_waits_for_ever() -> None:
    time = Time()
    with pytest.raises(OSError, match="Too many open files"):
        patiently(Scarce(lambda: "there", 10**6), clock=time.clock, pause=time.pause)
    assert PATIENCE_S <= sum(time.pauses_s) <= PATIENCE_S + MAX_PAUSE_S


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), ValueError("no"), KeyError(1)])
def test_what_is_no_want_is_not_waited_for(error: Exception) -> None:
    def fails() -> None:
        raise error

    time = Time()
    with pytest.raises(type(error)):
        patiently(fails, clock=time.clock, pause=time.pause)
    assert time.pauses_s == []


def test_a_want_is_known_by_what_it_caused() -> None:
    caused = RuntimeError("the credential process failed")
    caused.__cause__ = ValueError()
    caused.__cause__.__context__ = WANTS[0]
    assert is_want(caused)
    circular = RuntimeError()
    circular.__context__ = circular
    assert not is_want(circular)


def test_a_pause_ends_with_what_it_is_for() -> None:
    threads = DaemonThreads(1, "test")
    threads.close()
    with pytest.raises(InterruptedError):
        threads.pause(1e6)


# --- who waits


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def reader(time: Time) -> Reader:
    return Reader(
        single_limit_bytes=100,
        digests=Digests(),
        clock=time.clock,
        pause=time.pause,
        versions=Versions(),
    )


@pytest.mark.parametrize("want", WANTS, ids=lambda want: errno.errorcode[want.errno])
def test_a_file_is_opened_when_there_is_a_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader, time: Time, want: OSError
) -> None:
    (tmp_path / "f").write_bytes(b"x")
    monkeypatch.setattr("s3_upload.sources.files.os.open", Scarce(os.open, 3, want))
    [found] = reader.read_batch([ObjectSource.file(tmp_path / "f", "k")], 0)
    assert isinstance(found, HashedBody)
    assert len(time.pauses_s) == 2  # the first try was without patience


def test_a_file_that_gets_no_descriptor_fails_in_the_end_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader, time: Time
) -> None:
    monkeypatch.setattr("s3_upload.sources.files.os.open", Scarce(os.open, 10**6))
    [found] = reader.read_batch([ObjectSource.file(tmp_path / "f", "k")], 0)
    assert isinstance(found, SourceError)
    assert str(found) == f"{tmp_path / 'f'}: Too many open files"
    assert sum(time.pauses_s) >= PATIENCE_S


def test_the_loop_waits_for_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader, time: Time
) -> None:
    """It leaves that to the threads: connections could give up theirs only on the loop."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
    opens: list[str] = []

    def scarce(path: str, flags: int) -> int:
        opens.append(path)
        if len(opens) > 1:
            raise WANTS[0]
        return os_open(path, flags)

    os_open = os.open
    monkeypatch.setattr("s3_upload.sources.files.os.open", scarce)
    sources = [ObjectSource.file(tmp_path / name, name) for name in ("a", "b")]
    found = reader.read_batch(sources, 1_000, NO_LINKS)
    assert len(found) == 1
    assert time.pauses_s == []


def test_a_directory_is_listed_when_there_is_a_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_bytes(b"x")
    pauses_s: list[float] = []
    walk = files_recursive(tmp_path)
    monkeypatch.setattr("s3_upload.sources.source.os.scandir", Scarce(os.scandir, 3))
    slow = partial(patiently, pause=pauses_s.append)
    monkeypatch.setattr("s3_upload.sources.walk.patiently", slow)
    assert [source.key for source in walk] == ["d/e/f"]
    assert len(pauses_s) == 3


# --- to count


def held(count: int) -> ExitStack:
    stack = ExitStack()
    for _ in range(count):
        fd = os.open(os.devnull, os.O_RDONLY)
        stack.callback(os.close, fd)
    return stack


def test_what_is_open_is_counted() -> None:
    before = count_open()
    with held(20):
        assert count_open() == before + 20
    assert count_open() == before


def test_where_nothing_is_listed_a_number_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_LISTS", (Path("/no/such"),))
    assert count_open() == ASSUMED_OPEN


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None, int], None]:
    def limit(allowed: int | None, taken: int) -> None:
        monkeypatch.setattr(descriptors, "limit", lambda: allowed)
        monkeypatch.setattr(descriptors, "count_open", lambda: taken)

    return limit


@pytest.mark.parametrize(
    ("allowed", "taken", "own", "expected"),
    [
        (1_024, 0, 0, (1_024 - RESERVED_FILES) // 2),
        (1_024, 900, 0, 30),
        (1_024, 900, 400, 230),
        (1_024, 1_020, 0, 1),
        (1_024, 1_024, 0, 1),
        (None, 10**6, 0, DEFAULT_MAX_CONNECTIONS),
    ],
)
def test_connections_have_what_the_program_leaves(
    limited: Callable[[int | None, int], None], allowed: int | None, taken: int, own: int, expected: int
) -> None:
    """Those that a client keeps from its last run are no one else's."""
    limited(allowed, taken)
    assert max_connections(own) == expected
    config = UploadConfig(window="fixed", max_in_flight=10_000)
    assert controls_for(config, own).window.limit == min(10_000, expected)


# --- to ask for more


def limits_after(code: str, soft: int, hard: int) -> list[int]:
    script = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
{code}
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return [int(word) for word in done.stdout.split()]


RAISE = "from s3_upload.descriptors import raise_limit; raise_limit()"


def test_the_command_takes_what_the_system_lets_it_have() -> None:
    hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4_096)
    assert limits_after(RAISE, 256, hard) == [hard, hard]
    assert limits_after(RAISE, 256, 256) == [256, 256]
    assert max(limits_after(RAISE, hard, hard)) <= COMMAND_LIMIT


def test_a_program_that_imports_the_library_keeps_its_limit() -> None:
    code = "import s3_upload; s3_upload.s3_upload_files; s3_upload.S3Client; s3_upload.UploadConfig()"
    assert limits_after(code, 256, 1_024) == [256, 1_024]
