"""Turns an `Operation` into the head of an HTTP/1.1 request, signed. Pure: the time is an argument.

Rules:

* The body is never joined to the head: they stay two buffers.
* Nothing that a user gives can end a header line: `fields.py` refuses what could, keys and query
  values are percent-encoded.
* Every request asks for an answer that is not compressed; that is not signed, since proxies rewrite it.
* Signed are host, content-type, content-md5, if-none-match (which nobody may drop in silence) and every
  x-amz-* header; a proxy may change the others.
* A header's value is sent as given, but for white space at its ends, which HTTP does not count to it;
  runs of white space inside it are one space in the canonical request alone
  (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
* `x-amz-content-sha256` is the body's hash over http and UNSIGNED-PAYLOAD over https, where TLS
  keeps the body whole on its way, unless `hashes_payload` says otherwise.  A checksum header goes over
  both: the store keeps it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

import msgspec

from s3_upload.errors import AttemptError, ConfigError, FailureKind
from s3_upload.http import SlicedBody
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.s3.checksum import COMPOSITE, MD5, checksum_of, header_of
from s3_upload.s3.fields import (
    NO_KEY_OVER_HTTP,
    field_headers,
    not_unicode,
    unknown_to_directories,
    wants_checksum,
)
from s3_upload.s3.operations import CARRIES_DATA, OPERATIONS, Checksum, Operation, OperationKind
from s3_upload.s3.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Signer,
    canonical_request,
    encode_path,
    signed_names,
)

USER_AGENT = "s3-upload"
MAX_SHAPES = 1024
_SIGNED = frozenset({"host", "content-md5", "content-type", "if-none-match"})
ChecksumsTold = Literal["all", "no-type", "none", "md5"]
"""All; all but the type of an object in parts; none; or, instead of any, Content-MD5 with every body."""


class _Shape(msgspec.Struct, frozen=True):
    """What requests that differ only in key, body, checksum and time have in common.

    `lines` is the head and `canonical` the canonical request, both with a "%s" for each value that
    differs; a header whose whole value is "%s" is one of those.  `fields` keeps the object alive whose
    `id` is part of the shape's key.
    """

    lines: str
    canonical: str
    signed_names: str
    fields: RequestFields

    def __repr__(self) -> str:
        return f"_Shape({self.signed_names})"  # its lines may hold a session token and a customer key


def refuse_unknown(fields: RequestFields, *, directory: bool) -> None:
    """Raises `ConfigError` for what the bucket does not know: before a session is asked for, as well, since
    its failure would be told in the place of this."""
    if directory and (unknown := unknown_to_directories(fields)):
        raise ConfigError(f"{unknown}: directory buckets (S3 Express One Zone) have none: leave it out")


class _ChecksumRules(msgspec.Struct, frozen=True):
    """See `RequestEncoder`: its `checksums` are `told`."""

    told: ChecksumsTold
    md5_where_needed: bool

    def want_md5(self, operation: Operation) -> bool:
        if self.told == "md5":
            return True
        told = operation.checksum is not None and self.told != "none"
        return self.md5_where_needed and not told and wants_checksum(operation.fields)


class RequestEncoder:
    """Makes signed request heads for one bucket.

    `host` is the Host header; `path_prefix` is "" or, path-style, "/bucket"; `signer` is None for
    unsigned requests; `tls` says whether requests travel over https: only then may they hold a key of
    SSE-C, only else is the body's hash signed.  `checksums`: what the store is told of those that
    operations have.  `md5_where_needed`: S3 takes an object with a lock only with a checksum; where an
    operation has none (or may not tell), its body goes with Content-MD5.  `origin`: what stands before the
    path in the request line, where a proxy is to read that; `proxy_authorization`: what the proxy is told.
    Neither is signed.  `hashes_payload`: the body's hash is signed; None: over http.  `app_id`: part of the
    User-Agent.  `session`: requests are signed with the credentials of a session, whose token has a header
    of its own.  `directory`: the bucket is a directory bucket, which does not take all that others do.
    """

    def __init__(
        self,
        *,
        host: str,
        path_prefix: str,
        signer: Signer | None,
        tls: bool,
        checksums: ChecksumsTold = "all",
        md5_where_needed: bool = False,
        origin: str = "",
        proxy_authorization: str = "",
        hashes_payload: bool | None = None,
        app_id: str = "",
        session: bool = False,
        directory: bool = False,
    ) -> None:
        self._host = host.replace("%", "%%")
        self._first_lines = _first_lines(self._host, origin, proxy_authorization, app_id)
        self._hashes_payload = not tls if hashes_payload is None else hashes_payload
        self._path_prefix = path_prefix
        self._token_header = "x-amz-s3session-token" if session else "x-amz-security-token"
        self._directory = directory
        self._signer = signer
        self._tls = tls
        self._rules = _ChecksumRules(checksums, md5_where_needed)
        self._shapes: dict[tuple[str, int, str], _Shape] = {}

    def head(self, operation: Operation, utc_s: float) -> bytes:
        """The request line and all headers, up to and with the empty line.

        `utc_s` is the time of signing, in seconds since the epoch.  Raises `AttemptError(REJECTED)`
        for a key or field that cannot be sent; the message says which and why, and quotes no value.
        Raises `ConfigError` for a key of SSE-C over plain http.
        """
        kind = OPERATIONS[operation.name]
        checksum = self._told(operation)
        shape = self._shape(operation, kind, checksum)
        path = self._path_prefix or "/"
        if kind.names_key:
            path = f"{self._path_prefix}/{_encoded_key(operation.key)}"
        query = kind.query(operation) if kind.query is not None else ""
        target = f"{path}?{query}" if query else path
        size, signer = len(operation.body), self._signer
        values = () if checksum is None or not checksum.value else (checksum.value,)
        if signer is None:
            return (shape.lines % (target, size, *values)).encode()
        payload_hash = (size and operation.sha256) or self._payload_hash(operation)
        amz_date = signer.amz_date(utc_s)
        values = (*values, payload_hash, amz_date)
        canonical = shape.canonical % (path, query, *values, payload_hash)
        authorization = signer.authorization(canonical, shape.signed_names, amz_date)
        return (shape.lines % (target, size, *values, authorization)).encode()

    def _told(self, operation: Operation) -> Checksum | None:
        """The checksum that goes out: a composite one follows from those of the parts and does not."""
        checksum = operation.checksum
        if checksum is not None and (self._rules.told in ("all", "no-type") or checksum.algorithm == MD5):
            return None if checksum.type == COMPOSITE and checksum.value else checksum
        if self.wants_md5(operation):
            body = operation.body
            assert not isinstance(body, SlicedBody), "its MD5 has to be there before"
            return checksum_of(MD5, body)
        return None

    def wants_md5(self, operation: Operation) -> bool:
        """Whether its body has to go with Content-MD5, for want of another checksum."""
        return operation.name in CARRIES_DATA and self._rules.want_md5(operation)

    def _payload_hash(self, operation: Operation) -> str:
        if not operation.body:
            return EMPTY_SHA256
        if not self._hashes_payload:
            return UNSIGNED_PAYLOAD
        assert not isinstance(operation.body, SlicedBody), "its hash has to be there before"
        return sha256(operation.body).hexdigest()

    def _shape(self, operation: Operation, kind: OperationKind, checksum: Checksum | None) -> _Shape:
        """Kept for whole objects and parts, of which there are many alike."""
        if not kind.carries_data:
            return self._new_shape(operation, kind, checksum)
        algorithm = checksum.algorithm if checksum is not None and checksum.value else ""
        key = operation.name, id(operation.fields), algorithm
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = self._new_shape(operation, kind, checksum)
        return shape

    def _new_shape(self, operation: Operation, kind: OperationKind, checksum: Checksum | None) -> _Shape:
        method, signer = kind.method, self._signer
        if operation.fields.sse_customer_key is not None and not self._tls:
            raise ConfigError(NO_KEY_OVER_HTTP)
        refuse_unknown(operation.fields, directory=self._directory)
        said = {}
        if operation.fields is not NO_FIELDS:
            said = field_headers(operation.fields, operation.name)
        said.update(kind.headers)
        if kind.headers_of is not None:
            said.update(kind.headers_of(operation))
        if checksum is not None:
            said |= self._checksum_headers(checksum)
        headers = {name.replace("%", "%%"): value.replace("%", "%%") for name, value in said.items()}
        if checksum is not None and checksum.value:
            headers[header_of(checksum.algorithm)] = "%s"
        signed: list[tuple[str, str]] = []
        if signer is not None:
            headers["x-amz-content-sha256"] = headers["x-amz-date"] = "%s"
            if signer.session_token:
                headers[self._token_header] = signer.session_token.replace("%", "%%")
            signed = sorted(
                (name, " ".join(value.split()))
                for name, value in [("host", self._host), *headers.items()]
                if name.startswith("x-amz-") or name in _SIGNED
            )
            headers["authorization"] = "%s"
        # In the order in which `head` gives the values, which is that of the names (checksum, content, date).
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if value != "%s"])
        lines += "".join([f"{name}: %s\r\n" for name, value in headers.items() if value == "%s"])
        return _Shape(
            f"{method} {self._first_lines}content-length: %d\r\n{lines}\r\n",
            canonical_request(method, "%s", "%s", signed, "%s"),
            signed_names(signed) % (),  # given as it is: metadata may have a "%" in its name
            operation.fields,
        )

    def _checksum_headers(self, checksum: Checksum) -> dict[str, str]:
        """Those that say what kind of checksum it is or, on CreateMultipartUpload, will be."""
        headers = {} if checksum.value else {"x-amz-checksum-algorithm": checksum.algorithm}
        if checksum.type and self._rules.told == "all":
            headers["x-amz-checksum-type"] = checksum.type
        return headers


def _first_lines(host: str, origin: str, proxy_authorization: str, app_id: str) -> str:
    """What heads have in common behind their method, with a "%s" for the path. `host` has its "%" doubled."""
    agent = f"{USER_AGENT} app/{app_id}".replace("%", "%%") if app_id else USER_AGENT
    proxy = f"proxy-authorization: {proxy_authorization}\r\n" if proxy_authorization else ""
    return (
        f"{origin.replace('%', '%%')}%s HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\n{proxy}"
        "accept-encoding: identity\r\n"  # without it a gateway may compress its answers
    )


def _encoded_key(key: str) -> str:
    if not key:
        raise AttemptError(FailureKind.REJECTED, "the key is empty")
    try:
        return encode_path(key)
    except UnicodeEncodeError as error:
        raise not_unicode("the key") from error
