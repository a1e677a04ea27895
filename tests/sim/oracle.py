"""What must hold in any world.

Safety: an object that was acknowledged is in the bucket, whole and of one version; what is there
unacknowledged is whole as well; no success that was received is reported as a failure; reports add
up.  Liveness: the run ends in bounded virtual time (`loop.Stuck` otherwise), a failure comes after
all the tries it was due, and nothing is left running.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from s3_upload.errors import FailureKind, Fate, RunError
from s3_upload.report import SKIPPED, SUCCESS, UploadReport
from s3_upload.s3.operations import HEAD_OBJECT
from tests.sim.left_behind import is_kept, left_behind
from tests.sim.run import BUCKET, Outcome, Run
from tests.sim.server import Record
from tests.sim.world import ObjectSpec

NOT_TRIED = {FailureKind.SOURCE, FailureKind.SOURCE_CHANGED}
EXISTS_STATUS = 412
WRITTEN_S = 1.0
"""By then what a process has heard is in its journal, and what it had sent before it was killed has come."""
SPOILED = {FailureKind.INVALID_PART, FailureKind.NO_SUCH_UPLOAD}
"""What a store says that takes no part twice."""


def violations(outcome: Outcome) -> list[str]:
    """Everything that is wrong with what happened; empty if nothing is."""
    found = [f"stuck: {outcome.stuck}"] if outcome.stuck else []
    found += [f"nobody saw: {text}" for text in outcome.complaints]
    for run in outcome.runs:
        found += [f"left running: {leak}" for leak in run.leaks]
        found += _reports(outcome, run)
        found += _acknowledged(outcome, run)
        found += _sums(outcome, run)
        if run.error is not None and not _is_due(outcome, run):
            found.append(f"the run failed: {run.error!r}")
    found += _bucket(outcome)
    found += left_behind(outcome)
    found += _sent_twice(outcome)
    return found


def ambiguous(outcome: Outcome) -> list[str]:
    """Keys reported as failed whose object is there all the same.

    No violation where no answer said so, not even one to HeadObject: see `_unsettled`.
    """
    names = {f"{BUCKET}/{key}" for run in outcome.runs[-1:] for key in _failed_keys(run)}
    made = {name for name, stored in outcome.model.objects.items() if stored is not outcome.before.get(name)}
    return sorted(names & made)


def orphans(outcome: Outcome) -> list[str]:
    """Multipart uploads that the store still holds at the end."""
    return sorted(outcome.model.uploads)


def _is_due(outcome: Outcome, run: Run) -> bool:
    """Whether the run had to end by its error: the store was not to be found or reached before it had
    answered anything."""
    error, world = run.error, outcome.world
    first_s = 0.0 if run is outcome.runs[0] else outcome.runs[0].ended_s
    if any(first_s < record.delivered_s <= run.ended_s for record in outcome.records):
        return False
    away = {FailureKind.HOST_UNKNOWN: world.resolver_fails, FailureKind.CONNECT: world.restarts}
    spans = away.get(error.kind, ()) if isinstance(error, RunError) else ()
    return any(begins_s < run.ended_s and ends_s > first_s for begins_s, ends_s in spans)


def _failed_keys(run: Run) -> set[str]:
    return {r.key for r in run.reports if r.outcome not in (SUCCESS, SKIPPED)}


# --- safety ------------------------------------------------------------------------------------------


def _bucket(outcome: Outcome) -> Iterator[str]:
    specs = {f"{BUCKET}/{spec.key}": spec for spec in outcome.world.objects}
    for name, stored in outcome.model.objects.items():
        spec = specs.get(name)
        if spec is None:
            yield f"{name}: nobody asked for this object"
        elif stored is outcome.before.get(name):
            continue  # it was acknowledged by nobody, or `_acknowledged` says so
        elif not any(stored.body == bytes(body) for body in spec.bodies()):  # a view compares byte by byte
            yield f"{name}: the object is wrong or a mix ({stored.size} bytes instead of {spec.size})"
    for run in outcome.runs:
        for report in run.reports:
            if report.succeeded and f"{BUCKET}/{report.key}" not in outcome.model.objects:
                yield f"{report.key}: acknowledged, and not in the bucket"


def _sent_twice(outcome: Outcome) -> Iterator[str]:
    """Parts that were known to be stored before a process was killed, of files that have not changed.

    Unless the whole was complete by then: the journal looks for real files, and finds none of these.
    """
    world, killed_s = outcome.world, outcome.runs[0].ended_s
    if not world.crash or world.store.parts_once or len(outcome.runs) < 2:
        return
    files = {spec.key for spec in world.objects if spec.kind == "file" and not spec.changes_s}
    parts = [r for r in outcome.records if r.request.part_number and r.request.key in files]
    known = {
        (r.request.key, r.request.part_number): r.request.query["uploadId"]
        for r in parts
        if r.status == 200 and 0.0 < r.delivered_s < killed_s - WRITTEN_S
    }
    over = {
        r.request.query.get("uploadId", "")
        for r in outcome.records
        if r.request.method == "DELETE" or (r.makes_the_object and 0.0 < r.delivered_s <= killed_s)
    }
    for record in parts:
        request = record.request
        upload_id = known.get((request.key, request.part_number))
        if request.started_s > killed_s + WRITTEN_S and upload_id and upload_id not in over:
            yield f"{request.key}: part {request.part_number} was known to be stored, and sent again"


def _reports(outcome: Outcome, run: Run) -> Iterator[str]:
    specs = outcome.world.objects
    for report in run.reports:
        if not 0 <= report.seq < len(specs) or specs[report.seq].key != report.key:
            yield f"{report.key}: report {report.seq} is of another object"
            continue
        spec = specs[report.seq]
        yield from (f"{report.key}: {what}" for what in _report(outcome, run, report, spec))
        for attempt in report.attempt_reports:
            times = [attempt.started_s, attempt.request_s, attempt.sent_s, attempt.first_byte_s]
            known = [t for t in times if t] + [attempt.ended_s]
            if known != sorted(known) and attempt.outcome == SUCCESS:
                yield f"{report.key}: times go backwards: {times} {attempt.ended_s}"


def _acknowledged(outcome: Outcome, run: Run) -> Iterator[str]:
    """What is told as a success was made by then, in the form that the report names, and not only later.

    Or it was there all the time, with the same bytes, and an earlier run was killed that may have made it.
    """
    made: dict[str, list[Record]] = {}
    for record in outcome.records:
        if record.stored:
            made.setdefault(record.request.key, []).append(record)
    for report, told_s in zip(run.reports, run.told_s, strict=True):
        etags = {r.etag for r in made.get(report.key, ()) if 0.0 < r.applied_s <= told_s}
        before = outcome.before.get(f"{BUCKET}/{report.key}")
        if run is not outcome.runs[0] and before is not None:
            etags.add(before.etag)
        if report.succeeded and report.etag.strip('"') not in etags:
            yield f"{report.key}: acknowledged at {told_s:.3f} s, before the store had it"


def _report(outcome: Outcome, run: Run, report: UploadReport, spec: ObjectSpec) -> Iterator[str]:
    if report.outcome == SUCCESS:
        stored = outcome.model.objects.get(f"{BUCKET}/{report.key}")
        if spec.kind in ("problem", "skip", "unreadable") or spec.fails:
            yield "uploaded, though it could not be read"
        if report.bytes != spec.size:
            yield f"reported as {report.bytes} bytes instead of {spec.size}"
        if stored is not None and report.etag.strip('"') != stored.etag and not spec.changes_s:
            yield f"reported ETag {report.etag}, the object has {stored.etag}"
    elif report.outcome == SKIPPED:
        if spec.kind != "skip":
            yield f"skipped: {report.reason}"
    else:
        yield from _failure(outcome, run, report, spec)


def _failure(outcome: Outcome, run: Run, report: UploadReport, spec: ObjectSpec) -> Iterator[str]:
    error = report.error
    if error is None:
        yield "failed without an error"
        return
    unreadable = spec.kind in ("problem", "unreadable") or spec.fails
    if error.kind in NOT_TRIED:
        if not (unreadable or spec.changes_s):
            yield f"failed for its source, which is sound: {error}"
        return
    if error.kind is FailureKind.EXISTS and outcome.world.only_new:
        yield from _said_to_exist(outcome, run, report)
        yield from _unsettled(outcome, run, report, spec)
        return
    if outcome.world.only_new and _last_answer(outcome, run, report.key) == EXISTS_STATUS:
        yield f"failed, and not for what the store said, that it exists: {error}"
    if error.kind.fate not in (Fate.RETRY, Fate.THROTTLE):
        if not _spoiled(outcome, run, report, spec):
            yield f"given up for good: {error}"
    # What only asks, and for an answer that is needed, counts as no attempt of the object's.
    elif max(report.attempts, is_kept(report) and len(report.attempt_reports)) < _tries(outcome):
        yield f"given up after {report.attempts} attempts: {error}"
    elif outcome.world.calm and outcome.world.store.prefix_rate_per_s > 1e9:
        yield f"failed although nothing was wrong: {error}"
    if any(record.status == 200 for record in _answered(outcome, run, report.key)):
        yield "failed, though the answer that it is there was received"
    yield from _unsettled(outcome, run, report, spec)


def _said_to_exist(outcome: Outcome, run: Run, report: UploadReport) -> Iterator[str]:
    """It was there before, or is there by a try of ours of which nothing was heard."""
    ours = (r for r in outcome.records if r.stored and r.request.key == report.key)
    if f"{BUCKET}/{report.key}" not in outcome.before and all(r.applied_s > run.ended_s for r in ours):
        yield "failed as one that exists, which it does not"


def _tries(outcome: Outcome) -> int:
    return outcome.world.config.n_retries + 1


def _spoiled(outcome: Outcome, run: Run, report: UploadReport, spec: ObjectSpec) -> bool:
    """Whether a store that takes no part twice had one twice, also after the object was begun again."""
    if not outcome.world.store.parts_once or report.error is None or report.error.kind not in SPOILED:
        return False
    first_s = 0.0 if run is outcome.runs[0] else outcome.runs[0].ended_s
    came = Counter(
        (record.request.query["uploadId"], record.request.part_number)
        for record in outcome.records
        if record.request.key == report.key and record.request.part_number and record.applied_s >= first_s
    )
    spoiled = {upload_id for (upload_id, _), times in came.items() if times > 1}
    return len(spoiled) >= (1 if spec.kind == "stream" else 2)


def _unsettled(outcome: Outcome, run: Run, report: UploadReport, spec: ObjectSpec) -> Iterator[str]:
    """Whether it was there by our own doing, and HeadObject was not asked or its answer not believed."""
    first_s = 0.0 if run is outcome.runs[0] else outcome.runs[0].ended_s
    of_it = [
        record
        for record in outcome.records
        if record.request.key == report.key and first_s <= record.request.started_s <= run.ended_s
    ]
    heads = _asked(report, [record for record in of_it if record.request.method == "HEAD"], first_s)
    others = [record for record in of_it if record.request.method != "HEAD"]
    if run is not outcome.runs[0]:
        # What the killed one had sent may arrive after its end, before anything of this one does.
        made = [a for a in report.attempt_reports if a.request_s > 0.0 and a.operation != HEAD_OBJECT]
        others = others[max(0, len(others) - len(made)) :]
    doings = [record.applied_s for record in others if record.stored and record.applied_s <= run.ended_s]
    if not doings or spec.changes_s:
        return
    if not any(attempt.operation == HEAD_OBJECT for attempt in report.attempt_reports):
        yield "failed, and is there: HeadObject was never asked"
    told = (head for head in heads if head.delivered_s and head.status in (200, 404))
    if any(head.request.started_s > min(doings) for head in told):
        yield "failed, though it is there and HeadObject could tell"


def _asked(report: UploadReport, heads: list[Record], first_s: float) -> list[Record]:
    """Those that asked about this object. Others, which may come in the same moment, ask whether the store is
    there: of several the one that was answered as the attempt says is its own."""
    found = []
    for ask in report.attempt_reports:
        if ask.operation == HEAD_OBJECT and ask.request_s > 0.0:
            after = [head for head in heads if head.request.started_s >= first_s + ask.request_s]
            in_time = [head for head in after if head.request.started_s <= first_s + ask.ended_s]
            found += [head for head in in_time if head.status == ask.status][:1] or after[:1]
    return found


def _answered(outcome: Outcome, run: Run, key: str) -> list[Record]:
    """The whole PUTs and Completes whose answers reached the program during this run, as they came."""
    first_s = 0.0 if run is outcome.runs[0] else outcome.runs[0].ended_s
    found = [
        record
        for record in outcome.records
        if record.request.key == key
        and record.makes_the_object
        and first_s <= record.request.started_s
        and 0.0 < record.delivered_s <= run.ended_s
    ]
    return sorted(found, key=lambda record: record.delivered_s)


def _last_answer(outcome: Outcome, run: Run, key: str) -> int:
    """The status of the last of these; 0 for none."""
    return next((record.status for record in reversed(_answered(outcome, run, key))), 0)


def _sums(outcome: Outcome, run: Run) -> Iterator[str]:
    """Also those that come with the exception of a run that was stopped; these need not have all sources."""
    summary, reports = run.summary or run.partial, run.reports
    if summary is None:
        if reports and not (outcome.stuck or outcome.world.crash):
            yield "the run was stopped, and did not say what it had done"
        return
    seen = Counter(report.seq for report in reports)
    missing = sorted(set(range(len(outcome.world.objects))) - seen.keys())
    if missing and run.summary is not None:
        yield f"no report of sources {missing[:5]} ({len(missing)} of them)"
    if any(count > 1 for count in seen.values()):
        yield f"reported more than once: {[seq for seq, count in seen.items() if count > 1][:5]}"
    by_outcome = Counter(
        report.outcome if report.outcome in (SUCCESS, SKIPPED) else "failed" for report in reports
    )
    pairs = {
        "sources": (summary.sources, len(reports)),
        "uploaded": (summary.uploaded, by_outcome[SUCCESS]),
        "failed": (len(summary.failed), by_outcome["failed"]),
        "skipped": (len(summary.skipped), by_outcome[SKIPPED]),
        "bytes": (summary.bytes, sum(report.bytes for report in reports if report.succeeded)),
        "attempts": (summary.attempts, sum(report.attempts for report in reports)),
    }
    for name, (said, counted) in pairs.items():
        if said != counted:
            yield f"the summary's {name} is {said}, the reports make {counted}"
