"""Runs a world: a `World` in, all that happened out."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from s3_upload.api import controls_for, run_upload
from s3_upload.clients.s3 import S3Client
from s3_upload.errors import summary_of
from s3_upload.observe.events import Events, Listening
from s3_upload.report import UploadReport, UploadSummary
from s3_upload.request_fields import RequestFields
from s3_upload.s3.credentials import Credentials
from s3_upload.transfer.client import Client
from s3_upload.transfer.given import Controls, Runtime
from s3_upload.transfer.pulling import Sources
from tests.faults.model import S3Model, StoredObject
from tests.sim.before import objects_before
from tests.sim.disk import SimDisk
from tests.sim.handshake import Address
from tests.sim.journal import ProcessJournal
from tests.sim.kills import Kills
from tests.sim.loop import START_S, SimLoop, Stuck
from tests.sim.network import Cuts, Network
from tests.sim.server import EPOCH_UTC_S, Record, SimStore
from tests.sim.tcp import Link
from tests.sim.world import HOST, World

BUCKET = "bucket"
SETTLE_S = 120.0
"""Virtual time after a run in which what it left at the store takes effect."""
WHOLE_COLLECTION_EVERY = 10
"""Of so many seeds, for one all garbage of its world is collected at its end, and not only what is new."""
ONLY_NEW = RequestFields(if_none_match="*")


@dataclass(slots=True)
class Run:
    """One call of `run_upload`. `error` None and `summary` None: it was killed."""

    reports: list[UploadReport] = field(default_factory=list)
    told_s: list[float] = field(default_factory=list)
    """When each of them came, in the world's time."""
    summary: UploadSummary | None = None
    partial: UploadSummary | None = None
    """What came with the exception that ended it."""
    error: BaseException | None = None
    killed: bool = False
    leaks: list[str] = field(default_factory=list)
    """Tasks, timers and connections of the program's that outlived it and its client."""
    ended_s: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What happened in a world. `trace` is a digest of every event that left the program or came in."""

    world: World
    runs: list[Run] = field(default_factory=list)
    stuck: str = ""
    complaints: list[str] = field(default_factory=list)
    model: S3Model = field(default_factory=S3Model)
    before: dict[str, StoredObject] = field(default_factory=dict)
    """What was in the bucket already, by "bucket/key"."""
    records: list[Record] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    cuts: Cuts = field(default_factory=Cuts)
    wire_bytes: int = 0
    virtual_s: float = 0.0
    steps: int = 0
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Meddling:
    """How a test makes a run other than it is, or watches it; all optional.

    `client` wraps the client, `report` may swallow a report (None), `controls` replaces the
    algorithm, `limit_s` the time allowed, `events` hear of what happens, `started` is told the loop and
    the controls.
    """

    client: Callable[[Client], Client] = lambda client: client
    report: Callable[[UploadReport], UploadReport | None] = lambda report: report
    controls: Callable[[World], Controls] = lambda world: controls_for(world.config)
    limit_s: float = 0.0
    events: Events | None = None
    started: Callable[[SimLoop, Controls], None] = lambda loop, controls: None


def run_world(world: World, meddling: Meddling | None = None) -> Outcome:
    """Runs `world` from its beginning; a killed run is followed by another, to completion."""
    meddling = meddling or Meddling()
    limit_s = meddling.limit_s or (2 if world.kill_step else 1) * world.limit_s
    loop = SimLoop(limit_s + SETTLE_S)
    outcome = Outcome(world)
    outcome.before = {f"{BUCKET}/{key}": stored for key, stored in objects_before(world).items()}
    outcome.model.objects |= outcome.before
    network, store, trace = _surroundings(world, loop, outcome.model)
    main = _main(world, meddling, loop, store, outcome)
    try:
        loop.run_until_complete(main)
    except Stuck as stuck:
        outcome.stuck = str(stuck)
        outcome.virtual_s = network.now()
    finally:
        outcome.steps = loop.steps
        network.is_gone = True
        _tear_down(loop, world.seed)
    outcome.complaints = loop.complaints
    outcome.records = store.records
    outcome.injected = store.counts + network.counts
    # What was planned for later than the end was not injected.
    ended_s = outcome.virtual_s
    outcome.injected["link down"] += sum(begins_s < ended_s for begins_s, _ in world.down)
    outcome.injected["file changes"] += sum(0.0 < spec.changes_s < ended_s for spec in world.objects)
    outcome.cuts = network.cuts
    outcome.wire_bytes = network.link.sent_bytes
    outcome.trace = trace.hexdigest()
    return outcome


def _surroundings(world: World, loop: SimLoop, model: S3Model) -> tuple[Network, SimStore, hashlib.blake2b]:
    digest = hashlib.blake2b(digest_size=16)

    def trace(*event: object) -> None:
        digest.update(f"{loop.time():.9f} {event}\n".encode())

    link = Link(loop, list(world.rates), world.queue_bytes, list(world.down), START_S)
    network = Network(loop, link, world.rng("network"), loss=world.loss, trace=trace)
    network.names[HOST] = [
        Address(f"10.0.0.{n + 1}", spec.rtt_s / 2, spec.dead_until_s, spec.refuses_until_s, world.restarts)
        for n, spec in enumerate(world.addresses)
    ]
    for killed_s, _ in world.restarts:
        loop.at(START_S + killed_s, network.reset_all)
    network.resolver_fails = world.resolver_fails
    network.half_empty_info = world.half_empty_info
    store = SimStore(network, world.store, world.faults, world.rng("store"), model)
    network.store = store
    loop.network = network
    return network, store, digest


async def _main(world: World, meddling: Meddling, loop: SimLoop, store: SimStore, outcome: Outcome) -> None:
    network = store.network
    disk_rng, jitter = world.rng("disk"), world.rng("jitter")
    this = asyncio.current_task(loop)
    assert this is not None
    with tempfile.TemporaryDirectory() if world.journal else nullcontext() as folder:
        killed = True
        while killed:
            client = _client(world, loop)
            # Its threads are those of one process.
            disk = SimDisk(
                world.files(),
                call_s=world.disk_call_s,
                rate=world.disk_rate,
                threads=world.config.reader_threads,
                rng=disk_rng,
                now=network.now,
            )
            runtime = Runtime(loop.time, jitter, disk.offload, disk.offload)
            run = Run()
            outcome.runs.append(run)
            journal = ProcessJournal(f"{folder}/journal", loop) if folder else None
            task = loop.create_task(_run(world, meddling, client, runtime, run, journal=journal))
            await _ended(world if len(outcome.runs) == 1 else None, task, store, loop, journal)
            run.killed = killed = not task.done() or task.cancelled()
            # What was killed ends in the end, too, and is not to be heard then.
            outcome.runs[-1] = run = dataclasses.replace(run, reports=[*run.reports], told_s=[*run.told_s])
            run.error = None if killed else task.exception()
            run.ended_s = outcome.virtual_s = network.now()
            if task.done():
                await client.aclose()
            if journal is not None:
                journal.close()
            others = asyncio.all_tasks(loop) - {this, *loop.dead}
            run.leaks = [f"task {t!r}" for t in others] + [f"timer {t}" for t in loop.live_timers()]
            run.leaks += [f"connection {number}" for number in network.open]
    await asyncio.sleep(SETTLE_S)


async def _ended(
    world: World | None,
    task: asyncio.Task[None],
    store: SimStore,
    loop: SimLoop,
    journal: ProcessJournal | None,
) -> None:
    """Waits until the run has ended, which `world` cancels, or whose process it kills."""
    this, died = asyncio.current_task(loop), loop.create_future()
    assert this is not None

    def crash() -> None:
        if task.done() or died.done():
            return
        store.network.process_killed()
        if journal is not None:
            journal.die()
        loop.forget(this)
        died.set_result(None)

    kills = Kills(world.kills if world else (), loop, crash if world and world.crash else task.cancel)
    store.heard = kills.heard
    await asyncio.wait([task, died], return_when=asyncio.FIRST_COMPLETED)
    kills.over()


def _client(world: World, loop: SimLoop) -> S3Client:
    return S3Client(
        endpoint_url=f"{'https' if world.tls else 'http'}://{HOST}",
        region="us-east-1",
        credentials=Credentials("sim", "sim"),
        addressing_style="path",
        verify=not world.tls,
        look_up=loop.look_up,
        utc_clock=lambda: EPOCH_UTC_S + loop.time(),
    )


async def _run(
    world: World,
    meddling: Meddling,
    client: S3Client,
    runtime: Runtime,
    run: Run,
    *,
    journal: ProcessJournal | None,
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)

    def progress(report: UploadReport) -> None:
        kept = meddling.report(report)
        if kept is not None:
            run.reports.append(kept)
            run.told_s.append(loop.time() - START_S)

    controls = meddling.controls(world)
    meddling.started(loop, controls)
    files: Sources = world.lazy_sources() if world.lazy else world.sources()
    events = meddling.events or Events()
    if journal is not None:
        files = journal.of_run.left(files)
        events = Events([Listening(events.tell, events.kinds), journal.listening])
    try:
        run.summary = await run_upload(
            meddling.client(client),
            BUCKET,
            files,
            config=world.config,
            progress=progress,
            default_request=(lambda _: ONLY_NEW) if world.only_new else None,
            controls=controls,
            runtime=runtime,
            events=events,
            resume=journal.resume if journal is not None else None,
        )
    except BaseException as error:
        run.partial = summary_of(error)
        raise


def _tear_down(loop: SimLoop, seed: int) -> None:
    """Ends what a stuck run left, so that nothing of it complains later."""
    complaints = list(loop.complaints)
    loop.bury()
    tasks = asyncio.all_tasks(loop)
    for task in sorted(tasks, key=hash):
        task.cancel()
    if tasks:
        loop.limit_s = float("inf")
        loop.run_until_complete(asyncio.gather(*sorted(tasks, key=hash), return_exceptions=True))
        loop.complaints = complaints
    loop.run_until_complete(loop.shutdown_asyncgens())
    if not tasks:
        # Exceptions that nobody saw complain when they are collected; those in old circles only by a whole
        # collection, which takes longer than most worlds.
        gc.collect(0 if seed % WHOLE_COLLECTION_EVERY else 2)
    loop.close()
