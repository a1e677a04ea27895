"""One call of `upload` and its like: what was asked for, checked, and how it is run.

What can be known to be wrong is said before anything is begun, by `ConfigError` and `TypeError`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from types import NoneType
from typing import Any, Literal, TypedDict

import msgspec

from s3_upload.api import DefaultRequest, fields_of
from s3_upload.checks import must_be, must_be_callable, must_be_listener
from s3_upload.clients.s3 import S3Client
from s3_upload.config import UploadConfig
from s3_upload.errors import ConfigError, RunError
from s3_upload.fleet.processes import ALONE, Processes, Spread, check_processes
from s3_upload.fleet.uploading import upload_files
from s3_upload.given import (
    Files,
    Path,
    UploadSources,
    come_one_by_one,
    files_of,
    given_paths,
    named,
    paths_listed,
)
from s3_upload.moved import removes_what_is_done
from s3_upload.observe.events import Listener, Listening, joined
from s3_upload.observe.journal import Journal, journal_of, left_of
from s3_upload.pace import Pace
from s3_upload.removing import Remover, looked_at, refuse_overlap
from s3_upload.report import UploadReport, UploadSummary, broken_off
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.s3.credentials import Credentials
from s3_upload.showing import Walk, show_progress
from s3_upload.sources.content_type import Guess
from s3_upload.sources.content_types import ContentTypes
from s3_upload.sources.listed import Listed
from s3_upload.sources.mapping import Choice, Destination, Mapped, NothingToUpload
from s3_upload.sources.ordering import BY_KEY, Order, Shard
from s3_upload.sources.preserving import check_preserve
from s3_upload.sources.selecting import Filter, Selection, selection_of
from s3_upload.threads import in_a_thread
from s3_upload.transfer.client import Client

ListOfFiles = Path | Iterable[Path]
"""The path of a file with paths in its lines, or an iterable of paths."""
Progress = Callable[[UploadReport], object]


class Settings(TypedDict, total=False):
    """The fields of `UploadConfig`, as keywords of a call; `help(UploadConfig)` says what they are for."""

    max_in_flight: int
    window: Literal["adaptive", "fixed"]
    timeout: Literal["adaptive", "origin"]
    hedge: Literal["auto", "off"]
    max_in_flight_bytes: int | str
    n_retries: int
    timeout_fraction: float
    backoff: float
    min_timeout: float | str
    expected_upload_speed: float
    avg_power: float
    avg_min_bytes: int | str
    connect_timeout_s: float | str
    max_outage_s: float | str
    grace_s: float | str
    multipart_threshold: int | str
    part_size: int | str
    source_check: Literal["version", "size"]
    reader_threads: int
    share: Literal["full", "fair", "background"]
    if_exists: Literal["overwrite", "skip", "fail"]
    max_bandwidth: str
    pacing: Literal["auto", "application"]


class Taken(TypedDict, total=False):
    """More about what to take, as keywords of a call.

    `files_from`: only these of the one source: an iterable of paths, or a file with one in each line (or with
    NULs); relative to it, or whole.  `manifest`: a file of lines of a path, a tab and its key below the
    prefix.  `shard`: "2/5" is the second fifth of all keys, the same on every machine.  `order`: "name",
    "size" or "mtime", with ",desc" for the largest first; all sources are found before the first is sent.
    These are for paths.
    `preserve`: "mtime" keeps the time of modification as metadata, as rclone does.  `remove_source`: files
    are removed when they are uploaded, unless they changed meanwhile; notes in the summary tell which stay.
    `journal`: the path of a file (or a `Journal`) that keeps what is done: another call with it uploads only
    what is left, and goes on with files in parts where they were broken off.  `resume_multipart`: unfinished
    uploads in parts that the store has are gone on with, where all their parts are proven to be the file's.
    `processes`: how many upload files, from 1 to 256, or "auto": one, and more where one processor is not
    enough and others are free.  `executor`: any `concurrent.futures.Executor`, such as that of a Dask client:
    its workers upload, who need the files at the same path and credentials of their own.
    """

    files_from: ListOfFiles | None
    manifest: Path | None
    shard: str | None
    order: str | None
    preserve: Literal["mtime"] | None
    remove_source: bool
    journal: Journal | Path | None
    resume_multipart: bool
    processes: Processes
    executor: Executor | None


class Keywords(Settings, Taken, total=False):
    """What all calls take beside their own arguments."""


Sift = Callable[[Client, Files], Files]
"""What is left of files, as far as a store tells."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What to do. `client`: the caller's, who closes it; else `own_client` is ours.  `shows`: on a screen,
    under `title` (from where, to where).  `walk`: the files once more, None where they cannot be known
    twice.  `nothing`: why there are none.  `sift`: says which of the files are uploaded.  `journal`,
    `resume_multipart`: as for `s3_upload_files`.  `would_take`: as for `verified`.  `later`: the fields that
    the sources say, where these are not looked at before it runs."""

    destination: Destination
    files: Files = ()
    config: UploadConfig
    progress: Progress | None
    shows: bool
    listening: tuple[Listening, ...]
    default_request: DefaultRequest | None
    client: Client | None
    own_client: S3Client | None
    title: tuple[str, str]
    walk: Walk | None = None
    nothing: str = ""
    sift: Sift | None = None
    preserve: bool = False
    remover: Remover | None = None
    journal: Journal | None = None
    resume_multipart: bool = False
    spread: Spread = ALONE
    would_take: Callable[[str], bool] | None = None
    later: Callable[[], dict[str, Any]] | None = None

    async def run(self, *, pace: Pace | None = None) -> UploadSummary:
        """Does it."""
        if self.later is not None:
            return await (await self._with_sources(self.later)).run(pace=pace)
        if not self.shows:
            return await self._run(self.listening, pace)
        async with show_progress(self.title, self._walk_of_what_is_left()) as screen:
            return await self._run((*self.listening, screen), pace)

    async def _with_sources(self, later: Callable[[], dict[str, Any]]) -> Job:
        # The first source may be long in coming.
        of_sources = await in_a_thread("s3-upload-prepare", later)
        return dataclasses.replace(self, later=None, **of_sources)

    async def _run(self, listening: tuple[Listening, ...], pace: Pace | None) -> UploadSummary:
        try:
            with broken_off(self._noted):
                summary = await self._uploaded(listening, pace)
        finally:
            if self.remover is not None:
                self.remover.close()
        return self._noted(summary)

    async def _uploaded(self, listening: tuple[Listening, ...], pace: Pace | None) -> UploadSummary:
        if self.journal is not None:
            self.journal.keeps_times = self.preserve
        async with self.opened() as client:
            removes_what_is_done(
                self.journal,
                self.remover,
                client,
                self.destination.bucket,
                config=self.config,
                default_request=self.default_request,
            )
            return await upload_files(
                client,
                self.destination.bucket,
                self._looked_at(self.files if self.sift is None else self.sift(client, self.files)),
                self.config,
                self._progress(),
                self.default_request,
                pace,
                events=joined(*listening),
                journal=self.journal,
                resume_multipart=self.resume_multipart,
                spread=self.spread,
            )

    def _noted(self, summary: UploadSummary) -> UploadSummary:
        """What there is to say beside the run is said, too, however that ended."""
        nothing = (self.nothing,) if self.nothing else ()
        removed = () if self.remover is None else self.remover.notes()
        return msgspec.structs.replace(summary, notes=(*summary.notes, *nothing, *removed))

    def _progress(self) -> Progress | None:
        if self.remover is None:
            return self.progress
        return self.remover.beside(self.progress, elsewhere=self.spread.executor is not None)

    def _walk_of_what_is_left(self) -> Walk | None:
        """What is done does not count."""
        journal, walk = self.journal, self.walk
        return walk if journal is None or walk is None else lambda: left_of(journal, walk())

    def _looked_at(self, files: Files) -> Files:
        return looked_at(files, fields_of(self.default_request) if self.preserve else None, self.remover)

    def opened(self) -> AbstractAsyncContextManager[Client]:
        """The client: ours is closed behind it."""
        if self.own_client is not None:
            return self.own_client
        assert self.client is not None
        return nullcontext(self.client)


def prepare(
    sources: UploadSources,
    destination: str,
    *,
    config: UploadConfig | None,
    progress: Progress | bool | None,
    events: Listener | Listening | None,
    fields: RequestFields | None,
    default_request: DefaultRequest | None,
    content_types: ContentTypes | None,
    exclude: str | Iterable[str],
    include: str | Iterable[str],
    filter: Filter | None,
    follow_symlinks: bool,
    endpoint_url: str | None,
    region: str | None,
    profile: str | None,
    credentials: Credentials | None,
    proxy: str | None,
    client: Client | None,
    settings: Keywords,
    any_loop: bool,
    in_order: bool = False,
    in_thread: bool = False,
) -> Job:
    """The job that the arguments of a call ask for; lists directories and reads settings. `any_loop`: it runs
    in a loop of its own.  `in_thread`: sources that come one by one are first looked at when it runs."""
    _check_given(destination, progress, events, follow_symlinks)
    default_request = _said(fields, default_request, content_types)
    place = Destination.parse(destination)
    store: dict[str, Any] = {"endpoint_url": endpoint_url, "region": region, "profile": profile}
    store |= {"credentials": credentials, "proxy": proxy}
    if client is not None:
        check_client(client, store, any_loop=any_loop)
    taken, upload_config = _taken(settings), _config(config, settings)
    choice = _choice(taken, selection_of(filter, exclude, include), follow_symlinks, in_order=in_order)
    removes = _switch("remove_source", taken.get("remove_source", False))
    look = partial(
        _of_sources, sources, place, choice, upload_config, url=destination, removes=removes,
        counted=progress is True, in_order=in_order,
    )  # fmt: skip
    later = in_thread and come_one_by_one(sources)
    of_sources = {"later": look, "title": ("objects", destination)} if later else look()
    return Job(
        preserve=check_preserve(taken.get("preserve")),
        journal=_journal(taken, compares=in_order),
        resume_multipart=_switch("resume_multipart", taken.get("resume_multipart", False)),
        spread=_spread(taken),
        destination=place,
        config=upload_config,
        progress=None if isinstance(progress, bool) else progress,
        shows=progress is True,
        listening=() if events is None else (events if isinstance(events, Listening) else Listening(events),),
        default_request=default_request,
        client=client,
        own_client=own_client(store) if client is None else None,
        **of_sources,
    )


def _of_sources(
    sources: UploadSources,
    place: Destination,
    choice: Choice,
    config: UploadConfig,
    *,
    url: str,
    removes: bool,
    counted: bool,
    in_order: bool,
) -> dict[str, Any]:
    """The fields of a `Job` that the sources say. Lists directories, and takes the first of an iterable."""
    sources, nothing = paths_listed(sources), ""
    try:
        files, walk = files_of(sources, place, choice, counted=counted)
    except NothingToUpload as reason:  # a folder that is empty today is no mistake
        files, walk, nothing = (), None, str(reason)
    return {
        "files": files,
        "walk": walk,
        "nothing": nothing,
        "remover": _remover(sources, config) if removes else None,
        "title": (named(sources), url),
        "would_take": Mapped(given_paths(sources), place, choice).would_take() if in_order else None,
    }


def _check_given(destination: object, progress: object, events: object, follow_symlinks: object) -> None:
    """Raises `TypeError`."""
    must_be("destination", destination, str, "str")
    if not isinstance(progress, bool):
        must_be_callable("progress", progress, "True shows a screen")
    if events is not None and not isinstance(events, Listening):
        must_be_listener("events", events)
    must_be("follow_symlinks", follow_symlinks, bool, "True or False")


def _said(
    fields: RequestFields | None,
    default_request: DefaultRequest | None,
    content_types: ContentTypes | None,
) -> DefaultRequest:
    """What says something of each object."""
    for name, given in (("fields", fields), ("content_types", content_types)):
        if default_request is not None and given is not None:
            raise ConfigError(f"{name} and default_request do not go together: leave one out")
    must_be("fields", fields, (RequestFields, NoneType), "RequestFields or None")
    must_be_callable("default_request", default_request)
    if default_request is not None:
        return default_request
    return Guess(NO_FIELDS if fields is None else fields, content_types)


def _config(config: UploadConfig | None, keywords: Keywords) -> UploadConfig:
    must_be("config", config, (UploadConfig, NoneType), "UploadConfig or None")
    known = [spec.name for spec in dataclasses.fields(UploadConfig)]
    settings: Any = {name: value for name, value in keywords.items() if name not in Taken.__annotations__}
    for name in settings:
        if name not in known:
            similar = difflib.get_close_matches(name, [*known, *_KEYWORDS], n=1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            raise TypeError(f"{name}: no such argument, and no field of UploadConfig{hint}")
    if config is not None and settings:
        raise ConfigError(f"config and {next(iter(settings))} do not go together: leave one out")
    return UploadConfig(**settings) if config is None else config


def own_client(store: dict[str, Any]) -> S3Client:
    """A client of the store that a call names. Raises `ConfigError`."""
    try:
        return S3Client(**store)
    except RunError as error:  # of the profile: nothing has run
        raise ConfigError(str(error)) from error


_KEYWORDS = (
    "config", "progress", "events", "fields", "default_request", "content_types", "exclude", "include",
    "filter", *Taken.__annotations__, "follow_symlinks", "endpoint_url", "region", "profile", "credentials",
    "proxy", "client",
)  # fmt: skip


def check_client(client: Client, store: dict[str, Any], *, any_loop: bool) -> None:
    """Raises `ConfigError` where a client does not go together with `store`, or with the call's loop."""
    for name, value in store.items():
        if value is not None:
            raise ConfigError(f"client and {name} do not go together: leave one out")
    if any_loop and hasattr(client, "send") and not getattr(client, "any_loop", False):
        raise ConfigError(
            "client: lives on one event loop, and this call has a loop of its own: await upload_async, leave "
            "it out, or take adapters.boto3_client"
        )


def _taken(settings: Keywords) -> Taken:
    """Those of `settings` that are no fields of `UploadConfig`."""
    names = Taken.__annotations__
    return {name: value for name, value in settings.items() if name in names}  # type: ignore[return-value]


def _choice(taken: Taken, filters: Selection | None, follow_symlinks: bool, *, in_order: bool) -> Choice:
    shard, order = taken.get("shard"), taken.get("order")
    ordered = None if order is None else Order.parse(order)
    if in_order and ordered not in {None, BY_KEY}:
        raise ConfigError(f"order {order}: what is compared goes in the order of its keys: leave it out")
    return Choice(
        filters=filters,
        follow_symlinks=follow_symlinks,
        listed=_listed(taken.get("files_from"), taken.get("manifest")),
        shard=None if shard is None else Shard.parse(shard),
        order=BY_KEY if in_order else ordered,
    )


def _listed(files_from: ListOfFiles | None, manifest: Path | None) -> Listed | None:
    if files_from is not None and manifest is not None:
        raise ConfigError("files_from and manifest do not go together: leave one out")
    if manifest is not None:
        return Listed(manifest, "manifest", has_keys=True)
    return None if files_from is None else Listed(files_from)


def _switch(name: str, given: bool) -> bool:
    must_be(name, given, bool, "True or False")
    return given


def _remover(sources: object, config: UploadConfig) -> Remover:
    paths = given_paths(sources)
    refuse_overlap(paths)
    return Remover(paths, config.source_check)


def _journal(taken: Taken, *, compares: bool) -> Journal | None:
    given = taken.get("journal")
    if given is not None and compares:
        raise ConfigError("journal: sync_files asks the store what is there, and needs none: leave it out")
    return None if given is None else journal_of(given)


def _spread(taken: Taken) -> Spread:
    executor = taken.get("executor")
    must_be("executor", executor, (Executor, NoneType), "a concurrent.futures.Executor or None")
    return Spread(check_processes(taken.get("processes", 1)), executor)
