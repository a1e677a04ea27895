"""What each operation says of itself, beside botocore's model of the S3 API."""

from __future__ import annotations

import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from botocore import xform_name

from s3_upload.observe import history
from s3_upload.s3 import operations
from s3_upload.s3.operations import (
    ASKING,
    BEGINS_OBJECT,
    CARRIES_DATA,
    HEDGED,
    MAKES_OBJECT,
    NOT_TWICE,
    OF_BUCKETS,
    OPERATIONS,
    Operation,
)

if TYPE_CHECKING:
    from botocore.model import OperationModel

ALIKE = pytest.mark.parametrize("name", OPERATIONS)


@cache
def model(name: str) -> OperationModel:
    found: OperationModel = botocore.session.Session().get_service_model("s3").operation_model(name)
    return found


def shapes(name: str) -> dict[str, Any]:
    """The arguments that the API knows."""
    given: dict[str, Any] = model(name).input_shape.members if model(name).input_shape else {}
    return given


def example(name: str) -> Operation:
    return Operation(name=name, bucket="b", key="k", upload_id="u/1", part_number=7)


@ALIKE
def test_its_method_and_its_key_are_those_of_the_api(name: str) -> None:
    kind = OPERATIONS[name]
    assert (kind.name, kind.method) == (name, model(name).http["method"])
    assert kind.names_key == ("Key" in shapes(name))


@ALIKE
def test_its_query_has_what_the_api_marks_it_by_and_what_an_sdk_would_send(name: str) -> None:
    kind = OPERATIONS[name]
    ours = parse_qs(kind.query(example(name)) if kind.query is not None else "", keep_blank_values=True)
    marks = parse_qs(urlsplit(model(name).http["requestUri"]).query, keep_blank_values=True)
    arguments = kind.sdk.arguments(example(name))
    named = {
        shape.serialization["name"]: [str(arguments[argument])]
        for argument, shape in shapes(name).items()
        if argument in arguments and shape.serialization.get("location") == "querystring"
    }
    marks.pop("x-id", None)  # botocore's own
    assert ours == marks | named


@ALIKE
def test_its_headers_are_those_that_an_sdk_would_send(name: str) -> None:
    arguments = OPERATIONS[name].sdk.arguments(example(name))
    named = {
        shape.serialization["name"].lower(): arguments[argument]
        for argument, shape in shapes(name).items()
        if argument in arguments and shape.serialization.get("location") == "header"
    }
    assert {key: text for key, text in OPERATIONS[name].headers.items() if key != "content-type"} == named


@ALIKE
def test_an_sdk_knows_its_method_and_arguments_and_needs_no_more(name: str) -> None:
    kind = OPERATIONS[name]
    assert kind.sdk.method == xform_name(name)
    given = {"Bucket", "Key"} | set(kind.sdk.arguments(example(name)))
    assert given - {"Bucket", "Key"} <= set(shapes(name))
    needed = set(model(name).input_shape.required_members) if model(name).input_shape else set()
    assert needed <= given


@ALIKE
def test_it_carries_data_where_the_api_streams_a_body(name: str) -> None:
    assert OPERATIONS[name].carries_data == (model(name).has_streaming_input)


@ALIKE
def test_its_answer_has_no_body_where_it_is_asked_by_head(name: str) -> None:
    assert OPERATIONS[name].bodiless == (model(name).http["method"] == "HEAD")


@ALIKE
def test_what_is_a_post_is_not_to_be_sent_twice(name: str) -> None:
    assert (name in NOT_TWICE) == (model(name).http["method"] == "POST")


def test_what_sends_nothing_of_an_object_asks() -> None:
    sending = CARRIES_DATA | BEGINS_OBJECT | MAKES_OBJECT
    assert OPERATIONS.keys() - OF_BUCKETS - sending == ASKING - OF_BUCKETS
    assert not ASKING & sending


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (CARRIES_DATA, "PutObject UploadPart"),
        (HEDGED, "PutObject UploadPart"),
        (history.BODIES, "PutObject UploadPart"),
        (BEGINS_OBJECT, "PutObject CreateMultipartUpload"),
        (MAKES_OBJECT, "PutObject CompleteMultipartUpload"),
    ],
)
def test_the_operations_that_send_an_object_are_these(names: frozenset[str], said: str) -> None:
    assert names == set(said.split())


def test_there_is_a_row_for_every_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(operations.__path__)} - {"kind", "operation"}
    assert {kind.sdk.method for kind in OPERATIONS.values()} == modules
