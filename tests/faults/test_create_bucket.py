"""`S3Client.create_bucket`: made where there is none, left alone where there is one, else told why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_upload import FailureKind, RunError
from s3_upload.s3.operations.create_bucket import create_bucket_body
from tests.faults.actions import Answer, Reset, Rule, s3_error
from tests.faults.model import S3Model
from tests.faults.uploads import run, stored, upload

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer


def create(server: FaultServer) -> bool:
    return run(server, lambda client: client.create_bucket("bucket"))


def methods(server: FaultServer) -> list[str]:
    return [request.method for request in server.requests]


def test_a_bucket_that_is_missing_is_made_once(fault_server: StartFaultServer) -> None:
    server = fault_server(model=S3Model(buckets=set()))
    assert create(server)
    assert not create(server)
    assert methods(server) == ["HEAD", "PUT", "HEAD"]
    assert {request.target for request in server.requests} == {"/bucket"}
    assert server.requests[1].headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
    upload(server, {"a": b"a"})
    assert stored(server) == {"a": b"a"}


@pytest.mark.parametrize(
    "answer", [s3_error(403, "AccessDenied"), Answer(301), s3_error(503, "SlowDown"), Reset()]
)
def test_what_does_not_say_that_it_is_missing_makes_none(
    fault_server: StartFaultServer, answer: Answer | Reset
) -> None:
    server = fault_server([Rule(answer, method="HEAD")])
    assert not create(server)
    assert methods(server)[0] == "HEAD"
    assert "PUT" not in methods(server)


def test_one_that_somebody_has_made_meanwhile_will_do(fault_server: StartFaultServer) -> None:
    mine = Rule(s3_error(409, "BucketAlreadyOwnedByYou"), method="PUT")
    server = fault_server([mine], model=S3Model(buckets=set()))
    assert not create(server)


def test_an_access_point_that_is_missing_is_not_made(fault_server: StartFaultServer) -> None:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/photos"
    server = fault_server(model=S3Model(buckets=set()))
    options = {"endpoint_url": f"http://store.localhost:{server.port}", "look_up": here}
    with pytest.raises(RunError, match="there is none, and only buckets of the usual kind are made here"):
        run(server, lambda client: client.create_bucket(arn), **options)
    assert methods(server) == ["HEAD"]


def test_a_refusal_says_what_the_store_said(fault_server: StartFaultServer) -> None:
    theirs = Rule(s3_error(409, "BucketAlreadyExists", "It is taken."), method="PUT")
    server = fault_server([theirs], model=S3Model(buckets=set()))
    with pytest.raises(RunError, match="'bucket' could not be created: 409 BucketAlreadyExists It is taken"):
        create(server)
    broken = fault_server([Rule(Reset(), method="PUT")], model=S3Model(buckets=set()))
    with pytest.raises(RunError) as caught:
        create(broken)
    assert caught.value.kind is FailureKind.RESET


def test_a_region_other_than_the_first_is_named_to_s3() -> None:
    assert b"<LocationConstraint>eu-west-1</LocationConstraint>" in create_bucket_body("eu-west-1")
