"""What `RequestFields` say, as headers and as an SDK's arguments, and which requests say it. Pure.

Rules:

* A value that could end a header line (CR, LF, NUL or another control character) is refused with
  `AttemptError(REJECTED)`; no message quotes a value.
* What is sent is printable ASCII, single spaces inside: anything else comes back altered from some
  stores, and others sign it otherwise than we do.  Metadata that is more than that goes encoded by RFC 2047,
  which S3 decodes and encodes again and other stores keep as it is; whoever reads it back and decodes it has
  the very text (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html#UserMetadata).
  Any other field is refused: what belongs there has an encoding of its own, and the message names it.
* `FIELDS` is the whole truth about a field: its header, its name in the S3 API, and what it is about.  Which
  operations take fields of that, their modules say.  A test compares both with botocore's model of the API.
* A key of SSE-C goes with every request that reads or writes bytes under it; who pays and who must own
  the bucket go with all; a condition goes with the request that makes the object.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.request_fields import RequestFields
from s3_upload.s3.operations import CREATE_MULTIPART_UPLOAD, OPERATIONS, PUT_OBJECT
from s3_upload.s3.operations.kind import FieldGroup

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_TAB = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PLAIN = re.compile(r"(?:[!-~]+(?: [!-~]+)*)?")
_WORD_BYTES = 45
"""Of text in one encoded word, which RFC 2047 allows 75 characters."""
_SURROGATE = r"[\ud800-\udfff]"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

NO_KEY_OVER_HTTP = "SSE-C: the endpoint is plain http, which would show the key to all on the way; use https"


class Field(NamedTuple):
    """`header`: lower case.  `argument`: the field's name in the S3 API and its SDKs.  `group`: what it is
    about; it goes with the operations that take fields of that."""

    header: str
    argument: str
    group: FieldGroup = "object"

    def goes_with(self, operation: str) -> bool:
        return self.group in OPERATIONS[operation].fields


_SSE = "x-amz-server-side-encryption"
FIELDS: dict[str, Field] = {
    "content_type": Field("content-type", "ContentType"),
    "content_encoding": Field("content-encoding", "ContentEncoding"),
    "content_disposition": Field("content-disposition", "ContentDisposition"),
    "content_language": Field("content-language", "ContentLanguage"),
    "cache_control": Field("cache-control", "CacheControl"),
    "acl": Field("x-amz-acl", "ACL"),
    "grant_full_control": Field("x-amz-grant-full-control", "GrantFullControl"),
    "grant_read": Field("x-amz-grant-read", "GrantRead"),
    "grant_read_acp": Field("x-amz-grant-read-acp", "GrantReadACP"),
    "grant_write_acp": Field("x-amz-grant-write-acp", "GrantWriteACP"),
    "storage_class": Field("x-amz-storage-class", "StorageClass"),
    "website_redirect_location": Field("x-amz-website-redirect-location", "WebsiteRedirectLocation"),
    "server_side_encryption": Field(_SSE, "ServerSideEncryption"),
    "sse_kms_key_id": Field(f"{_SSE}-aws-kms-key-id", "SSEKMSKeyId"),
    "sse_kms_encryption_context": Field(f"{_SSE}-context", "SSEKMSEncryptionContext"),
    "bucket_key_enabled": Field(f"{_SSE}-bucket-key-enabled", "BucketKeyEnabled"),
    "object_lock_mode": Field("x-amz-object-lock-mode", "ObjectLockMode"),
    "object_lock_retain_until_date": Field(
        "x-amz-object-lock-retain-until-date", "ObjectLockRetainUntilDate"
    ),
    "object_lock_legal_hold_status": Field("x-amz-object-lock-legal-hold", "ObjectLockLegalHoldStatus"),
    "expires": Field("expires", "Expires"),
    "tags": Field("x-amz-tagging", "Tagging"),
    "if_none_match": Field("if-none-match", "IfNoneMatch", "condition"),
    "request_payer": Field("x-amz-request-payer", "RequestPayer", "request"),
    "expected_bucket_owner": Field("x-amz-expected-bucket-owner", "ExpectedBucketOwner", "request"),
    "sse_customer_key": Field(f"{_SSE}-customer-key", "SSECustomerKey", "customer key"),
}
"""All of `RequestFields` but metadata, whose headers have the names that the user gives.  With
`sse_customer_key` go its algorithm and its MD5, too."""
METADATA = Field("x-amz-meta-", "Metadata")
_OF_REQUESTS = frozenset(spec.header for spec in FIELDS.values() if spec.group == "request")
_ENCODINGS = {
    "content_disposition": "write filename*=UTF-8''%C3%BC.txt for ü.txt",
    "website_redirect_location": "percent-encode them",
}
"""How to write what is not ASCII, in the fields that have a way."""
_OBJECT_LOCK = tuple(name for name in FIELDS if name.startswith("object_lock_"))


NOT_OF_DIRECTORIES = (
    *(name for name in FIELDS if name == "acl" or name.startswith(("grant_", "object_lock_"))),
    "tags",
    "sse_customer_key",
    "website_redirect_location",
    "request_payer",
)
"""What the documentation of the API says of each; a test compares it."""


def field_headers(fields: RequestFields, operation: str = PUT_OBJECT) -> dict[str, str]:
    """The headers that say `fields` on a request of `operation`. Raises `AttemptError` for a value
    that no header can carry."""
    headers: dict[str, str] = {}
    for name, spec in FIELDS.items():
        value = getattr(fields, name)
        if value is None or value == {} or not spec.goes_with(operation):
            continue
        if name == "sse_customer_key":
            headers[f"{_SSE}-customer-algorithm"] = "AES256"
            headers[spec.header] = value.base64
            headers[f"{spec.header}-md5"] = value.md5_base64
        else:
            headers[spec.header] = _header_value(name, _text(name, value))
    if METADATA.goes_with(operation):
        for name, value in _metadata(fields).items():
            headers[f"{METADATA.header}{name.lower()}"] = value
    return headers


def field_arguments(fields: RequestFields, operation: str) -> dict[str, object]:
    """What `fields` are to an SDK that is asked for `operation`: its keyword arguments.

    Raises `AttemptError` for what no header could carry either.
    """
    arguments: dict[str, object] = {}
    for name, spec in FIELDS.items():
        value = getattr(fields, name)
        if value is None or value == {} or not spec.goes_with(operation):
            continue
        if name == "sse_customer_key":
            arguments["SSECustomerAlgorithm"] = "AES256"
            arguments[spec.argument] = value.base64
            arguments[f"{spec.argument}MD5"] = value.md5_base64
        else:
            text = _header_value(name, _text(name, value))
            # An SDK has types of its own for times and switches.
            arguments[spec.argument] = value if isinstance(value, bool | datetime) else text
    if fields.metadata and METADATA.goes_with(operation):
        arguments[METADATA.argument] = _metadata(fields)
    return arguments


def mark_of(fields: RequestFields) -> str:
    """A hash of what CreateMultipartUpload says of an object by `fields`, so that uploads which were begun
    with others can be told; "" for what no header can carry. Who pays, say, is nothing of the object's."""
    try:
        said = field_headers(fields, CREATE_MULTIPART_UPLOAD)
    except AttemptError:
        return ""
    about = sorted((header, value) for header, value in said.items() if header not in _OF_REQUESTS)
    return hashlib.sha256(repr(about).encode()).hexdigest()[:16]


def wants_checksum(fields: RequestFields) -> bool:
    """Whether S3 takes an object with these fields only with a checksum: with an object lock it does."""
    return any(getattr(fields, name) is not None for name in _OBJECT_LOCK)


def unknown_to_directories(fields: RequestFields) -> str:
    """The first of `fields` that a directory bucket (S3 Express One Zone) does not know, "" for none."""
    return next((name for name in NOT_OF_DIRECTORIES if getattr(fields, name) not in (None, {})), "")


def not_unicode(what: str) -> AttemptError:
    return AttemptError(FailureKind.REJECTED, f"{what} is not valid Unicode, which S3 requires")


def _text(name: str, value: Any) -> str:
    if name == "tags":
        try:
            return urlencode(value, errors="strict")
        except UnicodeEncodeError as error:
            raise not_unicode(name) from error
    if name == "sse_kms_encryption_context":
        import json  # here: few need it, and all would wait for it at start

        return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        from email.utils import format_datetime

        utc = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        return format_datetime(utc, usegmt=True) if name == "expires" else f"{utc:%Y-%m-%dT%H:%M:%SZ}"
    return str(value)


def _metadata(fields: RequestFields) -> dict[str, str]:
    """Names and values as they are sent."""
    sent: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in fields.metadata.items():
        if not _TOKEN.fullmatch(name):
            message = f"metadata name {name!r}: only letters, digits and !#$%&'*+-.^_`|~ can be sent"
            raise AttemptError(FailureKind.REJECTED, message)
        if name.lower() in seen:
            message = f"metadata name {name!r}: is given twice; upper and lower case are the same to HTTP"
            raise AttemptError(FailureKind.REJECTED, message)
        seen.add(name.lower())
        sent[name] = _metadata_value(f"metadata {name!r}", value)
    return sent


def _metadata_value(what: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    _refuse(_CONTROL_BUT_TAB, what, value)
    return encoded_words(value)


def encoded_words(text: str) -> str:
    """`text` as RFC 2047 has it: words of base64, between which a decoder drops the spaces."""
    words: list[str] = []
    piece = b""
    for char in text:  # no character is cut in two
        data = char.encode()
        if len(piece) + len(data) > _WORD_BYTES:
            words.append(_encoded_word(piece))
            piece = b""
        piece += data
    return " ".join([*words, _encoded_word(piece)])


def _encoded_word(piece: bytes) -> str:
    return f"=?UTF-8?B?{base64.b64encode(piece).decode()}?="


def _header_value(what: str, value: str) -> str:
    _refuse(_CONTROL, what, value)
    if not value.isascii():
        message = f"{what}: has characters outside ASCII, which no header can carry"
        encoding = _ENCODINGS.get(what)
        raise AttemptError(FailureKind.REJECTED, f"{message}; {encoding}" if encoding else message)
    return value.strip()


def _refuse(controls: re.Pattern[str], what: str, value: str) -> None:
    if controls.search(value):
        message = f"{what}: has a control character, which no header can carry"
        raise AttemptError(FailureKind.REJECTED, message)
    if re.search(_SURROGATE, value):
        raise not_unicode(what)
