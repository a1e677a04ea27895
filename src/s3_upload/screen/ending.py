"""What is worth saying at the end of a run, besides the line about it: only where there is something. Pure.

What failed, by cause, with an example and, where there is one, a remedy; what was tried again, by cause; how
long an object took; what limited the run, with advice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from s3_upload.errors import FailureKind
from s3_upload.observe.limits import ANSWERS, READING
from s3_upload.screen.words import LIMITS, duration

if TYPE_CHECKING:
    from s3_upload.config import UploadConfig
    from s3_upload.report import UploadReport, UploadSummary

MAX_GROUPS = 5
_BEFORE, _BEHIND = "'\"(", "'\"):,;"
"""A name stands alone: the file "a" is in no word."""
MIN_OBJECTS = 100
"""Of fewer a median says little."""
LONG_S = 5.0
"""A shorter run needs no explanation of its time."""
MIN_SHARE = 0.1
MOSTLY = 0.5

REMEDIES = {
    FailureKind.ACCESS_DENIED: "the account needs s3:PutObject for these keys",
    FailureKind.TIMEOUT: "run it again for these, or allow more time: --max-outage",
    FailureKind.THROTTLE: "run it again for these, with --n-retries 20",
    FailureKind.SERVER: "run it again for these",
    FailureKind.RESET: "run it again for these",
}
SOURCE_REMEDIES = {
    "Permission denied": "whoever runs this must be allowed to read them",
    "changed while": "run it again when nobody writes to them, or see --source-check",
    "leads to nothing": "mend or remove the links, or --exclude them",
}


def ending(summary: UploadSummary, config: UploadConfig) -> list[str]:
    """The lines, each without a line break."""
    lines = failures(summary.failed)
    if summary.causes and summary.attempts > len(summary.failed):
        shown = ", ".join(f"{cause} {_times(count)}" for cause, count in summary.causes.items())
        lines.append(f"failed attempts: {shown}")
    if summary.uploaded >= MIN_OBJECTS and summary.wall_time_s >= LONG_S:
        lines.append(
            f"an object took {_ms(summary.median_s)} (median), 99 % of them {_ms(summary.p99_s)} at most"
        )
    if summary.limits and summary.wall_time_s >= LONG_S:
        lines.append(limited(summary.limits, config))
    return lines


def failures(failed: tuple[UploadReport, ...]) -> list[str]:
    """A line for each cause, the most frequent first; none of a single failure, which has been told."""
    if len(failed) < 2:
        return []
    groups: dict[str, list[UploadReport]] = {}
    for report in failed:
        groups.setdefault(cause_of(report), []).append(report)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    lines = [_group(cause, reports) for cause, reports in ordered[:MAX_GROUPS]]
    rest = sum(len(reports) for _, reports in ordered[MAX_GROUPS:])
    return [*lines, f"{rest:,} failed for other reasons"] if rest else lines


def cause_of(report: UploadReport) -> str:
    """Why it failed, without the names that tell it from others."""
    message = report.error.message if report.error is not None else report.reason or report.outcome
    for name in sorted(
        {report.source, report.key} - {""}, key=len, reverse=True
    ):  # one may end like the other
        message = _without(name, message.removeprefix(f"{name}: "))
    return message


def _without(name: str, message: str) -> str:
    # No regular expression: to compile one for each of a million names takes minutes.
    at = message.find(name)
    while at >= 0:
        end = at + len(name)
        if _parts(message[at - 1 : at], _BEFORE) and _parts(message[end : end + 1], _BEHIND):
            message = f"{message[:at]}…{message[end:]}"
        at = message.find(name, at + 1)
    return message


def _parts(neighbour: str, marks: str) -> bool:
    return not neighbour or neighbour.isspace() or neighbour in marks


def limited(limits: Mapping[str, float], config: UploadConfig) -> str:
    """ "limited by the link 82 %, reading files 11 %: try --reader-threads 8"."""
    shown = [f"{LIMITS[name]} {share * 100:.0f} %" for name, share in limits.items() if share >= MIN_SHARE]
    line = f"limited by {', '.join(shown)}"
    first, share = next(iter(limits.items()))
    if share >= MOSTLY and (advice := _advice(first, config)):
        line += f": {advice}"
    return line


def _advice(name: str, config: UploadConfig) -> str:
    if name == READING and config.reader_threads < 64:
        return f"try --reader-threads {2 * config.reader_threads}"
    if name == ANSWERS and config.max_in_flight < 256:
        return f"--max-in-flight {config.max_in_flight} holds it back"
    return ""


def _group(cause: str, reports: list[UploadReport]) -> str:
    first = reports[0]
    more = f" and {len(reports) - 1:,} more" if len(reports) > 1 else ""
    remedy = _remedy(cause, first)
    return f"{len(reports):,} failed: {cause}: {first.source}{more}" + (f" ({remedy})" if remedy else "")


def _remedy(cause: str, report: UploadReport) -> str:
    for words, remedy in SOURCE_REMEDIES.items():
        if words in cause:
            return remedy
    return REMEDIES.get(report.error.kind, "") if report.error is not None else ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms" if seconds < 10.0 else duration(seconds)
