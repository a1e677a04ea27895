"""From words and flags to an upload.  The parser is not needed here, and so is not loaded for usual words."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from s3_upload.cli import session
from s3_upload.cli.journals import journal_for
from s3_upload.cli.names import COMMANDS
from s3_upload.cli.options.upload import UploadOptions, in_order_of_keys
from s3_upload.cli.output import require_stdout
from s3_upload.cli.overwriting import refuse_overwriting
from s3_upload.cli.sources import refuse_overlap, split_words, stdin_source
from s3_upload.cli.stdin import STDIN
from s3_upload.cli.views import render
from s3_upload.cli.views.display import Display, Kind, kind_of
from s3_upload.cli.views.page_file import PageFile
from s3_upload.sources.mapping import Destination, Mapped, NothingToUpload
from s3_upload.sources.walk import Listings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from s3_upload.bucket.sync import Sync
    from s3_upload.cli.failed_to import FailedTo
    from s3_upload.removing import Remover
    from s3_upload.sources.source import ObjectSource
    from s3_upload.sources.walk import Entry


def upload(words: Sequence[str], options: UploadOptions) -> int:
    """Uploads sources to the destination that `words` end with, and returns the exit code."""
    paths, destination = split_words(words, COMMANDS)
    if STDIN not in paths:
        return session.run(paths_job(paths, destination, words[-1], options))
    check_files(options, paths)
    sources = iter((stdin_source(paths, destination),))
    options.sources.refuse_selecting()
    return session.run(job(paths, destination, words[-1], options, sources))


def paths_job(
    paths: list[str],
    destination: Destination,
    url: str,
    options: UploadOptions,
    compared: Sync | None = None,
) -> session.Job:
    """The upload of what lies at `paths`; of a sync, of what is different by `compared`."""
    check_files(options, paths)
    choice = options.choice()
    if compared is not None:
        choice = in_order_of_keys(choice)
    counts = compared is None and shown(options, shows_rows=options.output.json) != "none"
    mapped = Mapped(paths, destination, choice, Listings() if counts else None)
    sources, nothing = found(mapped.files)
    # How much of it is different nobody knows before.
    walk = mapped.entries if compared is None and mapped.can_be_counted else None
    return job(paths, destination, url, options, sources, nothing, walk, compared)


def job(  # noqa: PLR0917 - as they are joined
    paths: list[str],
    destination: Destination,
    url: str,
    options: UploadOptions,
    sources: Iterator[ObjectSource],
    nothing: str = "",
    walk: Callable[[], Iterator[Entry]] | None = None,
    compared: Sync | None = None,
    *,
    text: type[render.Text] = render.Text,
    times: int = 1,
) -> session.Job:
    kind = shown(options, shows_rows=options.output.json or text.lists_all)
    return session.Job(
        bucket=destination.bucket,
        passes=(sources,),
        remover=remover(options, paths),
        options=options,
        rendering=rendering(render.JsonLines if options.output.json else text, destination, options, nothing),
        display=Display(
            kind,
            paths,
            url,
            walk,
            times=times,
            bandwidth=options.tuning.max_bandwidth,
            compared=None if compared is None else compared.so_far,
        ),
        page=page(options, paths, url),
        failed_to=failed_to(options, destination),
        sync=compared,
        journal=partial(journal_for, options, paths, url, compares=compared is not None),
    )


def check_files(options: UploadOptions, paths: Sequence[str], combined: str | None = None) -> None:
    """Raises `UsageError` where what is written would be read. `combined`: that of verify."""
    if options.store.embedded is not None:
        refuse_overlap(paths, options.store.embedded)
    refuse_overwriting(paths, options, combined)


def page(options: UploadOptions, paths: Iterable[str], destination: str) -> PageFile | None:
    """The page that --report names."""
    if options.output.report is None:
        return None
    names = ["-" if path == STDIN else path for path in paths]
    title = f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''} → {destination}"
    return PageFile(options.output.report, title)


def failed_to(options: UploadOptions, destination: Destination) -> FailedTo | None:
    output = options.output
    if output.failed_to is None:
        return None
    from s3_upload.cli.failed_to import FailedTo

    below = None if options.sources.manifest is None else destination.base
    return FailedTo(output.failed_to, b"\0" if output.null else b"\n", below)


def found(walk: Callable[[], Iterator[ObjectSource]]) -> tuple[Iterator[ObjectSource], str]:
    """The sources, and why there are none: nothing to do is done, and no failure."""
    try:
        return walk(), ""
    except NothingToUpload as nothing:
        return iter(()), str(nothing)


def remover(options: UploadOptions, paths: Sequence[str]) -> Remover | None:
    if not options.sources.remove_source:
        return None
    from s3_upload.removing import Remover, refuse_overlap

    refuse_overlap(paths)
    return None if options.output.dryrun else Remover(paths, options.tuning.source_check)


def rendering(
    kind: type[render.Text], destination: Destination, options: UploadOptions, nothing: str
) -> render.Text:
    output = options.output
    if output.json:
        require_stdout("--json")
    rendering = kind(
        destination.bucket, quiet=output.quiet, only_errors=output.only_show_errors, verbose=output.verbose
    )
    rendering.nothing = nothing
    return rendering


def shown(options: UploadOptions, *, shows_rows: bool) -> Kind:
    """How progress is shown. `shows_rows`: a row goes to stdout for each file, which on a terminal is
    progress enough."""
    output = options.output
    return kind_of(
        "none" if output.no_progress else output.progress,
        silent=output.quiet or output.only_show_errors,
        stdout_is_shown=shows_rows and sys.stdout is not None and sys.stdout.isatty(),
    )
