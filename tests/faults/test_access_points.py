"""Uploads to an access point that is named by its ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_upload.api import s3_upload_files
from s3_upload.errors import RunError
from tests.faults.actions import Answer, Request
from tests.faults.signatures import is_signed_with, scope_of
from tests.faults.uploads import PART_BYTES, config, run, sources, upload

if TYPE_CHECKING:
    from s3_upload.clients.s3 import S3Client
    from tests.conftest import StartFaultServer

ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint/photos"
HOST = "photos-123456789012.store"


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def test_requests_go_to_its_host_and_are_signed_for_its_region(fault_server: StartFaultServer) -> None:
    """Small objects and those in parts."""
    server = fault_server()
    options = {"endpoint_url": f"http://store.localhost:{server.port}", "look_up": loopback}
    files = {"a": b"alpha", "big": bytes(PART_BYTES + 1)}
    upload(server, files, bucket=ARN, tls=options)
    assert server.model.bodies(HOST) == files
    for request in server.requests:
        assert request.headers["host"] == f"{HOST}.localhost:{server.port}"
        assert scope_of(request)[1:] == ("eu-west-1", "s3")
        assert is_signed_with(request, "secret")
    assert not is_signed_with(server.requests[0], "another")


def test_a_store_that_asks_for_another_region_than_the_arns_is_asked_once(
    fault_server: StartFaultServer,
) -> None:
    asked: list[str] = []

    def wrong(request: Request) -> Answer:
        asked.append(scope_of(request).region)
        text = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>"
        return Answer(400, {}, text.encode())

    server = fault_server(wrong)

    async def main(client: S3Client) -> str:
        try:
            await s3_upload_files(client, ARN, sources({"a": b"a"}), config())
        except RunError as error:
            return str(error)
        return ""

    options = {"endpoint_url": f"http://store.localhost:{server.port}", "look_up": loopback}
    told = run(server, main, **options)
    assert asked == ["eu-west-1"]
    assert "made for region eu-west-1, the store asks for us-west-2" in told
