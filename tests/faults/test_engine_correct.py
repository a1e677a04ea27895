"""Wrong region, wrong clock, expired token: put right once, for all, and at no cost; or the run stops.

The scripts here look at what a request says it was signed with; whether signatures are right is
checked elsewhere.
"""

from __future__ import annotations

import asyncio
import calendar
import re
import socket
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.errors import AttemptError, FailureKind, RunError
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.s3.responses import Failure
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Answer, Delay, Request, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, config, run, sources, stored, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import StartFaultServer

MANY = {str(n): b"%d" % n for n in range(100)}
HOME = "eu-west-1"
ONE_AT_ONCE = config(max_in_flight=1, n_retries=0)


def region_of(request: Request) -> str:
    found = re.search(r"Credential=[^/]+/\d+/([^/]+)/s3/", request.headers["authorization"])
    assert found is not None
    return found[1]


def signed_s(request: Request) -> float:
    return float(calendar.timegm(time.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")))


# --- region -----------------------------------------------------------------------------------------

IN_BODY = (
    f"<Error><Code>AuthorizationHeaderMalformed</Code><Message>M</Message><Region>{HOME}</Region></Error>"
)
IN_HEADER = {"x-amz-bucket-region": HOME}
REGION_ANSWERS = {
    "301": s3_error(301, "PermanentRedirect", headers=IN_HEADER),
    "301 bare": Answer(301, IN_HEADER),
    "302": Answer(302, IN_HEADER),
    "307": s3_error(307, "TemporaryRedirect", headers=IN_HEADER),
    "400": Answer(400, body=IN_BODY.encode()),
    "IllegalLocationConstraint": s3_error(400, "IllegalLocationConstraintException", headers=IN_HEADER),
}


def at_home(answer: Answer) -> Callable[[Request], Action | None]:
    return lambda request: None if region_of(request) == HOME else answer


@pytest.mark.parametrize("name", REGION_ANSWERS)
def test_a_wrong_region_is_put_right_once_and_remembered(fault_server: StartFaultServer, name: str) -> None:
    server = fault_server(at_home(REGION_ANSWERS[name]))
    reports = Reports()

    async def main(client: S3Client) -> None:
        summary = await s3_upload_files(client, BUCKET, sources(MANY), ONE_AT_ONCE, reports)
        assert (summary.uploaded, summary.attempts) == (100, 100)
        await s3_upload_files(client, BUCKET, sources({"later": b"x"}), ONE_AT_ONCE)

    run(server, main)
    assert stored(server) == MANY | {"later": b"x"}
    assert [region_of(request) for request in server.requests] == ["us-east-1"] + [HOME] * 101
    # Bodies are hashed in threads, so any of them may be the first to go.
    [report] = [report for report in reports if len(report.attempt_reports) > 1]
    assert (report.outcome, report.attempts) == ("success", 1)
    assert [(a.outcome, a.retries) for a in report.attempt_reports] == [("region", 0), ("success", 0)]


def test_a_region_is_remembered_for_its_bucket_alone(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda r: at_home(REGION_ANSWERS["400"])(r) if r.bucket == BUCKET else None)

    async def main(client: S3Client) -> None:
        for bucket in (BUCKET, "other", BUCKET):
            await s3_upload_files(client, bucket, sources({"a": b"x"}), ONE_AT_ONCE)

    run(server, main)
    assert [(r.bucket, region_of(r)) for r in server.requests] == [
        (BUCKET, "us-east-1"), (BUCKET, HOME), ("other", "us-east-1"), (BUCKET, HOME),
    ]  # fmt: skip


def test_all_parts_of_a_file_that_began_in_the_wrong_region(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server(at_home(REGION_ANSWERS["301"]))
    big = tmp_path / "big"
    big.write_bytes(bytes(2 * PART_BYTES + 1))
    assert upload(server, [ObjectSource.file(big, "big")]).uploaded == 1
    assert stored(server) == {"big": big.read_bytes()}
    assert [request.status for request in server.requests] == [301] + [200] * 5


@pytest.mark.parametrize(
    ("answer", "requests", "words"),
    [
        (s3_error(301, "PermanentRedirect"), 1, "made for region us-east-1, the store names no other"),
        (
            s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "us-east-1"}),
            1,
            "made for region us-east-1, the store asks for us-east-1",
        ),
        (
            s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": HOME}),
            2,
            f"made for region {HOME}, the store asks for {HOME}",
        ),
        (
            s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "a/../b"}),
            1,
            "made for region us-east-1, the store names no other",
        ),
    ],
    ids=["none", "same", "still", "hostile"],
)
def test_a_region_that_cannot_be_put_right_stops_the_run(
    fault_server: StartFaultServer, answer: Answer, requests: int, words: str
) -> None:
    server = fault_server({"*": answer})
    with pytest.raises(RunError, match=words) as caught:
        upload(server, MANY, settings=ONE_AT_ONCE)
    assert caught.value.kind is FailureKind.REGION
    assert "the store answered 301 PermanentRedirect" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == requests


# --- clock ------------------------------------------------------------------------------------------

CLOCK_ANSWERS = {
    "RequestTimeTooSkewed": s3_error(403, "RequestTimeTooSkewed"),
    "RequestExpired": s3_error(403, "RequestExpired"),
    "SignatureDoesNotMatch": s3_error(403, "SignatureDoesNotMatch"),
}


@pytest.mark.parametrize("name", CLOCK_ANSWERS)
@pytest.mark.parametrize("error_s", [-86_400.0, 1_000.0])
@pytest.mark.parametrize("at_once", [1, 8])
def test_a_wrong_clock_is_put_right_once_for_all(
    fault_server: StartFaultServer, name: str, error_s: float, at_once: int
) -> None:
    answer = CLOCK_ANSWERS[name]

    def on_time(request: Request) -> Action | None:
        return None if abs(signed_s(request) - time.time()) < 300.0 else answer

    server = fault_server(on_time)
    settings = config(max_in_flight=at_once, n_retries=0)

    async def main(client: S3Client) -> None:
        for bucket in (BUCKET, "other"):
            summary = await s3_upload_files(client, bucket, sources(MANY), settings)
            assert (summary.uploaded, summary.attempts) == (100, 100)

    run(server, main, utc_clock=lambda: time.time() + error_s)
    assert stored(server) == MANY
    late = [request for request in server.requests if request.status == 403]
    assert 1 <= len(late) <= at_once
    assert {request.bucket for request in late} == {BUCKET}, "it was forgotten for the next bucket"


@pytest.mark.parametrize(
    ("date", "requests", "words"),
    [
        (formatdate(1_800_003_600.0, usegmt=True), 2, "clock is 3600 s behind the store's"),
        (formatdate(1_799_990_000.0, usegmt=True), 2, "clock is 10000 s ahead of the store's"),
        ("tomorrow", 1, "the store answered 403 RequestTimeTooSkewed"),
    ],
)
def test_a_clock_that_cannot_be_put_right_stops_the_run(
    fault_server: StartFaultServer, date: str, requests: int, words: str
) -> None:
    server = fault_server({"*": s3_error(403, "RequestTimeTooSkewed", headers={"Date": date})})
    with pytest.raises(RunError, match=words) as caught:
        upload(server, MANY, settings=ONE_AT_ONCE, tls={"utc_clock": lambda: 1_800_000_000.0})
    assert caught.value.kind is FailureKind.CLOCK
    assert len(server.requests) == requests


@pytest.mark.parametrize(("error_s", "requests"), [(299, 1), (300, 2), (-299, 1), (-300, 2)])
def test_a_wrong_signature_is_the_clocks_from_300_s_on(
    fault_server: StartFaultServer, error_s: int, requests: int
) -> None:
    date = formatdate(1_800_000_000.0 + error_s, usegmt=True)
    server = fault_server({"*": s3_error(403, "SignatureDoesNotMatch", headers={"Date": date})})
    with pytest.raises(RunError, match="403 SignatureDoesNotMatch") as caught:
        upload(server, MANY, settings=ONE_AT_ONCE, tls={"utc_clock": lambda: 1_800_000_000.0})
    assert caught.value.kind is FailureKind.CREDENTIALS
    assert len(server.requests) == requests


# --- token ------------------------------------------------------------------------------------------

OLD, NEW = Credentials("OLD", "s", "old-token"), Credentials("NEW", "s", "new-token")


class Renewing:
    """A `CredentialProvider` that counts; the first refresh ends when so many have `wanted` one."""

    def __init__(self, wanted: int = 1) -> None:
        self.credentials = OLD
        self.wanted = wanted
        self.asked = self.refreshes = 0
        self._enough = asyncio.Event()
        self._lock = asyncio.Lock()

    def current(self) -> Credentials | None:
        return self.credentials

    async def refresh(self, rejected: Credentials | None = None) -> Credentials:
        self.asked += 1
        if self.asked >= self.wanted:
            self._enough.set()
        async with self._lock:
            if rejected == self.credentials:
                self.refreshes += 1
                await self._enough.wait()
                self.credentials = NEW
            return self.credentials


class Provided(S3Client):
    def __init__(self, url: str, provider: Any) -> None:
        super().__init__(endpoint_url=url, region="us-east-1", credentials=OLD)
        self._provider = provider


def with_token(
    code: str, token: str | None = NEW.session_token, status: int = 400
) -> Callable[[Request], Action | None]:
    expired = s3_error(status, code)
    return lambda request: None if request.headers["x-amz-security-token"] == token else expired


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"])
def test_a_hundred_requests_with_an_expired_token_share_one_refresh(
    fault_server: StartFaultServer, code: str
) -> None:
    server = fault_server(with_token(code))
    reports = Reports()

    async def main(client: S3Client) -> None:
        provider = Renewing(wanted=100)
        files = sources({f"{n}": b"x" for n in range(300)})
        async with Provided(client.endpoint, provider) as renewing:
            settings = config(max_in_flight=100, n_retries=0)
            summary = await s3_upload_files(renewing, BUCKET, files, settings, reports)
        assert (summary.uploaded, summary.attempts) == (300, 300)
        assert (provider.refreshes, provider.asked) == (1, 100)

    run(server, main)
    assert len(server.requests) == 400, "more than those in flight were sent with the old token"
    outcomes = [[attempt.outcome for attempt in report.attempt_reports] for report in reports]
    assert sorted(outcomes) == [["expired-token", "success"]] * 100 + [["success"]] * 200


def test_an_answer_that_comes_after_the_refresh_asks_for_no_second_one(
    fault_server: StartFaultServer,
) -> None:
    script = with_token("ExpiredToken")
    slow = Delay(0.2, s3_error(400, "ExpiredToken"))

    def second_is_slow(request: Request) -> Action | None:
        return slow if request.key == "slow" and request.attempt == 1 else script(request)

    server = fault_server(second_is_slow)

    async def main(client: S3Client) -> None:
        provider = Renewing()
        async with Provided(client.endpoint, provider) as renewing:
            summary = await s3_upload_files(
                renewing, BUCKET, sources({"slow": b"x", "quick": b"y"}), config(max_in_flight=2, n_retries=0)
            )
        assert summary.uploaded == 2
        assert provider.refreshes == 1

    run(server, main)
    assert len(server.requests) == 4


def test_a_token_that_is_still_expired_stops_the_run(fault_server: StartFaultServer) -> None:
    server = fault_server(with_token("ExpiredToken", "no such token"))

    async def main(client: S3Client) -> None:
        provider = Renewing()
        async with Provided(client.endpoint, provider) as renewing:
            with pytest.raises(RunError, match="the store answered 400 ExpiredToken") as caught:
                await s3_upload_files(renewing, BUCKET, sources(MANY), ONE_AT_ONCE)
        assert caught.value.kind is FailureKind.EXPIRED_TOKEN

    run(server, main)
    assert len(server.requests) == 2


@pytest.mark.parametrize("at_once", [1, 50])
def test_fixed_credentials_that_expire_stop_the_run(fault_server: StartFaultServer, at_once: int) -> None:
    server = fault_server({"*": s3_error(400, "ExpiredToken")})
    with pytest.raises(RunError, match=r"the credentials key have expired; .* start again") as caught:
        upload(server, MANY, settings=config(max_in_flight=at_once))
    assert caught.value.kind is FailureKind.CREDENTIALS
    assert len(server.requests) <= at_once


# --- together ---------------------------------------------------------------------------------------


def test_region_clock_and_token_one_after_the_other(fault_server: StartFaultServer) -> None:
    def picky(request: Request) -> Action | None:
        if abs(signed_s(request) - time.time()) >= 900.0:
            return CLOCK_ANSWERS["RequestTimeTooSkewed"]
        return at_home(REGION_ANSWERS["400"])(request) or with_token("ExpiredToken")(request)

    server = fault_server(picky)

    async def main(client: S3Client) -> None:
        provider = Renewing()
        async with Provided(client.endpoint, provider) as renewing:
            renewing._utc_clock = lambda: time.time() - 5_000.0
            summary = await s3_upload_files(renewing, BUCKET, sources(MANY), ONE_AT_ONCE)
        assert (summary.uploaded, summary.attempts) == (100, 100)

    run(server, main)
    assert [request.status for request in server.requests] == [403, 400, 400] + [200] * 100


def test_what_was_put_right_since_a_request_began_is_not_touched_again(
    fault_server: StartFaultServer,
) -> None:
    async def main(client: S3Client) -> None:
        put = Operation(name=PUT_OBJECT, bucket=BUCKET, key="k")
        no_date = Failure(kind=FailureKind.CLOCK, status=403)
        late = Failure(kind=FailureKind.CLOCK, status=403, date_s=time.time() + 1_000.0)
        early, second = (Trace(SendOptions(10.0), asyncio.get_running_loop().time) for _ in range(2))
        await client.send(put, early)
        assert [await client.correct(put, failure, early) for failure in (no_date, late, no_date)] == [
            False, True, True,
        ]  # fmt: skip
        await client.send(put, second)
        assert not await client.correct(put, no_date, second)

    run(fault_server(), main)


def test_on_aws_the_requests_go_to_the_regions_own_host() -> None:
    """AWS is not here to be asked: what matters is the host that would be."""
    put = Operation(name=PUT_OBJECT, bucket=BUCKET, key="k")
    asked = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def nobody(host: str, _port: int) -> list[str]:
            asked.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "no network here")

        async with S3Client(region="us-east-1", credentials=OLD, look_up=nobody) as client:

            async def send() -> Trace:
                trace = Trace(SendOptions(10.0), loop.time)
                with pytest.raises(AttemptError):
                    await client.send(put, trace)
                return trace

            first = await send()
            for region, possible in (("evil.example", False), ("us-east-1", False), (HOME, True), ("", True)):
                failure = Failure(kind=FailureKind.REGION, status=301, region=region)
                assert await client.correct(put, failure, first) is possible
            await send()

    asyncio.run(main())
    assert asked == [f"{BUCKET}.s3.us-east-1.amazonaws.com", f"{BUCKET}.s3.{HOME}.amazonaws.com"]
