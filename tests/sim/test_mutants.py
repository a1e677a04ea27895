"""Few worlds tell the program from one that lacks something: its mutants are made here, by patching it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import msgspec

from s3_upload.config import UploadConfig
from s3_upload.control.waiting import adaptive, verdict
from s3_upload.control.waiting.adaptive import AdaptiveTimeout
from s3_upload.control.waiting.timeouts import NEVER_S
from s3_upload.errors import RunError, SourceError
from s3_upload.http1.connection import Connection
from s3_upload.http1.resolve import Addresses
from s3_upload.http1.trace import Transfer
from s3_upload.observe.journal_file import JournalFile
from s3_upload.sources.stream import BlockStream
from s3_upload.transfer import multipart, run
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.outages import Outages
from s3_upload.transfer.resume import Resumption
from tests.sim.kills import ABORT, COMPLETE, PART
from tests.sim.oracle import violations
from tests.sim.run import Outcome, run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.world import KIB, MIB, AddressSpec, ObjectSpec, World

BIG = World(
    seed=1,
    objects=tuple(ObjectSpec(f"big-{n}", "file", 11 * MIB + n, start=n) for n in range(4)),
    config=UploadConfig(multipart_threshold=6 * MIB, part_size=5 * MIB),
    addresses=(AddressSpec(0.02),),
    rates=((0.0, 20e6),),
    queue_bytes=1 << 20,
    store=StoreSpec(service_s=0.02, sigma=0.1),
)
FEW = dataclasses.replace(BIG, objects=BIG.objects[:2])


def sound(world: World) -> Outcome:
    """What happened, which breaks no rule."""
    outcome = run_world(world)
    assert violations(outcome) == []
    return outcome


def wrong(world: World) -> bool:
    return bool(violations(run_world(world)))


def timers(outcome: Outcome) -> set[str]:
    reports = [report for run in outcome.runs for report in run.reports]
    return {a.timer for report in reports for a in report.attempt_reports if a.timer}


def test_without_the_stall_timer_a_store_that_reads_no_more_holds_up_the_run(monkeypatch: Any) -> None:
    worlds = [dataclasses.replace(FEW, seed=seed, faults=Faults(end_s=5.0, frozen=0.5)) for seed in (1, 2)]
    whole = [sound(world) for world in worlds]
    assert all("stall" in timers(outcome) for outcome in whole)
    assert all(outcome.runs[0].ended_s < 150.0 for outcome in whole)
    monkeypatch.setattr(verdict, "stall_limit_s", lambda *_: NEVER_S)
    for world in worlds:
        assert run_world(world).virtual_s > 600.0


def test_who_cancels_while_an_object_in_parts_is_completed_leaves_nothing_of_it(monkeypatch: Any) -> None:
    """The mutant takes an upload for ended when its completion is asked for."""
    store = dataclasses.replace(BIG.store, complete_s=5.0)
    at_once = dataclasses.replace(BIG.config, grace_s=0.0)
    late = [
        dataclasses.replace(BIG, config=at_once, store=store, kill_step=turns, kill_from=(COMPLETE, 1))
        for turns in (1, 5, 20)
    ]
    assert all(sound(world).runs[0].killed for world in late)

    @contextmanager
    def forgets(unfinished: Unfinished) -> Iterator[None]:
        open_, unfinished._open = unfinished._open, []
        yield
        unfinished._open += open_

    monkeypatch.setattr(Unfinished, "being_completed", forgets)
    assert all(wrong(world) for world in late)


def test_who_cancels_twice_leaves_nothing_either(monkeypatch: Any) -> None:
    """The mutant ends when it is cancelled for the second time, though it tidies up."""
    at_once = dataclasses.replace(BIG.config, grace_s=0.0)
    twice = [
        dataclasses.replace(
            BIG, config=at_once, kill_step=20, kill_from=(PART, 3), kill_again=turns, kill_again_from=since
        )
        for turns, since in ((1, ("", 0)), (3, ("", 0)), (1, (ABORT, 1)))
    ]
    for world in twice:
        assert sound(world).runs[0].killed

    async def disturbed(work: Coroutine[Any, Any, None]) -> None:
        await work

    monkeypatch.setattr(run, "undisturbed", disturbed)
    assert any(wrong(world) for world in twice)


STREAMS = World(
    seed=1,
    objects=tuple(
        ObjectSpec(f"{size}-{sized}-{fails}", "stream", size, start=n, sized=sized, fails=fails)
        for n, (size, sized, fails) in enumerate(product((3000, 11 * MIB), (True, False), (True, False)), 1)
    ),
    config=BIG.config,
    addresses=BIG.addresses,
    rates=BIG.rates,
    queue_bytes=BIG.queue_bytes,
)


def test_a_stream_of_any_kind_is_stored_whole_or_not_at_all(monkeypatch: Any) -> None:
    """One mutant stores what is shorter than it was said to be, the other nothing of unknown size."""
    [whole] = sound(STREAMS).runs
    assert whole.summary is not None
    assert (whole.summary.uploaded, len(whole.summary.failed)) == (4, 4)
    with monkeypatch.context() as mutant:
        mutant.setattr(BlockStream, "_ends_with", _ends_anywhere)
        assert wrong(STREAMS)
    with monkeypatch.context() as mutant:
        mutant.setattr(BlockStream, "_ends_with", _wants_a_size)
        assert wrong(STREAMS)


def _ends_anywhere(stream: BlockStream, chunk: Any) -> bool:
    if isinstance(chunk, bytes):
        stream._block.add(chunk, stream._name)
    return not isinstance(chunk, bytes)


def _wants_a_size(stream: BlockStream, chunk: Any) -> bool:
    if stream._expected_size is None:
        raise SourceError(f"{stream._name}: who knows how long it is?")
    return _ends_anywhere(stream, chunk)


def many(**changes: Any) -> World:
    """Small files over a slow link: some minutes of work, with a new connection every few requests."""
    world = dataclasses.replace(
        BIG,
        objects=tuple(ObjectSpec(f"{n}", "file", 200 * KIB, start=n) for n in range(60)),
        rates=((0.0, 150e3),),
        queue_bytes=60_000,
        store=StoreSpec(service_s=0.02, sigma=0.1, requests_per_connection=3),
    )
    return dataclasses.replace(world, **changes)


def test_a_resolver_that_fails_from_some_moment_on_costs_nothing(monkeypatch: Any) -> None:
    """The mutant forgets the addresses that it knows."""
    world = many(resolver_fails=((20.0, math.inf),))
    outcome = sound(world)
    assert outcome.injected["resolver failed"]
    [whole] = outcome.runs
    assert whole.summary is not None
    assert whole.summary.uploaded == 60
    ask = Addresses._ask

    async def forgets(addresses: Addresses) -> list[str]:
        addresses._known.addresses = []
        return await ask(addresses)

    monkeypatch.setattr(Addresses, "_ask", forgets)
    assert wrong(world)


def test_a_resolver_that_never_answers_ends_the_run_in_words() -> None:
    outcome = sound(many(resolver_fails=((0.0, math.inf),)))
    error = outcome.runs[0].error
    assert isinstance(error, RunError)
    assert "cannot be resolved" in str(error)


def test_a_store_that_is_restarted_uses_up_no_tries(monkeypatch: Any) -> None:
    """The mutant takes what fails meanwhile for the requests' own fault."""
    world = many(restarts=((20.0, 35.0),))
    [whole] = sound(world).runs
    assert max(report.attempts for report in whole.reports) <= 3
    monkeypatch.setattr(Outages, "holds", lambda *_: False)
    [mutant] = run_world(world).runs
    assert max(report.attempts for report in mutant.reports) > 3


def test_a_part_that_came_twice_spoils_its_upload_and_not_its_object(monkeypatch: Any) -> None:
    """The mutant does not begin it again."""
    store = dataclasses.replace(BIG.store, parts_once=True)
    faults = Faults(end_s=1.5, unanswered=0.3)
    worlds = [dataclasses.replace(BIG, seed=seed, store=store, faults=faults) for seed in range(4)]
    for world in worlds:
        sound(world)
    monkeypatch.setattr(multipart, "ANOTHER_WAY", frozenset())
    assert any(wrong(world) for world in worlds)


def test_a_completion_that_takes_long_is_waited_for(monkeypatch: Any) -> None:
    """The mutant gives it the time that any answer gets."""
    world = dataclasses.replace(BIG, store=dataclasses.replace(BIG.store, complete_s=90.0))
    assert sound(world).cuts.false == 0
    monkeypatch.setattr(adaptive, "_NO_RESPONSE_TIMER", frozenset())
    assert run_world(world).cuts.false >= len(world.objects)


def test_big_bodies_have_a_time_of_their_own(monkeypatch: Any) -> None:
    """The mutant waits for answers to big bodies as it does for small ones."""
    small = many().objects
    world = dataclasses.replace(
        BIG, objects=(*small, *BIG.objects), store=dataclasses.replace(BIG.store, big_body_s=8.0)
    )
    assert sound(world).cuts.false == 0
    monkeypatch.setattr(AdaptiveTimeout, "_answers", lambda timeout, report: timeout._small)
    monkeypatch.setattr(AdaptiveTimeout, "_first_s", lambda timeout, answers: 2.0)
    assert run_world(world).cuts.false > 0


def test_a_kernel_that_tells_half_is_not_believed(monkeypatch: Any) -> None:
    """The mutant takes what it does not tell for no progress."""
    world = dataclasses.replace(FEW, rates=((0.0, 300e3),), queue_bytes=60_000, half_empty_info=True)
    assert timers(sound(world)) == set()
    probe = Connection.probe

    def believes(connection: Connection) -> Transfer:
        return msgspec.structs.replace(probe(connection), progress=0, drained=False)

    monkeypatch.setattr(Connection, "probe", believes)
    assert "stall" in timers(run_world(world))


def test_the_next_run_goes_on_with_what_a_killed_one_has_left(monkeypatch: Any) -> None:
    """The mutant does not look for what there is."""
    worlds = [
        dataclasses.replace(BIG, crash=True, journal=True, kill_step=1, kill_from=moment)
        for moment in ((PART, 3), (PART, 10), (COMPLETE, 1), (COMPLETE, 4))
    ]
    for world in worlds:
        killed, resumed = sound(world).runs
        assert killed.killed
        assert resumed.summary is not None
        assert resumed.summary.uploaded == len(world.objects)

    async def finds_nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(Resumption, "take_up", finds_nothing)
    assert any(wrong(world) for world in worlds)


def test_what_a_killed_process_has_sent_of_a_stream_is_removed_by_the_next_one(monkeypatch: Any) -> None:
    """Nobody can go on with it.  The mutant forgets it when the stream is complete by another upload."""
    objects = tuple(ObjectSpec(f"{n}", "stream", 14 * MIB, start=n, sized=n > 0) for n in range(2))
    world = dataclasses.replace(
        BIG, objects=objects, crash=True, journal=True, kill_step=1, kill_from=(PART, 5)
    )
    outcome = sound(world)
    assert outcome.model.uploads == {}
    [_, resumed] = outcome.runs
    assert resumed.summary is not None
    assert resumed.summary.uploaded == 2
    monkeypatch.setattr(JournalFile, "outlive_streams", lambda _: None)
    assert wrong(world)
