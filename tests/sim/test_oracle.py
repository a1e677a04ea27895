"""The oracle can tell the program from one that is broken: each of these breaks it in one place."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from s3_upload.errors import FailureKind
from s3_upload.http import Buffer, Response
from s3_upload.s3.operations import PUT_OBJECT
from s3_upload.transfer import abort
from s3_upload.transfer.attempt import Attempts, Outcome, report_of
from s3_upload.transfer.tries import Request
from tests.sim.loop import SimLoop
from tests.sim.oracle import violations
from tests.sim.run import WHOLE_COLLECTION_EVERY, Meddling, run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.test_sim import calm_world
from tests.sim.world import MIB, World, stormy_world

Patch = pytest.MonkeyPatch


def found(worlds: Iterable[World]) -> str:
    return "\n".join(line for world in worlds for line in violations(run_world(world)))


# --- what is there is not what was sent --------------------------------------------------------------


def storms(count: int) -> list[World]:
    """Over a bucket that is full of other things."""
    return [dataclasses.replace(stormy_world(seed), overwrites=1.0) for seed in range(count)]


@pytest.mark.parametrize(
    ("name", "believes"),
    [
        ("s3_upload.transfer.inquiry.disproof", lambda *_, **__: ""),
        ("s3_upload.s3.proof.AGE_SLACK_S", float("inf")),
    ],
    ids=["anything", "the same bytes of before"],
)
def test_the_oracle_sees_a_proof_that_believes_too_much(
    monkeypatch: Patch, name: str, believes: object
) -> None:
    assert "before the store had it" not in found(storms(6))
    monkeypatch.setattr(name, believes)
    assert "before the store had it" in found(storms(6))


def test_what_exists_is_told_where_nothing_is_to_be_overwritten() -> None:
    """Whole objects and those in parts, the same bytes and others."""
    world = dataclasses.replace(calm_world(), overwrites=1.0, only_new=True)
    outcome = run_world(world)
    assert violations(outcome) == []
    assert {report.outcome for report in outcome.runs[0].reports} == {FailureKind.EXISTS}
    assert outcome.model.objects == outcome.before
    assert outcome.model.uploads == {}
    new = run_world(dataclasses.replace(world, overwrites=0.0))
    assert violations(new) == []
    assert {report.succeeded for report in new.runs[0].reports} == {True}


# --- what is left at the store -----------------------------------------------------------------------


def stopped(count: int, faults: Faults | None = None) -> list[World]:
    """Runs that are stopped in mid-upload, at a slow store."""
    slow, calm = StoreSpec(service_s=0.3, sigma=1.0), calm_world()
    at_once = dataclasses.replace(calm.config, grace_s=0.0)
    return [
        dataclasses.replace(
            calm, seed=seed, config=at_once, store=slow, faults=faults or Faults(), kill_step=30 + 3 * seed
        )
        for seed in range(30, 30 + count)
    ]


def test_the_oracle_sees_an_abort_after_which_nobody_looks(monkeypatch: Patch) -> None:
    async def is_gone(operation: Any, send: Any) -> bool:
        await send(operation)
        return True

    assert found(stopped(12)) == ""
    monkeypatch.setattr(abort, "_is_gone", is_gone)
    assert "nobody looked after its abort" in found(stopped(12))


def test_the_oracle_sees_a_refused_abort_that_is_not_repeated(monkeypatch: Patch) -> None:
    once = abort._is_gone

    async def is_gone(operation: Any, send: Any) -> bool:
        return bool(await once(operation, send))

    errors = Faults(end_s=1e3, throttle=0.3)
    assert found(stopped(12, errors)) == ""
    monkeypatch.setattr(abort, "_is_gone", is_gone)
    assert "its abort was refused (503), and not tried again" in found(stopped(12, errors))


def test_the_oracle_sees_parts_that_were_found_after_an_abort_and_left(monkeypatch: Patch) -> None:
    once = abort._is_gone

    async def is_gone(operation: Any, send: Any) -> bool | None:
        gone = await once(operation, send)
        return True if gone is None else gone

    assert found(stopped(30)[15:]) == ""
    monkeypatch.setattr(abort, "_is_gone", is_gone)
    assert "they were found after its abort, and left" in found(stopped(30)[15:])


# --- what is told too early --------------------------------------------------------------------------


def told_when_sent(make: Callable[..., Any]) -> Callable[..., Any]:
    """A success as soon as the last byte of a PutObject has left, whatever the store says."""

    async def hasty(self: Attempts, request: Request, *, hedge: bool) -> Outcome:
        attempting = asyncio.ensure_future(make(self, request, hedge=hedge))
        while not attempting.done():
            for attempt in request.in_flight:
                body = request.operation.body
                if request.operation.name == PUT_OBJECT and attempt.trace.sent_s and isinstance(body, Buffer):
                    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
                    response = Response(200, {"etag": f'"{etag}"'})
                    report = report_of(attempt, response, None, ended_s=self._now())
                    return Outcome(report, response, None, attempt.trace)
            await asyncio.sleep(1e-3)
        return await attempting  # type: ignore[no-any-return]

    return hasty


def test_the_oracle_sees_a_success_that_is_told_before_the_store_has_it(monkeypatch: Patch) -> None:
    """Also where the next run puts it right."""
    killed = dataclasses.replace(calm_world(), kill_step=60)
    for world in (calm_world(), killed):
        assert violations(run_world(world)) == []
    monkeypatch.setattr(Attempts, "make", told_when_sent(Attempts.make))
    for world in (calm_world(), killed):
        outcome = run_world(world)
        early = [line for line in violations(outcome) if "before the store had it" in line]
        # What the next run tells again is there by then.
        assert len(early) == sum(spec.size < MIB for spec in world.objects)


def test_the_oracle_sees_what_a_stopped_run_says_wrongly(monkeypatch: Patch) -> None:
    world = dataclasses.replace(calm_world(), kill_step=100)
    outcome = run_world(world)
    assert violations(outcome) == []
    first = outcome.runs[0]
    assert first.killed
    assert first.partial is not None
    assert first.partial.uploaded == len(first.reports) > 0
    first.partial = msgspec.structs.replace(first.partial, uploaded=first.partial.uploaded - 1)
    assert any("the summary's uploaded is" in line for line in violations(outcome))
    first.partial = None
    assert "the run was stopped, and did not say what it had done" in violations(outcome)


# --- what nobody sees --------------------------------------------------------------------------------


def test_an_exception_that_nobody_sees_in_an_old_circle_is_seen_in_some_worlds() -> None:
    def leave(loop: SimLoop, controls: object) -> None:
        future = loop.create_future()
        future.set_exception(ValueError("nobody sees this"))
        circle: list[Any] = [future]
        circle.append(circle)
        gc.collect()  # it is in use, and counts as old from now on

    world = dataclasses.replace(calm_world(), seed=WHOLE_COLLECTION_EVERY)
    lost = violations(run_world(world, Meddling(started=leave)))
    assert len(lost) == 1
    assert "nobody saw: Future exception was never retrieved: ValueError" in lost[0]
