"""What limits a job of several processes and whether its store is there, by what each of them says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from s3_upload.fleet.desk import Desk
from s3_upload.fleet.dispenser import Dispenser, Hand, Taken
from s3_upload.fleet.kept_uploads import KeptUploads
from s3_upload.fleet.worker import Worker
from s3_upload.observe.changes import Changes
from s3_upload.observe.events import (
    SEQ_OF_WORKER,
    AttemptEnded,
    Event,
    Events,
    LimitsChanged,
    Listening,
    ObjectBegun,
    StoreAway,
    StoreBack,
)
from s3_upload.observe.history import History
from s3_upload.observe.limits import ANSWERS, CAP, CPU, LISTING
from s3_upload.sources.source import ObjectSource
from tests.unit.reports import attempt


@dataclass
class Job:
    """A desk with one worker. `home_takes`: what travels is also taken at home."""

    home_takes: bool = True
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dispenser = Dispenser([], home_takes=self.home_takes)
        kinds = frozenset({LimitsChanged, StoreAway, StoreBack, ObjectBegun, AttemptEnded})
        listening = Events([Listening(self.told.append, kinds)])

        def fail(error: BaseException) -> None:
            raise error

        self.desk = Desk(
            listening, self.dispenser, KeptUploads(None), None, fail=fail, more=lambda: None
        )  # fmt: skip
        self.home = self.desk.at_home()
        self.worker = Worker(1, Hand())

    def hear(self, worker: Worker, event: Event, now: float | None = None) -> None:
        """`now`: where it is not when that was."""
        self.desk.hear(worker, event, event.at_s if now is None else now)

    def summed_up(self, now: float) -> dict[str, float]:
        return dict(self.desk.summary(None, now).limits)


def limits(limited_by: str, requests: int, **given: Any) -> LimitsChanged:
    return LimitsChanged(at_s=0.0, requests=requests, max_requests=64, limited_by=limited_by, **given)


def test_the_job_is_limited_by_what_limits_the_busiest() -> None:
    job = Job()
    job.home.tell(limits(CPU, 8, rate_per_s=100.0))
    job.hear(job.worker, limits(CAP, 9, rate_per_s=50.0))
    job.desk.look(1.0)
    job.desk.look(2.0)
    assert job.told == [
        LimitsChanged(at_s=1.0, requests=17, max_requests=128, limited_by=CAP, rate_per_s=150.0)
    ]
    job.hear(job.worker, limits(CAP, 1))
    job.desk.look(4.0)
    assert [event.limited_by for event in job.told] == [CAP, CPU]  # type: ignore[union-attr]
    assert job.summed_up(4.0) == {CAP: 0.5, CPU: 0.5}


def test_a_job_that_ends_before_the_first_look_has_told_what_limited_it() -> None:
    job = Job()
    job.home.tell(limits(CPU, 8))
    assert job.summed_up(0.1) == {CPU: 1.0}
    assert job.told == [LimitsChanged(at_s=0.1, requests=8, max_requests=64, limited_by=CPU)]


def test_a_home_that_takes_nothing_of_what_travels_is_not_what_limits() -> None:
    """It has nothing to do, and would call that the listing of files."""
    job = Job(home_takes=False)
    job.home.tell(limits(LISTING, 0))
    job.desk.look(1.0)
    assert job.told == []
    job.hear(job.worker, limits(CAP, 0))
    job.desk.look(2.0)
    assert [event.limited_by for event in job.told] == [CAP]  # type: ignore[union-attr]
    assert job.summed_up(4.0) == {CAP: 0.75}


def test_when_all_is_handed_out_it_is_not_the_listing_of_files() -> None:
    job = Job()
    job.hear(job.worker, limits(LISTING, 3))
    job.desk.look(1.0)
    assert job.dispenser.next_bunch(1) == []
    job.desk.look(2.0)
    assert job.summed_up(2.0) == {LISTING: 0.5, ANSWERS: 0.5}


def away(at_s: float) -> StoreAway:
    return StoreAway(at_s=at_s, since_s=1.0, next_try_s=at_s + 1.0, cause="refused")


def test_one_says_for_all_that_the_store_is_away_and_back() -> None:
    job, other = Job(), Worker(2, Hand())
    back = StoreBack(at_s=5.0, since_s=1.0)
    for worker, event in (
        (job.worker, away(2.0)),
        (other, away(2.1)),
        (other, back),
        (job.worker, away(3.0)),
    ):
        job.hear(worker, event)
    job.hear(job.worker, back)
    job.hear(other, back)
    assert job.told == [away(2.0), away(3.0), back]


def test_where_the_one_that_said_so_is_gone_the_next_one_says_it() -> None:
    job, other = Job(), Worker(2, Hand())
    job.hear(job.worker, away(2.0))
    job.desk.gone(job.worker, 3.0)
    job.hear(other, away(4.0))
    assert job.told == [away(2.0), StoreBack(at_s=3.0, since_s=3.0), away(4.0)]


def history_of(job: Job) -> History:
    """What a page makes of what was told, which is on one axis of time."""
    times_s = [event.at_s for event in job.told]
    assert times_s == sorted(times_s)
    history = History()
    listening = Changes(history.add_event).listening
    assert listening is not None
    for told in job.told:
        listening.listener(told)
    return history


def test_an_outage_that_workers_tell_of_when_it_is_over_is_one_on_one_axis_of_time() -> None:
    """Those elsewhere tell at the end of their shard, in between is told what limits the job."""
    job = Job(home_takes=False)
    for number, (ended_s, back_s) in enumerate(((100.0, 60.0), (120.0, 61.0), (130.0, 60.5)), start=1):
        worker = Worker(number, Hand())
        since_s = 50.0 + 0.1 * number
        for event in (
            limits(CAP, number),
            StoreAway(at_s=51.0, since_s=since_s, next_try_s=55.0, cause="refused"),
            StoreAway(at_s=55.0, since_s=since_s, next_try_s=back_s, cause="refused"),
            StoreBack(at_s=back_s, since_s=since_s),
        ):
            job.hear(worker, event, ended_s)
        job.desk.look(ended_s)
    history = history_of(job)
    assert history.away_spans == [(50.1, 60.0)]
    assert history.span_s == 130.0


def test_an_outage_that_only_workers_elsewhere_had_is_told_once() -> None:
    """Also where what limits the job was told after the last try, and after the end, of it."""
    job = Job(home_takes=False)
    for now in (100.0, 200.0, 520.0):
        job.hear(job.worker, limits(CAP, int(now)))
        job.desk.look(now)
    for number, end_s in enumerate((560.0, 561.0), start=2):
        worker = Worker(number, Hand())
        for at_s in (505.0, 515.0):
            away = StoreAway(at_s=at_s, since_s=502.0 + number, next_try_s=at_s + 10.0, cause="refused")
            job.hear(worker, away, 600.0)
        job.hear(worker, StoreBack(at_s=end_s, since_s=502.0 + number), 600.0)
    assert history_of(job).away_spans == [(504.0, 560.0)]
    job.hear(job.worker, limits(CAP, 700))
    job.desk.look(700.0)
    job.hear(job.worker, StoreAway(at_s=650.0, since_s=649.0, next_try_s=660.0, cause="refused"), 710.0)
    job.hear(job.worker, StoreBack(at_s=660.0, since_s=649.0), 710.0)
    assert history_of(job).away_spans == [(504.0, 560.0), (649.0, 700.0)]


def test_of_several_outages_that_are_told_late_each_is_told() -> None:
    job = Job(home_takes=False)
    job.hear(job.worker, limits(CAP, 1))
    job.desk.look(1000.0)
    for since_s, back_s in ((100.0, 130.0), (600.0, 900.0)):
        tried = StoreAway(at_s=since_s + 5.0, since_s=since_s, next_try_s=back_s, cause="refused")
        job.hear(job.worker, tried, 1001.0)
        job.hear(job.worker, StoreBack(at_s=back_s, since_s=since_s), 1001.0)
    assert [event.since_s for event in job.told if type(event) is StoreBack] == [100.0, 600.0]


def test_an_outage_is_told_that_a_worker_tells_of_a_moment_after_what_limits_the_job() -> None:
    job = Job(home_takes=False)
    job.hear(job.worker, limits(CAP, 9))
    job.desk.look(2.01)
    job.hear(job.worker, away(2.0), 2.02)
    assert job.told[-1] == msgspec.structs.replace(away(2.0), at_s=2.01)


def test_an_outage_whose_end_is_told_late_has_an_end() -> None:
    """A worker here tells a moment later, and what limits the job may have been told meanwhile."""
    job = Job(home_takes=False)
    job.hear(job.worker, away(2.0))
    job.hear(job.worker, limits(CAP, 9))
    job.desk.look(5.01)
    job.hear(job.worker, StoreBack(at_s=5.0, since_s=1.0), 5.02)
    assert job.told[-1] == StoreBack(at_s=5.01, since_s=1.0)


def test_a_worker_whose_clock_is_ahead_takes_no_outage_from_the_others() -> None:
    """What it tells of counts as of now, as long as it was."""
    job = Job()
    job.hear(job.worker, StoreAway(at_s=701.0, since_s=700.0, next_try_s=703.0, cause="refused"), 110.0)
    job.hear(job.worker, StoreBack(at_s=703.0, since_s=700.0), 110.0)
    job.home.tell(limits(CPU, 8))
    job.desk.look(120.0)
    home: list[Event] = [
        StoreAway(at_s=405.0, since_s=400.0, next_try_s=460.0, cause="refused"),
        StoreBack(at_s=460.0, since_s=400.0),
    ]
    for event in home:
        job.home.tell(event)
    assert [event.at_s for event in job.told] == [110.0, 110.0, 120.0, 405.0, 460.0]
    assert job.told[0] == StoreAway(at_s=110.0, since_s=109.0, next_try_s=112.0, cause="refused")
    assert job.told[1] == StoreBack(at_s=110.0, since_s=107.0)
    assert job.told[3:] == home


def test_where_the_process_at_home_finds_the_store_away_too_it_is_one_outage() -> None:
    job = Job(home_takes=False)
    back = StoreBack(at_s=5.0, since_s=1.0)
    job.home.tell(away(2.0))
    job.hear(job.worker, away(2.1))
    job.hear(job.worker, back)
    job.home.tell(back)
    assert job.told == [away(2.0), back]


def test_an_object_of_which_a_lost_worker_had_only_asked_is_told_as_begun_once_with_its_number() -> None:
    """With `if_exists` the question comes first, and nobody told of the object, which ended all the same."""
    job, other = Job(), Worker(2, Hand())
    taken = Taken(ObjectSource(key="k", path="/k"), 1)
    question = AttemptEnded(at_s=1.0, seq=3, key="k", report=attempt(0.0, 1.0, 0, operation="HeadObject"))
    begun = ObjectBegun(at_s=2.0, seq=7, key="k", source="/k", size=1)
    job.worker.hand.take([taken])
    job.hear(job.worker, question)
    for worker in (other, Worker(3, Hand())):
        worker.hand.take([taken])
        job.hear(worker, begun)
    assert [(type(event), event.seq) for event in job.told] == [  # type: ignore[union-attr]
        (AttemptEnded, SEQ_OF_WORKER + 3),
        (ObjectBegun, SEQ_OF_WORKER + 3),
    ]
