"""What the controllers' tests feed them with."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from s3_upload.errors import FailureKind
from s3_upload.report import SUCCESS, SUPERSEDED, AttemptReport
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, PUT_OBJECT, UPLOAD_PART

TIMEOUT = FailureKind.TIMEOUT
THROTTLE = FailureKind.THROTTLE
RESET = FailureKind.RESET


def attempt(
    *, started_s: float = 1.0, ended_s: float = 2.0, outcome: str = SUCCESS, **rest: Any
) -> AttemptReport:
    """A PutObject of nothing that succeeds in a second, unless told otherwise."""
    defaults: dict[str, Any] = {"operation": PUT_OBJECT, "timeout_s": 300.0, "body_bytes": 0}
    return AttemptReport(started_s=started_s, ended_s=ended_s, outcome=outcome, **(defaults | rest))


@st.composite
def any_attempt(draw: st.DrawFn) -> AttemptReport:
    """Any attempt with times in their order, of any size, outcome and timer."""
    times = [1.0]
    for _ in range(5):
        times.append(times[-1] + draw(st.floats(0.0, 100.0)))
    started_s, request_s, sent_s, acked_s, first_byte_s, ended_s = times
    outcome = draw(st.sampled_from([SUCCESS, SUPERSEDED, *(kind.value for kind in FailureKind)]))
    return attempt(
        operation=draw(st.sampled_from([PUT_OBJECT, UPLOAD_PART, COMPLETE_MULTIPART_UPLOAD])),
        started_s=started_s,
        ended_s=ended_s,
        outcome=outcome,
        body_bytes=draw(st.integers(0, 1 << 30)),
        connect_s=request_s - started_s,
        request_s=request_s,
        sent_s=sent_s,
        acked_s=draw(st.sampled_from([0.0, acked_s])),
        first_byte_s=first_byte_s,
        timer=draw(st.sampled_from(["connect", "stall", "response", "total"])) if outcome == TIMEOUT else "",
        hedge=draw(st.booleans()),
        hedged=draw(st.booleans()),
    )
