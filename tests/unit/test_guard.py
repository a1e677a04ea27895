"""What a callback of the loop raises ends the run, and is not printed and forgotten."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from s3_upload.control.retrying.retry import Retry, Verdict
from s3_upload.errors import FailureKind
from s3_upload.http1.exchange import Exchange
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.s3.responses import Failure
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.attempt import Outcome
from s3_upload.transfer.failures import Failures
from s3_upload.transfer.guard import guarded
from s3_upload.transfer.rate_line import RateLine
from s3_upload.transfer.unit import Unit, Upload
from tests.sim.loop import SimLoop
from tests.unit.control.reports import attempt


def test_what_is_raised_goes_to_fail_and_an_interrupt_does_not() -> None:
    errors: list[BaseException] = []

    def broken() -> None:
        raise RuntimeError("a bug")

    def interrupted() -> None:
        raise KeyboardInterrupt

    guarded(errors.append, broken)()
    assert [str(error) for error in errors] == ["a bug"]
    with pytest.raises(KeyboardInterrupt):
        guarded(errors.append, interrupted)()


class Sink:
    """A scheduler that cannot try anything again."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def now(self) -> float:
        return 0.0

    def resume(self, unit: Unit) -> None:
        raise RuntimeError("no slot")

    def reread(self, unit: Unit) -> None:
        raise RuntimeError("no thread")

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)


@pytest.mark.parametrize(
    ("kind", "text"), [(FailureKind.RESET, "no slot"), (FailureKind.DIGEST, "no thread")], ids=str
)
def test_a_retry_that_cannot_begin_ends_the_run(kind: FailureKind, text: str) -> None:
    loop, sink = SimLoop(600.0), Sink()
    rate = RateLine(None, sink.now, loop, lambda unit: None, sink.fail)
    failures = Failures(cast("Any", None), Retry(3), random.Random(1), loop, cast("Any", sink), rate)
    upload = Upload(0, ObjectSource.data(b"", "key"), 0, started_s=0.0, est_MBps=1.0)
    unit = Unit(upload, Operation(name=PUT_OBJECT, bucket="bucket", key="key"))
    outcome = Outcome(attempt(), None, Failure(kind=kind, message="broken"), Exchange(sink.now, 1.0))
    verdict = failures.settle(unit, outcome, any_answer=True)
    assert verdict in (Verdict.RETRY, Verdict.REREAD)
    loop.call_later(60.0, loop.stop)
    loop.run_forever()
    loop.close()
    assert [str(error) for error in sink.errors] == [text]
    assert loop.complaints == []
