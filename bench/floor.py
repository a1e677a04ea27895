"""The floor: how long the same bytes or requests take when nobody reads, hashes, signs or checks anything.

"wrk" is the load generator of that name: PUTs of one body from memory over `CONNECTIONS` kept open, counted
for `WRK_S`.  "sendfile" is this module as a program: files from the RAM disk to sockets, by the kernel, from
a few threads; over TLS it has to encrypt, too.  Neither is an uploader; nobody can be expected to reach it.
"""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from bench.nginx import BUCKET
from bench.peers.tree import files

if TYPE_CHECKING:
    from bench.measure import Workload
    from bench.sinks import Target

CONNECTIONS, WRK_S, THREADS = 64, 2, 4
PIECE_BYTES = 1 << 20
TIMEOUT_S = 300.0
LUA = 'wrk.method = "PUT"\nwrk.body = string.rep("x", {size})\n'


def missing(floor: str) -> str:
    """Why there is none here; "" if there is one."""
    if floor == "wrk" and not shutil.which("wrk"):
        return "wrk is not installed (Debian: apt-get install wrk)"
    return ""


def floor_s(floor: str, workload: Workload, target: Target) -> float:
    """How long `workload` takes at least. Raises `ValueError` where it did not work."""
    return _wrk_s(workload, target) if floor == "wrk" else _sendfile_s(workload, target)


def _wrk_s(workload: Workload, target: Target) -> float:
    with tempfile.TemporaryDirectory() as home:
        script = Path(home, "put.lua")
        script.write_text(LUA.format(size=workload.size))
        command = [
            "wrk",
            "-t2",
            f"-c{CONNECTIONS}",
            f"-d{WRK_S}s",
            "-s",
            str(script),
            f"{target.url}/{BUCKET}/x",
        ]
        said = _run(command)
    return workload.count / requests_per_s(said.stdout)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{command[0]}: not done after {TIMEOUT_S:.0f} s") from None


def requests_per_s(said: str) -> float:
    """What wrk reports. Raises `ValueError` where requests failed, or where there were none."""
    rate = re.search(r"^Requests/sec: +([0-9.]+)", said, re.MULTILINE)
    failed = re.search(r"^ *(?:Non-2xx|Socket errors).*", said, re.MULTILINE)
    if failed or not rate or not float(rate[1]):
        raise ValueError(f"wrk: {failed[0].strip() if failed else said.strip()[-200:] or 'it said nothing'}")
    return float(rate[1])


def _sendfile_s(workload: Workload, target: Target) -> float:
    command = [sys.executable, "-m", "bench.floor", str(workload.directory), target.url]
    told = [str(target.ca_file)] if target.ca_file else []
    said = _run([*command, *told])
    if said.returncode:
        raise ValueError(f"sendfile: {(said.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return float(said.stdout)


# --- as a program ---------------------------------------------------------------------------------


def send_all(directory: str, url: str, ca_file: str = "") -> float:
    """The seconds that it takes to PUT all files of a directory, a connection to a thread."""
    where = urlsplit(url)
    trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
    todo = iter(sorted(files(directory), key=lambda item: -item[1].stat().st_size))

    def worker(_: int) -> None:
        plain = socket.create_connection((where.hostname or "", where.port or 0))
        with trust.wrap_socket(plain, server_hostname=where.hostname) if trust else plain as connection:
            for key, path in todo:
                _put(connection, key, path, where.netloc)

    started_s = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(worker, range(THREADS)))
    return time.perf_counter() - started_s


def _put(connection: socket.socket, key: str, path: Path, host: str) -> None:
    size = path.stat().st_size
    head = f"PUT /{BUCKET}/{quote(key)} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode())
    with path.open("rb") as file:
        if isinstance(connection, ssl.SSLSocket):
            # Its own sendfile reads and sends 8 KiB at a time: uploaders were faster.
            while piece := file.read(PIECE_BYTES):
                connection.sendall(piece)
        else:
            connection.sendfile(file)
    answer = b""
    while b"\r\n\r\n" not in answer:  # no answer to a PUT has a body here
        received = connection.recv(4096)
        if not received:
            raise ConnectionError("the store closed the connection")
        answer += received
    if b" 20" not in answer[:12]:
        raise ConnectionError(answer.partition(b"\r")[0].decode(errors="replace"))


if __name__ == "__main__":
    print(send_all(*sys.argv[1:]))
