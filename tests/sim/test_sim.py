"""The simulator's worlds, as tests; and tests of the simulator: it replays, and its oracle can fail."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from s3_upload.config import UploadConfig
from s3_upload.errors import FailureKind, UploadError
from s3_upload.http import Buffer, Response
from s3_upload.http1.trace import Trace
from s3_upload.report import UploadReport
from s3_upload.s3.checksum import Digests
from s3_upload.s3.operations import HEAD_OBJECT, PUT_OBJECT, Operation
from s3_upload.s3.responses import Failure
from s3_upload.transfer.client import Client
from tests.sim.__main__ import replay_command
from tests.sim.oracle import violations
from tests.sim.run import Meddling, run_world
from tests.sim.server import StoreSpec
from tests.sim.world import MIB, AddressSpec, ObjectSpec, World, random_world, stormy_world

SEEDS = 200
"""`make sim` has ten times as many."""
STORMS = 60
CHUNK = 10


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_any_world(first: int) -> None:
    for seed in range(first, first + CHUNK):
        found = violations(run_world(random_world(seed)))
        assert not found, f"seed {seed}, replay with: {replay_command(seed)}\n" + "\n".join(found)


@pytest.mark.parametrize("first", range(0, STORMS, CHUNK))
def test_any_storm(first: int) -> None:
    """Few tries, and a store that seldom says what it has done: what HeadObject and aborts are for."""
    for seed in range(first, first + CHUNK):
        found = violations(run_world(stormy_world(seed)))
        assert not found, f"stormy seed {seed}:\n" + "\n".join(found)


def test_what_was_planned_for_later_than_the_end_does_not_count_as_injected() -> None:
    calm = calm_world()
    changing = tuple(dataclasses.replace(one, changes_s=1e5) for one in calm.objects)
    outcome = run_world(dataclasses.replace(calm, objects=changing, down=((1e5, 1e5 + 1.0),)))
    assert (outcome.injected["link down"], outcome.injected["file changes"]) == (0, 0)


def test_parts_that_come_after_the_abort_of_a_stopped_run_are_aborted_too() -> None:
    """Where the program could know of them: some come after its last look."""
    late = left = 0
    for seed in range(30, 60):
        slow, calm = StoreSpec(service_s=0.3, sigma=1.0), calm_world()
        at_once = dataclasses.replace(calm.config, grace_s=0.0)
        world = dataclasses.replace(calm, seed=seed, config=at_once, store=slow, kill_step=30 + 3 * seed)
        outcome = run_world(world)
        assert violations(outcome) == []
        late += outcome.injected["late part"]
        left += sum(bool(upload.parts) for upload in outcome.model.uploads.values())
    assert late > left


# --- the simulator itself --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 17, 71])
def test_a_seed_replays_event_by_event(seed: int) -> None:
    first, second = run_world(random_world(seed)), run_world(random_world(seed))
    assert first.trace == second.trace
    assert first.steps == second.steps


def test_a_seed_replays_in_another_process() -> None:
    code = (
        "from tests.sim.run import run_world; from tests.sim.world import random_world; "
        "print(run_world(random_world(17)).trace)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == run_world(random_world(17)).trace


def test_seeds_differ() -> None:
    assert run_world(random_world(1)).trace != run_world(random_world(2)).trace


def calm_world() -> World:
    """No faults; whole objects, two of the same size, and one in parts."""
    sizes = [3000, 3000, 70_000, 11 * MIB]
    return World(
        seed=1,
        objects=tuple(ObjectSpec(f"k{n}", "file", size, start=n * 997) for n, size in enumerate(sizes)),
        config=UploadConfig(multipart_threshold=MIB, part_size=5 * MIB),
        addresses=(AddressSpec(0.02),),
        rates=((0.0, 50e6),),
        queue_bytes=1 << 20,
    )


def test_a_calm_world_is_uploaded_at_the_speed_of_its_link() -> None:
    world = calm_world()
    outcome = run_world(world)
    assert violations(outcome) == []
    summary = outcome.runs[0].summary
    assert summary is not None
    assert summary.uploaded == len(world.objects)
    ideal_s = world.total_bytes / world.rates[0][1]
    assert ideal_s < summary.wall_time_s < 3 * ideal_s + 1.0
    assert outcome.cuts.false == 0
    assert outcome.wire_bytes < 1.1 * world.total_bytes


Send = Callable[[Operation, Trace], Operation | Response]


class BrokenClient:
    """A client that does something else than it was asked: `tamper` answers, or changes the request."""

    def __init__(self, client: Client, tamper: Send) -> None:
        self._client = client
        self._tamper = tamper
        self.endpoint = client.endpoint
        self.parts = client.parts
        # With checksums the store itself would refuse what a test mixes up.
        self.digests = Digests(client.digests.sha256)

    async def send(self, operation: Operation, trace: Trace) -> Response:
        changed = self._tamper(operation, trace)
        if isinstance(changed, Response):
            return changed
        return await self._client.send(changed, trace)

    async def correct(self, operation: Operation, failure: Failure, trace: Trace) -> bool:
        return await self._client.correct(operation, failure, trace)

    def remark(self, failure: Failure, trace: Trace) -> str:
        return self._client.remark(failure, trace)


def findings(tamper: Send) -> str:
    meddling = Meddling(client=lambda client: BrokenClient(client, tamper))
    return "\n".join(violations(run_world(calm_world(), meddling)))


def replaced(operation: Operation, body: bytes) -> Operation:
    return Operation(
        name=operation.name,
        bucket=operation.bucket,
        key=operation.key,
        body=body,
        upload_id=operation.upload_id,
        part_number=operation.part_number,
    )


def test_the_oracle_sees_an_early_acknowledgement() -> None:
    def lies(operation: Operation, trace: Trace) -> Operation | Response:
        return Response(200, {"etag": '"x"'}) if operation.name == PUT_OBJECT else operation

    assert "acknowledged, and not in the bucket" in findings(lies)


def test_the_oracle_sees_a_wrong_body() -> None:
    bodies: list[bytes] = []

    def swaps(operation: Operation, trace: Trace) -> Operation | Response:
        if operation.name != PUT_OBJECT:
            return operation
        assert isinstance(operation.body, Buffer)
        bodies.append(bytes(operation.body))
        return replaced(operation, bodies[0])

    assert "the object is wrong or a mix" in findings(swaps)


def test_the_oracle_sees_mixed_parts() -> None:
    def mixes(operation: Operation, trace: Trace) -> Operation | Response:
        if operation.part_number != 2:
            return operation
        first = calm_world().objects[-1].bodies()[0][: 5 * MIB]
        return replaced(operation, bytes(first))

    assert "the object is wrong or a mix" in findings(mixes)


def test_the_oracle_sees_a_success_told_as_a_failure() -> None:
    meddling = Meddling(report=_as_failure)
    assert "the answer that it is there was received" in "\n".join(
        violations(run_world(calm_world(), meddling))
    )


def _as_failure(report: UploadReport) -> UploadReport:
    error = UploadError("made up", key=report.key, kind=FailureKind.TIMEOUT, attempts=9)
    return msgspec.structs.replace(report, bytes=0, outcome="timeout", error=error, attempts=9)


def test_the_oracle_sees_a_failure_that_head_object_could_have_settled() -> None:
    """As if what it found were never believed; and as if nobody had asked."""

    def doubts(report: UploadReport) -> UploadReport:
        asked = [attempt.operation == HEAD_OBJECT for attempt in report.attempt_reports]
        return _as_failure(report) if any(asked) and report.succeeded else report

    def never_asks(report: UploadReport) -> UploadReport:
        failed = doubts(report)
        attempts = tuple(a for a in failed.attempt_reports if a.operation != HEAD_OBJECT)
        return msgspec.structs.replace(failed, attempt_reports=attempts)

    for report, words in ((doubts, "HeadObject could tell"), (never_asks, "HeadObject was never asked")):
        found = violations(run_world(stormy_world(0), Meddling(report=report)))
        assert words in "\n".join(found)


def test_the_oracle_sees_a_lost_report() -> None:
    meddling = Meddling(report=lambda report: report if report.seq != 1 else None)
    found = "\n".join(violations(run_world(calm_world(), meddling)))
    assert "no report of sources [1]" in found
    assert "the summary's sources is 4, the reports make 3" in found


def test_the_oracle_sees_a_report_that_comes_twice_under_a_wrong_name() -> None:
    def renames(report: UploadReport) -> UploadReport:
        return UploadReport(
            seq=0, key=report.key, source=report.source, bytes=report.bytes, outcome=report.outcome
        )

    found = "\n".join(violations(run_world(calm_world(), Meddling(report=renames))))
    assert "report 0 is of another object" in found
    assert "reported more than once" in found


def test_the_loop_tells_a_run_that_hangs() -> None:
    class Hangs(BrokenClient):
        async def send(self, operation: Operation, trace: Trace) -> Response:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    outcome = run_world(calm_world(), Meddling(client=lambda client: Hangs(client, lambda o, e: o)))
    assert outcome.stuck
    assert "stuck" in violations(outcome)[0]
