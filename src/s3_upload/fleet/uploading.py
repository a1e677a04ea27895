"""`s3_upload_files` over as many processes as its caller wants, where that is possible."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable

from s3_upload.api import DefaultRequest, check_arguments, s3_upload_files, with_journal
from s3_upload.config import UploadConfig
from s3_upload.errors import ConfigError
from s3_upload.fleet.job_of_many import JobOfMany
from s3_upload.fleet.leases import most_of
from s3_upload.fleet.processes import ALONE, MOST, Spread
from s3_upload.observe.events import Listener, Listening
from s3_upload.observe.journal import Journal
from s3_upload.pace import Pace
from s3_upload.processor import processors
from s3_upload.report import UploadSummary
from s3_upload.threads import in_a_thread
from s3_upload.transfer.client import Client
from s3_upload.transfer.outages import Notice
from s3_upload.transfer.progress import Progress
from s3_upload.transfer.pulling import Sources
from s3_upload.units import Bandwidth


async def upload_files(  # noqa: PLR0917 - as `s3_upload_files`
    client: Client,
    bucket: str,
    files: Sources,
    config: UploadConfig | None = None,
    progress: Progress | None = None,
    default_request: DefaultRequest | None = None,
    pace: Pace | None = None,
    notice: Notice | None = None,
    events: Listener | Listening | None = None,
    *,
    journal: Journal | str | os.PathLike[str] | None = None,
    resume_multipart: bool = False,
    spread: Spread = ALONE,
) -> UploadSummary:
    """`s3_upload_files`, in which others take part.

    `spread`: who they are.  "auto" begins with this process and adds others where one processor is not enough
    and others are free.  An executor's workers do all but what cannot travel (streams, bytes in memory); they
    need the files at the same path, and look up credentials themselves.  Raises `ConfigError` where others
    cannot take part.
    """
    config = config or UploadConfig()
    if spread.executor is None:
        count = count_for(spread, config, pace)
    else:
        # It may ask a scheduler, and this is the caller's loop.
        count = await in_a_thread("s3-upload-fleet-slots", lambda: count_for(spread, config, pace))
    alone = count == 1 and spread.executor is None
    why_not = "" if alone else _why_alone(client, files) or _why_one_has_to(spread, config, pace)
    _refuse(spread, why_not)
    if why_not or alone:
        return await s3_upload_files(
            client, bucket, files, config, progress, default_request, pace, notice, events,
            journal=journal, resume_multipart=resume_multipart,
        )  # fmt: skip
    check_arguments(client, bucket, files, config, progress, default_request, pace, notice, events)
    if pace is None and config.max_bandwidth:
        pace = Pace(config.share, config.max_bandwidth)
    opened = with_journal(
        client, bucket, files, default_request, events, journal=journal, resume_multipart=resume_multipart
    )
    async with opened as given:
        job = JobOfMany(given, config, progress, default_request, pace, notice)
        summary = await _run(job, client, bucket, count, spread)
    return given.noted(summary)


def check_spread(spread: Spread, config: UploadConfig, pace: Pace | None) -> None:
    """What can be said before there is a client. Raises `ConfigError` where others cannot take part."""
    if spread.executor is not None or count_for(spread, config, pace) > 1:
        _refuse(spread, _why_one_has_to(spread, config, pace))


def _refuse(spread: Spread, why_not: str) -> None:
    if why_not and not spread.grows:
        raise ConfigError(f"{spread.name}: {why_not}: leave it out")


async def _run(job: JobOfMany, client: Client, bucket: str, count: int, spread: Spread) -> UploadSummary:
    # Here, or every start of the command would pay for it.
    from s3_upload.clients.s3 import S3Client
    from s3_upload.fleet.crew import Crew

    assert isinstance(client, S3Client)
    if spread.executor is None:
        from s3_upload.fleet.own_processes import OwnProcesses

        crew = Crew(client, bucket, job, count=count, from_start=not spread.grows)
        return await crew.run(OwnProcesses(crew, grows=spread.grows))
    from s3_upload.fleet.executors import refuse_secrets
    from s3_upload.fleet.tasks import ExecutorTasks

    refuse_secrets(spread.name, client.recipe)
    crew = Crew(client, bucket, job, count=count + 1, from_start=True, home_takes=False)
    return await crew.run(ExecutorTasks(crew, spread.executor, count, may_change=not spread.wanted))


def count_for(spread: Spread, config: UploadConfig, pace: Pace | None = None) -> int:
    """How many take part at most."""
    processes = spread.processes
    if spread.executor is not None:
        from s3_upload.fleet.executors import slots_of

        return slots_of(spread.executor, spread.wanted)
    most = config.max_in_flight
    bandwidth = _bandwidth(config, pace)
    if bandwidth is not None and bandwidth.bytes_per_s:
        most = min(most, most_of(bandwidth.bytes_per_s))
    if processes != "auto":
        return min(processes, most)
    # Bounds that somebody has set hold for all together: cut from the start, they would slow the first.
    is_set = (config.max_in_flight, config.max_in_flight_bytes) != _USUAL
    return 1 if is_set else min(MOST, processors(), most)


_USUAL = UploadConfig().max_in_flight, UploadConfig().max_in_flight_bytes


def _why_alone(client: object, files: object) -> str:
    """Why what is given keeps it in one process; "" where there can be more."""
    if not hasattr(client, "recipe"):
        return "each process makes an S3Client of its own, and this is another client"
    if isinstance(files, AsyncIterable):
        return "an async iterable is uploaded by the process that has it"
    return ""


def _why_one_has_to(spread: Spread, config: UploadConfig, pace: Pace | None) -> str:
    """Why one process only can do what is asked; "" where there can be more."""
    from s3_upload.fleet.child import CAN_BEGIN

    # What an executor begins is its own affair.
    if spread.executor is None and not CAN_BEGIN:
        return "this system cannot give a socket to a new process"
    if (config.share if pace is None else pace.share) != "full":
        return "what leaves room to others on the link has to see all of its own connections"
    bandwidth = _bandwidth(config, pace)
    if bandwidth is not None and bandwidth.share:
        return "a share of what the link carries can be found out by one process only"
    return ""


def _bandwidth(config: UploadConfig, pace: Pace | None) -> Bandwidth | None:
    return (pace or Pace("full", config.max_bandwidth)).bandwidth
