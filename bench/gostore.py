"""The programs in Go: built when needed, and run for one measurement.

`store/` answers S3 and keeps nothing of the bodies, at a third of the processor time that a store takes which
does: on two cores the client under test has the rest.  It can be slow, refuse above a rate and fail at
random, and it tells what it saw, second by second.  `proxy/` is a link to it that can be cut.  `blind/` is
the plain way to upload.  They need nothing but Go's standard library; Go's own cache makes building them
again cheap.  Store and proxy end when their stdin closes, so they never outlive us.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bench.nginx import BUCKET, SinkError

if TYPE_CHECKING:
    from types import TracebackType

HERE = Path(__file__).parent
BIN = Path(sys.prefix) / "bench-bin"
BUILD_TIMEOUT_S = 300.0
CONTROL_TIMEOUT_S = 30.0


@functools.cache
def program(name: str) -> Path:
    """The program of the folder `name`, up to date. Raises `SinkError` where it cannot be built."""
    go, binary = shutil.which("go"), BIN / name
    if go is None:
        raise SinkError(f"bench/{name} is built with Go, which is not installed (https://go.dev/dl)")
    try:
        built = subprocess.run(
            [go, "build", "-o", str(binary), "."],
            cwd=HERE / name,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SinkError(f"go build in bench/{name} was not done after {BUILD_TIMEOUT_S:.0f} s") from None
    if built.returncode:
        last = (built.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SinkError(f"go build in bench/{name} failed: {last[:200]}")
    return binary


class Stored(NamedTuple):
    """What the store knows of an object; `part_bytes` is the size of its first part, 0 without parts."""

    size: int
    etag: str
    part_bytes: int


class GoProgram:
    """A running program of ours; a context manager. `first_line` is what it said when it was ready."""

    def __init__(self, name: str, *options: str) -> None:
        self._name = name
        self._command = [str(program(name)), *options]
        self._process: subprocess.Popen[str] | None = None
        self.first_line = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.first_line = self._process.stdout.readline().strip()
        if not self.first_line:
            said = self._process.stderr.read().strip()
            self.__exit__(None, None, None)
            raise SinkError(f"bench/{self._name} did not start: {said or 'it said nothing'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with self._process:
                self._process.kill()

    def cpu_s(self) -> float:
        """The processor time that it has taken, in seconds (Linux; else 0.0)."""
        assert self._process is not None
        stat = Path(f"/proc/{self._process.pid}/stat")
        if not stat.exists():
            return 0.0
        fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def tell(self, command: str) -> None:
        """One line on its stdin. Raises `SinkError` unless it says "ok"."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().strip()
        if said != "ok":
            raise SinkError(f"bench/{self._name}: {command}: {said or 'it has ended'}")


class Link(GoProgram):
    """A running `proxy/` to `store`, of so many bytes a second. `url` is the store's, through it.

    `buffer_bytes`: see there.
    """

    def __init__(self, store: GoStore, bytes_per_s: int, buffer_bytes: int = 0) -> None:
        to = ":".join(map(str, store.address))
        said = ["--to", to, "--rate", str(bytes_per_s), "--buffer", str(buffer_bytes)]
        super().__init__("proxy", *said)

    @property
    def url(self) -> str:
        return f"http://{self.first_line}"


class GoStore(GoProgram):
    """A running `store/`; a context manager. `options` are its flags.

    `url` is its endpoint and `ca_file` what to trust where it speaks TLS, as of `bench.nginx.Sink`.
    """

    def __init__(self, *options: str, tls: Path | None = None) -> None:
        super().__init__("store", *options, *(["--tls", str(tls)] if tls else []))
        self.ca_file = tls
        self._control: http.client.HTTPConnection | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._control is not None:
            self._control.close()
        super().__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self.first_line

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.rpartition("//")[2].partition(":")
        return host, int(port)

    def stats(self) -> dict[str, Any]:
        """What it has counted; `store/stats.go` says what."""
        told: dict[str, Any] = json.loads(self._ask("/_stats"))
        return told

    def limit(self, rate: float) -> None:
        """From now on it serves `rate` requests a second; 0: any."""
        self._ask(f"/_limit?rate={rate}")

    def objects(self) -> dict[str, Stored]:
        """What it holds in `BUCKET`, by key."""
        lines = (line.rsplit("\t", 3) for line in self._ask("/_keys").splitlines())
        prefix = f"{BUCKET}/"
        return {
            path.removeprefix(prefix): Stored(int(size), etag, int(part_bytes))
            for path, size, etag, part_bytes in lines
        }

    def _ask(self, target: str) -> str:
        if self._control is None:
            kind = http.client.HTTPSConnection if self.ca_file else http.client.HTTPConnection
            extra = {"context": _trusting(self.ca_file)} if self.ca_file else {}
            self._control = kind(*self.address, timeout=CONTROL_TIMEOUT_S, **extra)
        self._control.request("GET", target)
        answer = self._control.getresponse()
        text = answer.read().decode()
        if answer.status != http.client.OK:
            raise SinkError(f"the store answered {answer.status} to {target}: {text}")
        return text


def _trusting(ca_file: Path | None) -> Any:
    import ssl

    return ssl.create_default_context(cafile=ca_file)
