"""`s3_upload_files`: joins the flow."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, closing
from types import NoneType

import msgspec

from s3_upload import descriptors
from s3_upload.checks import must_be, must_be_callable, must_be_listener, wrong_type
from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.big_bodies import BulkBound
from s3_upload.control.concurrency.prefixes import AcceptedRates
from s3_upload.control.concurrency.window import AdaptiveWindow, FixedWindow
from s3_upload.control.retrying.outage import Outage
from s3_upload.control.retrying.retry import Retry
from s3_upload.control.waiting.adaptive import AdaptiveTimeout
from s3_upload.control.waiting.timeouts import OriginTimeout
from s3_upload.journaled import Journaled, job_of, journaled
from s3_upload.observe.events import Events, Listener, Listening, events_for
from s3_upload.observe.journal import Journal
from s3_upload.observe.logs import log_lines
from s3_upload.pace import Pace
from s3_upload.processor import all_busy_s, busy_s, processors
from s3_upload.report import UploadSummary
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.sources.content_type import Guess, fields_said_by
from s3_upload.sources.local_disk import local_devices
from s3_upload.sources.source import ObjectSource
from s3_upload.threads import DaemonThreads
from s3_upload.transfer.client import Client, LoopBound
from s3_upload.transfer.existing import not_overwriting
from s3_upload.transfer.given import Controls, Given, Runtime
from s3_upload.transfer.outages import Notice
from s3_upload.transfer.progress import Progress
from s3_upload.transfer.pulling import Sources
from s3_upload.transfer.reading import Offload
from s3_upload.transfer.resume import Resume
from s3_upload.transfer.run import Run
from s3_upload.transfer.streams import MAX_STREAMS

DEFAULT_MAX_CONNECTIONS = 10_000
RESERVED_FILES = 64
"""Descriptors left to the reader threads, to the program and to libraries, besides those that are open when
the run begins; of the rest one half is used, since connections that are being replaced overlap with their
successors."""

DefaultRequest = Callable[[ObjectSource], RequestFields | None]


def controls_for(config: UploadConfig, open_connections: int = 0) -> Controls:
    """The algorithm that `config` asks for, in its initial state. `open_connections`: of the client."""
    timeout = OriginTimeout(config) if config.timeout == "origin" else AdaptiveTimeout(config)
    limit = min(config.max_in_flight, max_connections(open_connections))
    window = FixedWindow(limit) if config.window == "fixed" else AdaptiveWindow(limit)
    bulk = BulkBound(limit) if config.window == "adaptive" else None
    outage = Outage(config.max_outage_s, config.connect_timeout_s)
    return Controls(timeout, Retry(config.n_retries), window, bulk, outage, AcceptedRates())


def max_connections(open_connections: int = 0) -> int:
    """How many connections there are descriptors for, besides what the program has open already.

    `open_connections` of that are there to be used.
    """
    limit = descriptors.limit()
    if limit is None:
        return DEFAULT_MAX_CONNECTIONS
    taken = descriptors.count_open() - open_connections
    return max(1, (limit - taken - RESERVED_FILES) // 2)


def real_runtime(config: UploadConfig) -> Runtime:
    """The machine's clock, randomness and threads."""
    readers = DaemonThreads(config.reader_threads, "s3-upload-reader")
    sources = DaemonThreads(MAX_STREAMS + 1, "s3-upload-source")  # one for `files` itself

    def close() -> None:
        readers.close()
        sources.close()

    return Runtime(
        clock=time.monotonic,
        rng=random.Random(),  # noqa: S311 - jitter, not secrets
        offload=_offload(readers),
        offload_source=_offload(sources),
        pause=readers.pause,
        close=close,
        local_devices=local_devices(),
        busy_s=busy_s,
        all_busy_s=lambda: all_busy_s() / processors(),
    )


def _offload(threads: DaemonThreads) -> Offload:
    return lambda function, *arguments: threads.call(lambda: function(*arguments))


async def s3_upload_files(  # noqa: PLR0917 - the signature it began with
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
) -> UploadSummary:
    """Uploads `files` to `bucket` and tells what became of each.

    `files`: any iterable or async iterable of `ObjectSource`, consumed lazily; a plain one is consumed in a
    worker thread, so that it may block.  `progress`: called with an `UploadReport` after each upload, in the
    order in which they end; an async callable is awaited, one report at a time.
    `default_request`: gives the `RequestFields` (content type, metadata, …) of a source that has none of its
    own; bucket, key, body and length are not its to give.  Without it the content type is the one that the
    name suggests; `lambda source: None` says nothing of any object.  `pace`: a handle with which
    `max_bandwidth` can be changed meanwhile; its settings count instead of the configuration's.  `notice`:
    called with a line of English when the store has been away, silent or refusing for some seconds, and when
    that is over.  `events`: called with each event of the run (`observe.events`), on the loop, as it happens;
    a `Listening` says which kinds are wanted, and the others cost nothing.  `logging` has them as lines
    (`observe.logs`).  `journal`: keeps what is done, so that another run with it does only what is left.
    `resume_multipart`: goes on with unfinished uploads in parts that the store has, if these are the files'.

    A run that is cancelled begins nothing new and lets what is under way end, for `config.grace_s`; when it
    is cancelled once more, it ends at once.

    A file that fails does not stop the others: it is in `summary.failed`.  Of two sources with one key
    the second fails while the first is being uploaded, and overwrites it later.  Raises `RunError` for what
    no file would survive (no such bucket, wrong credentials, unknown host, untrusted certificate),
    `ConfigError` for a bucket name that cannot be one, `TypeError` for what is of a wrong type, and
    whatever `files`, `progress` or `default_request` raise.
    """
    check_arguments(client, bucket, files, config, progress, default_request, pace, notice, events)
    opened = with_journal(
        client, bucket, files, default_request, events, journal=journal, resume_multipart=resume_multipart
    )
    async with opened as given:
        summary = await upload_given(
            client, bucket, given, config or UploadConfig(), progress=progress,
            default_request=default_request, pace=pace, notice=notice,
        )  # fmt: skip
    return given.noted(summary)


def with_journal(
    client: Client,
    bucket: str,
    files: Sources,
    default_request: DefaultRequest | None,
    events: Listener | Listening | None,
    *,
    journal: Journal | str | os.PathLike[str] | None,
    resume_multipart: bool,
) -> AbstractAsyncContextManager[Journaled]:
    """Within, a job's files and events go with its journal. On the loop that it runs on."""
    if isinstance(client, LoopBound):
        client.enter_loop()
    plain = Journaled(files, events_for(events, log_lines()))
    keeps_times = isinstance(journal, Journal) and journal.keeps_times
    about = job_of(client.endpoint, bucket, default_request, keeps_times=keeps_times)
    return journaled(journal, about, plain, resume_multipart=resume_multipart)


async def upload_given(
    client: Client,
    bucket: str,
    given: Journaled,
    config: UploadConfig,
    *,
    progress: Progress | None = None,
    default_request: DefaultRequest | None = None,
    pace: Pace | None = None,
    notice: Notice | None = None,
    epoch_s: float | None = None,
    rates: AcceptedRates | None = None,
) -> UploadSummary:
    """`s3_upload_files` of checked arguments, with its journal opened, on this machine.

    `epoch_s`: when its clock, `time.monotonic`, stood at 0; None: now.  `rates`: what it knows of the rate
    that the store accepts; None: nothing yet.
    """
    controls = controls_for(config, getattr(client, "open_connections", 0))
    if rates is not None:
        controls = msgspec.structs.replace(controls, rates=rates)
    with closing(real_runtime(config)) as runtime:
        return await run_upload(
            client, bucket, given.files, config=config, progress=progress,
            default_request=default_request, controls=controls,
            runtime=msgspec.structs.replace(runtime, epoch_s=epoch_s), pace=pace, notice=notice,
            events=given.events, resume=given.resume,
        )  # fmt: skip


def check_arguments(  # noqa: PLR0917 - in the order of `s3_upload_files`
    client: object,
    bucket: object,
    files: object,
    config: object,
    progress: object,
    default_request: object,
    pace: object,
    notice: object,
    events: object,
) -> None:
    """Raises `TypeError`, before anything is begun."""
    if isinstance(client, type) or not all(hasattr(client, name) for name in ("send", "digests", "parts")):
        found, hint = type(client).__module__.partition(".")[0], ""
        if found in ("botocore", "aiobotocore"):
            adapter = "boto3_client" if found == "botocore" else "aiobotocore_client"
            hint = f"s3_upload.adapters.{adapter} makes one of it"
        raise wrong_type("client", client, "an S3Client or an adapter's client", hint)
    must_be("bucket", bucket, str, "str")
    is_path = isinstance(files, str | bytes | os.PathLike)
    if is_path or not isinstance(files, Iterable | AsyncIterable):
        hint = "files_recursive(directory) gives one" if is_path else ""
        raise wrong_type("files", files, "an iterable of ObjectSource, plain or async", hint)
    must_be("config", config, (UploadConfig, NoneType), "UploadConfig or None")
    must_be_callable("progress", progress)
    hint = "content_type_by_name(fields) makes one" if isinstance(default_request, RequestFields) else ""
    must_be_callable("default_request", default_request, hint)
    must_be("pace", pace, (Pace, NoneType), "Pace or None")
    must_be_callable("notice", notice)
    if not isinstance(events, Listening):
        must_be_listener("events", events)


async def run_upload(
    client: Client,
    bucket: str,
    files: Sources,
    *,
    config: UploadConfig,
    progress: Progress | None = None,
    default_request: DefaultRequest | None = None,
    controls: Controls,
    runtime: Runtime,
    pace: Pace | None = None,
    notice: Notice | None = None,
    events: Events | None = None,
    resume: Resume | None = None,
) -> UploadSummary:
    """`s3_upload_files` with its decisions and surroundings given by the caller."""
    if pace is None and (config.share != "full" or config.max_bandwidth):
        pace = Pace(config.share, config.max_bandwidth)
    said = fields_of(default_request)
    if config.if_exists != "overwrite":
        said = not_overwriting(said)
    given = Given(
        bucket=bucket,
        config=config,
        controls=controls,
        runtime=runtime,
        fields_of=said,
        progress=progress,
        notice=notice,
        events=events or Events(),
        pace=pace,
        resume=resume,
        said=fields_said_by(default_request),
    )
    return await Run(client, files, given).run()


def fields_of(default_request: DefaultRequest | None) -> Callable[[ObjectSource], RequestFields]:
    """What is said of an object: by its source, else by `default_request`; its name tells the content type
    where there is none of these to do so."""
    if default_request is None:
        return Guess()
    if isinstance(default_request, Guess):
        return default_request

    def said(source: ObjectSource) -> RequestFields:
        if source.fields is not None:
            return source.fields
        fields = default_request(source)
        if fields is None:
            return NO_FIELDS
        if type(fields) is not RequestFields:
            must_be("what default_request returns", fields, RequestFields, "RequestFields or None")
        return fields

    return said
