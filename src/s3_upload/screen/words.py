"""What the screen and the log say, in words."""

from __future__ import annotations

from s3_upload.observe.limits import (
    ANSWERS,
    AWAY,
    CAP,
    CPU,
    ERRORS,
    LINK,
    LISTING,
    OTHERS,
    READING,
    THROTTLED,
)
from s3_upload.observe.status import Status

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))

LIMITS = {
    LINK: "the link",
    ANSWERS: "the store's answers",
    THROTTLED: "throttling by the store",
    READING: "reading files",
    CPU: "the CPU",
    CAP: "--max-bandwidth",
    OTHERS: "others on the link",
    LISTING: "listing files",
    AWAY: "the store's absence",
    ERRORS: "waits between tries",
}
LIMITED_BY = {name: f"limited by {what}" for name, what in LIMITS.items()} | {
    THROTTLED: "throttled by the store",
    CAP: "held by --max-bandwidth",
    OTHERS: "yielding to others on the link",
    AWAY: "the store is away",
    ERRORS: "waiting to try again",
}


def limit_phrase(status: Status) -> str:
    """What limits now, in few words; "" where nothing is known."""
    if status.silent_s is not None and status.limited_by == AWAY:
        return "the store is silent"
    return LIMITED_BY[AWAY] if status.away_s is not None else LIMITED_BY.get(status.limited_by, "")


def trouble_phrase(status: Status) -> str:
    """More about a store that is away, silent or refusing; "" where it is none of these."""
    if status.away_s is not None:
        again = f"next try in {duration(status.next_try_s)}" if status.next_try_s >= 0.5 else "trying again"
        cause = f" ({status.away_cause})" if status.away_cause else ""
        return f"no answer for {duration(status.away_s)}, {again}{cause}"
    if status.silent_s is not None:
        return f"no answer for {duration(status.silent_s)}"
    if status.limited_by == THROTTLED and status.accepted_per_s:
        return f"the store asks to slow down, it takes {status.accepted_per_s:,.0f} requests a second"
    return ""


def size(count: float) -> str:
    """ "1.12 GB", "541 MB", "12 kB": three digits, powers of 1000."""
    for unit, factor in _UNITS:
        if count >= 0.9995 * factor:
            return f"{_three_digits(count / factor)} {unit}"
    return f"{count:.0f} B"


def size_of(count: float, whole: float) -> str:
    """ "1.12 of 2.15 GB": both in the unit of the whole, where the first is not too small for that."""
    for unit, factor in _UNITS:
        if whole >= 0.9995 * factor:
            if count >= factor / 100:
                return f"{_three_digits(count / factor)} of {_three_digits(whole / factor)} {unit}"
            break
    return f"{size(count)} of {size(whole)}"


def duration(seconds: float) -> str:
    """ "12 s", "2:05"."""
    return f"{seconds:.0f} s" if seconds < 119.5 else clock(seconds)


def clock(seconds: float) -> str:
    """ "0:41", "12:05", "3:07:00"."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def files_phrase(status: Status) -> str:
    """ "1,240 of 3,801 files", "1,240 of at least 3,801 files", "1,240 files", "counting files"; ""
    where nobody knows how many there are, and none is done."""
    done, total = status.done, status.total
    if total is None and not done:
        return ""
    if total is not None and not total.complete and not total.files and not done:
        return "counting files"
    if total is None or (not total.complete and total.files <= done):
        return f"{done:,} {'file' if done == 1 else 'files'}"
    whole = f"{total.files:,} {'file' if total.files == 1 else 'files'}"
    return f"{done:,} of {whole}" if total.complete else f"{done:,} of at least {whole}"


def compared_phrase(status: Status) -> str:
    """ "1,240 compared", "1,240 compared, 5.20 GB read"; "" where nothing is."""
    compared = status.compared
    if compared is None:
        return ""
    read = f", {size(compared.bytes)} read" if compared.bytes else ""
    return f"{compared.objects:,} compared{read}"


def bytes_phrase(status: Status) -> str:
    """ "1.12 of 2.15 GB", "217 of ~412 MB", "217 of at least 412 MB", "210 MB"."""
    total, whole = status.total, status.whole_bytes
    if total is None or not whole or (not total.complete and whole <= status.bytes):
        return size(status.bytes)
    about = "~" if total.estimated else ""
    how = about if total.complete else "at least "
    return size_of(status.bytes, whole).replace(" of ", f" of {how}")


def interrupted(status: Status, *, keeps: bool = False) -> str:
    """ "interrupted after 0:27: 2 of 5 files uploaded, 0.54 of 1.26 GB sent". `keeps`: what is half sent is
    there for the next run."""
    total, done = status.total, status.files
    of = f" of {total.files:,}" if total is not None and total.complete else ""
    whole = total.files if of and total is not None else done
    files = f"{done:,}{of} {'file' if whole == 1 else 'files'} uploaded"
    failed = f", {status.failed:,} failed" if status.failed else ""
    half = sum(moving.bytes for moving in status.moving)
    then = "of files that can go on" if keeps else "of it dropped with unfinished files"
    dropped = f", {size(half)} {then}" if half else ""
    sent = f"{bytes_phrase(status)} sent{dropped}"
    return f"interrupted after {clock(status.elapsed_s)}: {files}, {sent}{failed}"


def percent(share: float) -> str:
    """Rounded down: 100 % is said when all is done."""
    return f"{int(share * 100)} %"


def _three_digits(number: float) -> str:
    return f"{number:.2f}" if number < 9.995 else f"{number:.1f}" if number < 99.95 else f"{number:,.0f}"
