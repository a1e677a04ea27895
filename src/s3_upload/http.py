"""What `http1/` is given and gives, and `s3/` reads, as plain data: a body and a response."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Buffer = bytes | memoryview


class Slices:
    """One sending of a `SlicedBody`: its bytes from the first to the last, a slice at a time. Abstract."""

    def take(self) -> bytes | None:
        """The next slice; None while it is being read: `ready` is called when it is there.

        Raises `SourceError` where it cannot be read, or is not what was announced.
        """
        raise NotImplementedError

    def close(self) -> None:
        """No more of it is wanted."""
        raise NotImplementedError


class SlicedBody:
    """A body that is not in memory: it is read as it is sent, again each time.

    Abstract, but no `ABC`: whether a body is one is asked several times for each request, which takes longer
    of an ABC.

    `held_bytes`: what one sending of it has in memory at most.
    """

    held_bytes = 0

    def __len__(self) -> int:
        raise NotImplementedError

    def slices(self, ready: Callable[[], None]) -> Slices:
        """Begins to read. `ready` is called, on the loop, whenever a slice has been read."""
        raise NotImplementedError

    def read_at(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, fewer only at its end. Blocking. Raises `SourceError`."""
        raise NotImplementedError

    async def md5_base64(self) -> str:
        """Of all of it. Raises `SourceError`."""
        raise NotImplementedError


Body = Buffer | SlicedBody


def held_bytes(body: Body) -> int:
    """What `body` has in memory."""
    return body.held_bytes if isinstance(body, SlicedBody) else len(body)


class Response(msgspec.Struct, frozen=True, gc=False):
    """A whole HTTP response. Header names are lower case; a repeated header's last value counts.

    `early`: it came before the whole request had been sent, so it cannot be about all of it.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    early: bool = False

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "")

    @property
    def request_id(self) -> str:
        return self.headers.get("x-amz-request-id", "")
