"""The machine sleeps for an hour in mid-run: the clock jumps, connections are gone, keys have expired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.s3.credentials import Credentials
from tests.faults.actions import Reset, s3_error
from tests.faults.uploads import BUCKET, config, run, sources, stored

if TYPE_CHECKING:
    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.actions import Action, Request

FILES = {f"{n:02}": f"body {n}".encode() for n in range(60)}
AWAKE_S, ASLEEP_S = 1_700_000_000.0, 3_600.0


class _Machine:
    """One that sleeps when the server gets its 20th request. Its keys are good for half an hour."""

    def __init__(self) -> None:
        self.now_s = AWAKE_S
        self.renewed = 0
        self._credentials: Credentials | None = None

    def clock(self) -> float:
        return self.now_s

    def current(self) -> Credentials | None:
        return self._credentials

    async def refresh(self, rejected: Credentials | None = None) -> Credentials:
        if self._credentials is None or self._credentials == rejected:
            self.renewed += 1
            self._credentials = Credentials(f"key{self.renewed}", "secret", f"token-{self.renewed}")
        return self._credentials


class _Client(S3Client):
    """Whose clock and keys are the machine's."""

    def __init__(self, url: str, machine: _Machine) -> None:
        super().__init__(endpoint_url=url, region="us-east-1", utc_clock=machine.clock)
        self._provider = machine


def test_after_an_hour_asleep_everything_goes_on(fault_server: StartFaultServer) -> None:
    machine = _Machine()

    def script(request: Request) -> Action | None:
        if request.number == 20:
            machine.now_s += ASLEEP_S
        if 20 <= request.number < 24:  # what was under way
            return Reset()
        asleep = machine.now_s > AWAKE_S
        if asleep and "key1/" in request.headers.get("authorization", ""):
            return s3_error(400, "ExpiredToken", "The provided token has expired.")
        return None

    server = fault_server(script)

    async def main(_: S3Client) -> UploadSummary:
        async with _Client(server.url, machine) as client:
            return await s3_upload_files(client, BUCKET, sources(FILES), config(max_in_flight=4))

    summary = run(server, main)
    assert (summary.uploaded, summary.failed) == (60, ())
    assert stored(server) == FILES
    dates = [request.headers["x-amz-date"] for request in server.requests]
    assert dates[0] == "20231114T221320Z"
    assert dates[-1] == "20231114T231320Z", "signed with the time after the sleep"
    assert machine.renewed == 2
