"""A connection that is lost in the very moment in which the watchdog looks at it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from s3_upload.api import real_runtime, run_upload
from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.control.retrying.retry import Retry
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.http1.connection import Connection
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.given import Controls
from s3_upload.transfer.watchdog import Watchdog
from tests.faults.actions import Delay, Reset, Rule, Stall
from tests.faults.uploads import BUCKET, PART_BYTES, config, run

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from s3_upload.report import AttemptReport
    from tests.conftest import StartFaultServer

SETTINGS = config(n_retries=0)


class Short:
    """A second for an answer."""

    est_MBps = 1.0

    def timeouts(self, *, operation: str, body_bytes: int, retries: int) -> Timeouts:
        return Timeouts(connect_s=30.0, total_s=300.0, stall_s=30.0, response_s=1.0)

    def observe(self, report: AttemptReport) -> None:
        """Learns nothing."""


class Known(Watchdog):
    """One that a test can have look now."""

    made: ClassVar[list[Known]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        Known.made[:] = [self]

    def look_now(self) -> None:
        """As if its timer were due."""
        if self._timer is None:  # nothing is in flight
            return
        self._timer.cancel()
        for attempt in self._in_flight:
            attempt.due_s = 0.0
        self._judge_all()


@pytest.mark.parametrize("moment", ["as it is told", "before its task's turn"])
def test_a_connection_lost_while_the_watchdog_looks_leaves_the_others_watched(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """No request begins that would arm its timer again: the other part ends only if it still is armed.

    Between `connection_lost` and the task's turn uvloop has closed the socket.
    """
    lost = Connection.connection_lost

    def connection_lost(connection: Connection, error: Exception | None) -> None:
        if moment == "as it is told":
            Known.made[0].look_now()
        else:
            asyncio.get_running_loop().call_soon(Known.made[0].look_now)
        lost(connection, error)

    monkeypatch.setattr("s3_upload.transfer.sending.Watchdog", Known)
    monkeypatch.setattr(Connection, "connection_lost", connection_lost)
    path = tmp_path / "two parts"
    path.write_bytes(bytes(2 * PART_BYTES))
    server = fault_server(
        [
            Rule(Delay(0.2, Reset()), query={"partNumber": None}, nth=1),
            Rule(Stall(), query={"partNumber": None}, nth=1),  # counts those that are left
        ]
    )

    async def main(client: S3Client) -> list[str]:
        summary = await run_upload(
            client,
            BUCKET,
            [ObjectSource.file(path, "two parts")],
            config=SETTINGS,
            controls=Controls(Short(), Retry(0), FixedWindow(2)),
            runtime=real_runtime(SETTINGS),
        )
        [report] = summary.failed
        parts = [attempt for attempt in report.attempt_reports if attempt.part_number]
        return sorted(attempt.timer or attempt.outcome for attempt in parts)

    # What was lost on a used connection may have gone again, free, before the others ended.
    assert [outcome for outcome in run(server, main) if outcome != "success"] == ["reset", "response"]
    assert server.model.uploads == {}
