"""Redirects: followed once to the same store under another name, and never with what is signed to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_upload import FailureKind, RunError
from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Answer, Request, foreign, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, config, run, sources, stored, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

MANY = {f"a b/{n}": b"x%d" % n for n in range(50)}
ONE_AT_ONCE = config(max_in_flight=1, n_retries=0)
STATUSES = [301, 302, 307, 308]


def to(server: FaultServer, status: int = 307) -> Callable[[Request], Action]:
    """A script: everything is redirected to `server`, at the same target."""
    return lambda request: Answer(status, {"Location": f"{server.url}{request.target}"})


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_to_the_same_store_is_followed_once_and_remembered(
    fault_server: StartFaultServer, status: int
) -> None:
    there = fault_server()
    here = fault_server(to(there, status))

    async def main(client: S3Client) -> None:
        summary = await s3_upload_files(client, BUCKET, sources(MANY), ONE_AT_ONCE)
        assert (summary.uploaded, summary.attempts) == (50, 50)
        assert summary.notes == (
            f"{here.url}/{BUCKET} redirects to {there.url}/{BUCKET}: requests go there from now on",
        )
        again = await s3_upload_files(client, BUCKET, sources({"later": b"x"}), ONE_AT_ONCE)
        assert (again.uploaded, again.notes) == (1, ())

    run(here, main)
    assert stored(there) == MANY | {"later": b"x"}
    assert len(here.requests) == 1
    assert all(request.headers["host"] == f"127.0.0.1:{there.port}" for request in there.requests)


def test_it_is_remembered_for_its_bucket_alone(fault_server: StartFaultServer) -> None:
    there = fault_server()
    here = fault_server(lambda request: to(there)(request) if request.bucket == BUCKET else None)

    async def main(client: S3Client) -> None:
        for bucket in (BUCKET, "other", BUCKET):
            assert (await s3_upload_files(client, bucket, sources({"a": b"x"}), ONE_AT_ONCE)).uploaded == 1

    run(here, main)
    assert [request.bucket for request in here.requests] == [BUCKET, "other"]
    assert len(there.requests) == 2


def test_many_that_are_redirected_together_share_one_move(fault_server: StartFaultServer) -> None:
    there = fault_server()
    here = fault_server(to(there))
    summary = upload(here, MANY, settings=config(max_in_flight=8, n_retries=0))
    assert (summary.uploaded, summary.attempts) == (50, 50)
    assert len(here.requests) <= 8


def test_all_requests_of_a_big_object_go_there(fault_server: StartFaultServer, tmp_path: Path) -> None:
    there = fault_server()
    here = fault_server(to(there))
    (tmp_path / "big").write_bytes(bytes(2 * PART_BYTES))
    assert upload(here, [ObjectSource.file(tmp_path / "big", "big")], settings=ONE_AT_ONCE).uploaded == 1
    assert (len(here.requests), len(there.requests)) == (1, 4)


def test_in_the_middle_of_a_run_it_is_followed_as_well(fault_server: StartFaultServer) -> None:
    there = fault_server()
    here = fault_server(lambda request: to(there)(request) if request.number > 20 else None)
    assert upload(here, MANY, settings=ONE_AT_ONCE).uploaded == 50
    assert (len(stored(here)), len(stored(there))) == (20, 30)


def test_an_endpoint_in_the_answer_will_do(fault_server: StartFaultServer) -> None:
    there = fault_server()
    text = f"<Error><Code>TemporaryRedirect</Code><Endpoint>127.0.0.1:{there.port}</Endpoint></Error>"
    here = fault_server(lambda _: Answer(307, {}, text.encode()))
    assert upload(here, MANY, settings=ONE_AT_ONCE).uploaded == 50
    assert (len(here.requests), stored(there)) == (1, MANY)


def test_a_region_that_is_named_counts_more_than_a_place(fault_server: StartFaultServer) -> None:
    there = fault_server()
    headers = {"x-amz-bucket-region": "eu-west-1"}

    def script(request: Request) -> Action | None:
        if "/eu-west-1/s3/" in request.headers["authorization"]:
            return None
        return Answer(301, {**headers, "Location": f"{there.url}{request.target}"})

    here = fault_server(script)
    assert upload(here, MANY, settings=ONE_AT_ONCE).uploaded == 50
    assert there.requests == []


def of_eu(request: Request) -> Action | None:
    """A script: requests are taken that are signed for eu-west-1."""
    if "/eu-west-1/s3/" in request.headers["authorization"]:
        return None
    text = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
    return Answer(400, {}, text.encode())


def test_a_region_that_the_other_place_asks_for_is_that_of_its_requests(
    fault_server: StartFaultServer,
) -> None:
    there = fault_server(of_eu)
    here = fault_server(to(there))
    assert upload(here, MANY, settings=ONE_AT_ONCE).uploaded == 50
    assert (len(here.requests), stored(there)) == (1, MANY)


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_that_names_region_and_place_is_followed_to_both(
    fault_server: StartFaultServer, status: int
) -> None:
    there = fault_server(of_eu)
    text = f"<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1:{there.port}</Endpoint></Error>"
    here = fault_server(lambda _: Answer(status, {"x-amz-bucket-region": "eu-west-1"}, text.encode()))
    assert upload(here, MANY, settings=ONE_AT_ONCE).uploaded == 50
    assert (len(here.requests), stored(there)) == (2, MANY)


def test_with_a_region_from_one_to_the_other_and_back_is_one_step(fault_server: StartFaultServer) -> None:
    here, there = fault_server(), fault_server()
    here.set_script(to(there))
    there.set_script(lambda request: of_eu(request) or to(here)(request))
    with pytest.raises(RunError, match="after another redirect"):
        upload(here, MANY, settings=ONE_AT_ONCE)
    assert (len(here.requests), len(there.requests)) == (1, 2)


# --- elsewhere ------------------------------------------------------------------------------------------

ELSEWHERE = {
    "a portal": ("http://login.example/?next=secret", "http://login.example/?…"),
    "another host": ("http://evil.example/{target}", "http://evil.example//bucket/"),
    "with a password": ("http://user:secret@127.0.0.1/{target}", "http://***@127.0.0.1//bucket/"),
    "a page of the same host": ("{url}/login", "/login"),
    "a path": ("/login", "/login"),
    "nonsense": ("\x01 nowhere", "nowhere"),
}


def elsewhere(name: str, url: str = "") -> Callable[[Request], Action]:
    return lambda request: foreign(302, Location=ELSEWHERE[name][0].format(target=request.target, url=url))


@pytest.mark.parametrize("name", [name for name in ELSEWHERE if name != "nonsense"])
def test_any_other_stops_the_run_with_one_line_that_quotes_it(
    fault_server: StartFaultServer, name: str
) -> None:
    server = fault_server()
    server.set_script(elsewhere(name, server.url))
    with pytest.raises(RunError) as caught:
        upload(server, MANY, settings=ONE_AT_ONCE)
    message = str(caught.value)
    assert caught.value.kind is FailureKind.MOVED
    assert f"the store answered 302; it redirects to '{'' if name == 'a path' else 'http://'}" in message
    assert ELSEWHERE[name][1] in message
    assert "which need not be the same store: if it is, use it as the endpoint URL" in message
    assert "secret" not in message
    assert "\n" not in message
    assert len(server.requests) == 1


def test_https_at_the_same_place_is_one_line_that_says_so(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda request: Answer(308, {"Location": f"https://127.0.0.1{request.target}"}))
    with pytest.raises(RunError, match="use https:// in the endpoint URL"):
        upload(server, MANY, settings=ONE_AT_ONCE)
    assert len(server.requests) == 1


def test_from_one_to_the_other_and_back_is_one_step(fault_server: StartFaultServer) -> None:
    here, there = fault_server(), fault_server()
    here.set_script(to(there))
    there.set_script(to(here))
    with pytest.raises(RunError, match="after another redirect"):
        upload(here, MANY, settings=ONE_AT_ONCE)
    assert (len(here.requests), len(there.requests)) == (1, 1)


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("status", [302, 307])
def test_a_captive_portal_that_redirects_for_a_while_costs_no_object(
    fault_server: StartFaultServer, name: str, status: int
) -> None:
    server = fault_server()
    script = elsewhere(name, server.url)
    server.set_script(lambda request: script(request) if 20 < request.number <= 40 else None)
    assert upload(server, MANY, settings=config(max_in_flight=4, n_retries=40)).uploaded == 50
    assert stored(server) == MANY


def test_a_redirect_that_names_no_place_is_as_before(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: s3_error(301, "PermanentRedirect"))
    with pytest.raises(RunError, match="made for region us-east-1, the store names no other"):
        upload(server, MANY, settings=ONE_AT_ONCE)
