"""Wrong uses, each told in one line: what is wrong, where, and what to do. Nothing is sent before.

Those that only a store can tell (no such bucket, a wrong key) are in tests/e2e/test_cli.py.
"""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import (
    ConfigError,
    Credentials,
    ObjectSource,
    Pace,
    RequestFields,
    S3Client,
    SourceError,
    UploadConfig,
    content_type_by_name,
    files_recursive,
    s3_upload_files,
)
from s3_upload.cli.main import main
from s3_upload.cli.options.flags import all_flags
from s3_upload.cli.output import EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "n" * 300
DOWNLOAD = "s3-upload only uploads: to download use `aws s3 cp`, `s5cmd cp` or `rclone copy`"
S3_BEGINS = "the destination begins with s3://. Did you mean"
MISSING = "the destination is missing: the last word must be s3://BUCKET/PREFIX"

COMMANDS: list[tuple[str, str]] = [
    # words
    ("", "nothing to do: give SRC... and s3://BUCKET/PREFIX (s3-upload --help tells more)"),
    ("photos", f"photos: {MISSING}"),
    ("cp photos", f"photos: {MISSING}"),
    ("photos ''", f"'': {MISSING}"),
    ("s3://bkt", "s3://bkt: the source is missing: give files or directories before the destination, or - for"
     " what comes in by stdin"),
    ("photos bkt/x", f"bkt/x: {S3_BEGINS} s3://bkt/x?"),
    ("photos s3:/bkt/x", f"s3:/bkt/x: {S3_BEGINS} s3://bkt/x?"),
    ("photos s3:bkt", f"s3:bkt: {S3_BEGINS} s3://bkt?"),
    ("photos s3//bkt/x", f"s3//bkt/x: {S3_BEGINS} s3://bkt/x?"),
    ("photos s3a://bkt/x", f"s3a://bkt/x: {S3_BEGINS} s3://bkt/x?"),
    ("photos arn:aws:s3:::bkt/x", f"arn:aws:s3:::bkt/x: {S3_BEGINS} s3://bkt/x?"),
    ("photos https://bkt.s3.amazonaws.com/x", f"https://bkt.s3.amazonaws.com/x: {S3_BEGINS} s3://bkt/x?"),
    ("photos https://s3.eu-west-1.amazonaws.com/bkt/x",
     f"https://s3.eu-west-1.amazonaws.com/bkt/x: {S3_BEGINS} s3://bkt/x?"),
    ("photos http://localhost:9000/bkt/x",
     "http://localhost:9000/bkt/x: use --endpoint-url http://localhost:9000 and s3://bkt/x"),
    ("photos gs://bkt/x", "gs://bkt/x: gs is not S3: the destination must look like s3://BUCKET/PREFIX"),
    ("photos s3:/", "s3:/: the destination must look like s3://BUCKET/PREFIX"),
    ("photos s3://", "s3://: no bucket is named, expected s3://BUCKET/PREFIX"),
    ("photos s3:///x", "s3:///x: no bucket is named, expected s3://BUCKET/PREFIX"),
    ("photos 's3://b c/x'", "s3://b c/x: b c is no bucket name (letters, digits, '.', '-', '_')"),
    ("s3://bkt/x photos", "s3://bkt/x photos: the destination comes last: s3-upload photos s3://bkt/x"
     f" ({DOWNLOAD})"),
    ("s3://bkt/x out", f"s3://bkt/x: {DOWNLOAD}"),
    ("cp s3://bkt/x .", f"s3://bkt/x .: the destination comes last: s3-upload . s3://bkt/x ({DOWNLOAD})"),
    ("s3://bkt/x s3://other/x", "s3://bkt/x: a source is a file or a directory: to copy from bucket to bucket"
     " use `aws s3 cp` or `rclone copy`"),
    ("get s3://bkt/x", f"get: {DOWNLOAD}"),
    ("download s3://bkt/x .", f"download: {DOWNLOAD}"),
    ("rm s3://bkt/x", "rm: s3-upload only uploads: to delete use `aws s3 rm`, `s5cmd rm` or `rclone delete`"),
    ("ls s3://bkt", "ls: s3-upload only uploads: to list use `aws s3 ls`, `s5cmd ls` or `rclone ls`"),
    ("s3 ls", "ls: s3-upload only uploads: to list use `aws s3 ls`, `s5cmd ls` or `rclone ls`"),
    ("mirror photos s3://bkt", "mirror: to upload only what is different use s3-upload sync SRC..."
     " s3://BUCKET/PREFIX, flags behind it"),
    ("--json sync photos s3://bkt", "sync: to upload only what is different use s3-upload sync SRC..."
     " s3://BUCKET/PREFIX, flags behind it"),
    ("sync - s3://bkt/k", "-: what comes in by stdin cannot be compared: give files or directories"),
    ("sync one.txt s3://bkt --size-only --compare time", "--size-only and --compare time do not go"
     " together: leave one out"),
    ("sync one.txt s3://bkt --compare mood", "--compare mood: must be time or size or mtime or checksum"),
    ("sync one.txt s3://fast--use1-az4--x-s3/p", "fast--use1-az4--x-s3: directory buckets (S3 Express One"
     " Zone) do not list objects in the order of their keys, so nothing can be compared with them: upload,"
     " with --if-exists skip perhaps"),
    ("one s3://bkt --size-only", "--size-only: no such flag: s3-upload sync compares (s3-upload sync --help);"
     " --no-clobber skips what exists"),
    ("mv photos s3://bkt", "mv: s3-upload only uploads: to move use `aws s3 mv`, or delete the files when it"
     " has ended with 0"),
    ("uplaod photos s3://bkt", "uplaod: no such command. Did you mean upload?"),
    ("snyc photos s3://bkt", "snyc: no such command. Did you mean sync?"),
    ("snyc s3://bkt", "snyc: no such file or directory"),
    ("pipe s3://bkt/k", "pipe: what comes in by stdin is -, as in s3-upload - s3://BUCKET/KEY"),
    ("perf-dat photos bkt x", "perf-dat: no such command. Did you mean perf-data?"),
    ("nope s3://bkt", "nope: no such file or directory"),
    ("'*.jpg' s3://bkt", "*.jpg: no such file or directory that matches (the shell, or glob.glob, makes names"
     " of patterns)"),
    ("'~/x' s3://bkt", "~/x: no such file or directory: ~ stands for a home directory only where no quotes"
     " are around it"),
    ("file:///x s3://bkt", "file:///x: no such file or directory: give the path itself: /x"),
    ("link s3://bkt", "link: the link leads to nothing: mend it (gone/x is missing)"),
    ("photos link s3://bkt", "link: the link leads to nothing: mend it (gone/x is missing)"),
    ("one.txt ./one.txt s3://bkt", "./one.txt: is the same file as one.txt: leave one out"),
    ("photos ./photos/. s3://bkt --remove-source", "photos: is the same as ./photos/., which is a source too,"
     " and what is removed cannot be uploaded again: leave one out"),
    ("- s3://bkt/x/", "s3://bkt/x/: stdin has no name: give the whole key, as in s3://bkt/x/NAME"),
    ("- photos s3://bkt/x", "-: stdin goes alone (./- is a file of that name)"),
    # flags
    ("photos s3://bkt --part-sise 8MiB", "--part-sise: no such flag. Did you mean --part-size?"),
    ("photos s3://bkt --Part_Sise=8MiB", "--Part_Sise: no such flag. Did you mean --part-size?"),
    ("--versoin", "--versoin: no such flag. Did you mean --version?"),
    ("photos s3://bkt --frobnicate", "--frobnicate: no such flag. s3-upload --help-all lists them."),
    ("photos s3://bkt --concurrency 9", "--concurrency: no such flag: how many requests there are at once"
     " follows from what it brings; --max-in-flight bounds it"),
    ("photos s3://bkt --bwlimit 9", "--bwlimit: no such flag: use --max-bandwidth 20MB/s"),
    ("photos s3://bkt --delete", "--delete: no such flag: s3-upload deletes nothing: `aws s3 sync` does"),
    ("photos s3://bkt --force", "--force: no such flag: nothing is asked, and what exists is overwritten"),
    ("photos s3://bkt -- --dryrun", "--dryrun: what follows -- is no flag: put flags before it"),
    ("photos s3://bkt --acl", "--acl: its value is missing (s3-upload --help --acl)"),
    ("photos s3://bkt --acl --no-clobber", "--acl: its value is missing (s3-upload --help --acl)"),
    ("photos s3://bkt --exclude -x.tmp", "--exclude: its value is missing: if -x.tmp is that, write"
     " --exclude=-x.tmp (s3-upload --help --exclude)"),
    ("photos s3://bkt --max-bandwidth 0", "--max-bandwidth 0: must be at least 16kB/s"),
    ("photos s3://bkt --acl a --acl b", "--acl: is given twice: leave one out"),
    ("photos s3://bkt --json=maybe", "--json maybe: must be true or false"),
    ("photos s3://bkt --share half", "--share half: must be full or fair or background"),
    ("photos s3://bkt --max-bandwidth 20",
     "--max-bandwidth 20: must be a bandwidth with its unit: 20MB/s or 20Mbit/s"),
    ("photos s3://bkt --max-bandwidth fast",
     "--max-bandwidth fast: must be a bandwidth such as 20MB/s, 100Mbit/s or 80%"),
    ("photos s3://bkt --part-size 1MiB", "--part-size 1MiB: must be a whole number from 5MiB to 5GiB, or 0"),
    ("photos s3://bkt --part-size big",
     "--part-size big: is no size: give bytes, or a number and kB, MB, GB, KiB, MiB or GiB"),
    ("photos s3://bkt --n-retries -1", "--n-retries -1: must be a whole number from 0 to 100"),
    ("photos s3://bkt --n-retries 1.5", "--n-retries 1.5: must be a whole number from 0 to 100"),
    ("photos s3://bkt --backoff x", "--backoff x: must be a number from 1.0 to 10.0"),
    ("photos s3://bkt --max-outage 5q",
     "--max-outage 5q: is no time: give seconds, or a number and ms, s, m, h or d"),
    ("photos s3://bkt --multipart-threshold 1GiB",
     "--multipart-threshold 1GiB: must not be more than the 200MiB of --max-in-flight-bytes"),
    ("photos s3://bkt --expected-size 49TiB", "--expected-size 50176GiB: no object has more than 50000GiB"),
    ("photos s3://bkt --include '*.jpg'",
     "--include '*.jpg': everything is taken already: to take nothing else, --exclude '*' first"),
    ("photos s3://bkt --exclude '[a'",
     r"--exclude '[a': is no pattern: the ] of its [ is missing (\[ is the character itself)"),
    ("photos s3://bkt --exclude ../x",
     "--exclude '../x': '..' leads out of the source: give a path from its root"),
    ("photos s3://bkt --tags x", "--tags x: x is not KEY=VALUE"),
    ("photos s3://bkt --metadata a=1,a=2", "--metadata a=1,a=2: a is given twice"),
    ("photos s3://bkt --sse-c AES256",
     "--sse-c: the key is missing: give --sse-c-key, or set S3_UPLOAD_SSE_C_KEY"),
    ("photos s3://bkt --endpoint-url minio:9000",
     "--endpoint-url = 'minio:9000': must start with http:// or https:// and a host"),
    ("photos s3://bkt --client-key k", "--client-key: the certificate is missing: give --client-cert"),
    ("photos s3://bkt --embedded photos/store",
     "--embedded photos/store: lies in the source photos: take a directory outside of it"),
    ("--help tunning", "--help tunning: no such topic (sources, store, output, objects, journal, tuning, all)"
     " or flag. Did you mean tuning?"),
    ("photos s3://bkt --help tunning", "--help tunning: no such topic (sources, store, output, objects,"
     " journal, tuning, all) or flag. Did you mean tuning?"),
    # "-", which is stdin as a source alone
    ("photos s3://bkt --endpoint-url -",
     "--endpoint-url = '-': must start with http:// or https:// and a host"),
    ("photos s3://bkt --endpoint_url -",
     "--endpoint-url = '-': must start with http:// or https:// and a host"),
    ("photos s3://bkt --metadata -", "--metadata -: - is not KEY=VALUE"),
    ("photos s3://bkt --part-size -",
     "--part-size -: is no size: give bytes, or a number and kB, MB, GB, KiB, MiB or GiB"),
    ("photos s3://bkt --frobnicate -", "--frobnicate: no such flag. s3-upload --help-all lists them."),
    ("perf-data photos bkt x --failed-to -", "--failed-to: give the name of a file"),
    ("perf-data photos bkt x --report -", "--report: give the name of a file (/dev/stdout is stdout)"),
    ("perf-data photos bkt x --ca-bundle -", "--ca-bundle -: no such file"),
    ("perf-data photos bkt x -n -", "-n -: must be a whole number"),
    ("report - -o -", "-o: give the name of a file (/dev/stdout is stdout)"),
    ("report - -o", '-o: its value is missing (s3-upload --help -o)'),
    ("perf-data - bkt x", "-: what comes in by stdin can be read once: give a directory"),
    ("serve -", "-: the store keeps its objects in a directory: give one"),
    ("photos -", f"-: {MISSING}"),
    ("s3://bkt/x -", f"s3://bkt/x: {DOWNLOAD}"),
    # commands
    ("completion tcsh", 'Invalid value "tcsh" for SHELL. Choose from: "bash", "zsh", "fish".'),
    ("serve", 'Command "serve" parameter DIR requires an argument.'),
    ("serve a b", "b: one word too many"),
    ("serve a --port x", "--port x: must be a whole number"),
    ("perf-data photos bkt x -n 0", "-n 0: must be at least 1"),
    # what the system does not even look at
    (f"perf-data {LONG} bkt x", f"{LONG}: File name too long"),
    (f"photos s3://bkt --ca-bundle {LONG}", f"--ca-bundle {LONG}: no such file"),
    (f"photos s3://bkt --client-cert {LONG}", f"client certificate '{LONG}': there is no such file"),
    (f"jobs show {LONG}", f"jobs: {LONG}: no such job: s3-upload jobs lists them"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("photos", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("gone/x")
    for name in ("photos/a.jpg", "one.txt"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("words", "line"), COMMANDS, ids=[words or "nothing" for words, _ in COMMANDS])
def test_one_line_says_what_is_wrong_and_what_to_do(
    words: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("one.txt").open() as stdin, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", stdin)
        # --dryrun keeps what would pass by mistake from being sent
        flags = (
            []
            if words.startswith(
                ("serve", "completion", "perf-data", "report", "sync", "verify", "jobs", "--")
            )
            or " -- " in words
            else ["--dryrun"]
        )
        code = main([*flags, *shlex.split(words)] if words and flags else shlex.split(words))
    out, err = capsys.readouterr()
    assert (out, err, code) == ("", f"s3-upload: error: {line}\n", EXIT_USAGE)


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("S3_UPLOAD_PART_SIZE", "1MiB", "must be a whole number from 5MiB to 5GiB, or 0"),
        ("S3_UPLOAD_N_RETRIES", "lots", "must be a whole number from 0 to 100"),
        ("S3_UPLOAD_SHARE", "half", "must be full or fair or background"),
        ("S3_UPLOAD_MAX_BANDWIDTH", "20", "must be a bandwidth with its unit: 20MB/s or 20Mbit/s"),
    ],
)
def test_a_wrong_variable_is_named(
    variable: str,
    value: str,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["photos", "s3://bkt", "--dryrun"]) == EXIT_USAGE
    assert capsys.readouterr() == ("", f"s3-upload: error: {variable}={value}: {line}\n")


@pytest.mark.parametrize("words", ["photos s3://bkt --dryrun", "config"])
def test_empty_variables_of_ours_count_as_unset(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in {name for flag in all_flags() for name in flag.variables if name.startswith("S3_")}:
        monkeypatch.setenv(variable, "")
    assert main(words.split()) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "cp photos s3://bkt", "upload photos s3://bkt", "put -r photos s3://bkt", "s3 cp --recursive photos s3://bkt",
        "photos S3://bkt", "photos s3://bkt --dry-run --no_progress",
    ],
)  # fmt: skip
def test_what_fingers_are_used_to_does_what_it_says(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dryrun", *shlex.split(words)] if "--dry" not in words else shlex.split(words)) == 0
    out, err = capsys.readouterr()
    assert out.startswith("(dryrun) upload: photos/a.jpg to s3://bkt/a.jpg\n")
    assert err == ""


def test_a_word_that_exists_is_a_source(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cp", "rm", "upload", "version", "help"):
        (tree / name).write_text(name)
        assert main([name, "s3://bkt/x", "--dryrun"]) == 0
        assert f"(dryrun) upload: {name} to s3://bkt/x\n" in capsys.readouterr().out


def run(*arguments: Any, **named: Any) -> None:
    async def upload() -> None:
        async with S3Client(
            credentials=Credentials("k", "s" * 8), endpoint_url="http://127.0.0.1:1"
        ) as client:
            await s3_upload_files(*(client, *arguments)[:6], **named)

    asyncio.run(upload())


CALLS: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("a path for files", lambda: run("bkt", "photos"), TypeError,
     "files: must be an iterable of ObjectSource, plain or async, not str; files_recursive(directory) gives"
     " one"),
    ("a number for the bucket", lambda: run(7, []), TypeError, "bucket: must be str, not int"),
    ("a URL for the bucket", lambda: run("s3://bkt", [ObjectSource.data(b"", "k")]), ConfigError,
     "bucket = 's3://bkt': must be 3 to 63 letters, digits, dots, hyphens or underscores"
     " (the bucket's name alone: no s3://, no slash; or the ARN of an access point)"),
    ("a dict for the configuration", lambda: run("bkt", [], {"n_retries": 3}), TypeError,
     "config: must be UploadConfig or None, not dict"),
    ("fields for what gives them", lambda: run("bkt", [], default_request=RequestFields()), TypeError,
     "default_request: must be callable or None, not RequestFields; content_type_by_name(fields) makes one"),
    ("a bar for progress", lambda: run("bkt", [], progress=True), TypeError,
     "progress: must be callable or None, not bool"),
    ("a rate for a pace", lambda: run("bkt", [], pace="20MB/s"), TypeError,
     "pace: must be Pace or None, not str"),
    ("paths among the files", lambda: run("bkt", ["photos/a.jpg"]), TypeError,
     "an item of files: must be ObjectSource, not str; use ObjectSource.file(path, key)"),
    ("a class for the client", lambda: asyncio.run(s3_upload_files(S3Client, "bkt", [])), TypeError,  # type: ignore[arg-type]
     "client: must be an S3Client or an adapter's client, not type"),
    ("text for bytes", lambda: ObjectSource.data("text", "k"), TypeError,  # type: ignore[arg-type]
     "data: must be bytes, not str; encode it"),
    ("a path for a key", lambda: ObjectSource.file("a", Path("k")), TypeError,  # type: ignore[arg-type]
     "key: must be str, not PosixPath; use its as_posix()"),
    ("bytes for a stream", lambda: ObjectSource.stream(b"x", "k"), TypeError,  # type: ignore[arg-type]
     "chunks: must be an iterable of bytes, plain or async, or a binary file, not bytes; for bytes use"
     " ObjectSource.data, for a path ObjectSource.file"),
    ("a file for a directory", lambda: files_recursive("one.txt"), SourceError,
     "one.txt: is not a directory"),
    ("a Path for a pattern", lambda: files_recursive(".", exclude=Path("x")), TypeError,  # type: ignore[arg-type]
     "exclude: must be a pattern or an iterable of patterns, not PosixPath"),
    ("a text for a number", lambda: UploadConfig(n_retries="3"), ConfigError,  # type: ignore[arg-type]
     "n_retries = '3': must be a whole number from 0 to 100"),
    ("a part that is too small", lambda: UploadConfig(part_size=1_048_576), ConfigError,
     "part_size = 1048576: must be a whole number from 5,242,880 to 5,368,709,120, or 0"),
    ("a rate without a unit", lambda: Pace(max_bandwidth="20"), ConfigError,
     "max_bandwidth = '20': must be a bandwidth with its unit: 20MB/s or 20Mbit/s"),
    ("a dict for fields", lambda: content_type_by_name({"acl": "x"}), TypeError,  # type: ignore[arg-type]
     "fields: must be RequestFields, not dict; RequestFields(**...) makes one of a dict"),
    ("a number for metadata", lambda: RequestFields(metadata={"a": 1}), TypeError,  # type: ignore[dict-item]
     "metadata['a']: must be str, not int"),
    ("a pair for credentials", lambda: S3Client(credentials=("k", "s")), TypeError,  # type: ignore[arg-type]
     "credentials: must be Credentials or None, not tuple"),
    ("an endpoint without a scheme", lambda: S3Client(endpoint_url="minio:9000"), ConfigError,
     "endpoint_url = 'minio:9000': must start with http:// or https:// and a host"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "line"), [call[1:] for call in CALLS], ids=[call[0] for call in CALLS]
)
def test_a_wrong_call_is_told_where_it_is_made(
    call: Callable[[], Any], error: type[Exception], line: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line


def test_there_are_fifty_and_more() -> None:
    assert len(COMMANDS) + len(CALLS) >= 100
