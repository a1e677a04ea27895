"""The commands, as cyclopts has them: words and flags in, an exit code out."""

from __future__ import annotations

import dataclasses
import itertools
import os
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from s3_upload.cli import session, uploading
from s3_upload.cli.names import COMMANDS
from s3_upload.cli.options import from_profile
from s3_upload.cli.options.compare import CompareOptions, VerifyOptions
from s3_upload.cli.options.objects import flag
from s3_upload.cli.options.store import StoreOptions
from s3_upload.cli.options.upload import UploadOptions, age, in_order_of_keys
from s3_upload.cli.output import UsageError, emit, require_stdout
from s3_upload.cli.sources import split_words
from s3_upload.cli.stdin import STDIN
from s3_upload.cli.views import render
from s3_upload.cli.views.display import Display
from s3_upload.sources.mapping import Destination, Mapped, check_bucket
from s3_upload.sources.source import utf8_of
from s3_upload.sources.walk import sources_of, walk_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

PERF_ENDPOINT_URL = "http://localhost:9000"
PERF_PROFILE = "testing"
_ACCOUNT_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID")

app = App(
    name="s3-upload",
    help="Uploads files and directories to S3 (s3-upload --help).",
    help_format="plaintext",
    print_error=False,
    exit_on_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    version_flags=(),
    config=from_profile.apply,
)

Options = Annotated[UploadOptions, Parameter(name="*")]
Compared = Annotated[
    str,
    Parameter(
        name="SRC... DEST", help="Files and directories; what they are compared with: s3://BUCKET/PREFIX."
    ),
]
_NO_FLAGS = UploadOptions()
_NO_STORE = StoreOptions()
_AS_AWS = CompareOptions()
_ALL_OF_IT = VerifyOptions()


@app.default
def upload(
    *words: Annotated[
        str,
        Parameter(
            name="SRC... DEST", help="Files and directories, or - for stdin; where to: s3://BUCKET/PREFIX."
        ),
    ],
    options: Options = _NO_FLAGS,
) -> int:
    """Uploads sources below the prefix: one as `aws s3 cp --recursive` does, several as `cp -r` does."""
    return uploading.upload(words, options)


@app.command
def sync(
    *words: Compared,
    how: Annotated[CompareOptions, Parameter(name="*")] = _AS_AWS,
    options: Options = _NO_FLAGS,
) -> int:
    """Upload only what is missing or different. Nothing is ever deleted."""
    from s3_upload.cli.comparing import sync_with

    paths, destination = _compared_paths(words)
    # One process compares, whatever the environment says of uploads.
    options = dataclasses.replace(options, processes=1, cluster=None)
    return session.run(
        uploading.paths_job(paths, destination, words[-1], options, sync_with(destination, how, options))
    )


@app.command
def verify(
    *words: Compared,
    how: Annotated[VerifyOptions, Parameter(name="*")] = _ALL_OF_IT,
    options: Options = _NO_FLAGS,
) -> int:
    """Compare what is in the bucket with the sources, and upload nothing."""
    from s3_upload.cli.verifying import verify as compare

    paths, destination = _compared_paths(words)
    uploading.check_files(options, paths, how.combined)
    if options.output.json:
        require_stdout("--json")
        if how.combined == "-":
            raise UsageError("--json and --combined - do not go together: give a file, or leave one out")
    mapped = Mapped(paths, destination, in_order_of_keys(options.choice()))
    shown = uploading.shown(options, shows_rows=options.output.json)
    show = partial(Display, shown, paths, words[-1])
    sources = uploading.found(mapped.files)[0]
    return compare(sources, destination, how, options, show=show, would_take=mapped.would_take())


def _compared_paths(words: Sequence[str]) -> tuple[list[str], Destination]:
    """Raises `UsageError`."""
    paths, destination = split_words(words, COMMANDS)
    if STDIN in paths:
        raise UsageError("-: what comes in by stdin cannot be compared: give files or directories")
    return paths, destination


@app.command
def jobs(
    what: Annotated[
        Literal["list", "show", "resume", "prune"],
        Parameter(name="WHAT", help="What to do; list unless given."),
    ] = "list",
    job: Annotated[str | None, Parameter(name="JOB", help="Its name as the list has it, or a file.")] = None,
    /,
    *,
    older_than: Annotated[
        float | None, age("With prune: also unfinished jobs that were last run so long ago (30d).")
    ] = None,
) -> int:
    """List the jobs of which a journal is kept, show one, run one again, or forget those that are done."""
    from s3_upload.cli import jobs as journals

    if (job is None) != (what in {"list", "prune"}):
        raise UsageError(
            f"jobs {what}: {'name a job' if job is None else 'takes no job'}: s3-upload jobs lists them"
        )
    if older_than is not None and what != "prune":
        raise UsageError("--older-than is for jobs prune")
    if job is not None:
        return journals.show(job) if what == "show" else journals.resume(job)
    return journals.tell_all() if what == "list" else journals.prune(older_than)


@app.command
def clean(
    place: Annotated[str, Parameter(name="s3://BUCKET/PREFIX", help="Below which they are.")],
    /,
    *,
    older_than: Annotated[
        float | None, age("Only those that were begun so long ago (7d, 12h), by this machine's clock.")
    ] = None,
    yes: Annotated[bool, flag("Abort them: also those that somebody is sending now.")] = False,
    store: Annotated[StoreOptions, Parameter(name="*")] = _NO_STORE,
) -> int:
    """List the unfinished uploads in parts below a prefix, and abort them with --yes: parts cost money."""
    from s3_upload.cli.clean import clean as run_clean

    return run_clean(store, Destination.parse(place), older_than, yes=yes)


@app.command
def perf_data(
    src: Annotated[str, Parameter(help="Directory to upload.")],
    bucket: Annotated[str, Parameter(help="Name of the bucket.")],
    prefix: Annotated[str, Parameter(help="What all keys begin with.")],
    /,
    *,
    n: Annotated[int, Parameter(name="-n", help="Times to upload it, one after the other.")] = 1,
    options: Options = _NO_FLAGS,
) -> int:
    """Upload a directory N times and print a table of how each object fared.

    The store is http://localhost:9000 and the profile "testing", unless flags or environment say
    otherwise.
    """
    if n < 1:
        raise UsageError(f"-n {n}: must be at least 1")
    if n > 1 and options.sources.remove_source:
        raise UsageError("--remove-source: what is removed cannot be uploaded again: leave -n out")
    if n > 1 and options.sources.files_from in {"-", STDIN}:
        raise UsageError("--files-from -: stdin can be read once: leave -n out")
    if src == STDIN:
        raise UsageError("-: what comes in by stdin can be read once: give a directory")
    check_bucket(bucket, bucket)
    destination = Destination.below(bucket, utf8_of(prefix), prefix)
    uploading.check_files(options, (src,))
    if not os.path.isdir(src):  # noqa: PTH112 - a Path raises where it may not look
        walk_tree(src, destination.prefix)  # which tells what it is instead
    mapped = Mapped((src,), destination, options.choice())
    first, nothing = uploading.found(mapped.files)
    again = (sources_of(mapped.entries()) for _ in range(n - 1))
    options = dataclasses.replace(options, store=_perf_store(options.store))
    url, walk = f"s3://{bucket}/{prefix}", mapped.entries if mapped.can_be_counted else None
    job = uploading.job([src], destination, url, options, first, nothing, walk, text=render.Table, times=n)
    passes = itertools.chain((first,), again)
    return session.run(msgspec.structs.replace(job, passes=passes, journal=lambda *about: None))


@app.command
def report(
    records: Annotated[str, Parameter(name="RUN.jsonl", help="What --json wrote; - for stdin.")],
    /,
    *,
    output: Annotated[str, Parameter(name=("-o", "--output"), help="The page to write.")],
) -> int:
    """Make a page about a run, with charts, of what --json said of it."""
    from s3_upload.cli.views.page_file import report as write_report

    return write_report("-" if records == STDIN else records, output)


@app.command
def serve(
    directory: Annotated[str, Parameter(name="DIR", help="Its folders are the buckets.")],
    /,
    *,
    port: Annotated[int, Parameter(help="Port on loopback; 0 takes any free one.")] = 0,
    access_key: Annotated[str | None, flag("Generated unless given.", "AWS_ACCESS_KEY_ID")] = None,
    secret_key: Annotated[str | None, flag("Generated unless given.", "AWS_SECRET_ACCESS_KEY")] = None,
) -> int:
    """Run a small S3 store on this machine, for trying things out."""
    from s3_upload.cli.serve import serve as run_store

    if directory == STDIN:
        raise UsageError("-: the store keeps its objects in a directory: give one")
    return run_store(directory, port, access_key, secret_key)


@app.command
def config(*, options: Options = _NO_FLAGS) -> int:
    """Print each setting in force, its value, and where it came from: with the flags of an upload."""
    from s3_upload.cli.show_config import show

    return show(options)


@app.command
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(name="SHELL", help="Which one.")], /
) -> int:
    """Print what makes a shell complete the words of s3-upload: source <(s3-upload completion bash)."""
    from s3_upload.cli.completion import script

    emit(script(shell, command_names()))
    return 0


def command_names() -> tuple[str, ...]:
    """As they are typed."""
    return tuple(name for name in app if not name.startswith("-"))


def _perf_store(store: StoreOptions) -> StoreOptions:
    """The defaults of `perf_data` in the Rust crate that this began as, where neither a flag nor the
    environment says anything else."""
    if store.embedded is not None:
        return store
    endpoint_url, profile = store.endpoint_url, store.profile
    if not (endpoint_url or store.names_aws or _any_set("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")):
        endpoint_url = PERF_ENDPOINT_URL
    if not (profile or store.no_sign_request or _any_set(*_ACCOUNT_VARIABLES)):
        profile = PERF_PROFILE
    return dataclasses.replace(store, endpoint_url=endpoint_url, profile=profile)


def _any_set(*variables: str) -> bool:
    return any(os.environ.get(name) for name in variables)
