"""The flags about objects: what to say of each, in the words of `aws s3 cp`, else of `aws s3api`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from s3_upload.cli.options.classes import options_class
from s3_upload.cli.output import UsageError
from s3_upload.errors import AttemptError, ConfigError
from s3_upload.request_fields import CUSTOMER_KEY_BYTES, NO_FIELDS, CustomerKey, RequestFields
from s3_upload.s3.fields import field_headers
from s3_upload.sources.content_type import always, content_type_by_name
from s3_upload.sources.source import ObjectSource, utf8_of
from s3_upload.text import read_text

if TYPE_CHECKING:
    from cyclopts import Parameter

_PAIRS = ("metadata", "tags", "sse_kms_encryption_context")
_TIMES = ("expires", "object_lock_retain_until_date")
_GRANTS = {
    "read": "grant_read",
    "readacl": "grant_read_acp",
    "writeacl": "grant_write_acp",
    "full": "grant_full_control",
}
FILE = "file://"
_PAIR = r"""(?x)\s*(?P<key>[^=,]*?)\s*=[ \t]*
    (?: "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>[^']*)' | (?P<plain>[^,]*?) )
    [ \t]*(?:,|\Z)"""
"""One of KEY=VALUE,KEY=VALUE, with or without blanks around; a value in quotes may hold ","."""


def parameter(**said: Any) -> Parameter:
    """What the parser is told of a flag: annotations are texts, and read by nobody else.

    Loading it takes longer than all else about a small upload, which does without (`plain.py`)."""
    from cyclopts import Parameter

    return Parameter(**said)


def flag(help_text: str, *env: str, **said: Any) -> Parameter:
    """One without a negative form, whose text says its default, unless something else is `said`."""
    usual = {"env_var": list(env) or None, "negative": (), "show_default": False}
    return parameter(help=help_text, **{**usual, **said})


def texts(help_text: str, **said: Any) -> Parameter:
    """A flag that may be repeated; each is taken as it is written, unless a `converter` is said."""
    as_written = {"converter": lambda _, tokens: tuple(token.value for token in tokens)}
    # A text may begin with "[" or "{".
    return flag(help_text, n_tokens=1, json_list=False, json_dict=False, **{**as_written, **said})


@options_class(frozen=True, kw_only=True)
class ObjectOptions:
    """What to say of every object; the flags are those of `aws s3 cp`, else of `aws s3api`."""

    content_type: Annotated[str | None, flag("Content-Type (default: guessed from the name).")] = None
    content_type_map: Annotated[
        str | None, flag("Types of your own by suffix, as a file in the format of mime.types.")
    ] = None
    no_guess_mime_type: Annotated[bool, flag("Guess no content type, and no encoding.")] = False
    content_encoding: Annotated[
        str | None, flag("Content-Encoding (default: guessed from names such as x.js.gz and x.svgz).")
    ] = None
    content_disposition: Annotated[str | None, flag("Content-Disposition.")] = None
    content_language: Annotated[str | None, flag("Content-Language.")] = None
    cache_control: Annotated[str | None, flag("Cache-Control.")] = None
    expires: Annotated[
        str | None,
        flag("When the object is stale: 2030-12-31T00:00:00Z, an HTTP date, or seconds since 1970."),
    ] = None
    acl: Annotated[str | None, flag("Canned ACL, such as public-read.")] = None
    grant_full_control: Annotated[str | None, flag("Who gets all rights: id=..., uri=...")] = None
    grant_read: Annotated[str | None, flag("Who may read the object.")] = None
    grant_read_acp: Annotated[str | None, flag("Who may read its ACL.")] = None
    grant_write_acp: Annotated[str | None, flag("Who may change its ACL.")] = None
    grants: Annotated[
        tuple[str, ...],
        texts("Who gets which rights: read=uri=... full=id=...,id=... (read, readacl, writeacl, full)."),
    ] = ()
    storage_class: Annotated[str | None, flag("Storage class, such as STANDARD_IA.")] = None
    website_redirect_location: Annotated[
        str | None, flag("Where a bucket that is a website redirects to.", name="--website-redirect")
    ] = None
    server_side_encryption: Annotated[
        str | None, flag("Server-side encryption: AES256 (also without a value) or aws:kms.", name="--sse")
    ] = None
    sse_kms_key_id: Annotated[str | None, flag("ID of the KMS key for --sse aws:kms.")] = None
    sse_kms_encryption_context: Annotated[
        tuple[str, ...], texts("Context of the KMS key: KEY=VALUE,KEY=VALUE, or JSON.")
    ] = ()
    bucket_key_enabled: Annotated[bool, flag("Use a bucket key with --sse aws:kms.")] = False
    sse_c: Annotated[Literal["AES256"] | None, flag("Encrypt with a key of your own (https only).")] = None
    sse_c_key: Annotated[
        str | None,
        flag("The key of --sse-c: fileb://PATH (32 bytes), 32 characters, or base64.", "S3_UPLOAD_SSE_C_KEY"),
    ] = field(default=None, repr=False)
    object_lock_mode: Annotated[str | None, flag("GOVERNANCE or COMPLIANCE.")] = None
    object_lock_retain_until_date: Annotated[
        str | None, flag("Until when the object is locked: 2030-12-31T00:00:00Z.")
    ] = None
    object_lock_legal_hold_status: Annotated[str | None, flag("Legal hold: ON or OFF.")] = None
    if_none_match: Annotated[
        bool, flag("Never overwrite: a file whose object exists fails (as --if-exists fail).")
    ] = False
    no_clobber: Annotated[
        bool,
        flag(
            "Never overwrite: a file whose object exists is skipped (as --if-exists skip).",
            name=("--no-clobber", "--no-overwrite"),
        ),
    ] = False
    request_payer: Annotated[
        Literal["requester"] | None, flag("Who pays: requester (also without a value).")
    ] = None
    expected_bucket_owner: Annotated[str | None, flag("Account that must own the bucket.")] = None
    metadata: Annotated[
        tuple[str, ...],
        texts("The object's own metadata: KEY=VALUE,KEY=VALUE, or JSON; may be repeated."),
    ] = ()
    tags: Annotated[
        tuple[str, ...], texts("The object's tags: KEY=VALUE,KEY=VALUE, or JSON; may be repeated.")
    ] = ()
    preserve: Annotated[
        Literal["mtime"] | None,
        flag("Keep the time of modification as metadata (x-amz-meta-mtime), as rclone keeps it."),
    ] = None

    def __post_init__(self) -> None:
        if self.no_clobber and self.if_none_match:
            raise UsageError("--no-clobber and --if-none-match do not go together: leave one out")
        if self.no_guess_mime_type and self.content_type_map is not None:
            raise UsageError("--no-guess-mime-type and --content-type-map do not go together: leave one out")

    def default_request(self) -> Callable[[ObjectSource], RequestFields]:
        """What is said of each object. Raises `UsageError` and `ConfigError`."""
        fields = self.request_fields()
        if self.no_guess_mime_type:
            return always(fields)
        try:
            return content_type_by_name(fields, self.content_type_map)
        except ConfigError as error:
            raise UsageError(f"--content-type-map {error}") from error

    def request_fields(self) -> RequestFields:
        """`NO_FIELDS` itself if no flag was given. Raises `UsageError` and `ConfigError`."""
        names = [name for name in RequestFields.__struct_fields__ if hasattr(self, name)]
        given: dict[str, Any] = {name: _as_sent(getattr(self, name)) for name in names}
        for name in _PAIRS:
            given[name] = parse_pairs(f"--{name.replace('_', '-')}", getattr(self, name))
        for name in _TIMES:
            given[name] = _time(f"--{name.replace('_', '-')}", getattr(self, name))
        given["if_none_match"] = "*" if self.if_none_match else None
        for name, grantee in _granted(self.grants).items():
            if given[name]:
                raise UsageError(f"--grants and --{name.replace('_', '-')} say the same: leave one out")
            given[name] = grantee
        if self.sse_c and not self.sse_c_key:
            raise UsageError("--sse-c: the key is missing: give --sse-c-key, or set S3_UPLOAD_SSE_C_KEY")
        given["sse_customer_key"] = customer_key(self.sse_c_key) if self.sse_c_key else None
        if not any(given.values()):
            return NO_FIELDS
        fields = RequestFields(**given)
        try:
            field_headers(fields)
        except AttemptError as error:  # here once, and not of each file
            raise UsageError(error.message) from error
        return fields


def _as_sent(value: Any) -> Any:
    """What a flag says, as the store gets it: a text in UTF-8, whatever the locale is; None for nothing."""
    return utf8_of(value) if isinstance(value, str) and value else value or None


def customer_key(text: str) -> CustomerKey:
    """The key that --sse-c-key names or spells. Raises `UsageError` and `ConfigError`, without it."""
    if not text.startswith("fileb://"):
        if len(text) == CUSTOMER_KEY_BYTES and text.isascii():  # as the AWS CLI has it; base64 is longer
            return CustomerKey(text.encode())
        return CustomerKey.from_base64(text)
    path = text.removeprefix("fileb://")
    try:
        with Path(path).open("rb") as file:
            return CustomerKey(file.read(CUSTOMER_KEY_BYTES + 1))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise UsageError(f"--sse-c-key {text}: {getattr(error, 'strerror', None) or error}") from error


def _time(option: str, text: str | None) -> datetime | None:
    """A time as the AWS CLI takes it: seconds since 1970, ISO 8601, an HTTP date, and what else botocore
    reads; UTC where it names no zone. Raises `UsageError`."""
    if not text:
        return None
    from botocore.utils import parse_to_aware_datetime

    try:
        time: datetime = parse_to_aware_datetime(text)
    except (ValueError, OverflowError, OSError) as error:
        wanted = "give 2030-12-31T00:00:00Z, or seconds since 1970"
        raise UsageError(f"{option} {text}: is no time: {wanted}") from error
    return time


def _granted(grants: Iterable[str]) -> dict[str, str]:
    """The fields that `--grants read=uri=... full=id=...,id=...` means. Raises `UsageError`."""
    fields: dict[str, str] = {}
    for grant in grants:
        permission, _, grantee = grant.partition("=")
        name = _GRANTS.get(permission)
        if name is None or "=" not in grantee:
            raise UsageError(
                f"--grants {grant}: is not PERMISSION=TYPE=GRANTEE, such as read=id=... (PERMISSION: "
                f"{', '.join(_GRANTS)}; TYPE: id or uri)"
            )
        fields[name] = f"{fields[name]},{utf8_of(grantee)}" if name in fields else utf8_of(grantee)
    return fields


def parse_pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """The pairs of all `texts`, each `k=v,k="v, w"`, a JSON object of texts, or file://PATH of such. Raises
    `UsageError`."""
    pairs: dict[str, str] = {}
    for given in texts:
        where, text = f"{option} {given}", utf8_of(given)
        if text.startswith(FILE):
            text = _content(where, given.removeprefix(FILE)).strip()
        read = _json_pairs if text.lstrip().startswith("{") else _short_pairs
        for key, value in read(where, text):
            if key in pairs:
                raise UsageError(f"{where}: {key} is given twice")
            pairs[key] = value
    return pairs


def _content(where: str, path: str) -> str:
    try:
        return read_text(path)
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: is not UTF-8") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise UsageError(f"{where}: {getattr(error, 'strerror', None) or error}") from error


def _json_pairs(where: str, text: str) -> Iterable[tuple[str, str]]:
    import json

    try:
        pairs: list[tuple[Any, Any]] = json.loads(text, object_pairs_hook=list)
    except ValueError as error:
        raise UsageError(f"{where}: is not JSON: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{where[:100]}: is nested too deeply") from error
    for key, value in pairs:
        if not key or not isinstance(value, str):
            raise UsageError(f'{where}: must be an object of texts, such as {{"key": "value"}}')
    return pairs


def _short_pairs(where: str, text: str) -> Iterable[tuple[str, str]]:
    start = 0
    while start < len(text) or (start and text[start - 1] == ","):
        found = re.compile(_PAIR).match(text, start)
        if found is None or not found["key"]:
            item = text[start:].partition(",")[0]
            raise UsageError(f"{where}: {item or 'an empty item'} is not KEY=VALUE")
        double = found["double"]
        value = found["plain"] or found["single"] or re.sub(r"\\(.)", r"\1", double or "")
        yield found["key"], value
        start = found.end()
