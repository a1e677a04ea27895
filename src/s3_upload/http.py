"""An HTTP response as plain data: what `wire/` gives and `s3/` reads, without knowing each other."""

from __future__ import annotations

import msgspec

Body = bytes | memoryview


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
