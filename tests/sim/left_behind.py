"""Multipart uploads that the store still holds at the end, though the program could have known of them.

One that is left is excused where the program did all it could:

1. It never knew of it: no answer named its ID.
2. The last abort of it was not answered; or was refused, and the run's time for aborts was up; or none could
   come, since the store or the link was away (`restarts`, `down`) for all of that time.
3. After the last abort that was answered it looked (ListParts), and a part came after that look; or that
   look was not answered.
4. Its parts came back after each of MAX_ABORTS aborts.
5. It is kept for a next run, by a journal.
6. Its process was killed, and it was of a stream, without parts: no journal says that one is asked for.
7. Its process was killed, and a part that it had sent came long after the abort by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from s3_upload.report import UploadReport
from s3_upload.transfer.abort import ABORT_AGAIN_S, ABORT_GRACE_S
from s3_upload.transfer.multipart import MAX_ABORTS
from tests.sim.run import Outcome
from tests.sim.server import Record

SLACK_S = 1.5
"""What a new connection and its request may take."""
GONE = 404


def left_behind(outcome: Outcome) -> Iterator[str]:
    kept = _kept(outcome)
    streams = {spec.key for spec in outcome.world.objects if spec.kind == "stream" and outcome.world.crash}
    for upload_id, upload in outcome.model.uploads.items():
        if upload.key in kept:
            continue
        records = [record for record in outcome.records if record.upload_id == upload_id]
        what = _what_was_left_undone(outcome, records)
        if what and not (upload.key in streams and not _parts_s(records)):
            yield f"{upload.key}: {upload_id} {what}"


def _kept(outcome: Outcome) -> set[str]:
    """Keys of those whose parts the last run has kept for one that does not come."""
    last = outcome.runs[-1]
    if not outcome.world.journal:
        return set()
    if last.summary is None:
        return {spec.key for spec in outcome.world.objects}
    return {report.key for report in last.reports if is_kept(report)}


def is_kept(report: UploadReport) -> bool:
    """Whether what the store has of it is left for the next run."""
    return "kept for the next run" in str(report.error)


def _what_was_left_undone(outcome: Outcome, records: Sequence[Record]) -> str:
    """ "" where nothing was. `records`: all that were about one upload, in the order in which they came."""
    # What names it was sent by the program; else it is the Create, and its answer is what tells.
    known = any(not r.made_upload_id or (r.status == 200 and r.delivered_s) for r in records)
    aborts = [record for record in records if record.request.method == "DELETE"]
    if not aborts:
        return "was left at the store, and never aborted" if known and not _was_away(outcome) else ""
    last = aborts[-1]
    if not last.delivered_s or _time_was_up(outcome, records):
        return ""
    if last.status not in (204, GONE):
        return f"was left at the store: its abort was refused ({last.status}), and not tried again"
    late = outcome.world.crash and all(
        record.request.started_s <= outcome.runs[0].ended_s and record.applied_s > last.applied_s + SLACK_S
        for record in records
        if record.request.part_number and record.applied_s
    )
    return "" if late else _what_was_not_looked_for(records, aborts)


def _parts_s(records: Sequence[Record]) -> list[float]:
    """When its parts came."""
    return [record.applied_s for record in records if record.request.part_number and record.applied_s]


def _was_away(outcome: Outcome) -> bool:
    """Whether the first run that ended before its time did so while no request reached the store."""
    ended_s = outcome.runs[0].ended_s
    return any(
        begins_s <= ended_s - ABORT_GRACE_S and ended_s <= ends_s
        for begins_s, ends_s in (*outcome.world.restarts, *outcome.world.down)
    )


def _what_was_not_looked_for(records: Sequence[Record], aborts: Sequence[Record]) -> str:
    """The same, after its last abort was answered: it is gone, and has parts again."""
    looks = [r for r in records if r.request.method == "GET" and r.request.started_s >= aborts[-1].applied_s]
    if not looks:
        return "has parts again, and nobody looked after its abort"
    look = looks[-1]
    if not look.delivered_s:
        return ""
    if look.status not in (200, GONE):
        return f"has parts again: ListParts was refused ({look.status}), and not tried again"
    if look.applied_s < max(_parts_s(records), default=0.0) or len(aborts) >= MAX_ABORTS:
        return ""
    return "has parts again: they were found after its abort, and left"


def _time_was_up(outcome: Outcome, records: Sequence[Record]) -> bool:
    """Whether its aborts went on until the end of the run, for as long as that allows."""
    asks = [record for record in records if record.request.method in ("DELETE", "GET")]
    run = next((run for run in outcome.runs if asks[-1].request.started_s <= run.ended_s), outcome.runs[-1])
    went_on = run.ended_s - max(record.delivered_s for record in asks) <= ABORT_AGAIN_S + SLACK_S
    return went_on and run.ended_s - asks[0].request.started_s >= ABORT_GRACE_S - SLACK_S
