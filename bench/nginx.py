"""The sink: an nginx whose DAV module takes PUTs into a RAM disk.

It makes a file of each PUT, which can be checked afterwards.  It looks at no signature.  It answers
with an ETag, which nginx's DAV does not send by itself and obstore insists on; small files then need
nothing but `PUT /bucket/key` (seen in the access log).  It has one worker: beside a client on two cores
a second one only takes the client's core.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

BUCKET = "bench"
START_TIMEOUT_S = 10.0

CONFIG = """\
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_buffer_size 64k;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/unused/proxy;
    fastcgi_temp_path {home}/unused/fastcgi;
    uwsgi_temp_path {home}/unused/uwsgi;
    scgi_temp_path {home}/unused/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    tcp_nodelay on;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {home}/store;
        location / {{
            dav_methods PUT DELETE;
            create_full_put_path on;
            add_header ETag '"00000000000000000000000000000000"' always;
        }}
    }}
}}
"""


class SinkError(Exception):
    """The sink cannot run; the message is one line and says what to do."""


class Sink:
    """A running nginx; a context manager.

    `url` is the endpoint. Raises `SinkError` if nginx is missing, lacks DAV or does not start.
    """

    def __init__(self, ram_disk: Path) -> None:
        check_nginx()
        self.home = Path(tempfile.mkdtemp(prefix="bench-sink-", dir=ram_disk))
        self.bucket_dir = self.home / "store" / BUCKET
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sink:
        for name in ("store", "body", "unused"):
            (self.home / name).mkdir()
        self.bucket_dir.mkdir()
        config = self.home / "nginx.conf"
        config.write_text(
            CONFIG.format(
                home=self.home,
                port=self._port,
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        self._process = subprocess.Popen(
            ["nginx", "-p", str(self.home), "-e", str(self.home / "error.log"), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait_until_up(self._process)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        log = (self.home / "error.log").read_text(errors="replace").strip().splitlines()
        raise SinkError(f"nginx did not start: {log[-1] if log else 'it said nothing'}")


def check_nginx() -> None:
    """Raises `SinkError` if there is none on the PATH, or it has no DAV."""
    try:
        about = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        raise SinkError("nginx was not found: install it (Debian: apt-get install nginx-light)") from None
    if "http_dav_module" not in about:
        raise SinkError(
            "this nginx has no DAV module: install one that has (Debian: apt-get install nginx-light)"
        )


def _free_port() -> int:
    """Another process could take the port before nginx does; then nginx says so and does not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
