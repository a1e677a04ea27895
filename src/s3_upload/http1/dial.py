"""One handshake with one address: TCP, and TLS where it is asked for; and what is wrong when it fails.

A `Way` leads a `Connection` to the store: straight (`Straight`), or through a proxy (`tunnel.py`).  The
connector chooses among the addresses of the host where the way begins, and bounds the time.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

import msgspec

from s3_upload.descriptors import EXHAUSTED
from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.connection import Connection, plain_text
from s3_upload.http1.tls import server_name, tls_failure

_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


class NoDescriptorError(AttemptError):
    """No connection, for want of a file descriptor: no address is to blame, and another fares no better."""


class Way(Protocol):
    """How connections reach the store. `host`: where they begin, at `port`; `whose` its name is, for a
    message that it cannot be resolved."""

    host: str
    port: int
    whose: str

    async def lead(self, connection: Connection, address: str, timeout_s: float) -> None:
        """Has `connection` reach the store, through this address of `host`. Raises `AttemptError`."""

    def close(self) -> None:
        """Nothing is looked up any more."""


class Peer(msgspec.Struct, frozen=True):
    """Whom a handshake is with, in words. `at`: which address and port; `name`: whose certificate it shows;
    `place`: which host and port; `setting`: where its scheme is written; `advice`: what to do about it."""

    at: str
    name: str
    place: str
    setting: str
    advice: str = ""

    def too_late(self, timeout_s: float) -> AttemptError:
        """The connect timer ran out."""
        message = f"no connection to {self.at} within {timeout_s:.3g} s{self.advice}"
        return AttemptError(FailureKind.CONNECT, message, timer="connect")

    def failed(self, error: OSError) -> AttemptError:
        """What an error of the handshake means."""
        if isinstance(error, ssl.SSLCertVerificationError):
            message = f"the certificate of {self.name} is not trusted: {error.verify_message}{self.advice}"
            return AttemptError(FailureKind.CERTIFICATE, message)
        if isinstance(error, ssl.SSLError):
            if error.reason in _NOT_TLS:
                message = f"{self.place} does not speak TLS; use http:// in {self.setting}{self.advice}"
                return AttemptError(FailureKind.TLS_MISMATCH, message)
            kind, text = tls_failure(error, FailureKind.CONNECT, f"TLS handshake with {self.name}")
            return AttemptError(kind, f"{text}{self.advice}")
        raised = NoDescriptorError if error.errno in EXHAUSTED else AttemptError
        return raised(FailureKind.CONNECT, f"no connection to {self.at}: {plain_text(error)}{self.advice}")


class Straight:
    """See `Way`: without a proxy. `tls` is None for plain TCP."""

    whose = "of the endpoint"

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.host = host
        self.port = port
        self._tls = tls
        self._loop = loop

    async def lead(self, connection: Connection, address: str, timeout_s: float) -> None:
        """See `Way`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.create_connection(
                    lambda: connection,
                    address,
                    self.port,
                    ssl=self._tls,
                    server_hostname=server_name(self.host) if self._tls else None,
                )
        except TimeoutError:
            raise self._peer(address).too_late(timeout_s) from None
        except OSError as error:
            raise self._peer(address).failed(error) from error

    def close(self) -> None:
        """See `Way`."""

    def _peer(self, address: str) -> Peer:
        place = f"{self.host} port {self.port}"
        return Peer(f"{address} port {self.port}", self.host, place, "the endpoint URL")
