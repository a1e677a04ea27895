"""An HTTP response as plain data: what `wire/` gives and `s3/` reads, without knowing each other."""

from __future__ import annotations

import msgspec

Body = bytes | memoryview


class Response(msgspec.Struct, frozen=True, gc=False):
    """A whole HTTP response. Header names are lower case; a repeated header's last value counts."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def etag(self) -> str:
        return self.headers.get("etag", "")

    @property
    def request_id(self) -> str:
        return self.headers.get("x-amz-request-id", "")
