"""Runs an upload for the command: a loop, signals, the embedded store, the rendering.

The first SIGINT, SIGTERM or SIGHUP cancels the run's task: what is under way may end, for `--grace`, and
whoever reads the results has `LAST_WORDS_S`.  The second waits for nothing that is under way.  The third ends
the process at once, whatever it waits for.
The rendering raises when nobody reads stdout any more, which ends the run too; it has the run wait where
somebody does, but slowly.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from s3_upload.blocking import loop_factory
from s3_upload.cli.output import (
    EXIT_FILES_FAILED,
    EXIT_OK,
    LAST_WORDS_S,
    STOPPING,
    InterruptedRun,
    StdoutError,
    UsageError,
    end_at_once,
    flush,
    hear,
    in_background,
    last_words,
    note,
)
from s3_upload.cli.store import open_store
from s3_upload.cli.views.display import Display
from s3_upload.cli.views.page_file import PageFile, written_at_the_end
from s3_upload.cli.views.render import JsonLines, Text, counted
from s3_upload.cli.watching import watching
from s3_upload.descriptors import limit, raise_limit
from s3_upload.errors import RunError, attach_summary, summary_of
from s3_upload.own_process import settle
from s3_upload.text import printable
from s3_upload.units import show_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from s3_upload.bucket.sync import Sync
    from s3_upload.cli.failed_to import FailedTo
    from s3_upload.cli.options.upload import UploadOptions
    from s3_upload.clients.s3 import S3Client
    from s3_upload.config import UploadConfig
    from s3_upload.observe.changes import Changes
    from s3_upload.observe.journal import Journal
    from s3_upload.observe.journal_look import Look
    from s3_upload.pace import Pace
    from s3_upload.removing import Remover
    from s3_upload.report import Counts, UploadReport, UploadSummary
    from s3_upload.request_fields import RequestFields
    from s3_upload.sources.preserving import Files
    from s3_upload.sources.source import ObjectSource

    Guess = Callable[[ObjectSource], RequestFields]
    JournalOf = Callable[[str, Callable[[str], object], Guess], Journal | None]

LONG_S = 5.0
"""A shorter run, in which nothing failed, speaks for itself."""
SAY_SO_S = 0.3
"""After a signal: an end that comes sooner speaks for itself."""
MIN_OPEN_FILES = 20
"""An event loop, the results' pipes, a file and a connection; below this the loop itself may not start."""


class Job(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What to do: the sources of `passes` one after the other into `bucket`, told by `rendering` and, at the
    end, by `page`.  `sync`: only of what is different there.  `journal`: gives that of the job, for the
    endpoint of the store and for what is said of objects.  `notes`: what is to be said at its end."""

    bucket: str
    passes: Iterable[Iterator[ObjectSource]]
    options: UploadOptions
    rendering: Text
    display: Display
    page: PageFile | None = None
    failed_to: FailedTo | None = None
    sync: Sync | None = None
    remover: Remover | None = None
    journal: JournalOf = lambda endpoint, tell, guess: None
    notes: list[str] = []

    @cached_property
    def changes(self) -> Changes:
        """What page and JSON lines keep of the run's events."""
        from s3_upload.observe.changes import Changes  # here, or every start of the command would pay for it

        keep = [] if self.page is None else [self.page.history.add_event]
        return Changes(*keep, *([self.rendering.tell] if isinstance(self.rendering, JsonLines) else []))

    def told(self, report: UploadReport) -> Awaitable[None] | None:
        """Tells of an object."""
        if self.failed_to is not None:
            self.failed_to.add(report)
        if self.page is not None:
            self.page.history.add(report)
        return self.rendering.add(report)


def run(job: Job) -> int:
    """Does the job and returns the exit code. Raises `S3UploadError`s where there is none to return."""
    if job.options.output.dryrun:
        return _dry_run(job)
    began_s = time.monotonic()
    with in_background():
        try:
            with written_at_the_end(job.page):
                _upload_and_tell(job, began_s)
        except StdoutError:
            last_words()  # what failed is told to whoever reads that
            raise
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            for number in _heard():
                signal.signal(number, end_at_once)
            from s3_upload.screen.words import interrupted

            kept, status = job.display.kept, job.display.stands(job.rendering.fold.counts)
            is_stream = any(moving.size is None for moving in status.moving)
            keeps = kept is not None or (job.options.journal.resume_multipart and not is_stream)
            note(f"s3-upload: {interrupted(status, keeps=keeps)}")
            if kept is not None:
                from s3_upload.cli.journals import how_to_go_on

                note(printable(f"s3-upload: {how_to_go_on(kept)}"))
            with suppress(StdoutError):
                job.rendering.break_off(error, time.monotonic() - began_s)
            with suppress(StdoutError):
                if not flush(LAST_WORDS_S):
                    note("s3-upload: nobody reads what is written, so not all results are told")
                    last_words()
            raise InterruptedRun("interrupted") from error
    stays = job.remover is not None and job.remover.failed
    return EXIT_FILES_FAILED if stays or job.rendering.fold.counts.failed else EXIT_OK


def _dry_run(job: Job) -> int:
    """Refuses what an upload refuses before it sends anything, and tells what that would do."""
    from s3_upload.cli.dryrun import dry_run
    from s3_upload.cli.store import check_destination

    options, nothing = job.options, job.rendering.nothing
    _, guess, _ = _checked(options)
    endpoint = ""
    if not nothing:  # then nobody is asked, whatever the destination
        endpoint = check_destination(options.store, job.bucket, options.objects.request_fields())
    journal = job.journal(endpoint, lambda why: None, guess)
    if job.sync is not None and not nothing:
        from s3_upload.cli.comparing import dry_run as compare

        return compare(job.bucket, job.passes, options, job.sync, nothing, display=job.display)
    known: AbstractContextManager[Look | None] = nullcontext()
    if journal is not None and endpoint:
        from s3_upload.journaled import job_of
        from s3_upload.observe.journal_look import looked_into

        known = looked_into(journal, job_of(endpoint, job.bucket, guess))
    with known as look:
        removes = options.sources.remove_source
        return dry_run(job.bucket, job.passes, options.output, nothing, removes=removes, look=look)


def _upload_and_tell(job: Job, began_s: float) -> None:
    """Waits for the results to be read, as long as it takes."""
    try:
        summary = _summary_of_all(job, began_s)
    except StdoutError:
        raise
    except Exception as error:
        with suppress(StdoutError):  # this one is worse
            job.rendering.break_off(error, time.monotonic() - began_s)
        with suppress(StdoutError):
            flush()
        if not job.rendering.fold.counts.uploaded or not isinstance(error, RunError):
            raise
        raise RunError(f"{error} ({_so_far(job.rendering.fold.counts)})", error.kind) from error
    flush()
    if job.page is not None:
        job.page.history.end(summary)
    if job.display.kept is not None and not summary.sources and summary.notes:
        job.rendering.nothing = f"nothing is left to upload: {'; '.join(summary.notes)}"
    try:
        job.rendering.finish(summary, _ending(summary, job.options))
        flush()
    except StdoutError as error:
        if not error.gone:
            raise
        # Everything is uploaded, and nobody wants to hear it.


def _summary_of_all(job: Job, began_s: float) -> UploadSummary:
    """Uploads. What ends that before it is through has the summary of what was done by then."""
    summaries: list[UploadSummary] = []
    try:
        _upload(job, summaries)
    except BaseException as error:
        if (partial := summary_of(error)) is not None:
            summaries.append(partial)
        with suppress(StdoutError):  # the error that there is comes first
            job.changes.flush()
        attach_summary(error, _together(job, summaries, time.monotonic() - began_s))
        raise
    job.changes.flush()
    return _together(job, summaries, time.monotonic() - began_s)


def _together(job: Job, summaries: Sequence[UploadSummary], elapsed_s: float) -> UploadSummary:
    """Of all passes; `elapsed_s`: where none has begun."""
    wall_time_s = sum(summary.wall_time_s for summary in summaries) if summaries else elapsed_s
    budget_wait_s = sum(summary.budget_wait_s for summary in summaries)
    more = job.remover.notes() if job.remover is not None else ()
    of_runs = [text for summary in summaries for text in summary.notes]
    notes = dict.fromkeys([*of_runs, *more, *job.notes])
    paces = [report for summary in summaries for report in summary.pace]
    limits = _limits_of(summaries, wall_time_s)
    summary = job.rendering.fold.summary(wall_time_s, budget_wait_s, notes, paces, limits)
    return summary if job.sync is None else job.sync.told(summary)


def _ending(summary: UploadSummary, options: UploadOptions) -> Iterator[str]:
    """More lines about it, where there is something to say; found when they are asked for."""
    if summary.failed or summary.causes or summary.wall_time_s >= LONG_S:
        from s3_upload.screen.ending import ending  # here, or every start of the command would pay for it

        yield from ending(summary, options.config())


def _limits_of(summaries: Iterable[UploadSummary], wall_time_s: float) -> dict[str, float]:
    """Of all passes together."""
    lasted_s: dict[str, float] = {}
    for summary in summaries:
        for name, share in summary.limits.items():
            lasted_s[name] = lasted_s.get(name, 0.0) + share * summary.wall_time_s
    ordered = sorted(lasted_s, key=lambda name: -lasted_s[name])
    return {name: round(lasted_s[name] / wall_time_s, 3) for name in ordered}


def _upload(job: Job, summaries: list[UploadSummary]) -> None:
    """Raises CancelledError or KeyboardInterrupt when it is interrupted."""
    from s3_upload.fleet.processes import Spread
    from s3_upload.fleet.uploading import upload_files
    from s3_upload.observe.events import joined

    config, guess, pace = _checked(job.options)
    settle()

    told = job.rendering.add if job.page is None and job.failed_to is None else job.told

    async def upload(executor: Executor | None) -> None:
        elsewhere = executor is not None
        progress = told if job.remover is None else job.remover.beside(told, elsewhere=elsewhere)
        _stop_on_signals(config.grace_s)
        async with connect() as client:
            journal = job.journal(client.endpoint, job.notes.append, guess)
            job.display.shows_what_is_left_by(journal)
            if job.remover is not None:
                from s3_upload.moved import removes_what_is_done

                removes_what_is_done(
                    journal, job.remover, client, job.bucket, config=config, default_request=guess
                )
            async with watching(job.display, client.endpoint) as events:
                await _create_bucket(job, client)
                for sources in job.passes:
                    summary = await upload_files(
                        client,
                        job.bucket,
                        _looked_at(job, sources if job.sync is None else job.sync.changed(client, sources)),
                        config,
                        progress=progress,
                        default_request=guess,
                        pace=pace,
                        notice=notice_of(job),
                        events=joined(events, job.changes.listening),
                        journal=journal,
                        resume_multipart=job.options.journal.resume_multipart,
                        spread=Spread(job.options.processes, executor, said=job.options.said_who),
                    )
                    summaries.append(summary)

    handlers = {number: signal.getsignal(number) for number in _heard()}
    with (
        open_store(job.options.store, job.bucket) as connect,
        workers(job.options.cluster) as executor,
        job.display.on(),
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(upload(executor))
    for number, handler in handlers.items():  # which the loop's end has lost
        signal.signal(number, handler)


def _checked(
    options: UploadOptions,
) -> tuple[UploadConfig, Callable[[ObjectSource], RequestFields], Pace | None]:
    """Of a run and of its dry run: what is refused before there is a client. Raises `UsageError` and
    `ConfigError`."""
    from s3_upload.fleet.processes import Spread
    from s3_upload.fleet.uploading import check_spread
    from s3_upload.pace import Pace

    config, guess = options.config(), options.objects.default_request()
    raise_limit()
    _refuse_too_few_files()
    held_back = config.share != "full" or config.max_bandwidth
    pace = Pace(config.share, config.max_bandwidth) if held_back else None
    processes = options.processes
    if options.cluster is not None:
        from s3_upload.cli.cluster import check_address

        check_address(options.cluster)
        processes = 2  # of whatever workers there will be: more than one
    check_spread(Spread(processes, said=options.said_who), config, pace)
    return config, guess, pace


def workers(cluster: str | None) -> AbstractContextManager[Executor | None]:
    """Those of --cluster."""
    if cluster is None:
        return nullcontext()
    from s3_upload.cli.cluster import executor_of

    return executor_of(cluster)


def _looked_at(job: Job, files: Files) -> Files:
    from s3_upload.removing import looked_at  # here, or every start of the command would pay for it

    objects = job.options.objects
    keeps_times = objects.preserve is not None or (job.sync is not None and job.sync.keeps_times)
    return looked_at(files, objects.default_request() if keeps_times else None, job.remover)


async def _create_bucket(job: Job, client: S3Client) -> None:
    output = job.options.output
    if not job.options.store.create_bucket or not await client.create_bucket(job.bucket):
        return
    if not (output.quiet or output.only_show_errors):
        note(f"s3-upload: created the bucket {job.bucket}")


def _so_far(counts: Counts) -> str:
    return f"{counted(counts.uploaded)}, {show_bytes(counts.bytes)}, uploaded so far"


def _heard() -> list[signal.Signals]:
    """The signals that end a run: not those that whoever started us has us ignore (a shell, of a job in the
    background)."""
    return [number for number in STOPPING if signal.getsignal(number) not in {signal.SIG_IGN, None}]


def _stop_on_signals(grace_s: float) -> None:
    """The first signal cancels the task that calls this, which may take `grace_s`; the second one cancels it
    at once, and the third ends the process."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    heard = _heard()
    waits = grace_s > 0

    def stop(number: int) -> None:
        from s3_upload.screen.words import duration

        nonlocal waits
        hear(number)
        rest = f"what is under way may take {duration(grace_s)} more"
        how = rest if waits else "what is half sent is dropped"
        loop.call_later(SAY_SO_S, note, f"s3-upload: stopping: {how} (again: at once)")
        if waits:
            waits = False
        else:
            for each in heard:
                with suppress(NotImplementedError):
                    loop.remove_signal_handler(each)
                signal.signal(each, end_at_once)
        task.cancel()

    for number in heard:
        try:
            loop.add_signal_handler(number, stop, number)
        except NotImplementedError:  # on Windows: handlers are Python's own there, a signal wakes the loop
            signal.signal(number, lambda each, _: loop.call_soon_threadsafe(stop, each))


def notice_of(job: Job) -> Callable[[str], None] | None:
    """Tells on stderr what goes on with the store; a screen stays below."""
    output = job.options.output
    if output.quiet or output.only_show_errors:
        return None
    return lambda line: note(printable(f"s3-upload: {line}"))


def _refuse_too_few_files() -> None:
    allowed = limit()
    if allowed is not None and allowed < MIN_OPEN_FILES:
        raise UsageError(
            f"only {allowed} files may be open at a time, which is too few: at least {MIN_OPEN_FILES} are "
            "needed (ulimit -n 1024)"
        )
