"""What a worker of an executor does: one shard, by a run like any other.

Rules:

* Where the job runs on the same machine, the task finds its socket: it is told what is left of its shard (it
  may have been begun before, by a worker that is gone), tells all that happens as it happens, and keeps to
  leases.  Elsewhere it does the whole shard by the lease it was given, and tells all at its end.
* Where the job's socket should be and is not, the job is gone, and nothing is sent that nobody would know of.
* It never ends its process, which belongs to the executor.  Ctrl-C on a terminal goes to all its processes:
  who is connected is stopped by the job, and by nothing else.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from s3_upload.blocking import loop_factory
from s3_upload.fleet.member import Line, Member, travelling
from s3_upload.fleet.wire import Begin, Ended, Finish, Frame, Hello, Item, Lease, Stop, Told, Work
from s3_upload.observe.journal_rows import KnownUploads

ELSEWHERE = ""
"""The address of a job that no worker can talk to."""


class Ticket(msgspec.Struct, frozen=True):
    """A shard, and how to upload it. `address`: the job's socket on `host`, or ELSEWHERE; `epoch_wall_s`:
    when the job began, in seconds since the epoch; `lease_per_s`: of the bandwidth, in bytes, 0.0 for no
    bound; `lost`: see `Work`; `known`: uploads in parts of its keys, for who cannot ask."""

    number: int
    order: Begin
    items: list[Item]
    host: str
    address: str
    epoch_wall_s: float
    lease_per_s: float
    lost: tuple[str, ...] = ()
    known: Mapping[str, KnownUploads] = {}


class Outcome(msgspec.Struct, frozen=True):
    """What became of it, and the events not told before. `freed`: IDs of uploads that were aborted, so that
    nobody asks for them; `refused`: it was not begun here: another worker has it, or had it, or the job ends;
    `misses_job`: or there is no job where it should be."""

    host: str
    ended: Ended
    events: list[tuple[Any, ...]]
    freed: tuple[str, ...] = ()
    refused: bool = False
    misses_job: bool = False


class Untold:
    """`UploadsBefore` of a worker elsewhere: it asks nobody, and gathers which are `was_freed`. `known`: what
    its ticket tells; `keeps`: the job has a journal, which hears of its uploads at its end."""

    def __init__(self, known: Mapping[str, KnownUploads], *, keeps: bool) -> None:
        self.works = keeps
        self._known = known
        self.was_freed: list[str] = []

    def known_uploads(self, key: str) -> KnownUploads:
        return self._known.get(key, KnownUploads(()))

    def begin_creating(self, key: str) -> None:
        """Nobody hears of it."""

    def end_upload(self, upload_id: str) -> None:
        self.was_freed.append(upload_id)

    def outlived(self) -> tuple[()]:
        return ()

    def freed(self, upload_id: str) -> None:
        self.was_freed.append(upload_id)


def work(ticket: Ticket) -> Outcome:
    """Does it."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_work(ticket))


async def _work(ticket: Ticket) -> Outcome:
    host = socket.gethostname()
    # Clocks of other machines begin elsewhere.
    epoch_s = time.monotonic() - (time.time() - ticket.epoch_wall_s)
    order = msgspec.structs.replace(ticket.order, epoch_s=epoch_s)
    if host == ticket.host and ticket.address != ELSEWHERE:
        try:
            with _deaf_to_interrupts():
                ended = await _connected(ticket, order)
        except (FileNotFoundError, ConnectionRefusedError):
            return Outcome(host, Ended(), [], refused=True, misses_job=True)
        except OSError:  # it is there, and for another user
            pass
        else:
            return Outcome(host, ended or Ended(), [], refused=ended is None)
    told: list[tuple[Any, ...]] = []

    def send(frame: Frame) -> None:
        if isinstance(frame, Told):
            told.extend(frame.events)

    uploads = Untold(ticket.known, keeps=order.keeps)
    member = Member(order, send, uploads)
    for frame in (Lease(ticket.lease_per_s), Work(ticket.items, ticket.lost), Finish()):
        member.hear(frame)
    ended = travelling(await member.ended())
    return Outcome(host, ended, told, tuple(uploads.was_freed))


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    # No signal comes to another thread, and a handler that is not Python's could not be put back.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def _connected(ticket: Ticket, order: Begin) -> Ended | None:
    """None where another worker has the shard, or had it, or the job ends. Raises `OSError` where there is no
    such socket."""
    members: list[Member] = []

    def lost() -> None:
        if not line.first.done():
            line.first.set_exception(RuntimeError("the job of this shard is gone"))
        for member in members:
            member.stop(at_once=True)

    line = Line(lost)
    transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: line.ear, ticket.address)
    try:
        line.send(Hello(ticket.number))
        left = await line.first
        # The executor has begun it once more, or too late.
        if isinstance(left, Stop):
            return None
        member = Member(order, line.send)
        members.append(member)
        member.hear(left)
        line.listen(member.hear)
        return travelling(await member.ended())
    finally:
        members.clear()
        transport.close()
