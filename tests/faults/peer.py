"""A raw connection to the fault server, for tests of the server itself."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from tests.faults.server import FaultServer

BODY = b"0123456789"


def put(key: str, body: bytes = BODY, *headers: str, length: int | None = None) -> bytes:
    """A PutObject request; `length` overrides Content-Length."""
    lines = [
        f"PUT /bucket/{key} HTTP/1.1",
        "Host: x",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join((*lines, "", "")).encode() + body


class Peer:
    """A raw connection to the server."""

    def __init__(self, server: FaultServer, context: ssl.SSLContext | None = None) -> None:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.sock = context.wrap_socket(raw, server_hostname="localhost") if context else raw

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One whole response."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += self._more()
        return int(status.split()[1]), headers, body

    def _more(self) -> bytes:
        data = self.sock.recv(65536)
        assert data, "the server closed"
        return data

    def rest(self) -> bytes:
        """Everything until the server closes in an orderly way."""
        return drain(self.sock)


def drain(sock: socket.socket) -> bytes:
    """All that comes until an end of file."""
    chunks = []
    while chunk := sock.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)
