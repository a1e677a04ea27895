"""The command where jobs run: without standard descriptors, a home, a name or a place to write, and with few
descriptors. A real process, and a real store outside of it."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from s3_upload.embedded import EmbeddedStore
from tests.e2e.test_cli import (
    COMMAND,
    TIMEOUT_S,
    contents,
    env,  # noqa: F401 - fixtures
    src,  # noqa: F401
    store,  # noqa: F401
)
from tests.store import complaints

pytestmark = [
    pytest.mark.usefixtures("src"),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces and capabilities are Linux's"),
]
Ran = subprocess.CompletedProcess[bytes]
CLOSED = [closed for count in (1, 2, 3) for closed in combinations(range(3), count)]
WITHOUT_A_NAME = 54_321
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, PR_SET_KEEPCAPS = 47, 2, 8
CAP_DAC_READ_SEARCH = 2
CLONE_NEWNS, MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 1, 32, 4096, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def bare(store: EmbeddedStore) -> dict[str, str]:  # noqa: F811
    """The environment of a job of cron or systemd: an account, and nothing else. No HOME, no PATH."""
    return {
        "AWS_ENDPOINT_URL_S3": store.endpoint_url,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_REGION": "us-east-1",
        "S3_UPLOAD_NO_JOURNAL": "1",
        "S3_UPLOAD_GRACE_S": "0",
    }


def run(
    environment: dict[str, str],
    *words: str,
    before: Callable[[], None] | None = None,
    data: bytes | None = None,
) -> Ran:
    """`before` is called in the new process."""
    return subprocess.run(
        [COMMAND, *words],
        env=environment,
        capture_output=True,
        preexec_fn=before,
        timeout=TIMEOUT_S,
        check=False,
        input=data,
    )


def arrived(store: EmbeddedStore, prefix: str) -> set[str]:  # noqa: F811
    return set(contents(store.directory / "bucket" / prefix))


BOTH = {"a.txt", "sub/ä b.bin"}


# --- descriptors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("closed", "words"),
    [(closed, ()) for closed in CLOSED]
    + [((2,), ("--json",)), ((2,), ("--progress", "bar")), ((0, 1, 2), ("--progress", "bar"))],
    ids=str,
)
def test_closed_descriptors_are_no_reason_to_fail(
    bare: dict[str, str],
    store: EmbeddedStore,  # noqa: F811
    closed: tuple[int, ...],
    words: tuple[str, ...],
) -> None:
    """uvloop would abort the process, and what is said would go into a file or a connection."""
    prefix = "-".join(("closed", *map(str, closed), *words))

    def close() -> None:
        for number in closed:
            os.close(number)

    result = run(bare, "src", f"s3://bucket/{prefix}", *words, before=close)
    assert result.returncode == 0
    assert arrived(store, prefix) == BOTH
    assert bool(result.stdout) == (1 not in closed), "and nothing that belongs to stderr"
    assert not complaints(result.stderr.decode()) or words == ("--progress", "bar")
    assert not result.stderr or 2 not in closed


def test_what_nobody_could_be_told_is_not_begun(bare: dict[str, str], store: EmbeddedStore) -> None:  # noqa: F811
    """A job that keeps what --json says, and cannot, has not done what it was asked for."""
    result = run(bare, "src", "s3://bucket/told", "--json", before=lambda: os.close(1))
    assert result.returncode == 2
    assert result.stderr == b"s3-upload: error: --json: stdout is closed: there is nowhere to write to\n"
    assert not (store.directory / "bucket" / "told").exists()


def test_a_closed_stdout_is_no_terminal_for_rows(bare: dict[str, str]) -> None:
    result = run(bare, "perf-data", "src", "bucket", "rows", before=lambda: os.close(1))
    assert result.returncode == 0
    assert b"error" not in result.stderr


def test_what_cannot_be_read_of_a_closed_stdin_is_one_line(bare: dict[str, str]) -> None:
    result = run(bare, "-", "s3://bucket/key", before=lambda: os.close(0))
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr == b"s3-upload: error: -: stdin is closed: there is nothing to read\n"


def test_a_stdin_that_does_not_block_is_waited_for(
    bare: dict[str, str],
    store: EmbeddedStore,  # noqa: F811
) -> None:
    """As that of a program is whose parent talks to it from an event loop."""
    theirs, ours = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETFL, os.O_NONBLOCK)
    words = [COMMAND, "-", "s3://bucket/nonblocking"]
    with subprocess.Popen(words, env=bare, stdin=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        data = os.urandom(3 << 20)
        with os.fdopen(ours, "wb") as pipe:
            pipe.write(data)  # more than fits: it is read before the end is known
        assert process.communicate(timeout=TIMEOUT_S)[1] == b""
    assert (store.directory / "bucket" / "nonblocking").read_bytes() == data


def test_few_descriptors_suffice(
    bare: dict[str, str],
    store: EmbeddedStore,  # noqa: F811
    src: Path,  # noqa: F811
) -> None:
    (src / "many").mkdir()
    for number in range(300):
        (src / "many" / str(number)).write_bytes(b"%d" % number)
    limit = (64, 64)
    result = run(
        bare, "src", "s3://bucket/few", before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    )
    assert (result.returncode, complaints(result.stderr.decode())) == (0, "")
    assert len(arrived(store, "few")) == 302


@pytest.mark.parametrize("words", ["<(printf hello)", "<(head -c 9000000 /dev/zero)"])
def test_what_a_shell_makes_of_a_command_is_a_source(
    bare: dict[str, str],
    store: EmbeddedStore,  # noqa: F811
    words: str,
) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    line = f"{COMMAND} {words} s3://bucket/piped"
    result = subprocess.run(
        [bash, "-c", line], env=bare | {"PATH": os.environ["PATH"]}, capture_output=True, check=False
    )
    assert (result.returncode, complaints(result.stderr.decode())) == (0, "")
    arrived = (store.directory / "bucket" / "piped").read_bytes()
    assert arrived == (b"hello" if "hello" in words else bytes(9_000_000))


# --- accounts and places ------------------------------------------------------------------------------------


def become_nobody() -> None:
    """A user without an entry, as `docker run --user` makes one, who may read what root may: Python may lie
    in root's home."""
    if os.getuid() != 0:
        return
    assert LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
    os.setgroups([])
    os.setresgid(WITHOUT_A_NAME, WITHOUT_A_NAME, WITHOUT_A_NAME)
    os.setresuid(WITHOUT_A_NAME, WITHOUT_A_NAME, WITHOUT_A_NAME)
    version = (ctypes.c_uint32 * 2)(0x20080522, 0)
    bit = 1 << CAP_DAC_READ_SEARCH
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    assert LIBC.capset(version, sets) == 0
    assert LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0) == 0


def test_a_user_without_a_name_or_a_home_uploads(
    bare: dict[str, str],
    store: EmbeddedStore,  # noqa: F811
) -> None:
    result = run(bare, "src", "s3://bucket/nobody", before=become_nobody)
    assert (result.returncode, complaints(result.stderr.decode())) == (0, "")
    assert arrived(store, "nobody") == BOTH


def test_who_has_neither_a_home_nor_an_account_is_told_so(
    bare: dict[str, str],
    store: EmbeddedStore,  # noqa: F811
) -> None:
    alone = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_S3": store.endpoint_url}
    for words in ([], ["--profile", "gone"], ["--ca-bundle", "~/ca.pem"]):
        result = run(alone, "src", "s3://bucket/x", *words, before=become_nobody)
        assert result.returncode in {2, 3}
        *notes, last = result.stderr.splitlines()
        assert last.startswith(b"s3-upload: error: ")
        assert all(note.startswith(b"s3-upload: note: no journal is kept") for note in notes)
        assert b"unexpected" not in result.stderr


def may_mount() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-m", "true"], check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not may_mount(), reason="only root may mount")


def make_all_read_only() -> None:
    """In a name space of its own all that is mounted can only be read, /tmp too; and there is no /dev/shm."""
    assert LIBC.unshare(CLONE_NEWNS) == 0
    assert LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = line.split()[1]
        if place == "/" or place.startswith(("/tmp", "/var", "/home", "/root", "/dev/shm", "/work")):
            assert LIBC.mount(None, place.encode(), None, MS_REMOUNT | MS_BIND | MS_RDONLY, None) == 0
    if Path("/dev/shm").exists():
        LIBC.mount(b"/proc", b"/dev/shm", None, MS_BIND, None)


@needs_mounts
def test_nothing_has_to_be_written_anywhere(
    bare: dict[str, str],
    store: EmbeddedStore,  # noqa: F811
    tmp_path: Path,
) -> None:
    """A container with a read-only root; AWS Lambda's, but for its /tmp."""

    def before() -> None:
        make_all_read_only()
        try:
            (tmp_path / "written").touch()
        except OSError:
            return
        raise AssertionError("this can be written")

    home = bare | {"HOME": str(tmp_path)}
    result = run(home, "src", "s3://bucket/read-only", before=before)
    assert (result.returncode, complaints(result.stderr.decode())) == (0, "")
    assert arrived(store, "read-only") == BOTH
    data = os.urandom(12 << 20)
    result = run(home, "-", "s3://bucket/read-only-stream", before=before, data=data)
    assert (result.returncode, complaints(result.stderr.decode())) == (0, "")
    assert (store.directory / "bucket" / "read-only-stream").read_bytes() == data


@needs_mounts
def test_what_has_to_be_written_and_cannot_be_is_one_line(bare: dict[str, str]) -> None:
    """Parts of a stream that do not fit into memory."""
    sizes = ("--max-in-flight-bytes", "16MiB", "--multipart-threshold", "5MiB", "--part-size", "16MiB")
    words = ("-", "s3://bucket/read-only-big", *sizes)
    result = run(bare, *words, before=make_all_read_only, data=bytes(30 << 20))
    assert result.returncode == 1
    assert result.stderr.startswith(b"failed: ")
    assert b"TMPDIR" in result.stderr
    assert b"unexpected" not in result.stderr


# --- signals and silence ------------------------------------------------------------------------------------


@pytest.mark.parametrize("quiet", [False, True])
def test_a_terminal_that_is_closed_ends_the_run(bare: dict[str, str], quiet: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(TIMEOUT_S)
        words = [COMMAND, "src", "s3://bucket", "--min-timeout", "500", *(["-q"] if quiet else ["--json"])]
        environment = bare | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with subprocess.Popen(
            words,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup has the tests ignore it
        ) as process:
            connection = silent.accept()[0]
            connection.recv(1)  # the first request is on its way, and will never be answered
            process.send_signal(signal.SIGHUP)
            out, err = process.communicate(timeout=TIMEOUT_S)
            connection.close()
    assert process.returncode == 128 + signal.SIGHUP
    if quiet:
        assert (out, err) == (b"", b"")
    else:
        assert json.loads(out.splitlines()[-1])["error"]["kind"] == "interrupted"
        lines = err.splitlines()  # before it may have said that it stops
        assert any(line.startswith(b"s3-upload: interrupted after ") for line in lines)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["gone", "s3://bucket", "--quiet"], 2),
        (["src", "s3://bucket", "--quiet", "--frobnicate"], 2),
        (["src", "s3://bucket", "-qv", "--tags", "x"], 2),
        (["src", "s3://nobody-has-this-bucket", "-q"], 3),
        (["src", "s3://bucket/q", "-rq", "--progress", "bar"], 0),
        (["src", "s3://bucket/q", "--quiet", "--create-bucket"], 0),
        (["src", "s3://bucket/q", "--quiet", "--no-clobber", "--dryrun"], 0),
        (["perf-data", "src", "bucket", "q", "--quiet", "--no-sign-request"], 1),
    ],
)
def test_quiet_says_nothing_at_all(bare: dict[str, str], words: list[str], code: int) -> None:
    os.mkfifo("src/fifo")
    result = run(bare, *words)
    assert (result.returncode, result.stdout, result.stderr) == (code, b"", b"")


CRASHES = """
from s3_upload.cli import main
from s3_upload.transfer.reporting import Reporting

def report(self, report):
    raise ZeroDivisionError("a fault of ours")

Reporting._report = report
main.run()
"""


def test_a_fault_of_ours_is_one_line_and_json_has_its_last_record(bare: dict[str, str]) -> None:
    command = [sys.executable, "-c", CRASHES, "src", "s3://bucket/crash", "--json"]
    ended = subprocess.run(command, env=bare, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert (ended.returncode, ended.stderr.count(b"\n")) == (3, 1)
    assert b"unexpected ZeroDivisionError: a fault of ours" in ended.stderr
    last = json.loads(ended.stdout.splitlines()[-1])
    assert (last["type"], last["error"]) == ("summary", {"kind": "error", "message": "a fault of ours"})
