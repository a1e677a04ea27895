"""What the user says about an object, as a server sees it on every request of an upload."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from s3_upload import ConfigError, CustomerKey, FailureKind, RequestFields
from s3_upload.s3.fields import field_headers
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    LIST_PARTS,
    PUT_OBJECT,
    UPLOAD_PART,
)
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Request, Rule, s3_error
from tests.faults.uploads import PART_BYTES, Reports, stored, upload
from tests.unit.test_fields import EVERYTHING, KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer, Tls

BIG = random.Random(4).randbytes(PART_BYTES + 1)


@pytest.fixture
def files(tmp_path: Path) -> list[ObjectSource]:
    """A small one, and one of two parts."""
    (tmp_path / "big").write_bytes(BIG)
    return [ObjectSource.data(b"small", "small"), ObjectSource.file(tmp_path / "big", "big")]


def operation_of(request: Request) -> str:
    if request.method == "GET":
        return LIST_PARTS
    if request.method == "DELETE":
        return ABORT_MULTIPART_UPLOAD
    if request.method == "POST":
        return CREATE_MULTIPART_UPLOAD if "uploads" in request.query else COMPLETE_MULTIPART_UPLOAD
    return UPLOAD_PART if request.part_number else PUT_OBJECT


@pytest.mark.parametrize("completes", [True, False])
def test_each_request_says_what_the_api_takes_with_it(
    fault_server: StartFaultServer, tls: Tls, files: list[ObjectSource], completes: bool
) -> None:
    refuses = Rule(s3_error(403, "AccessDenied"), query={"partNumber": "2"})
    server = fault_server([] if completes else [refuses], tls=tls.server_context)
    summary = upload(
        server,
        files,
        default_request=lambda _: EVERYTHING,
        tls={"verify": str(tls.ca_file)},
    )
    assert summary.uploaded == (2 if completes else 1)
    last = {COMPLETE_MULTIPART_UPLOAD} if completes else {ABORT_MULTIPART_UPLOAD, LIST_PARTS}
    seen = {operation_of(request) for request in server.requests}
    assert seen == {PUT_OBJECT, CREATE_MULTIPART_UPLOAD, UPLOAD_PART, *last}
    for request in server.requests:
        said = field_headers(EVERYTHING, operation_of(request))
        assert {name: request.headers.get(name) for name in said} == said


def test_what_exists_is_not_overwritten(fault_server: StartFaultServer) -> None:
    server = fault_server()
    upload(server, {"there": b"first"})
    reports = Reports()
    fields = RequestFields(if_none_match="*")
    summary = upload(
        server, {"there": b"second", "new": b"new"}, default_request=lambda _: fields, progress=reports
    )
    assert stored(server) == {"there": b"first", "new": b"new"}
    assert summary.uploaded == 1
    assert reports.of("there").outcome == FailureKind.EXISTS


def test_a_customer_key_over_plain_http_stops_the_run_before_anything_is_sent(
    fault_server: StartFaultServer, files: list[ObjectSource]
) -> None:
    server = fault_server()
    with pytest.raises(ConfigError, match="SSE-C: the endpoint is plain http"):
        upload(server, {"a": b"a", "big": BIG}, default_request=lambda _: RequestFields(sse_customer_key=KEY))
    assert server.requests == []


def test_a_customer_key_goes_with_every_part(
    fault_server: StartFaultServer, tls: Tls, files: list[ObjectSource]
) -> None:
    server = fault_server(tls=tls.server_context)
    fields = RequestFields(sse_customer_key=CustomerKey(b"k" * 32))
    upload(server, files[1:], default_request=lambda _: fields, tls={"verify": str(tls.ca_file)})
    name = "x-amz-server-side-encryption-customer-key"
    assert [name in request.headers for request in server.requests] == [True] * 4  # Create, 2 parts, Complete
