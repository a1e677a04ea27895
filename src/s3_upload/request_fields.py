"""What the user may say about an object beyond its bucket, key, body and length: `RequestFields`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from types import NoneType

import msgspec

from s3_upload.checks import must_be, must_be_texts
from s3_upload.errors import ConfigError

CUSTOMER_KEY_BYTES = 32


class CustomerKey:
    """The key of SSE-C: the 32 bytes with which the store encrypts an object, and then forgets.

    Its `repr` shows nothing of it.  Raises `ConfigError`, which never quotes it, for any other length.
    Whoever loses the key loses the object.
    """

    __slots__ = ("base64", "md5_base64")

    def __init__(self, key: bytes) -> None:
        if not isinstance(key, bytes) or len(key) != CUSTOMER_KEY_BYTES:
            raise ConfigError(f"SSE-C key: must be {CUSTOMER_KEY_BYTES} bytes (AES-256)")
        self.base64 = base64.b64encode(key).decode()
        self.md5_base64 = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()

    @classmethod
    def from_base64(cls, text: str) -> CustomerKey:
        """The key that `text` spells in base64."""
        must_be("text", text, str, "str")
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError("SSE-C key: is no base64") from None
        return cls(key)

    @property
    def mark(self) -> str:
        """What tells it from other keys, where it may not be kept itself: a hash made with it."""
        return hashlib.blake2b(b"s3-upload: which key", key=self.base64.encode(), digest_size=16).hexdigest()

    def __repr__(self) -> str:
        return "CustomerKey(***)"

    def __eq__(self, other: object) -> bool:
        return self.base64 == other.base64 if isinstance(other, CustomerKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.md5_base64)


class RequestFields(msgspec.Struct, frozen=True, kw_only=True):
    """What the user may say about an object beyond its bucket, key, body and length.

    Names are those of the S3 API, and values as it wants them; `s3/fields.py` knows which requests
    they travel with.  `metadata` becomes `x-amz-meta-*`: any text, which comes back encoded by RFC 2047
    unless it is plain ASCII with single spaces.  Other fields are ASCII.  `tags` becomes `x-amz-tagging`;
    `sse_kms_encryption_context` is given in plain.  `sse_customer_key` (SSE-C) goes over https only.
    `if_none_match="*"` is a header and no more: where the store heeds it, an object that exists fails with
    the kind EXISTS; a store that ignores it overwrites.  `if_exists="fail"` of a call asks the store first.
    `request_payer="requester"` and `expected_bucket_owner` (12 digits) go with every request.
    Times are a `datetime` (UTC if it has no zone) or text that is sent as it is.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """

    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    expires: datetime | str | None = None
    acl: str | None = None
    grant_full_control: str | None = None
    grant_read: str | None = None
    grant_read_acp: str | None = None
    grant_write_acp: str | None = None
    storage_class: str | None = None
    website_redirect_location: str | None = None
    server_side_encryption: str | None = None
    sse_kms_key_id: str | None = None
    sse_kms_encryption_context: Mapping[str, str] = {}
    bucket_key_enabled: bool | None = None
    sse_customer_key: CustomerKey | None = None
    object_lock_mode: str | None = None
    object_lock_retain_until_date: datetime | str | None = None
    object_lock_legal_hold_status: str | None = None
    if_none_match: str | None = None
    request_payer: str | None = None
    expected_bucket_owner: str | None = None
    metadata: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        types = tuple(map(type, msgspec.structs.astuple(self)))
        if types not in _RIGHT_TYPES:
            for name in self.__struct_fields__:
                _check_type(name, getattr(self, name))
            if len(_RIGHT_TYPES) < MAX_RIGHT_TYPES:
                _RIGHT_TYPES.add(types)
        for name in _MAPPINGS:
            if texts := getattr(self, name):
                must_be_texts(name, texts)


def said_in(fields: RequestFields) -> str:
    """All of it as a text that may be kept: of a key, what tells it from others."""
    key = fields.sse_customer_key
    return repr(fields) if key is None else f"{fields!r} {key.mark}"


_RIGHT_TYPES: set[tuple[type, ...]] = set()
"""Of all the fields together, as found right before: a program may make fields for each of its objects."""
MAX_RIGHT_TYPES = 1_000
_MAPPINGS = ("metadata", "tags", "sse_kms_encryption_context")
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(_MAPPINGS, ((Mapping,), "a mapping of str to str")),
    **dict.fromkeys(("expires", "object_lock_retain_until_date"), ((datetime, str), "datetime, str")),
    "bucket_key_enabled": ((bool,), "bool"),
    "sse_customer_key": ((CustomerKey,), "CustomerKey"),
}
"""Of the fields that are no text, and how to say that."""


def _check_type(name: str, value: object) -> None:
    """Raises `TypeError`; no message quotes a value."""
    types, wanted = _TYPES.get(name, ((str,), "str"))
    if name not in _MAPPINGS:
        types, wanted = (*types, NoneType), f"{wanted} or None"
    must_be(name, value, types, wanted)


NO_FIELDS = RequestFields()
