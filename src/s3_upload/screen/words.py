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

LIMITED_BY = {
    LINK: "limited by the link",
    ANSWERS: "limited by the store's answers",
    THROTTLED: "throttled by the store",
    READING: "limited by reading files",
    CPU: "limited by this machine's processor",
    CAP: "held by --max-bandwidth",
    OTHERS: "yielding to others on the link",
    LISTING: "limited by listing files",
    AWAY: "the store is away",
    ERRORS: "waiting to try again",
}


def limit_phrase(status: Status) -> str:
    """What limits now, with a figure where there is one; "" where nothing is known."""
    if status.away_s is not None:
        again = f"trying again in {status.next_try_s:.0f} s" if status.next_try_s >= 0.5 else "trying again"
        return f"the store has been away for {duration(status.away_s)} ({again})"
    phrase = LIMITED_BY.get(status.limited_by, "")
    if status.limited_by == THROTTLED and status.accepted_per_s:
        return f"{phrase}: {status.accepted_per_s:,.0f} requests a second"
    return phrase


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


def rate(bytes_per_s: float) -> str:
    """ "27.3 MB/s": MB, whatever the rate, so that rates compare."""
    return f"{bytes_per_s / 1e6:,.1f} MB/s"


def duration(seconds: float) -> str:
    """ "12 s", "0:41" is for clocks: see `clock`."""
    return f"{seconds:.0f} s" if seconds < 120 else clock(seconds)


def clock(seconds: float) -> str:
    """ "0:41", "12:05", "3:07:00"."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def files_phrase(status: Status) -> str:
    """ "1,240 of 3,801 files", "1,240 of at least 3,801 files", "1,240 files"."""
    done, total = status.files + status.failed, status.total
    if total is None:
        return f"{done:,} {'file' if done == 1 else 'files'}"
    whole = f"{total.files:,} {'file' if total.files == 1 else 'files'}"
    return f"{done:,} of {whole}" if total.complete else f"{done:,} of at least {whole}"


def bytes_phrase(status: Status) -> str:
    """ "1.12 of 2.15 GB", "217 of 412 MB or more", "210 MB"."""
    total = status.total
    if total is None or not total.bytes:
        return size(status.bytes)
    about = "~" if total.estimated else ""
    phrase = size_of(status.bytes, max(total.bytes, status.bytes)).replace(" of ", f" of {about}")
    return phrase if total.complete else f"{phrase} or more"


def interrupted(status: Status) -> str:
    """ "interrupted after 0:27: 2 of 5 files uploaded, 0.54 of 1.26 GB sent"."""
    total, done = status.total, status.files
    of = f" of {total.files:,}" if total is not None and total.complete else ""
    whole = total.files if of and total is not None else done
    files = f"{done:,}{of} {'file' if whole == 1 else 'files'} uploaded"
    failed = f", {status.failed:,} failed" if status.failed else ""
    return f"interrupted after {clock(status.elapsed_s)}: {files}, {bytes_phrase(status)} sent{failed}"


def percent(share: float) -> str:
    """Rounded down: 100 % is said when all is done."""
    return f"{int(share * 100)} %"


def _three_digits(number: float) -> str:
    return f"{number:.2f}" if number < 9.995 else f"{number:.1f}" if number < 99.95 else f"{number:,.0f}"
