"""What the user says about an object: which requests say it, and in which words; botocore's model judges."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from functools import cache
from typing import Any, get_args, get_origin

import botocore.serialize
import botocore.session
import msgspec
import pytest

from s3_upload import ConfigError, CustomerKey
from s3_upload.errors import AttemptError, FailureKind
from s3_upload.request_fields import RequestFields
from s3_upload.s3.fields import (
    FIELDS,
    METADATA,
    NOT_OF_DIRECTORIES,
    Field,
    field_arguments,
    field_headers,
    unknown_to_directories,
)
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    LIST_PARTS,
    PUT_OBJECT,
    UPLOAD_PART,
    Operation,
)
from s3_upload.s3.requests import RequestEncoder

OPERATIONS = (
    PUT_OBJECT, CREATE_MULTIPART_UPLOAD, UPLOAD_PART, COMPLETE_MULTIPART_UPLOAD, ABORT_MULTIPART_UPLOAD,
    HEAD_OBJECT, LIST_PARTS,
)  # fmt: skip
KEY = CustomerKey(bytes(range(32)))
EVERYTHING = RequestFields(
    content_type="text/plain",
    content_encoding="gzip",
    content_disposition="inline",
    content_language="de",
    cache_control="no-cache",
    expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))),
    acl="private",
    grant_full_control="id=1",
    grant_read="id=2",
    grant_read_acp="id=3",
    grant_write_acp="id=4",
    storage_class="GLACIER",
    website_redirect_location="/there",
    server_side_encryption="aws:kms",
    sse_kms_key_id="key",
    sse_kms_encryption_context={"team": "ü"},
    bucket_key_enabled=True,
    sse_customer_key=KEY,
    object_lock_mode="GOVERNANCE",
    object_lock_retain_until_date=datetime(2031, 1, 2, 3, 4, 5),
    object_lock_legal_hold_status="OFF",
    if_none_match="*",
    request_payer="requester",
    expected_bucket_owner="123456789012",
    metadata={"Author": "Zoe"},
    tags={"a b": "c&d"},
)


@cache
def members(operation: str) -> dict[str, str]:
    """What botocore's model takes as headers: argument -> header."""
    model = botocore.session.Session().get_service_model("s3").operation_model(operation)
    shapes: dict[str, Any] = model.input_shape.members
    return {
        name: shape.serialization["name"].lower()
        for name, shape in shapes.items()
        if shape.serialization.get("location") in ("header", "headers")
    }


NOT_IN_DIRECTORIES = "This functionality is not supported for directory buckets."


def test_every_field_is_in_the_table_and_in_the_example() -> None:
    names = {field.name for field in msgspec.structs.fields(RequestFields)}
    assert names == {*FIELDS, "metadata"}
    assert not [name for name in names if getattr(EVERYTHING, name) in (None, {})]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", [*FIELDS, "metadata"])
def test_a_field_goes_with_the_requests_that_the_api_takes_it_with(name: str, operation: str) -> None:
    field: Field = FIELDS.get(name, METADATA)
    if (name, operation) == ("if_none_match", HEAD_OBJECT):
        assert not field.goes_with(operation), "there it would be a condition for the answer"
        return
    assert field.goes_with(operation) == (field.argument in members(operation))
    if field.goes_with(operation):
        assert members(operation)[field.argument] == field.header


@pytest.mark.parametrize("operation", OPERATIONS)
def test_headers_and_arguments_are_those_of_the_api(operation: str) -> None:
    known = members(operation)
    headers = field_headers(EVERYTHING, operation)
    assert {name for name in headers if not name.startswith("x-amz-meta-")} <= set(known.values())
    arguments = field_arguments(EVERYTHING, operation)
    assert set(arguments) <= set(known)
    assert {known[name] for name in arguments if name != "Metadata"} == {
        name for name in headers if not name.startswith("x-amz-meta-")
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_botocore_says_the_same_in_the_same_words(operation: str) -> None:
    """Its serializer, on the arguments that an SDK behind an adapter gets."""
    session = botocore.session.Session()
    model = session.get_service_model("s3").operation_model(operation)
    needed = dict.fromkeys(model.input_shape.required_members, "1")
    if "PartNumber" in needed:
        needed["PartNumber"] = 1  # type: ignore[assignment]
    serializer = botocore.serialize.create_serializer("rest-xml", include_validation=True)
    request = serializer.serialize_to_request({**needed, **field_arguments(EVERYTHING, operation)}, model)
    theirs = {name.lower(): value for name, value in request["headers"].items()}
    ours = field_headers(EVERYTHING, operation)
    assert {name: value for name, value in theirs.items() if name in ours} == ours


def test_in_which_words() -> None:
    headers = field_headers(EVERYTHING)
    assert headers["expires"] == "Wed, 02 Jan 2030 02:04:05 GMT"
    assert headers["x-amz-object-lock-retain-until-date"] == "2031-01-02T03:04:05Z"
    assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
    context = headers["x-amz-server-side-encryption-context"]
    assert json.loads(base64.b64decode(context)) == {"team": "ü"}
    assert headers["x-amz-tagging"] == "a+b=c%26d"
    assert headers["x-amz-meta-author"] == "Zoe"


@pytest.mark.parametrize(
    ("expires", "header"),
    [
        (datetime(2030, 1, 2, 3, 4, 5), "Wed, 02 Jan 2030 03:04:05 GMT"),
        (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "Wed, 02 Jan 2030 03:04:05 GMT"),
        ("0", "0"),
    ],
)
def test_expires_is_a_date_or_a_text(expires: datetime | str, header: str) -> None:
    assert field_headers(RequestFields(expires=expires)) == {"expires": header}


def test_a_switch_that_is_off_is_said_too() -> None:
    headers = field_headers(RequestFields(bucket_key_enabled=False))
    assert headers == {"x-amz-server-side-encryption-bucket-key-enabled": "false"}


# --- what a header cannot carry ----------------------------------------------------------------------

TEXT_FIELDS = [
    field.name
    for field in msgspec.structs.fields(RequestFields)
    if str in (field.type, *get_args(field.type)) and get_origin(field.type) is not Mapping
]
VALUES = [
    "", "plain", "a b", "a=b&c+d", "=?UTF-8?B?w7w=?=",
    "Zoë 日本", "ü", "🙂" * 40, "a" * 300 + "é", "a\u00a0b", "a\u3000b", "\u00a0", "\u2003a\u2028",
    " a", "a ", " ", "  ", "a  b", "a\tb", "\t", " Zoë  日本 ", "ü=?UTF-8?Q?x?=",
]  # fmt: skip
PRINTABLE = re.compile(r"(?:[!-~]+(?: [!-~]+)*)?")


def sent_metadata(value: str) -> str:
    return field_headers(RequestFields(metadata={"m": value}))["x-amz-meta-m"]


@pytest.mark.parametrize("value", VALUES)
def test_metadata_goes_in_printable_ascii_that_says_the_very_text(value: str) -> None:
    sent = sent_metadata(value)
    assert PRINTABLE.fullmatch(sent), "stores would alter it, or sign it otherwise"
    assert value == sent or str(make_header(decode_header(sent))) == value
    assert all(len(word) <= 75 for word in sent.split()) or sent == value


@pytest.mark.parametrize("value", ["", "plain", "a b", "=?UTF-8?B?w7w=?="])
def test_metadata_that_any_store_keeps_goes_as_it_is(value: str) -> None:
    assert sent_metadata(value) == value


def test_metadata_names_that_are_one_to_http_are_refused() -> None:
    with pytest.raises(AttemptError, match="'a': is given twice") as caught:
        field_headers(RequestFields(metadata={"A": "1", "a": "2"}))
    assert caught.value.kind is FailureKind.REJECTED


def test_an_sdk_gets_the_same_metadata() -> None:
    arguments = field_arguments(RequestFields(metadata={"Who": "Zoë", "b": "1"}), PUT_OBJECT)
    assert arguments == {"Metadata": {"Who": "=?UTF-8?B?Wm/Dqw==?=", "b": "1"}}


@pytest.mark.parametrize("name", TEXT_FIELDS)
@pytest.mark.parametrize("value", ["ü", "a\u00a0b", "\u3000", "a\tb"])
def test_any_other_field_outside_printable_ascii_is_refused_before_anything_is_sent(
    name: str, value: str
) -> None:
    given: dict[str, Any] = {name: value}
    fields = RequestFields(**given)
    for refusing in (field_headers, field_arguments):
        with pytest.raises(AttemptError, match=f"^{name}: has ") as caught:
            refusing(fields, PUT_OBJECT)
        assert caught.value.kind is FailureKind.REJECTED
        assert value not in caught.value.message.replace("for ü.txt", "")


def test_the_refusal_says_how_it_would_go() -> None:
    with pytest.raises(AttemptError, match=r"filename\*=UTF-8''%C3%BC"):
        field_headers(RequestFields(content_disposition='attachment; filename="ü"'))
    with pytest.raises(AttemptError, match="percent-encode"):
        field_headers(RequestFields(website_redirect_location="/ü"))


# --- SSE-C ----------------------------------------------------------------------------------------


def test_a_customer_key_goes_with_its_digest() -> None:
    headers = field_headers(RequestFields(sse_customer_key=KEY), UPLOAD_PART)
    start = "x-amz-server-side-encryption-customer-"
    assert headers == {
        f"{start}algorithm": "AES256",
        f"{start}key": base64.b64encode(bytes(range(32))).decode(),
        f"{start}key-md5": base64.b64encode(hashlib.md5(bytes(range(32))).digest()).decode(),
    }


def test_a_customer_key_does_not_show() -> None:
    fields = RequestFields(sse_customer_key=KEY)
    assert KEY.base64 not in repr(fields)
    assert repr(KEY) == "CustomerKey(***)"
    with pytest.raises(TypeError):
        msgspec.json.encode(fields)


def test_customer_keys_are_compared_by_value() -> None:
    assert CustomerKey.from_base64(KEY.base64) == KEY
    assert hash(CustomerKey.from_base64(KEY.base64)) == hash(KEY)
    assert CustomerKey(b"x" * 32) != KEY
    assert KEY.base64 != KEY


@pytest.mark.parametrize("text", ["", "hunter2", "aHVudGVyMg==", base64.b64encode(b"x" * 33).decode(), "ü"])
def test_what_is_no_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^SSE-C key: ") as caught:
        CustomerKey.from_base64(text)
    assert not text or text not in str(caught.value)
    with pytest.raises(ConfigError):
        CustomerKey("x" * 32)  # type: ignore[arg-type]


def test_a_customer_key_never_goes_over_plain_http() -> None:
    operation = Operation(name=PUT_OBJECT, bucket="b", key="k", fields=RequestFields(sse_customer_key=KEY))
    over_tls = RequestEncoder(host="h", path_prefix="", signer=None, tls=True).head(operation, 0.0)
    assert KEY.base64.encode() in over_tls
    with pytest.raises(ConfigError, match="plain http"):
        RequestEncoder(host="h", path_prefix="", signer=None, tls=False).head(operation, 0.0)


def test_what_directory_buckets_do_not_know_is_what_the_apis_documentation_says() -> None:
    model = botocore.session.get_session().get_service_model("s3")
    members = model.operation_model(PUT_OBJECT).input_shape.members
    said = {name for name, shape in members.items() if NOT_IN_DIRECTORIES in shape.documentation}
    assert {FIELDS[name].argument for name in NOT_OF_DIRECTORIES} == said & {
        spec.argument for spec in FIELDS.values()
    }
    assert unknown_to_directories(RequestFields(content_type="a/b", if_none_match="*")) == ""
    assert unknown_to_directories(RequestFields(tags={"a": "b"})) == "tags"
