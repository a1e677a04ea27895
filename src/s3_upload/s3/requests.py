"""Turns an `Operation` into the head of an HTTP/1.1 request, signed. Pure: the time is an argument.

Rules:

* The body is never joined to the head: they stay two buffers.
* A value that could end a header line (CR, LF, NUL or another control character) is refused with
  `AttemptError(REJECTED)`; keys and query values are percent-encoded, so they cannot.
* Signed are host, content-type and every x-amz-* header; a proxy may change the others.
* A header's value is sent as given, but for white space at its ends, which HTTP does not count to it;
  runs of white space inside it are one space in the canonical request alone
  (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
* `x-amz-content-sha256` is the body's hash over http and UNSIGNED-PAYLOAD over https, where TLS
  keeps the body whole on its way and a checksum header proves it end to end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from html import escape
from urllib.parse import urlencode

import msgspec

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    NO_FIELDS,
    PUT_OBJECT,
    UPLOAD_PART,
    CompletedPart,
    Operation,
    RequestFields,
)
from s3_upload.s3.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Signer,
    canonical_request,
    encode_path,
    encode_query,
    signed_names,
)

USER_AGENT = "s3-upload"
_METHODS = {
    PUT_OBJECT: "PUT",
    CREATE_MULTIPART_UPLOAD: "POST",
    UPLOAD_PART: "PUT",
    COMPLETE_MULTIPART_UPLOAD: "POST",
    ABORT_MULTIPART_UPLOAD: "DELETE",
}
_MANY_ALIKE = frozenset({PUT_OBJECT, UPLOAD_PART})
MAX_SHAPES = 1024
_CARRIES_FIELDS = {PUT_OBJECT, CREATE_MULTIPART_UPLOAD}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_HEADER_OF_FIELD = {
    "content_type": "content-type",
    "content_encoding": "content-encoding",
    "content_disposition": "content-disposition",
    "content_language": "content-language",
    "cache_control": "cache-control",
    "acl": "x-amz-acl",
    "storage_class": "x-amz-storage-class",
    "server_side_encryption": "x-amz-server-side-encryption",
    "sse_kms_key_id": "x-amz-server-side-encryption-aws-kms-key-id",
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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


class RequestEncoder:
    """Makes signed request heads for one bucket.

    `host` is the Host header; `path_prefix` is "" or, path-style, "/bucket"; `signer` is None for
    unsigned requests; `signs_payload` says whether the body's hash goes into the signature.
    """

    def __init__(self, *, host: str, path_prefix: str, signer: Signer | None, signs_payload: bool) -> None:
        self._host = host.replace("%", "%%")
        self._path_prefix = path_prefix
        self._signer = signer
        self._signs_payload = signs_payload
        self._shapes: dict[tuple[str, int, str], _Shape] = {}

    def head(self, operation: Operation, utc_s: float) -> bytes:
        """The request line and all headers, up to and with the empty line.

        `utc_s` is the time of signing, in seconds since the epoch.  Raises `AttemptError(REJECTED)`
        for a key or field that cannot be sent; the message says which and why, and quotes no value.
        """
        shape = self._shape(operation)
        path = f"{self._path_prefix}/{_encoded_key(operation.key)}"
        query = _query(operation)
        target = f"{path}?{query}" if query else path
        size, checksum, signer = len(operation.body), operation.checksum, self._signer
        values = () if checksum is None or not checksum.value else (checksum.value,)
        if signer is None:
            return (shape.lines % (target, size, *values)).encode()
        payload_hash = (size and operation.sha256) or self._payload_hash(operation)
        amz_date = signer.amz_date(utc_s)
        values = (*values, payload_hash, amz_date)
        canonical = shape.canonical % (path, query, *values, payload_hash)
        authorization = signer.authorization(canonical, shape.signed_names, amz_date)
        return (shape.lines % (target, size, *values, authorization)).encode()

    def _payload_hash(self, operation: Operation) -> str:
        if not operation.body:
            return EMPTY_SHA256
        return sha256(operation.body).hexdigest() if self._signs_payload else UNSIGNED_PAYLOAD

    def _shape(self, operation: Operation) -> _Shape:
        """Kept for whole objects and parts, of which there are many alike."""
        if operation.name not in _MANY_ALIKE:
            return self._new_shape(operation)
        checksum = operation.checksum
        algorithm = checksum.algorithm if checksum is not None and checksum.value else ""
        key = operation.name, id(operation.fields), algorithm
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = self._new_shape(operation)
        return shape

    def _new_shape(self, operation: Operation) -> _Shape:
        method, signer, checksum = _METHODS[operation.name], self._signer, operation.checksum
        headers = {name: value.replace("%", "%%") for name, value in _operation_headers(operation).items()}
        if checksum is not None and checksum.value:
            headers[f"x-amz-checksum-{checksum.algorithm.lower()}"] = "%s"
        signed: list[tuple[str, str]] = []
        if signer is not None:
            headers["x-amz-content-sha256"] = headers["x-amz-date"] = "%s"
            if signer.session_token:
                headers["x-amz-security-token"] = signer.session_token.replace("%", "%%")
            signed = sorted(
                (name, " ".join(value.split()))
                for name, value in [("host", self._host), *headers.items()]
                if name.startswith("x-amz-") or name in ("host", "content-type")
            )
            headers["authorization"] = "%s"
        # In the order in which `head` gives the values, which is that of the names (checksum, content, date).
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if value != "%s"])
        lines += "".join([f"{name}: %s\r\n" for name, value in headers.items() if value == "%s"])
        return _Shape(
            f"{method} %s HTTP/1.1\r\nhost: {self._host}\r\nuser-agent: {USER_AGENT}\r\n"
            f"content-length: %d\r\n{lines}\r\n",
            canonical_request(method, "%s", "%s", signed, "%s"),
            signed_names(signed),
            operation.fields,
        )


def _encoded_key(key: str) -> str:
    if not key:
        raise AttemptError(FailureKind.REJECTED, "the key is empty")
    try:
        return encode_path(key)
    except UnicodeEncodeError as error:
        raise _not_unicode("the key") from error


def _not_unicode(what: str) -> AttemptError:
    return AttemptError(FailureKind.REJECTED, f"{what} is not valid Unicode, which S3 requires")


def _query(operation: Operation) -> str:
    if operation.name == CREATE_MULTIPART_UPLOAD:
        return "uploads="
    if not operation.upload_id:
        return ""
    upload = f"uploadId={encode_query(operation.upload_id)}"
    return f"partNumber={operation.part_number}&{upload}" if operation.part_number else upload


def _operation_headers(operation: Operation) -> dict[str, str]:
    headers: dict[str, str] = {}
    if operation.fields is not NO_FIELDS and operation.name in _CARRIES_FIELDS:
        headers = field_headers(operation.fields)
    checksum = operation.checksum
    if checksum is not None:
        if checksum.value:
            headers[f"x-amz-checksum-{checksum.algorithm.lower()}"] = checksum.value
        else:
            headers["x-amz-checksum-algorithm"] = checksum.algorithm
    if operation.name == COMPLETE_MULTIPART_UPLOAD:
        headers["content-type"] = "application/xml"
    return headers


def field_headers(fields: RequestFields) -> dict[str, str]:
    """The headers that say `fields`. Raises `AttemptError` for a value that no header can carry."""
    headers = {}
    for name, header in _HEADER_OF_FIELD.items():
        value = getattr(fields, name)
        if value is not None:
            headers[header] = _header_value(name, value)
    if fields.expires is not None:
        headers["expires"] = _header_value("expires", _http_date(fields.expires))
    for name, value in fields.metadata.items():
        if not _TOKEN.fullmatch(name):
            message = f"metadata name {name!r}: only letters, digits and !#$%&'*+-.^_`|~ can be sent"
            raise AttemptError(FailureKind.REJECTED, message)
        headers[f"x-amz-meta-{name.lower()}"] = _header_value(f"metadata {name!r}", value)
    if fields.tags:
        try:
            headers["x-amz-tagging"] = urlencode(fields.tags, errors="strict")
        except UnicodeEncodeError as error:
            raise _not_unicode("tags") from error
    return headers


def _header_value(what: str, value: str) -> str:
    if _CONTROL.search(value):
        raise AttemptError(
            FailureKind.REJECTED, f"{what}: has a control character, which no header can carry"
        )
    if _SURROGATE.search(value):
        raise _not_unicode(what)
    return value.strip()


def _http_date(value: datetime | str) -> str:
    if isinstance(value, str):
        return value
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return format_datetime(aware.astimezone(UTC), usegmt=True)


def complete_body(parts: Iterable[CompletedPart]) -> bytes:
    """The XML body of CompleteMultipartUpload; `parts` in ascending order of their numbers."""
    xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"
    rows = "".join([_part_row(part) for part in parts])
    return f'<CompleteMultipartUpload xmlns="{xmlns}">{rows}</CompleteMultipartUpload>'.encode()


def _part_row(part: CompletedPart) -> str:
    checksum = ""
    if part.checksum is not None:
        tag = f"Checksum{part.checksum.algorithm}"
        checksum = f"<{tag}>{part.checksum.value}</{tag}>"
    etag = escape(part.etag, quote=False)
    return f"<Part><PartNumber>{part.number}</PartNumber><ETag>{etag}</ETag>{checksum}</Part>"
