"""A link that an upload shares with others, in virtual time: `python -m tests.sim.shared --help`.

The upload is the real engine, client and controllers; it never runs out of files.  The others are flows of
bulk data that come and go: CUBIC, as the upload's own connections (`tcp.Sender`), or BBR as far as it matters
here (`BbrFlow`).  What passes the link is counted flow by flow, in bins of BIN_S.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from s3_upload.api import controls_for, run_upload
from s3_upload.clients.s3 import S3Client
from s3_upload.config import UploadConfig
from s3_upload.report import PaceReport
from s3_upload.s3.credentials import Credentials
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.given import Runtime
from tests.faults.model import S3Model
from tests.sim.disk import PATTERN, SimDisk
from tests.sim.handshake import Address
from tests.sim.loop import START_S, SimLoop
from tests.sim.network import Network
from tests.sim.run import BUCKET
from tests.sim.server import EPOCH_UTC_S, Faults, SimStore, StoreSpec
from tests.sim.tcp import PACKET_BYTES, Link, Path, Sender
from tests.sim.world import HOST, MIB

BIN_S = 0.5
FOREVER_BYTES = 1 << 40


class BbrFlow(Sender):
    """BBR as others see it: paced at its estimate of the bottleneck, the highest delivery rate of ten round
    trips, cycling through 1.25, 0.75 and six times 1; at most two bandwidth-delay products in flight; at
    the start twice as fast each round trip until that brings no more.  A loss it does not mind."""

    CYCLE = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    STARTUP_GAIN = 2.0

    def begin(self) -> None:
        self._rates: deque[float] = deque([self.cwnd / self.min_rtt_s], maxlen=10)
        self._cycle = itertools.cycle(self.CYCLE)
        self._starting, self._flat, self._delivered = True, 0, 0
        self._round(0)

    def _round(self, before: int) -> None:
        delivered = self.acked + self.early_bytes
        rate = (delivered - before) / self.min_rtt_s
        if self._starting:
            self._flat = 0 if rate > 1.25 * max(self._rates) else self._flat + 1
            self._starting = self._flat < 4
        self._rates.append(rate)
        bottleneck = max(self._rates)
        gain = self.STARTUP_GAIN if self._starting else next(self._cycle)
        self.max_rate = self.next_rate = max(gain * bottleneck, 4.0 * PACKET_BYTES / self.min_rtt_s)
        self.cwnd = max(
            4.0 * PACKET_BYTES, 2.0 * bottleneck * self.min_rtt_s * (1.5 if self._starting else 1.0)
        )
        self._loop.at(self._loop.time() + self.min_rtt_s, self._round, delivered)
        self.pump()

    def _cut(self, factor: float, now_s: float) -> None:
        self._recovery_order = self._orders

    def _grow(self, size: int, now_s: float) -> None:
        """Its window is made in `_round`."""


FLOWS = {"cubic": Sender, "bbr": BbrFlow}


@dataclass(frozen=True, slots=True)
class SharedWorld:
    """One link and what happens on it. `share`: of the upload, or "nobody" for none.

    `others`: (kind, begin, end) of each flow, in seconds.
    """

    share: str
    rtt_s: float
    rate: float = 2.5e6
    queue_s: float = 0.08
    loss: float = 0.0
    others: tuple[tuple[str, float, float], ...] = ()
    ends_s: float = 30.0
    seed: int = 1
    file_bytes: int = 4 * MIB
    config: UploadConfig | None = None


@dataclass(slots=True)
class Passed:
    """Bytes that arrived at the other end in each bin of BIN_S: of the upload, of each other flow."""

    world: SharedWorld
    upload: list[int] = field(default_factory=list)
    others: list[list[int]] = field(default_factory=list)
    paces: tuple[PaceReport, ...] = ()
    cuts: int = 0

    def share(self, counts: list[int], begin_s: float, end_s: float) -> float:
        """Of what the link could carry meanwhile."""
        bins = counts[int(begin_s / BIN_S) : int(end_s / BIN_S)]
        return sum(bins) / (len(bins) * BIN_S * self.world.rate)


def run_shared(world: SharedWorld) -> Passed:
    """Runs the world to its end."""
    loop = SimLoop(world.ends_s + 60.0)
    passed = Passed(world)
    rng = random.Random(world.seed)
    link = Link(loop, [(0.0, world.rate)], max(20_000, int(world.rate * world.queue_s)), [], START_S)
    network = Network(loop, link, random.Random(world.seed), loss=world.loss, trace=lambda *_: None)
    network.names[HOST] = [Address("10.0.0.1", world.rtt_s / 2)]
    loop.network = network
    store = network.store = SimStore(
        network, StoreSpec(service_s=0.01), Faults(), rng, S3Model(keep_bodies=False)
    )
    flows = [_other(world, link, rng, number) for number in range(len(world.others))]
    passed.others = [[] for _ in flows]

    def count(before: int, *before_others: int) -> None:
        now = [flow.path.passed_bytes for flow in flows]
        everything = link.sent_bytes - sum(now)
        passed.upload.append(everything - before)
        for counts, passed_bytes, earlier in zip(passed.others, now, before_others, strict=True):
            counts.append(passed_bytes - earlier)
        for record in store.records[:-64]:  # or all that was ever uploaded stays in memory
            record.request.body = b""
        loop.at(loop.time() + BIN_S, count, everything, *now)

    loop.at(loop.time() + BIN_S, count, 0, *(0 for _ in flows))
    try:
        loop.run_until_complete(_upload(world, loop, network, passed))
    finally:
        loop.close()
    return passed


def _other(world: SharedWorld, link: Link, rng: random.Random, number: int) -> Sender:
    kind, begin_s, end_s = world.others[number]
    path = Path(link, world.rtt_s / 2, world.loss, rng)
    flow = FLOWS[kind](
        path,
        rtt_s=world.rtt_s,
        on_delivered=lambda size: None,
        on_acked=lambda: None,
        on_broken=lambda: None,
    )

    def begin() -> None:
        flow.offer(FOREVER_BYTES)
        if isinstance(flow, BbrFlow):
            flow.begin()

    link.loop.at(START_S + begin_s, begin)
    link.loop.at(START_S + end_s, flow.stop)
    return flow


async def _upload(world: SharedWorld, loop: SimLoop, network: Network, passed: Passed) -> None:
    if world.share == "nobody":
        await asyncio.sleep(world.ends_s)
        return
    config = world.config or UploadConfig(share=world.share)  # type: ignore[arg-type]
    disk = SimDisk({}, call_s=1e-4, rate=2e9, threads=4, rng=random.Random(world.seed), now=network.now)
    client = S3Client(
        endpoint_url=f"https://{HOST}",
        region="us-east-1",
        credentials=Credentials("sim", "sim"),
        addressing_style="path",
        verify=False,
        checksum="off",
        look_up=loop.look_up,
        utc_clock=lambda: EPOCH_UTC_S + loop.time(),
    )
    body = PATTERN[: world.file_bytes]

    def sources() -> Iterator[ObjectSource]:
        for number in itertools.count():
            if network.now() > world.ends_s:
                return
            yield ObjectSource.data(body, f"{number:06d}")

    run = run_upload(
        client,
        BUCKET,
        sources(),
        config=config,
        controls=controls_for(config),
        runtime=Runtime(loop.time, random.Random(world.seed), disk.offload, disk.offload),
    )
    task = loop.create_task(run)
    await asyncio.wait([task], timeout=world.ends_s)
    passed.cuts = network.cuts.false + network.cuts.false_connects
    if task.done():
        passed.paces = task.result().pace
    else:
        task.cancel()
        await asyncio.wait([task])
    await client.aclose()


# --- what is looked at ------------------------------------------------------------------------------


def story(world: SharedWorld) -> str:
    """What happened in a world, bin by bin, in per cent of the link."""
    passed = run_shared(world)

    def row(name: str, counts: list[int]) -> str:
        return f"{name:8}" + " ".join(f"{100 * count / (BIN_S * world.rate):3.0f}" for count in counts)

    rows = [row("upload", passed.upload)]
    rows += [row(kind, counts) for (kind, _, _), counts in zip(world.others, passed.others, strict=True)]
    if world.others:
        _, begin_s, end_s = world.others[0]
        share = passed.share(passed.upload, (begin_s + end_s) / 2.0, end_s)
        rows.append(f"the upload has {share:.1%} of the link in the second half of the time beside others")
    return "\n".join(rows)


def random_shared(seed: int) -> SharedWorld:
    """The world of a seed: nobody else for the first 12 s, then perhaps a flow for 20 s."""
    rng = random.Random(seed)
    other = rng.choice(("", "cubic", "bbr"))
    return SharedWorld(
        share="background",
        rtt_s=10 ** rng.uniform(-2, -0.474),
        rate=10 ** rng.uniform(6.0, 6.6),
        queue_s=rng.choice((0.04, 0.08, 0.2)),
        loss=rng.choice((0.0, 0.0, 0.0005)),
        others=((other, 12.0, 32.0),) if other else (),
        ends_s=36.0,
        seed=seed,
        file_bytes=rng.choice((MIB, 4 * MIB)),
    )


def complaints(world: SharedWorld) -> list[str]:
    """What a courteous and lively upload would not do in such a world; the flow's second half counts."""
    passed = run_shared(world)
    found = [f"{passed.cuts} false timeouts"] if passed.cuts else []
    # One yield to nobody takes three seconds at a long round trip: a shorter time alone would show only that.
    since_s, until_s = (5.0, 12.0) if world.others else (10.0, world.ends_s)
    if (alone := passed.share(passed.upload, since_s, until_s)) < 0.6:
        found.append(f"alone it has {alone:.0%} of the link")
    if world.others:
        before = run_shared(replace(world, share="nobody"))
        could, got = (run.share(run.others[0], 22.0, 32.0) for run in (before, passed))
        if got < 0.85 * could:
            found.append(f"the other flow has {got:.0%} of the link, by itself {could:.0%}")
    return found


def check(first: int, count: int) -> int:
    broken = 0
    for seed in range(first, first + count):
        world = random_shared(seed)
        if found := complaints(world):
            broken += 1
            print(f"seed {seed}: {'; '.join(found)}: {world}")
    print(f"{count} shared links, complaints about {broken}")
    return 1 if broken else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.shared", description=__doc__)
    parser.add_argument("--share", default="background")
    parser.add_argument("--rtt-ms", type=float, default=20.0)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--other", default="cubic", help="cubic, bbr or none")
    parser.add_argument("--flows", type=int, default=1, help="how many of them, from 12 s on")
    parser.add_argument(
        "--until-s", type=float, default=32.0, help="when they end; the upload ends 10 s later"
    )
    parser.add_argument("--rate", type=float, default=2.5, help="of the link, in MB/s")
    parser.add_argument("--seed", type=int, default=1, help="of the world, or the first of --seeds")
    parser.add_argument("--seeds", type=int, default=0, help="check so many made-up worlds instead")
    arguments = parser.parse_args()
    if arguments.seeds:
        return check(arguments.seed, arguments.seeds)
    flows = 0 if arguments.other == "none" else arguments.flows
    world = SharedWorld(
        arguments.share, arguments.rtt_ms / 1e3, arguments.rate * 1e6, loss=arguments.loss,
        others=((arguments.other, 12.0, arguments.until_s),) * flows, ends_s=arguments.until_s + 10.0,
        seed=arguments.seed,
    )  # fmt: skip
    print(story(world))
    return 0


if __name__ == "__main__":
    sys.exit(main())
