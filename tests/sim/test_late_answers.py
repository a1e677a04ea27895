"""An answer that takes minutes is waited for, once that is known. Virtual time."""

from __future__ import annotations

import dataclasses

import pytest

from s3_upload.config import UploadConfig
from s3_upload.report import SUCCESS, AttemptReport
from tests.sim.oracle import violations
from tests.sim.run import Meddling, Outcome, run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.world import KIB, MIB, AddressSpec, ObjectSpec, World

ANSWER_S = 130.0
BUFFERING = World(
    seed=1,
    objects=(
        *(ObjectSpec(f"big-{n}", "file", 15 * MIB, start=n) for n in range(2)),
        ObjectSpec("small", "file", 4 * KIB, start=0),
    ),
    config=UploadConfig(max_in_flight=2, multipart_threshold=6 * MIB, part_size=5 * MIB),
    addresses=(AddressSpec(0.02),),
    rates=((0.0, 20e6),),
    queue_bytes=1 << 20,
    store=StoreSpec(big_body_s=ANSWER_S, sigma=0.1),
)
"""Six parts, two at a time: 390 s if each is sent once."""
PATIENT = Meddling(limit_s=20_000.0)


def parts(outcome: Outcome) -> list[AttemptReport]:
    attempts = (a for report in outcome.runs[0].reports for a in report.attempt_reports)
    return [a for a in attempts if a.operation == "UploadPart"]


def finished(world: World) -> Outcome:
    outcome = run_world(world, PATIENT)
    assert violations(outcome) == []
    [run] = outcome.runs
    assert run.summary is not None
    assert run.summary.uploaded == len(world.objects)
    return outcome


def test_behind_a_proxy_that_answers_a_part_after_130_s_an_upload_ends_well() -> None:
    outcome = finished(BUFFERING)
    assert outcome.model.uploads == {}
    answered_s = min(a.first_byte_s for a in parts(outcome) if a.outcome == SUCCESS)
    assert answered_s < 3.0 * ANSWER_S
    later = [a for a in parts(outcome) if a.started_s > answered_s]
    assert later
    assert {a.outcome for a in later} == {SUCCESS}, "cut, though it was known how long answers take"
    assert outcome.virtual_s < answered_s + 3.0 * ANSWER_S


def test_small_files_do_not_wait_for_it() -> None:
    """A connection that dies is found in seconds, before the slow answers and among them."""
    files = tuple(ObjectSpec(f"{n:03d}", "file", 4 * KIB, start=n) for n in range(100))
    # A seed with which the fault does not meet the fifth try of a part, which is the last.
    world = dataclasses.replace(
        BUFFERING,
        seed=2,
        objects=(BUFFERING.objects[0], *files),
        config=dataclasses.replace(BUFFERING.config, max_in_flight=8),
        faults=Faults(end_s=1e4, unanswered=0.05),
    )
    outcome = finished(world)
    assert outcome.injected["unanswered"]
    small = [report for report in outcome.runs[0].reports if report.key != "big-0"]
    assert max(a.ended_s - a.started_s for report in small for a in report.attempt_reports) < 30.0


def test_a_store_that_takes_130_s_for_everything_is_no_outage() -> None:
    outcome = finished(dataclasses.replace(BUFFERING, store=StoreSpec(service_s=ANSWER_S, sigma=0.01)))
    assert outcome.virtual_s < 3_000.0


def test_a_part_that_is_never_answered_is_given_up_after_the_longest_wait() -> None:
    """Not after all its tries, of five minutes each."""
    settings = dataclasses.replace(BUFFERING.config, max_in_flight=8)
    never = dataclasses.replace(BUFFERING, store=StoreSpec(big_body_s=1e5, sigma=0.1), config=settings)
    outcome = run_world(never, PATIENT)
    [run] = outcome.runs
    assert run.summary is not None
    assert {report.key for report in run.summary.failed} == {"big-0", "big-1"}
    assert all("no answer within 300 s" in str(report.error) for report in run.summary.failed)
    waits = [round(a.ended_s - a.acked_s) for a in parts(outcome)]
    assert max(waits) == 300
    assert max(a.retries for a in parts(outcome)) < settings.n_retries
    assert sum(waits) <= 6 * 800, "more than 13 minutes for a part"
    assert run.ended_s < 1800.0


MANY_PARTS = dataclasses.replace(
    BUFFERING,
    objects=(
        *(ObjectSpec(f"big-{n}", "file", 15 * MIB + 500 * KIB, start=n) for n in range(40)),
        *(ObjectSpec(f"{n:03d}", "file", 4 * KIB, start=n) for n in range(300)),
    ),
    config=UploadConfig(multipart_threshold=6 * MIB, part_size=5 * MIB),
    rates=((0.0, 200e6),),
)


def test_a_part_that_is_answered_some_seconds_late_is_not_sent_again() -> None:
    """By what small files are answered in, it would be cut after two seconds."""
    outcome = finished(dataclasses.replace(MANY_PARTS, store=StoreSpec(slow_part_every=13)))
    assert {a.retries for a in parts(outcome)} == {0}
    assert len([a for a in parts(outcome) if a.ended_s - a.acked_s > 5.0]) == 160 // 13


@pytest.mark.parametrize("late_s", [20.0, 50.0])
def test_at_a_store_that_takes_no_part_twice_every_file_is_stored_at_its_second_beginning(
    late_s: float,
) -> None:
    """It refuses to complete what had a part twice, and forgets it: from then on late answers are waited
    for."""
    store = StoreSpec(slow_part_every=13, slow_s=late_s, parts_once=True)
    outcome = finished(dataclasses.replace(MANY_PARTS, store=store))
    assert any(a.timer == "response" for a in parts(outcome)), "no part came twice"
    assert outcome.model.uploads == {}
