"""`observe.status`: how a run stands, from its events."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from s3_upload.errors import FailureKind, UploadError
from s3_upload.observe.events import (
    AttemptEnded,
    BytesAcknowledged,
    LimitsChanged,
    ObjectBegun,
    ObjectEnded,
    PartStored,
    StoreAway,
    StoreBack,
    UploadCreated,
)
from s3_upload.observe.limits import AWAY, CPU, LINK, READING
from s3_upload.observe.status import RATE_S, WANTED, Status, StatusFold, Total
from s3_upload.report import EXISTS, SKIPPED, SUCCESS, UploadReport

MB = 10**6
FRAME_S = 0.2


def report(
    seq: int, size: int = 0, outcome: str = SUCCESS, *, reason: str = "", attempts: int = 1
) -> UploadReport:
    error = (
        UploadError("no", key="k", kind=FailureKind.REJECTED, attempts=1) if outcome == "rejected" else None
    )
    return UploadReport(
        seq=seq, key=f"k/{seq}", source=f"d/{seq}", bytes=size, outcome=outcome, reason=reason,
        attempts=attempts, error=error,
    )  # fmt: skip


def ended(fold: StatusFold, *reports: UploadReport) -> None:
    for one in reports:
        fold.hear(ObjectEnded(at_s=0.0, report=one), 0.0)


def acknowledged(seq: int, count: float, size: int | None) -> BytesAcknowledged:
    return BytesAcknowledged(at_s=0.0, seq=seq, key=f"k/{seq}", bytes=int(count), size=size)


def limit(name: str, requests: int = 8) -> LimitsChanged:
    return LimitsChanged(at_s=0.0, requests=requests, max_requests=64, limited_by=name)


# --- what has arrived ---------------------------------------------------------------------------------


def test_of_a_small_object_one_event_is_made() -> None:
    assert not WANTED & {ObjectBegun, AttemptEnded}
    fold = StatusFold()
    fold.hear(ObjectBegun(at_s=0.0, seq=0, key="k", source="k", size=1), 0.0)
    assert fold.status(0.0) == StatusFold().status(0.0)


def test_bytes_are_those_of_what_has_ended_and_those_acknowledged_of_what_has_not() -> None:
    fold = StatusFold()
    fold.hear(acknowledged(0, 30 * MB, 100 * MB), 1.0)
    fold.hear(acknowledged(1, 5 * MB, None), 2.0)
    ended(fold, report(2, 7 * MB))
    status = fold.status(3.0)
    assert (status.bytes, status.files) == (42 * MB, 1)
    assert [(one.seq, one.bytes, one.size, one.since_s) for one in status.moving] == [
        (0, 30 * MB, 100 * MB, 1.0),
        (1, 5 * MB, None, 2.0),
    ]
    fold.hear(acknowledged(0, 20 * MB, 100 * MB), 3.0)  # an attempt has failed
    assert fold.status(3.2).bytes == 32 * MB
    ended(fold, report(0, 100 * MB))
    status = fold.status(4.0)
    assert (status.bytes, status.files, len(status.moving)) == (112 * MB, 2, 1)


def created(seq: int, size: int | None = None) -> UploadCreated:
    return UploadCreated(at_s=0.0, seq=seq, key="k", upload_id="u", part_size=8 * MB, size=size)


def stored(seq: int, number: int) -> PartStored:
    return PartStored(
        at_s=0.0, seq=seq, key="k", upload_id="u", part_number=number, bytes=8 * MB, etag="", checksum=""
    )


def test_parts_that_come_and_go_between_two_looks_count() -> None:
    """From stdin, say, that comes in bursts."""
    fold = StatusFold()
    for event in (created(0), stored(0, 1), stored(0, 2)):
        fold.hear(event, 1.0)
    assert fold.status(1.2).bytes == 16 * MB
    fold.hear(acknowledged(0, 20 * MB, None), 1.4)  # with a third that is on its way
    fold.hear(stored(0, 3), 1.5)
    assert fold.status(1.6).bytes == 24 * MB
    fold.hear(acknowledged(0, 30 * MB, None), 1.7)
    fold.hear(stored(0, 4), 1.8)
    assert fold.status(2.0).bytes == 32 * MB
    fold.hear(created(0), 2.1)  # begun once more
    fold.hear(stored(0, 1), 2.2)
    assert fold.status(2.4).bytes == 32 * MB  # until it is known better
    fold.hear(acknowledged(0, 9 * MB, None), 2.5)
    assert fold.status(2.6).bytes == 9 * MB
    ended(fold, report(0, 40 * MB))
    assert fold.status(3.0).bytes == 40 * MB


def test_how_large_a_file_is_shows_with_its_first_part_and_that_a_stream_has_no_size() -> None:
    """Else a file that is interrupted in that moment counted as a stream, of which nothing can go on."""
    fold = StatusFold()
    for event in (created(0, 20 * MB), created(1), stored(0, 1), stored(1, 1)):
        fold.hear(event, 1.0)
    assert [moving.size for moving in fold.status(1.2).moving] == [20 * MB, None]


def test_a_part_that_was_lost_and_is_stored_again_makes_no_more_than_there_is() -> None:
    fold = StatusFold()
    fold.hear(acknowledged(0, 16 * MB, 20 * MB), 1.0)
    for number in (1, 2, 1):
        fold.hear(stored(0, number), 1.1)
    assert fold.status(1.2).bytes == 16 * MB


def test_what_failed_was_skipped_and_was_tried_again_is_counted() -> None:
    fold = StatusFold()
    ended(fold, report(0, 10, attempts=3), report(1, 10, "rejected"), report(2, 0, SKIPPED, reason="a FIFO"))
    ended(fold, report(3, 10, SKIPPED, reason=EXISTS), report(4, 10, "timeout"), report(5, 10))
    status = fold.status(1.0)
    assert (status.files, status.failed, status.skipped, status.retried) == (2, 2, 2, 1)
    assert status.done == 5  # a FIFO is nothing to upload
    assert status.last_failure is not None
    assert status.last_failure.seq == 4


# --- rate ---------------------------------------------------------------------------------------------


def test_the_rate_is_what_arrived_over_the_last_five_seconds() -> None:
    fold = StatusFold()
    for frame in range(1, 151):  # 10 MB/s for ten seconds, then 40
        now = frame * FRAME_S
        sent = 10 * MB * min(now, 10.0) + 40 * MB * max(0.0, now - 10.0)
        fold.hear(acknowledged(0, sent, None), now)
        rate = fold.status(now).rate_bytes_per_s / MB
        if now <= 10.0:
            assert rate == pytest.approx(10.0)
        elif now < 10.0 + RATE_S:
            assert 10.0 < rate < 40.0
        else:
            assert rate == pytest.approx(40.0)


def test_the_rate_is_known_from_the_first_frame_on_and_never_below_nothing() -> None:
    fold = StatusFold()
    fold.hear(acknowledged(0, 2 * MB, None), 0.2)
    assert fold.status(0.2).rate_bytes_per_s == pytest.approx(10 * MB)
    fold.hear(acknowledged(0, 0, None), 0.3)
    assert fold.status(6.0).rate_bytes_per_s == 0.0


def test_what_an_earlier_run_had_sent_has_arrived_but_is_no_rate() -> None:
    fold = StatusFold()
    total = Total(1, 1_000 * MB, complete=True)
    left_s = None
    for frame in range(1, 46):  # nine seconds
        now = frame * FRAME_S
        sent = msgspec.structs.replace(
            acknowledged(0, 900 * MB + 10 * MB * now, 1_000 * MB), resumed_bytes=900 * MB
        )
        fold.hear(sent, now)
        status = fold.status(now, total)
        assert status.bytes == sent.bytes
        assert status.rate_bytes_per_s == pytest.approx(10 * MB, rel=0.01)
        left_s = status.left_s if status.left_s is not None else left_s
        if status.left_s is not None:
            assert status.left_s == pytest.approx(10.0 - now, abs=0.5)
    assert left_s is not None
    ended(fold, msgspec.structs.replace(report(0, 1_000 * MB), resumed_bytes=900 * MB))
    assert fold.status(10.0, total).rate_bytes_per_s == pytest.approx(10 * MB, rel=0.1)


def test_files_have_a_rate_too() -> None:
    fold = StatusFold()
    for frame in range(50):
        ended(fold, *(report(frame * 20 + n, 100) for n in range(20)))
        fold.status((frame + 1) * FRAME_S)
    assert fold.status(10.0).rate_files_per_s == pytest.approx(100.0, rel=0.05)


# --- how much is done ---------------------------------------------------------------------------------


def test_no_share_is_told_before_all_is_counted() -> None:
    fold = StatusFold()
    ended(fold, report(0, 50))
    assert fold.status(1.0).share is None
    assert fold.status(1.0, Total(files=2, bytes=100)).share is None
    assert fold.status(1.0, Total(files=2, bytes=100, complete=True)).share == pytest.approx(0.5, abs=0.001)
    assert StatusFold().status(0.0, Total(complete=True)).share == 1.0


@pytest.mark.parametrize("outcome", ["rejected", SKIPPED])
def test_what_is_not_uploaded_does_not_keep_the_share_from_becoming_one(outcome: str) -> None:
    fold = StatusFold()
    total = Total(files=4, bytes=400 * MB, complete=True)
    ended(fold, *(report(n, 100 * MB) for n in range(3)))
    before = fold.status(1.0, total)
    assert before.share == pytest.approx(0.75, abs=0.001)
    ended(fold, report(3, 100 * MB, outcome, reason=EXISTS))
    status = fold.status(2.0, total)
    assert status.share == 1.0
    assert (status.done, status.bytes, status.whole_bytes) == (4, 300 * MB, 300 * MB)


def test_many_small_files_are_work_however_few_bytes_they_have() -> None:
    fold = StatusFold()
    total = Total(files=1001, bytes=100 * MB, complete=True)
    ended(fold, report(0, 100 * MB))
    assert 0.5 < (fold.status(1.0, total).share or 0.0) < 0.7


def test_there_is_never_less_than_what_has_arrived() -> None:
    fold = StatusFold()
    ended(fold, report(0, 500))
    status = fold.status(1.0, Total(files=1, bytes=400, complete=True, estimated=True))
    assert (status.whole_bytes, status.share) == (500, 1.0)


# --- time left ----------------------------------------------------------------------------------------


def sent_by(now: float, *, pause: tuple[float, float] = (0.0, 0.0)) -> float:
    """Of a run that starts slowly: 100 MB/s are reached after two seconds."""
    going = now - max(0.0, min(now, pause[1]) - pause[0])
    return 25 * MB * going**2 if going < 2.0 else 100 * MB * (going - 1.0)


def big_run(fold: StatusFold, end_s: float, pause: tuple[float, float] = (0.0, 0.0)) -> list[Status]:
    """2 GB in four files, side by side; how it stands at each frame."""
    total, size = Total(files=4, bytes=2000 * MB, complete=True), 500 * MB
    found, now = [], 0.0
    while now < end_s - 0.01:
        now += FRAME_S
        for seq in range(4):
            fold.hear(acknowledged(seq, sent_by(now, pause=pause) / 4, size), now)
        found.append(fold.status(now, total))
    return found


@pytest.mark.parametrize(("pause", "end_s"), [((0.0, 0.0), 21.0), ((10.0, 11.0), 22.0)])
def test_from_a_fifth_on_the_time_left_is_within_a_fifth_of_the_truth(
    pause: tuple[float, float], end_s: float
) -> None:
    told = 0
    for status in big_run(StatusFold(), end_s - 1.0, pause):
        if (status.share or 0.0) < 0.2:
            continue
        truth_s = end_s - status.elapsed_s
        if status.elapsed_s < pause[0]:
            truth_s -= pause[1] - pause[0]  # nobody can know
        assert status.left_s == pytest.approx(truth_s, rel=0.2, abs=0.5)
        told += 1
    assert told > 70


def test_the_time_left_does_not_jump() -> None:
    pause = 10.0, 11.0
    lefts = [status.left_s for status in big_run(StatusFold(), 21.0, pause) if status.elapsed_s > 3.3]
    assert None not in lefts
    steps = [(after or 0.0) - (before or 0.0) for before, after in itertools.pairwise(lefts)]
    assert max(map(abs, steps)) < 2.0
    settled = [abs(step + FRAME_S) for step in steps[25:]]  # apart from the clock's going on
    assert max(settled) < 0.25


def test_a_stop_between_two_bursts_is_no_reason_to_tell_another_time() -> None:
    fold, total = StatusFold(), Total(files=1, bytes=1000 * MB, complete=True)
    lefts = []
    for frame in range(1, 201):  # 40 s in which every eighth second brings nothing
        now = frame * FRAME_S
        whole, rest = divmod(now, 8.0)
        fold.hear(acknowledged(0, 10 * MB * (7 * whole + min(rest, 7.0)), 1000 * MB), now)
        lefts.append(fold.status(now, total).left_s)
    known = [left for left in lefts[20:] if left is not None]
    assert len(known) == len(lefts) - 20
    assert max(abs(after - before) for before, after in itertools.pairwise(known[20:])) < 1.5


def test_no_time_is_told_that_cannot_be_known() -> None:
    fold, total = StatusFold(), Total(files=1, bytes=100 * MB, complete=True)
    assert fold.status(5.0, total).left_s is None  # nothing arrives
    fold = StatusFold()
    for second in range(1, 4):
        assert fold.status(second - 0.5, total).left_s is None  # too early
        fold.hear(acknowledged(0, second * MB, 100 * MB), second)
        assert fold.status(second).left_s is None  # nobody knows how much there is
    assert fold.status(3.1, Total(files=1, bytes=100 * MB)).left_s is None  # not yet
    assert fold.status(3.2, total).left_s == pytest.approx(97, rel=0.05)


# --- what limits --------------------------------------------------------------------------------------


def test_what_limits_is_what_has_most_of_the_last_three_seconds() -> None:
    fold = StatusFold()
    assert fold.status(0.1).limited_by == ""
    fold.hear(limit(READING), 0.2)
    assert fold.status(0.4).limited_by == READING
    for step in range(20):  # the link for two parts of three
        fold.hear(limit(CPU), 1.0 + 0.3 * step)
        fold.hear(limit(LINK), 1.1 + 0.3 * step)
        if step > 9:
            assert fold.status(1.3 + 0.3 * step).limited_by == LINK
    fold.hear(limit(CPU, 5), 7.2)
    assert fold.status(8.0).limited_by == LINK
    assert fold.status(9.5).limited_by == CPU
    assert fold.status(9.5).requests == 5


def test_a_store_that_is_away_is_what_limits_and_the_time_left_is_not_told() -> None:
    fold, total = StatusFold(), Total(files=4, bytes=2000 * MB, complete=True)
    big_run(fold, 10.0)
    fold.hear(limit(LINK), 9.9)
    fold.hear(StoreAway(at_s=110.0, since_s=107.0, next_try_s=114.0, cause="refused"), 10.0)  # another clock
    status = fold.status(12.0, total)
    assert (status.limited_by, status.left_s, status.away_cause) == (AWAY, None, "refused")
    assert status.away_s == pytest.approx(5.0)
    assert status.next_try_s == pytest.approx(2.0)
    assert fold.status(20.0, total).next_try_s == 0.0


def test_seconds_without_a_store_make_the_time_left_no_longer() -> None:
    fold, total = StatusFold(), Total(files=4, bytes=2000 * MB, complete=True)
    before = big_run(fold, 10.0)[-1]
    fold.hear(StoreAway(at_s=10.0, since_s=10.0, next_try_s=11.0, cause=""), 10.0)
    for frame in range(1, 300):
        fold.status(10.0 + FRAME_S * frame, total)
    fold.hear(StoreBack(at_s=70.0, since_s=10.0), 70.0)
    after = fold.status(70.2, total)
    assert after.away_s is None
    assert after.left_s == pytest.approx(before.left_s, rel=0.1)


def silent(at_s: float, since_s: float) -> LimitsChanged:
    return LimitsChanged(at_s=at_s, requests=8, max_requests=64, limited_by=AWAY, silent_since_s=since_s)


def test_a_store_that_is_silent_is_said_at_once_and_for_how_long() -> None:
    fold, total = StatusFold(), Total(files=4, bytes=2000 * MB, complete=True)
    big_run(fold, 10.0)
    fold.hear(limit(LINK), 2.0)
    fold.hear(silent(113.1, 110.0), 13.1)  # another clock
    status = fold.status(13.2, total)
    assert (status.limited_by, status.left_s, status.away_s) == (AWAY, None, None)
    assert status.silent_s == pytest.approx(3.2)
    fold.hear(limit(LINK), 40.0)
    status = fold.status(40.2, total)
    assert (status.limited_by, status.silent_s) == (LINK, None)


def test_seconds_of_silence_that_show_late_make_the_time_left_no_longer_and_the_rate_no_lower() -> None:
    fold, total = StatusFold(), Total(files=4, bytes=2000 * MB, complete=True)
    before = big_run(fold, 10.0)[-1]
    for frame in range(1, 150):
        now = 10.0 + FRAME_S * frame
        if frame == 20:  # what came of nothing for 4 s has been counted as a slow link
            fold.hear(silent(now, 10.0), now)
        fold.status(now, total)
    fold.hear(limit(LINK), 40.0)
    first = fold.status(40.0, total)
    assert first.left_s == pytest.approx(before.left_s, rel=0.05)
    for frame in range(1, 6):
        now = 40.0 + FRAME_S * frame
        for seq in range(4):
            fold.hear(acknowledged(seq, (before.bytes + 100 * MB * FRAME_S * frame) / 4, 500 * MB), now)
        status = fold.status(now, total)
    assert status.rate_bytes_per_s == pytest.approx(100 * MB, rel=0.05)
    assert before.left_s is not None
    assert status.left_s == pytest.approx(before.left_s - 1.0, rel=0.05)
