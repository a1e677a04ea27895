"""What a page about a run has to tell, folded from the run's records."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from s3_upload.cli.views.page import chart_data, page_html
from s3_upload.cli.views.render import JsonLines
from s3_upload.errors import FailureKind, RunError
from s3_upload.observe.changes import Changes
from s3_upload.observe.events import Event, LimitsChanged, StoreAway, StoreBack
from s3_upload.observe.history import MAX_CAUSES, MAX_SLOWEST, OTHER, History
from s3_upload.observe.records import BadRecord, SummaryRecord, UploadRecord, read_records
from s3_upload.report import PaceReport, SummaryFold, UploadReport
from tests.unit.reports import attempt, failed, many, summary_of, uploaded

if TYPE_CHECKING:
    from collections.abc import Iterable

MB = 1_000_000


def history_of(reports: Iterable[UploadReport]) -> History:
    history = History()
    for report in reports:
        history.add(report)
    return history


def test_a_body_counts_until_it_was_acknowledged() -> None:
    data = chart_data(history_of([uploaded(0, attempt(0.0, 1.0, 8 * MB, sent_s=0.1, acked_s=0.8))]))
    assert data["span"] == 1.0
    assert data["stored"][1] == data["stored"][79] == 10.0
    assert data["stored"][-1] == 0.0
    assert set(data["busy"]) == {1.0}


def test_a_body_counts_until_its_answer_where_no_more_is_known() -> None:
    data = chart_data(history_of([uploaded(0, attempt(0.0, 1.0, 8 * MB, sent_s=0.1))]))
    assert set(data["stored"]) == {8.0}


def test_an_answer_counts_from_where_the_body_had_left() -> None:
    small, large = attempt(1.0, 1.0, 5, sent_s=1.5), attempt(1.0, 1.0, MB, sent_s=1.1)
    assert history_of([uploaded(0, small)]).answer_s.at(0.5) == pytest.approx(0.5, rel=0.025)
    assert not history_of([uploaded(0, large)]).answer_s
    acked = history_of([uploaded(0, attempt(1.0, 1.0, MB, sent_s=1.1, acked_s=1.8))])
    assert acked.answer_s.at(0.5) == pytest.approx(0.2, rel=0.025)


def test_what_fails_counts_as_sent_in_vain_by_its_cause() -> None:
    lost = attempt(0.0, 2.0, MB, outcome="timeout", timer="response", sent_bytes=MB, message="no answer")
    history = history_of([uploaded(0, lost, attempt(2.0, 1.0, MB), source="d/a")])
    cause = history.causes["timeout: response"]
    assert (cause.attempts, cause.files, cause.source, cause.message) == (1, 0, "d/a", "no answer")
    assert (history.totals.wasted_bytes, history.totals.again) == (MB, 1)
    assert sum(history.flow.rows["vain"]) == pytest.approx(MB)
    assert sum(history.flow.rows["failed"]) == 1.0
    assert [dot.y for dot in history.bodies.cut.dots] == [pytest.approx(2.0)]


def test_parts_that_were_given_up_count_as_sent_in_vain() -> None:
    report = msgspec.structs.replace(uploaded(0, attempt(0.0, 1.0, MB)), dropped_bytes=3 * MB)
    assert history_of([report]).totals.wasted_bytes == 3 * MB


def test_a_copy_that_lost_is_no_failure() -> None:
    beaten = attempt(0.0, 2.0, MB, outcome="superseded")
    history = history_of([uploaded(0, beaten, attempt(1.0, 1.0, MB, hedge=True))])
    assert sum(history.flow.rows["failed"]) == 0.0
    assert history.totals.hedges == 1
    assert history.causes["superseded"].message == "a copy of it was answered first"


def test_a_file_that_failed_counts_beside_its_attempts() -> None:
    cut = attempt(0.0, 2.0, MB, outcome="timeout", timer="stall", message="stuck")
    history = history_of([failed(0, cut, kind=FailureKind.TIMEOUT, source="d/x")])
    assert list(history.causes) == ["timeout: stall"]
    cause = history.causes["timeout: stall"]
    assert (cause.attempts, cause.files, cause.source, cause.message) == (1, 1, "d/x", "no: <b>no</b>")


def test_a_file_that_could_not_be_read_is_a_cause_without_attempts() -> None:
    history = history_of([failed(0, kind=FailureKind.SOURCE)])
    assert (history.causes["source"].attempts, history.causes["source"].files) == (0, 1)
    assert history.slowest == []


def test_what_is_skipped_is_only_counted() -> None:
    history = history_of([UploadReport(seq=0, key="k", source="s", bytes=0, outcome="skipped")])
    assert (history.totals.skipped, history.totals.uploaded, history.totals.failed, len(history.flow)) == (
        1,
        0,
        0,
        0,
    )


def test_the_slowest_are_kept_in_order_whatever_order_they_come_in() -> None:
    times = [(number * 37) % 101 for number in range(101)]
    history = history_of(uploaded(n, attempt(200.0, 1.0 + time, 1)) for n, time in enumerate(times))
    assert [slow.total_s for slow in history.slowest] == [101.0 - n for n in range(MAX_SLOWEST)]


def test_of_equally_slow_ones_the_first_are_kept() -> None:
    history = history_of(uploaded(n, attempt(9.0, 1.0, 1)) for n in range(30))
    assert [slow.source for slow in history.slowest] == [f"d/{n}" for n in range(MAX_SLOWEST)]


def test_any_number_of_causes_is_bounded() -> None:
    lost = [attempt(0.0, 1.0, 1, outcome=f"novelty-{n}") for n in range(MAX_CAUSES + 5)]
    history = history_of([uploaded(0, *lost, attempt(1.0, 1.0, 1))])
    assert len(history.causes) == MAX_CAUSES + 1
    assert history.causes[OTHER].attempts == 5


def test_one_run_after_the_other_stands_one_after_the_other() -> None:
    one_pass = [uploaded(n, attempt(n * 1.0, 1.0, MB)) for n in range(4)]
    history = history_of(one_pass * 3)
    assert history.span_s == 12.0
    assert chart_data(history)["busy"] == pytest.approx([1.0] * len(history.flow))


def test_one_file_again_and_again_stands_one_after_the_other() -> None:
    assert history_of([uploaded(0, attempt(0.0, 1.0, MB))] * 3).span_s == 3.0


def test_limits_and_outages_are_told_where_there_are_such_events() -> None:
    history = history_of([uploaded(0, attempt(0.0, 10.0, MB))])
    assert chart_data(history)["limits"] is None
    for at_s, requests, name in ((0.1, 8, "link"), (5.0, 16, "novelty")):
        history.add_event(LimitsChanged(at_s=at_s, requests=1, max_requests=requests, limited_by=name))
    history.add_event(StoreBack(at_s=7.0, since_s=6.0))
    data = chart_data(history)
    assert (data["bound"][5], data["bound"][-1], data["away"]) == (8.0, 16.0, [[6.0, 7.0]])
    assert (data["limits"]["names"], data["limits"]["colors"]) == (["the link", "novelty"], ["blue", "gray"])
    assert (data["limits"]["at"][0], data["limits"]["at"][5], data["limits"]["at"][-1]) == (None, 0.0, 1.0)


def test_events_too_stand_one_run_after_the_other() -> None:
    history = History()
    for _ in range(2):
        history.add_event(LimitsChanged(at_s=1.0, requests=1, max_requests=4, limited_by="link"))
        history.add(uploaded(0, attempt(0.0, 5.0, MB)))
        history.add_event(StoreBack(at_s=6.0, since_s=5.0))
        history.add(uploaded(1, attempt(2.0, 8.0, MB)))
    assert [at_s for at_s, _, _ in history.told.limits.entries] == [1.0, 11.0]
    assert (history.away_spans, history.span_s) == ([(5.0, 6.0), (15.0, 16.0)], 20.0)


def test_paces_too_stand_one_run_after_the_other() -> None:
    one_pass = [uploaded(n, attempt(n * 1.0, 1.0, MB)) for n in range(4)]
    history = history_of(one_pass * 2)
    pace = [PaceReport(at_s=at_s, share="fair", state="full") for at_s in (0.0, 2.0, 0.0, 3.0)]
    history.end(SummaryFold().summary(8.0, pace=pace))
    assert [report.at_s for report in history.ending.pace] == [0.0, 2.0, 4.0, 7.0]


def test_an_object_that_fails_long_after_its_last_try_begins_no_other_run() -> None:
    history = history_of(
        [
            uploaded(1, attempt(0.0, 90.0, MB)),
            failed(0, attempt(0.0, 1.0, MB)),
            uploaded(2, attempt(1.0, 2.0, MB)),
        ]
    )
    assert history.span_s == 90.0


def test_the_pace_of_a_run_is_told() -> None:
    reports = [uploaded(0, attempt(0.0, 10.0, MB))]
    history = history_of(reports)
    fold = SummaryFold()
    fold.add(reports[0])
    pace = [
        PaceReport(at_s=1.0, share="fair", state="growing", queue_s=0.01, base_s=0.02, pace_bytes_per_s=2e6),
        PaceReport(at_s=2.0, share="fair", state="yielding", queue_s=0.03, base_s=0.02, requests=4),
    ]
    history.end(fold.summary(10.0, pace=pace))
    data = chart_data(history)
    assert data["queue"] == {
        "t": [1.0, 2.0],
        "queue": [10.0, 30.0],
        "base": [20.0, 20.0],
        "state": [0, 1],
        "states": ["growing", "yielding"],
        "colors": ["green", "red"],
    }
    assert (data["pace"][0], data["pace"][int(1.5 / history.flow.width_s)]) == (None, 2.0)
    assert data["bound"][-1] == 4.0


# --- from JSON lines ---------------------------------------------------------------------------------


def lines_of(reports: list[UploadReport], capfdbinary: Any) -> list[bytes]:
    rendering = JsonLines("b")
    for report in reports:
        rendering.add(report)
    rendering.finish(summary_of(reports, 5.0))
    lines: list[bytes] = capfdbinary.readouterr().out.splitlines(keepends=True)
    return lines


def test_json_lines_give_the_same_page_as_the_run(capfdbinary: Any) -> None:
    again = msgspec.structs.replace(uploaded(202, attempt(1.0, 1.0, MB)), dropped_bytes=3 * MB)
    reports = [*many(200), again, failed(200, attempt(1.0, 1.0, 5, outcome="rejected")), failed(201)]
    direct = history_of(reports)
    direct.end(summary_of(reports, 5.0))
    read = History()
    for record in read_records(lines_of(reports, capfdbinary)):
        read.add_record(record)
    assert page_html(read, "t", "f") == page_html(direct, "t", "f")


def limits(at_s: float, requests: int, name: str) -> LimitsChanged:
    return LimitsChanged(at_s=at_s, requests=1, max_requests=requests, limited_by=name)


def away(at_s: float, since_s: float) -> StoreAway:
    return StoreAway(at_s=at_s, since_s=since_s, next_try_s=at_s + 1.0, cause="refused")


@pytest.mark.parametrize("is_back", [True, False])
def test_json_lines_tell_of_limits_and_outages_what_the_run_tells(is_back: bool, capfdbinary: Any) -> None:
    direct, rendering = History(), JsonLines("b")
    changes = Changes(direct.add_event, rendering.tell)
    assert changes.listening is not None
    events: list[Event] = [limits(0.1, 8, "link"), limits(1.0, 64, "answers")]
    events += [away(2.0, 1.5), away(3.0, 1.5), *([StoreBack(at_s=3.5, since_s=1.5)] if is_back else [])]
    for event in events:
        changes.listening.listener(event)
    changes.flush()
    reports = list(many(20))
    for report in reports:
        direct.add(report)
        rendering.add(report)
    direct.end(summary_of(reports, 5.0))
    rendering.finish(summary_of(reports, 5.0))
    read = History()
    for record in read_records(capfdbinary.readouterr().out.splitlines(keepends=True)):
        read.add_record(record)
    assert chart_data(read) == chart_data(direct)
    assert chart_data(read)["away"] == [[1.5, 3.5 if is_back else 5.0]]
    assert chart_data(read)["limits"]["names"] == ["the link", "the store's answers"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (RunError("no such bucket", FailureKind.REJECTED), "no such bucket"),
    ],
)
def test_json_lines_of_a_run_that_was_broken_off_say_so(
    error: BaseException, told: str, capfdbinary: Any
) -> None:
    rendering = JsonLines("b")
    rendering.add(uploaded(0, attempt(0.0, 1.0, MB)))
    rendering.break_off(error, 3.0)
    history = History()
    for record in read_records(capfdbinary.readouterr().out.splitlines(keepends=True)):
        history.add_record(record)
    verdict = f"Not all was done:</b> {told}. Uploaded so far: 1 file"
    assert verdict in page_html(history, "t", "f")
    assert history.span_s == 3.0


def test_what_a_later_version_adds_is_passed_over(capfdbinary: Any) -> None:
    lines = lines_of(list(many(1)), capfdbinary)
    later = [b'{"type":"novelty","x":1}\n', lines[0].replace(b'"seq":', b'"new":1,"seq":'), *lines[1:]]
    assert [type(record) for record in read_records(later)] == [UploadRecord, SummaryRecord]


def test_a_last_line_that_was_cut_short_is_passed_over(capfdbinary: Any) -> None:
    lines = lines_of(list(many(2)), capfdbinary)
    assert len(list(read_records([*lines[:2], lines[2][:40]]))) == 2


HUGE = b'{"type":"upload","seq":0,"source":"a","bytes":%s,"outcome":"success"}' % (b"9" * 400)


@pytest.mark.parametrize(
    "line", [b"hello", b'{"type":1}', b'{"type":"upload","seq":0}', b'"\xff"', b"[]", HUGE]
)
def test_a_line_that_is_no_record_is_named(line: bytes) -> None:
    with pytest.raises(BadRecord, match="line 2 is no record of a run: "):
        list(read_records([b"\n", line + b"\n"]))


# --- bounds ------------------------------------------------------------------------------------------


def size_of(thing: object, seen: set[int]) -> int:
    """The memory of a History, all that it holds included."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    inside: list[object] = []
    if isinstance(thing, dict):
        inside = [*thing, *thing.values()]
    elif isinstance(thing, list | tuple):
        inside = list(thing)
    elif hasattr(thing, "__struct_fields__"):
        inside = [getattr(thing, name) for name in thing.__struct_fields__]
    elif hasattr(thing, "__dict__"):
        inside = [vars(thing)]
    return sys.getsizeof(thing) + sum(size_of(one, seen) for one in inside)


def test_memory_and_page_do_not_grow_with_the_number_of_uploads() -> None:
    history = history_of(many(40_000))  # whose reports would be 40 MB
    assert size_of(history, set()) < 400_000
    assert len(page_html(history, "t", "f")) < 200_000


@pytest.mark.parametrize("numbers", [(-1, 0, 1, 2), (-1, 1, 0, 2)])
def test_what_nobody_could_begin_is_not_the_first_of_another_run(numbers: Iterable[int]) -> None:
    """Its number is below 0: of a source that has ended each worker of a job, perhaps before any report."""
    history = History()
    for number, at_s in zip(numbers, (50.0, 60.0, 70.0, 80.0), strict=True):
        history.add_event(LimitsChanged(at_s=at_s, requests=0, max_requests=8, limited_by="link"))
        history.add(failed(number))
    assert history.span_s == 80.0
