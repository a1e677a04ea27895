"""The command as its users meet it: real processes, a real store, exit codes and single lines."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from s3_upload.embedded import EmbeddedStore
from tests.on_terminal import on_terminal
from tests.platforms import needs_any_name
from tests.store import complaints

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
TIMEOUT_S = 60  # bounds a hang; nothing here takes more than a few seconds

Result = subprocess.CompletedProcess[str]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which nobody has an account."""
    home = tmp_path / "home"
    home.mkdir()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3_UPLOAD_"))}
    # Of journals and of graceful ends other tests tell: here each run stands alone.
    alone = {"S3_UPLOAD_NO_JOURNAL": "1", "S3_UPLOAD_GRACE_S": "0"}
    return clean | alone | {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "200"}


@pytest.fixture
def src(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with two files in it, in the current directory, beside an empty one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "src" / "sub").mkdir(parents=True)
    (tmp_path / "src" / "a.txt").write_bytes(b"first\n")
    (tmp_path / "src" / "sub" / "ä b.bin").write_bytes(bytes(range(256)) * 40)
    return tmp_path / "src"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path_factory.mktemp("store")) as running:
        running.create_bucket("bucket")
        yield running


@pytest.fixture
def account(env: dict[str, str], store: EmbeddedStore) -> dict[str, str]:
    """The environment of one who has an account with `store`."""
    return env | {
        "AWS_ENDPOINT_URL_S3": store.endpoint_url,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_REGION": "us-east-1",
    }


def s3_upload(env: dict[str, str], *words: str | bytes) -> Result:
    return subprocess.run(
        [COMMAND, *words], env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def records(out: str, kind: str) -> list[dict[str, Any]]:
    """What --json has told, of one kind."""
    return [record for record in map(json.loads, out.splitlines()) if record["type"] == kind]


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def assert_one_line(result: Result, code: int, *texts: str) -> None:
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("s3-upload: error: ")
    for text in texts:
        assert text in result.stderr
    assert result.returncode == code
    assert result.stdout == ""


def test_a_directory_is_uploaded_to_an_embedded_store(env: dict[str, str], src: Path, tmp_path: Path) -> None:
    result = s3_upload(env, "src", "s3://photos/2026", "--embedded", "store")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("uploaded 2 files, 10.2 kB in ")
    assert complaints(result.stderr) == ""
    assert contents(tmp_path / "store" / "photos" / "2026") == contents(src)


def test_files_and_directories_are_uploaded_to_a_running_store(
    account: dict[str, str], src: Path, store: EmbeddedStore
) -> None:
    assert s3_upload(account, "src/a.txt", "src/sub", "s3://bucket/mixed").returncode == 0
    assert set(contents(store.directory / "bucket" / "mixed")) == {"a.txt", "sub/ä b.bin"}
    assert s3_upload(account, "src/a.txt", "s3://bucket/exact/name").returncode == 0
    assert (store.directory / "bucket" / "exact" / "name").read_bytes() == b"first\n"


def test_a_large_file_goes_in_parts(
    account: dict[str, str], src: Path, store: EmbeddedStore, tmp_path: Path
) -> None:
    data = os.urandom(1 << 20) * 12
    (tmp_path / "large").write_bytes(data)
    flags = ("--multipart-threshold", "6MiB", "--part-size", "5MiB")
    result = s3_upload(account, "large", "s3://bucket/large", "--json", *flags)
    assert result.returncode == 0, result.stderr
    [report] = records(result.stdout, "upload")
    operations = {attempt["operation"] for attempt in report["attempt_reports"]}
    assert "UploadPart" in operations
    assert (store.directory / "bucket" / "large").read_bytes() == data


def test_json_lines(account: dict[str, str], src: Path) -> None:
    result = s3_upload(account, "src", "s3://bucket/json/", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    reports, [summary] = records(result.stdout, "upload"), records(result.stdout, "summary")
    assert {report["key"]: report["outcome"] for report in reports} == {
        "json/a.txt": "success",
        "json/sub/ä b.bin": "success",
    }
    assert (summary["uploaded"], summary["bytes"]) == (2, 10_246)
    assert result.stdout.splitlines()[-1].startswith('{"type":"summary"')


def test_perf_data_prints_a_row_for_every_object(account: dict[str, str], src: Path) -> None:
    result = s3_upload(account, "perf-data", "-n", "3", "src", "bucket", "perf")
    assert result.returncode == 0, result.stderr
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["attempts", "bytes", "success_ms", "total_ms", "MBps", "MBps", "est"]
    assert sorted(int(row.split()[1]) for row in rows) == [6, 6, 6, 10_240, 10_240, 10_240]
    assert {len(row) for row in rows} == {len(head)}
    assert result.stderr.startswith("uploaded 6 files, 30.7 kB in ")


def test_what_failed_is_told_and_the_rest_uploaded(
    account: dict[str, str], src: Path, store: EmbeddedStore
) -> None:
    (src / "dangling\n").symlink_to("nowhere")
    os.mkfifo(src / "pipe")
    result = s3_upload(account, "src", "s3://bucket/partly")
    assert result.returncode == 1
    failed, skipped = sorted(complaints(result.stderr).splitlines())
    assert failed == r"failed: src/dangling\n: the link leads to nothing"
    assert skipped == "skipped: src/pipe: is a FIFO"
    assert result.stdout.startswith("uploaded 2 files, ")
    assert "; 1 failed; 1 skipped" in result.stdout
    assert set(contents(store.directory / "bucket" / "partly")) == {"a.txt", "sub/ä b.bin"}


def test_quiet(account: dict[str, str], src: Path) -> None:
    (src / "dangling").symlink_to("nowhere")
    result = s3_upload(account, "src", "s3://bucket/quiet", "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")


def test_a_terminal_gets_a_screen_that_is_gone_at_the_end(account: dict[str, str]) -> None:
    """The run ends when the screen has been seen."""
    words = [COMMAND, "-", "s3://bucket/progress"]
    shown, stdout = on_terminal(words, account, until="at 127.0.0.1:", then=lambda: "x")
    assert "stdin → s3://bucket/progress at 127.0.0.1:" in shown
    assert shown.endswith("\x1b[A\x1b[K"), "the block is taken away, line by line"
    assert "\x1b[?25l" not in shown, "whoever is killed leaves a cursor"
    assert stdout.startswith("uploaded 1 file, ")


def test_a_dry_run_uploads_nothing(account: dict[str, str], src: Path, store: EmbeddedStore) -> None:
    result = s3_upload(account, "src", "s3://bucket/dry", "--dryrun")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "(dryrun) upload: src/a.txt to s3://bucket/dry/a.txt",
        "(dryrun) upload: src/sub/ä b.bin to s3://bucket/dry/sub/ä b.bin",
        "(dryrun) would upload 2 files, 10.2 kB",
    ]
    assert not (store.directory / "bucket" / "dry").exists()


def test_directories_with_the_same_names_in_them_are_kept_apart(
    account: dict[str, str], src: Path, store: EmbeddedStore
) -> None:
    for run in ("run1", "run2"):
        Path(run).mkdir()
        for number in range(50):
            Path(run, f"{number}.log").write_text(f"{run} {number}")
    shown = s3_upload(account, "run1", "run2/", "s3://bucket/runs", "--dryrun")
    assert shown.stdout.splitlines()[50] == "(dryrun) upload: run2/0.log to s3://bucket/runs/run2/0.log"
    assert s3_upload(account, "run1", "run2/", "s3://bucket/runs").returncode == 0
    stored = contents(store.directory / "bucket" / "runs")
    assert stored == {
        f"{run}/{path}": body for run in ("run1", "run2") for path, body in contents(Path(run)).items()
    }
    assert_one_line(
        s3_upload(account, "run1/.", "run2/.", "s3://bucket/one"),
        2,
        "run2/./0.log: would overwrite run1/./0.log: both would become the key one/0.log",
    )
    assert not (store.directory / "bucket" / "one").exists()


def test_a_wrong_variable_gets_one_clear_line(env: dict[str, str], src: Path) -> None:
    result = s3_upload(env | {"S3_UPLOAD_N_RETRIES": "lots"}, "src", "s3://bucket")
    assert_one_line(result, 2, "S3_UPLOAD_N_RETRIES", "lots")


def test_too_few_open_files_get_one_clear_line(account: dict[str, str], src: Path) -> None:
    limited = ["sh", "-c", 'ulimit -n 12; exec "$@"', "sh", COMMAND, "src", "s3://bucket"]
    result = subprocess.run(
        limited, env=account, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert_one_line(result, 2, "only 12 files may be open", "ulimit -n")


def test_a_bucket_that_is_not_there(account: dict[str, str], src: Path) -> None:
    result = s3_upload(account, "src", "s3://no-such-bucket/p")
    wanted = "create it (--create-bucket; in Python: create_bucket) or correct its name\n"
    assert_one_line(result, 3, "'no-such-bucket': no such bucket", wanted)


def test_a_bucket_is_made_where_there_is_none(
    account: dict[str, str], src: Path, store: EmbeddedStore
) -> None:
    for line in ("s3-upload: created the bucket made\n", ""):
        result = s3_upload(account, "src", "s3://made/p", "--create-bucket")
        assert (result.returncode, result.stderr) == (0, line)
    assert contents(store.directory / "made" / "p") == contents(src)


def test_nothing_is_overwritten_even_where_the_store_would(
    account: dict[str, str], src: Path, store: EmbeddedStore
) -> None:
    assert s3_upload(account, "src/a.txt", "s3://bucket/kept/a.txt").returncode == 0
    before = contents(src)
    (src / "a.txt").write_bytes(b"second")
    result = s3_upload(account, "src", "s3://bucket/kept", "--no-clobber")
    assert result.returncode == 0, result.stderr
    assert contents(store.directory / "bucket" / "kept") == before
    assert result.stderr == "skipped: src/a.txt: the store has an object of that name\n"


def test_every_upload_is_named_where_that_is_wanted(account: dict[str, str], src: Path) -> None:
    result = s3_upload(account, "src", "s3://bucket/verbose", "-v")
    assert (result.returncode, complaints(result.stderr)) == (0, "")
    *files, summary = result.stdout.splitlines()
    assert sorted(files) == [
        "upload: src/a.txt to s3://bucket/verbose/a.txt",
        "upload: src/sub/ä b.bin to s3://bucket/verbose/sub/ä b.bin",
    ]
    assert summary.startswith("uploaded 2 files, ")


def test_json_ends_with_a_summary_also_where_the_run_could_not_go_on(
    account: dict[str, str], src: Path
) -> None:
    result = s3_upload(account, "src", "s3://no-such-bucket/p", "--json")
    assert result.returncode == 3
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["type"], last["uploaded"], last["bytes"]) == ("summary", 0, 0)
    assert last["error"]["kind"] == "no-such-bucket"
    assert last["error"]["message"] in result.stderr
    assert (
        json.loads(s3_upload(account, "src", "s3://bucket", "--json").stdout.splitlines()[-1])["error"]
        is None
    )


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key(account: dict[str, str], src: Path, variable: str) -> None:
    result = s3_upload(account | {variable: "WRONGWRONGWRONG"}, "src", "s3://bucket")
    assert_one_line(result, 3)
    assert account["AWS_SECRET_ACCESS_KEY"] not in result.stderr


def test_no_credentials(env: dict[str, str], store: EmbeddedStore, src: Path) -> None:
    result = s3_upload(env, "src", "s3://bucket", "--endpoint-url", store.endpoint_url)
    assert_one_line(result, 3, "credentials")


def test_a_profile_that_is_not_there(account: dict[str, str], src: Path) -> None:
    assert_one_line(s3_upload(account, "src", "s3://bucket", "--profile", "nobody"), 3, "nobody")


def test_a_host_that_is_not_there(account: dict[str, str], src: Path) -> None:
    result = s3_upload(account, "src", "s3://bucket", "--endpoint-url", "http://no-such-host.invalid")
    assert_one_line(result, 3, "no-such-host.invalid")


def test_tls_where_none_is_spoken(account: dict[str, str], store: EmbeddedStore, src: Path) -> None:
    url = store.endpoint_url.replace("http:", "https:")
    assert_one_line(s3_upload(account, "src", "s3://bucket", "--endpoint-url", url), 3)


def test_a_certificate_nobody_trusts(account: dict[str, str], src: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_shake_hands, args=(listener, context), daemon=True).start()
        url = f"https://localhost:{listener.getsockname()[1]}"
        result = s3_upload(account, "src", "s3://bucket", "--endpoint-url", url)
        listener.shutdown(socket.SHUT_RDWR)
    assert_one_line(result, 3, "certificate")


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection = listener.accept()[0]
        except OSError:
            return
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()


def test_an_embedded_store_that_cannot_be(env: dict[str, str], src: Path) -> None:
    assert_one_line(s3_upload(env, "src/sub", "s3://bucket", "--embedded", "src/a.txt"), 3, "src/a.txt")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run(account: dict[str, str], src: Path, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(TIMEOUT_S)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = [COMMAND, "src", "s3://bucket", "--endpoint-url", url, "--min-timeout", "500", "--json"]
        words += ["--max-bandwidth", "1GB/s"]
        with subprocess.Popen(
            words, env=account, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            connection = silent.accept()[0]
            connection.recv(1)  # the first request is on its way, and will never be answered
            process.send_signal(number)
            out, err = process.communicate(timeout=TIMEOUT_S)
            connection.close()
    assert process.returncode == 128 + number
    last = json.loads(out.splitlines()[-1])
    assert (last["type"], last["uploaded"], last["error"]["kind"]) == ("summary", 0, "interrupted")
    assert last["wall_time_s"] > 0.0
    assert last["limits"], "the run knew what it waited for"
    assert last["pace"], "and how much it might take"
    # What takes a while to stop is said before.
    said = r"(s3-upload: stopping: .*\n)?s3-upload: interrupted after \d:\d\d: 0 files uploaded, \d.* sent\n"
    assert re.fullmatch(said, err)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("perf-data", "src", "bucket", "closed"), 141),
        (("src", "s3://bucket/closed", "--json"), 141),
        (("src", "s3://bucket/closed"), 0),  # all was uploaded; only the summary had no reader
        (("--help",), 141),
    ],
)
def test_a_reader_that_went_away(
    account: dict[str, str], src: Path, words: tuple[str, ...], code: int
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [COMMAND, *words],
        env=account,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(writing)
    assert (result.returncode, result.stderr) == (code, "")


def test_serve(env: dict[str, str], src: Path, tmp_path: Path) -> None:
    (tmp_path / "served" / "bucket").mkdir(parents=True)
    with subprocess.Popen(
        [COMMAND, "serve", "served"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        shown = [server.stdout.readline() for _ in range(7)]
        exports = dict(line.split()[1].split("=", 1) for line in shown if line.startswith("export "))
        result = s3_upload(env | exports, "src", "s3://bucket/p")
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=TIMEOUT_S)
    assert result.returncode == 0, result.stderr
    assert contents(tmp_path / "served" / "bucket" / "p") == contents(src)
    assert (server.returncode, err) == (0, "s3-upload: the store has stopped\n")


@needs_any_name
def test_names_that_are_no_unicode(account: dict[str, str], src: Path) -> None:
    Path(os.fsdecode(os.fsencode(src) + b"/\xff.txt")).write_bytes(b"x")
    result = s3_upload(account, "src", "s3://bucket/odd")
    assert result.returncode == 1
    (failed,) = result.stderr.splitlines()
    assert failed.startswith(r"failed: src/\xff.txt: the name is not UTF-8")


@needs_any_name
def test_a_name_that_is_no_unicode_is_no_matter_where_the_key_is_given(
    account: dict[str, str], src: Path, store: EmbeddedStore
) -> None:
    (src / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"x")
    for flags in (["--dryrun"], []):
        result = s3_upload(account, b"src/caf\xe9.txt", "s3://bucket/cafe.txt", *flags)
        assert (result.returncode, result.stderr) == (0, "")
    assert (store.directory / "bucket" / "cafe.txt").read_bytes() == b"x"


def test_keys_and_metadata_are_those_of_any_other_locale(
    account: dict[str, str], src: Path, store: EmbeddedStore
) -> None:
    in_ascii = account | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    result = s3_upload(in_ascii, "src", "s3://bucket/ü", "--metadata", "who=Zoë", "--tags", "where=日本")
    assert result.returncode == 0, result.stderr
    assert contents(store.directory / "bucket" / "ü") == contents(src)
    assert s3_upload(in_ascii, "src/sub/ä b.bin", "s3://bucket/file/").returncode == 0
    assert set(contents(store.directory / "bucket" / "file")) == {"ä b.bin"}
    shown = s3_upload(in_ascii, "src/sub", "s3://bucket/é", "--dryrun")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[0].endswith(r" to s3://bucket/\xe9/\xe4 b.bin")


@needs_any_name
@pytest.mark.parametrize(
    "words",
    [("src", b"s3://bucket/\xff"), (b"src/\xff.txt", "src/a.txt", "s3://bucket")],
    ids=["url", "file"],
)
def test_a_word_that_is_no_utf8_gets_one_clear_line(
    env: dict[str, str], src: Path, words: tuple[str | bytes, ...]
) -> None:
    (src / os.fsdecode(b"\xff.txt")).write_bytes(b"x")
    assert_one_line(s3_upload(env, *words), 2, r"\xff", "not UTF-8")


def test_version_and_help(env: dict[str, str]) -> None:
    version = s3_upload(env, "--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("s3-upload 0.")
    for command in ((), ("perf-data",), ("serve",)):
        shown = s3_upload(env, *command, "--help")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.startswith("Usage: s3-upload")
