"""The small protocol between `transfer/` and whatever talks to the store.

`S3Client` (ours) and the adapters for an SDK's client satisfy it; so does the simulator's.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from s3_upload.http import Response
from s3_upload.http1.trace import Trace
from s3_upload.parts import StoreParts
from s3_upload.report import ConnectionSample, Paces
from s3_upload.s3.checksum import Digests
from s3_upload.s3.operations import Operation
from s3_upload.s3.responses import Failure


class Client(Protocol):
    """What `transfer/` needs of a client."""

    @property
    def endpoint(self) -> str:
        """Where requests go, for messages and for the retry budget, which is kept per endpoint."""

    @property
    def digests(self) -> Digests:
        """Whether `send` wants `Operation.sha256`, and which `Operation.checksum`."""

    @property
    def parts(self) -> StoreParts:
        """What is known of the store's rules for parts: one for as long as the client lives."""

    async def send(self, operation: Operation, trace: Trace) -> Response:
        """Carries out one request, once: no retries, no redirects.

        Returns any whole HTTP response, whatever its status.  Raises `AttemptError` where there was
        none; its kind's fate says whether another try, or another request, could fare better.
        Raises `RunError` where there are no credentials to sign with.
        """

    async def correct(self, operation: Operation, failure: Failure, trace: Trace) -> bool:
        """Puts right what `failure` of a request names, for all requests to that bucket from now on.

        `trace` is that of the failed attempt: what was put right since it began is not touched
        again, so that many requests which fail together share one correction.  False if there is
        nothing that could be put right.  Raises `RunError` where credentials cannot be renewed.
        """

    def remark(self, failure: Failure, trace: Trace) -> str:
        """What this side knows about a failure that the answer does not say: a phrase, or ""."""


class Lease(Protocol):
    """The connections that the requests of one run use: how they fare, and how fast they may send."""

    @property
    def sees(self) -> bool:
        """Whether `samples` ever says anything."""

    def samples(self) -> list[ConnectionSample]:
        """Of all of them; empty where nothing is known."""

    def pace(self, paces: Paces) -> bool:
        """From now on they send so fast; False if one does not keep to its pace."""

    def end(self) -> None:
        """The run is over: they are as fast as they like again."""


@runtime_checkable
class PacedClient(Client, Protocol):
    """A client whose connections tell how they fare, and can be held back."""

    @property
    def sees(self) -> bool:
        """Whether `samples` ever says anything, on this system."""

    def samples(self) -> list[ConnectionSample]:
        """Of all open connections that are in no lease; empty where nothing is known of them."""

    def lease(self) -> Lease:
        """For a run that is held back; a request is of that run if its `Trace.lease` says so."""


@runtime_checkable
class IdleCloser(Client, Protocol):
    """A client that keeps connections for later requests."""

    def close_idle(self) -> None:
        """Closes those that are idle: they may be dead without knowing."""


@runtime_checkable
class LoopBound(Client, Protocol):
    """A client that keeps what belongs to an event loop."""

    def enter_loop(self) -> None:
        """A run begins on the running loop. Raises `ConfigError` where the client is in use on another, or
        was made before a fork."""
