"""`S3Client.list_buckets`: the names in one page, else why there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_upload import ConfigError, FailureKind, RunError, S3Client
from s3_upload.s3.endpoint import service_endpoint
from s3_upload.s3.variant import Variant
from tests.faults.actions import Answer, Reset, Rule, foreign, s3_error
from tests.faults.uploads import run, upload

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer

PAGE = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Owner><ID>me</ID><DisplayName>Me</DisplayName></Owner><Buckets>"
    b"<Bucket><Name>photos</Name><CreationDate>2020-01-01T00:00:00.000Z</CreationDate></Bucket>"
    b"<Bucket><Name>logs.eu</Name></Bucket></Buckets></ListAllMyBucketsResult>"
)


def test_the_names_come_in_the_order_of_the_store(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(Answer(200, body=PAGE), method="GET")])
    assert run(server, S3Client.list_buckets) == ["photos", "logs.eu"]
    [request] = server.requests
    assert (request.method, request.target) == ("GET", "/")
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


def test_all_names_come_of_as_many_buckets_as_s3_lists_at_once(fault_server: StartFaultServer) -> None:
    names = [f"{number:063}" for number in range(10_000)]
    more = "<CreationDate>2020-01-01T00:00:00.000Z</CreationDate><BucketRegion>us-east-1</BucketRegion>"
    buckets = "".join(f"<Bucket><Name>{name}</Name>{more}</Bucket>" for name in names)
    page = f"<ListAllMyBucketsResult><Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"
    server = fault_server([Rule(Answer(200, body=page.encode()), method="GET")])
    assert run(server, S3Client.list_buckets) == names


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (s3_error(403, "AccessDenied", "No."), FailureKind.ACCESS_DENIED, "buckets: 403 AccessDenied No."),
        (foreign(200), FailureKind.UNPROVEN, "does not list buckets: ListBuckets: 200 with"),
        (Answer(200, body=b"<ListBucketResult><Name>photos</Name></ListBucketResult>"), FailureKind.UNPROVEN,
         "200 without a list of buckets"),
        (Reset(), FailureKind.RESET, ""),
    ],
)  # fmt: skip
def test_what_is_no_list_is_told(
    fault_server: StartFaultServer, answer: Answer | Reset, kind: FailureKind, why: str
) -> None:
    server = fault_server([Rule(answer, method="GET")])
    with pytest.raises(RunError) as caught:
        run(server, S3Client.list_buckets)
    assert why in str(caught.value)
    assert caught.value.kind is kind


def test_no_bucket_is_no_destination_after_it_either(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(Answer(200, body=PAGE), method="GET")])

    async def both(client: S3Client) -> None:
        await client.list_buckets()
        assert client._targets == {}

    run(server, both)
    with pytest.raises(ConfigError, match="bucket = ''"):
        upload(server, {"a/b": b"x"}, bucket="")


@pytest.mark.parametrize(
    ("region", "endpoint_url", "variant", "url"),
    [
        ("eu-west-1", None, Variant(), "https://s3.eu-west-1.amazonaws.com"),
        ("eu-west-1", None, Variant(accelerate=True, dualstack=True), "https://s3.dualstack.eu-west-1.amazonaws.com"),
        ("any", "http://[::1]:9000/s3/", Variant(), "http://[::1]:9000/s3"),
    ],
)  # fmt: skip
def test_where_a_request_goes_that_is_about_no_bucket(
    region: str, endpoint_url: str | None, variant: Variant, url: str
) -> None:
    assert service_endpoint(region, endpoint_url, variant).url == url
