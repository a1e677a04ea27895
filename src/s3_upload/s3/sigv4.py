"""AWS Signature Version 4, for S3. Pure: the time is an argument.

Theory of operation
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html):

1. *canonical request*: method, encoded path, query, the signed headers sorted by name, their names,
   the payload hash, joined by newlines;
2. *string to sign*: the algorithm, the time, the *credential scope* (date/region/service/aws4_request)
   and the SHA-256 of 1;
3. *signing key*: HMAC-SHA256 chained over date, region, service; it changes once a day and is kept;
4. *signature*: HMAC-SHA256 of 2 under 3.

For S3 the path is encoded once and never normalized: `//`, `.` and `..` in a key stay as they are.
"""

from __future__ import annotations

import hmac
import re
import time
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3_upload.s3.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_SAFE = re.compile(r"[A-Za-z0-9/_.~-]*").fullmatch
_BLOCK_BYTES = 64  # of SHA-256, which is what HMAC pads a key to
_IPAD = bytes(byte ^ 0x36 for byte in range(256))
_OPAD = bytes(byte ^ 0x5C for byte in range(256))
EMPTY_SHA256 = sha256(b"").hexdigest()


def encode_path(key: str) -> str:
    """`key` percent-encoded as S3 wants it: all but unreserved characters (RFC 3986) and "/".

    Raises `UnicodeEncodeError` for a key that is not valid Unicode (lone surrogates).
    """
    return key if _SAFE(key) else quote(key, safe="/~", errors="strict")


def encode_query(value: str) -> str:
    """A query parameter's name or value, percent-encoded as the canonical request wants it."""
    return quote(value, safe="~", errors="strict")


def canonical_request(
    method: str, path: str, query: str, headers: Iterable[tuple[str, str]], payload_hash: str
) -> str:
    """Step 1. `path` and `query` are encoded, `query` sorted by name; `headers` are those to be signed,
    names lower case and sorted, values trimmed and with single spaces inside."""
    lines = "".join([f"{name}:{value}\n" for name, value in headers])
    return f"{method}\n{path}\n{query}\n{lines}\n{signed_names(headers)}\n{payload_hash}"


def signed_names(headers: Iterable[tuple[str, str]]) -> str:
    """The names of the signed headers, as step 1 and the Authorization header list them."""
    return ";".join([name for name, _ in headers])


class Signer:
    """Signs requests with one set of credentials for one region.

    Keeps what stays the same between requests: the time stamp (within a second), the credential
    scope and the signing key (within a UTC day).
    """

    def __init__(self, credentials: Credentials, region: str, service: str = "s3") -> None:
        self.session_token = credentials.session_token
        self._access_key = credentials.access_key
        self._secret = b"AWS4" + credentials.secret_key.encode()
        self._where = region, service, "aws4_request"
        self._second = -1
        self._day = ""
        self._amz_date = ""
        self._scope = ""
        self._inner = self._outer = sha256()

    def amz_date(self, utc_s: float) -> str:
        """The x-amz-date of an instant, given in seconds since the epoch: `YYYYMMDDTHHMMSSZ`."""
        second = int(utc_s)
        if second != self._second:
            self._second = second
            self._amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            if self._amz_date[:8] != self._day:
                self._start_day(self._amz_date[:8])
        return self._amz_date

    def _start_day(self, day: str) -> None:
        self._day = day
        self._scope = "/".join((day, *self._where))
        key = self._secret
        for part in (day, *self._where):
            key = hmac.digest(key, part.encode(), "sha256")
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(block.translate(_IPAD))
        self._outer = sha256(block.translate(_OPAD))

    def authorization(self, canonical: str, names: str, amz_date: str) -> str:
        """The value of the Authorization header: steps 2 and 4 for a canonical request.

        `names` are its `signed_names`; `amz_date` is what the method of that name gave last.
        """
        digest = sha256(canonical.encode()).hexdigest()
        # HMAC (RFC 2104) from the two states kept for the day's key: half the time of hmac.digest, and
        # without giving up the interpreter's lock in the middle of every request.
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(f"{ALGORITHM}\n{amz_date}\n{self._scope}\n{digest}".encode())
        outer.update(inner.digest())
        credential = f"{self._access_key}/{self._scope}"
        return f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={outer.hexdigest()}"
