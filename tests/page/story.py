"""A run with something to tell, by the real engine in the simulator's world: the same each time.

900 files and 8 big ones share a link with another flow, which comes and goes; the link gets slower for a
while and is down for some seconds; the store fails now and then, and answers some requests late or never.
Three files cannot be read.
"""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, cast

from s3_upload.cli.views.page import page_html
from s3_upload.config import UploadConfig
from s3_upload.observe.events import Events, LimitsChanged, Listening, StoreBack
from s3_upload.observe.history import History
from s3_upload.transfer.given import Controls
from tests.sim.loop import START_S, SimLoop
from tests.sim.network import Network
from tests.sim.run import Meddling, run_world
from tests.sim.server import Faults, StoreSpec
from tests.sim.tcp import Path, Sender
from tests.sim.world import AddressSpec, ObjectSpec, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_upload.observe.events import Event

RTT_S = 0.02
OTHER_FLOW_S = (12.0, 22.0)
UNREADABLE = {77, 400, 611}


def world() -> World:
    rng = random.Random(7)
    sizes = [int(10 ** rng.uniform(3.0, 6.6)) for _ in range(900)]
    sizes += [int(10 ** rng.uniform(7.2, 7.9)) for _ in range(8)]
    rng.shuffle(sizes)
    return World(
        seed=3,
        objects=tuple(_object(number, size) for number, size in enumerate(sizes)),
        config=UploadConfig(share="background"),
        addresses=tuple(AddressSpec(RTT_S) for _ in range(4)),
        rates=((0.0, 12.5e6), (30.0, 7e6), (42.0, 12.5e6)),
        queue_bytes=1_250_000,
        store=StoreSpec(service_s=0.02, sigma=0.5, capacity_per_s=3000.0, slow_share=0.004),
        faults=Faults(end_s=60.0, unanswered=0.006, error=0.012, reset=0.005),
        down=((50.0, 56.0),),
    )


def _object(number: int, size: int) -> ObjectSpec:
    name = f"raw/DSC{number:05d}.ARW" if size > 1e6 else f"notes/{number:05d}.txt"
    kind = "unreadable" if number in UNREADABLE else "file"
    return ObjectSpec(name, kind, size, start=number * 16)


def _share_the_link(loop: SimLoop, _controls: Controls) -> None:
    network = loop.network
    assert isinstance(network, Network)
    path = Path(network.link, RTT_S / 2, 0.0, random.Random(1))
    flow = Sender(
        path, rtt_s=RTT_S, on_delivered=lambda size: None, on_acked=lambda: None, on_broken=lambda: None
    )
    begin_s, end_s = OTHER_FLOW_S
    loop.at(START_S + begin_s, lambda: flow.offer(1 << 40))
    loop.at(START_S + end_s, flow.stop)


@cache
def story() -> str:
    """The page about it."""
    history = History()
    listener = cast("Callable[[Event], None]", history.add_event)  # which gets these two alone
    events = Events([Listening(listener, frozenset({LimitsChanged, StoreBack}))])
    (run,) = run_world(world(), Meddling(started=_share_the_link, events=events)).runs
    assert run.summary is not None, run.error
    for report in run.reports:
        history.add(report)
    history.end(run.summary)
    page = page_html(history, "photos → s3://my-bucket/holidays", "s3-upload")
    return page.replace("/sim/", "photos/")
