"""The flags of the upload commands, as dataclasses from which the parser, the environment and the
help are made.

The tuning flags come from `UploadConfig` itself: its fields give name, type, default, range and help
of every `--flag` and `S3_UPLOAD_*` variable, so that nothing about them is written here.  The other
flags carry the AWS CLI's names where it has one.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import msgspec

from s3_upload.cli.options.classes import options_class
from s3_upload.cli.options.objects import ObjectOptions, flag, parameter, texts
from s3_upload.cli.options.store import StoreOptions
from s3_upload.cli.output import UsageError
from s3_upload.cli.stdin import STDIN, stdin_fd
from s3_upload.config import GIB, UploadConfig, complaint
from s3_upload.descriptors import read_some
from s3_upload.errors import ConfigError
from s3_upload.fleet.processes import MAX_PROCESSES, Processes
from s3_upload.parts import MAX_PART_BYTES, MAX_PARTS, part_size_for
from s3_upload.sources.ages import parse_age_s
from s3_upload.sources.filters import Rule
from s3_upload.sources.listed import Listed
from s3_upload.sources.mapping import Choice
from s3_upload.sources.ordering import BY_KEY, Order, Shard
from s3_upload.sources.selecting import Filter, Selection
from s3_upload.sources.source import utf8_of
from s3_upload.units import parse_size, parse_time_s, show_size, show_time

if TYPE_CHECKING:
    from cyclopts import Parameter


def _convert_rules(type_: Any, tokens: Any) -> tuple[Rule, ...]:
    """Both flags in one field, in the order in which they were given: the last match wins."""
    return tuple(Rule(utf8_of(token.value), include=token.keyword == "--include") for token in tokens)


@options_class(frozen=True, kw_only=True)
class SourceOptions:
    """What to upload of the sources."""

    rules: Annotated[
        tuple[Rule, ...],
        texts(
            "Leave out what matches, or take it all the same; may be repeated, and the last match wins. "
            "A GLOB without / is a name at any depth (node_modules, *.tmp), one with / a path from the "
            "source's root (docs/*.pdf); ** crosses directories. A directory left out is not walked.",
            name=("--exclude", "--include"),
            converter=_convert_rules,
        ),
    ] = ()

    exclude_from: Annotated[
        tuple[str, ...],
        texts(
            "Leave out what the patterns in FILE say, in the language of .gitignore, from each source's "
            "root; may be repeated."
        ),
    ] = ()
    ignore_file: Annotated[
        tuple[str, ...],
        texts(
            "Leave out what files of this NAME in the tree say (.gitignore, .s3ignore), each of its "
            "directory and those below; may be repeated."
        ),
    ] = ()
    min_size: Annotated[str | None, flag("Only files of so many bytes or more (64KiB, 10MB).")] = None
    max_size: Annotated[str | None, flag("Only files of so many bytes or fewer.")] = None
    newer_than: Annotated[
        str | None,
        flag(
            "Only files modified since: an age (36h, 7d, 2w) or a date (2026-01-31, 2026-01-31T12:00:00Z).",
            name=("--newer-than", "--max-age"),
        ),
    ] = None
    older_than: Annotated[
        str | None,
        flag("Only files not modified since: an age or a date.", name=("--older-than", "--min-age")),
    ] = None

    recursive: Annotated[
        bool,
        flag(
            "Accepted, since other tools need it: directories go with all that is in them anyway.",
            name=("--recursive", "-r"),
        ),
    ] = False

    follow_symlinks: Annotated[
        bool,
        flag(
            "Upload what links lead to (the default), or skip links, found or given.",
            name="--follow-symlinks",
            negative="--no-follow-symlinks",
        ),
    ] = True

    files_from: Annotated[
        str | None,
        flag(
            "Only what FILE lists, or stdin (-): paths from SRC, or absolute ones, a line each, or a NUL "
            "after each. Their keys are those that they have anyway."
        ),
    ] = None
    manifest: Annotated[
        str | None, flag("Only what FILE lists, under the keys that it gives: PATH, a tab, KEY in each line.")
    ] = None
    shard: Annotated[
        str | None,
        flag("Only the K-th of N shares (2/5), the same on every machine: each key is in one of them."),
    ] = None
    order: Annotated[
        str | None,
        flag(
            "name, size or mtime; with ,desc the largest first. All sources are found before the first is "
            "uploaded, which takes 100 bytes of memory for each; name alone, for one source, is the order "
            "anyway."
        ),
    ] = None

    remove_source: Annotated[
        bool,
        flag(
            "Remove each file when it is uploaded and the store has proved it, unless it changed meanwhile. "
            "Links, what lies behind them, and directories stay."
        ),
    ] = False

    def refuse_selecting(self) -> None:
        """Raises `UsageError` where something is said that means nothing of what comes in by stdin."""
        usual = SourceOptions()
        for spec in dataclasses.fields(self):
            name = spec.name
            if name in {"recursive", "follow_symlinks"} or getattr(self, name) == getattr(usual, name):
                continue
            said = name.replace("_", "-")
            if name == "rules":
                said = "include" if self.rules[0].include else "exclude"
            raise UsageError(f"--{said}: is about files, and stdin (-) goes as one object: leave it out")

    def choice(self, *, nul: bool = False) -> Choice:
        """`nul`: lists have NULs. Raises `UsageError`."""
        try:
            return Choice(
                filters=self.filters(),
                follow_symlinks=self.follow_symlinks,
                listed=self._listed(nul=nul),
                shard=None if self.shard is None else Shard.parse(self.shard),
                order=None if self.order is None else Order.parse(self.order),
            )
        except ConfigError as error:
            raise UsageError(_as_flags(str(error), ("shard", "order"))) from None

    def _listed(self, *, nul: bool) -> Listed | None:
        """Raises `UsageError` and `ConfigError`."""
        if self.files_from is not None and self.manifest is not None:
            raise UsageError("--files-from and --manifest do not go together: leave one out")
        if self.manifest is not None:
            if self.manifest in {"-", STDIN}:
                raise UsageError("--manifest -: is read twice: give a file")
            return Listed(self.manifest, "--manifest", nul=nul, has_keys=True)
        if self.files_from is None:
            return None
        if self.files_from not in {"-", STDIN}:
            return Listed(self.files_from, "--files-from", nul=nul)
        fd = stdin_fd()
        return Listed("-", "--files-from", nul=nul, blocks=lambda: iter(lambda: read_some(fd, 1 << 16), b""))

    def filters(self) -> Selection | None:
        """Raises `UsageError`."""
        given = {name: getattr(self, name) for name in Filter.__struct_fields__ if hasattr(self, name)}
        try:
            return Filter(**given).selection()
        except ConfigError as error:
            raise UsageError(_as_flags(str(error), Filter.__struct_fields__)) from None


def _as_flags(text: str, names: tuple[str, ...]) -> str:
    """A message about arguments of these names, said of the flags."""
    for name in names:
        text = re.sub(rf"\b{name}(?= )", f"--{name.replace('_', '-')}", text)
    return text


@options_class(frozen=True, kw_only=True)
class OutputOptions:
    """How to tell about it."""

    progress: Annotated[
        Literal["auto", "bar", "plain", "none"],
        flag(
            "What shows how far it is. bar: a block at the bottom of the terminal; plain: a line after 10 s, "
            "30 s later, then each minute; auto: bar on a terminal, else plain."
        ),
    ] = "auto"
    no_progress: Annotated[bool, flag("The same as --progress none.")] = False
    quiet: Annotated[
        bool,
        flag("Say nothing but what --json says; the exit code tells.", name=("--quiet", "-q")),
    ] = False
    only_show_errors: Annotated[bool, flag("Say only what failed.")] = False
    json: Annotated[bool, flag("A line of JSON on stdout for every file, and one for the run.")] = False
    verbose: Annotated[bool, flag("A line for every file that is uploaded.", name=("--verbose", "-v"))] = (
        False
    )
    report: Annotated[str | None, flag("Write a page about the run here, with charts.")] = None
    failed_to: Annotated[
        str | None,
        flag("Write the sources that failed here, a line each, for another run's --files-from (--manifest)."),
    ] = None
    null: Annotated[
        bool,
        flag("In --failed-to, --files-from and --manifest, NUL after each name.", name=("-0", "--null")),
    ] = False
    dryrun: Annotated[
        bool,
        flag(
            "Say what would be uploaded where, and how much it is, and do nothing.",
            name=("--dryrun", "--dry-run"),
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.dryrun and self.report is not None:
            raise UsageError("--dryrun and --report do not go together: leave one out")
        if self.dryrun and self.failed_to is not None:
            raise UsageError("--dryrun and --failed-to do not go together: leave one out")


def in_order_of_keys(choice: Choice) -> Choice:
    """The same, for what is compared with a listing. Raises `UsageError` for another order."""
    if choice.order not in {None, BY_KEY}:
        raise UsageError("--order: what is compared goes in the order of its keys: leave it out")
    return msgspec.structs.replace(choice, order=BY_KEY)


NO_JOURNAL = "S3_UPLOAD_NO_JOURNAL"
IF_EXISTS = "S3_UPLOAD_IF_EXISTS"


@options_class(frozen=True, kw_only=True)
class JournalOptions:
    """How a run that is broken off goes on."""

    journal: Annotated[
        str | None,
        flag(
            "Note in FILE what is done, and skip it when the command is run again, without asking the store. "
            "Without this flag there is a journal for each job (sources, destination, store, what is said "
            "of the objects) in the user's folder for state; s3-upload jobs lists them."
        ),
    ] = None
    no_journal: Annotated[
        bool,
        flag("Keep none, and upload everything: also what earlier runs have uploaded.", NO_JOURNAL),
    ] = False
    resume_multipart: Annotated[
        bool,
        flag(
            "Go on with unfinished uploads in parts that the store has of the same keys, where all their "
            "parts are those of the file (it is read to compare them): for another machine, or without a "
            "journal."
        ),
    ] = False

    def __post_init__(self) -> None:
        # A flag counts more than a variable.
        if self.journal is not None and self.no_journal and not os.environ.get(NO_JOURNAL):
            raise UsageError("--journal and --no-journal do not go together: leave one out")


Read = Callable[[str], Any]
Show = Callable[[Any], str]


def _converter(read: Read, spec: dataclasses.Field[Any] | None = None, show: Show = "{:,}".format) -> Any:
    """Reads the text of a flag or variable, and says at once what is wrong with it: the parser knows where it
    stood. `spec`: the field of `UploadConfig` that it is for."""

    def convert(type_: Any, tokens: Any) -> Any:
        text = tokens[0].value
        try:
            value = read(text)
        except ValueError as error:
            wrong = complaint(spec, text, show) if spec is not None and read in {int, float} else ""
            raise ValueError(wrong or str(error).removeprefix(f"{text} ")) from None
        if spec is not None and (wrong := complaint(spec, value, show)):
            raise ValueError(wrong)
        return value

    return convert


def age(help_text: str) -> Parameter:
    """A flag for how long ago something was."""
    return flag(help_text, converter=_converter(parse_age_s))


def _processes(text: str) -> Processes:
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PROCESSES:
        return int(text)
    raise ValueError(f"must be a whole number from 1 to {MAX_PROCESSES}, or auto")


_UNITS: dict[tuple[bool, bool], tuple[Read, Show]] = {
    (True, False): (parse_size, show_size),
    (False, True): (parse_time_s, show_time),
}
_NUMBERS: dict[object, Read] = {int: int, float: float, str: str}
_tuning_hints = functools.cache(get_type_hints)


def _tuning_flag(name: str) -> Any:
    """The annotation of a field of `UploadConfig`, with its flag. A whole number whose range reaches a GiB
    counts bytes; what is named `_s` counts seconds, and its flag needs no `-s`."""
    hint, spec = _tuning_hints(UploadConfig)[name], UploadConfig.__dataclass_fields__[name]
    is_size = hint is int and spec.metadata.get("high", 0) >= GIB
    is_time = name.endswith("_s")
    read, show = _UNITS.get((is_size, is_time), (_NUMBERS.get(hint), None))
    flag_name = f"--{name.replace('_', '-')}"
    of_flag = parameter(
        name=(flag_name.removesuffix("-s"), flag_name) if is_time else flag_name,
        help=spec.metadata["help"],
        env_var=f"S3_UPLOAD_{name.upper()}",
        converter=None if read is None else _converter(read, spec, show or "{:,}".format),
        show_default=show,
        negative=(),
    )
    return Annotated[hint, of_flag]


if TYPE_CHECKING:
    TuningOptions = UploadConfig
else:
    # Annotated as the classes above, by texts that are read when the parser is loaded.
    _of_config = dataclasses.fields(UploadConfig)
    TuningOptions = options_class()(
        type(
            "TuningOptions",
            (),
            {
                "__module__": __name__,
                "__doc__": "The settings of `UploadConfig`, as flags.",
                "__annotations__": {spec.name: f"_tuning_flag({spec.name!r})" for spec in _of_config},
                **{spec.name: spec.default for spec in _of_config},
            },
        )
    )


@options_class(frozen=True, kw_only=True)
class UploadOptions:
    """All flags of an upload command."""

    sources: Annotated[SourceOptions, parameter(name="*")] = SourceOptions()
    store: Annotated[StoreOptions, parameter(name="*")] = field(default_factory=StoreOptions)
    output: Annotated[OutputOptions, parameter(name="*")] = OutputOptions()
    objects: Annotated[ObjectOptions, parameter(name="*")] = field(default_factory=ObjectOptions)
    journal: Annotated[JournalOptions, parameter(name="*")] = JournalOptions()
    tuning: Annotated[TuningOptions, parameter(name="*")] = field(default_factory=TuningOptions)
    expected_size: Annotated[
        int,
        flag(
            "About how much will come in by stdin: all parts are big enough for it. Without it they "
            "grow from 26 GB on. Those that do not fit into memory wait in TMPDIR.",
            group="Objects",
            converter=_converter(parse_size),
        ),
    ] = 0

    processes: Annotated[
        Processes,
        parameter(
            help="How many processes upload. auto: one, and more where one processor is not enough and "
            "others are free.",
            group="Tuning",
            env_var="S3_UPLOAD_PROCESSES",
            converter=_converter(_processes),
            negative=(),
        ),
    ] = "auto"
    cluster: Annotated[
        str | None,
        flag(
            "Have the workers of a Dask cluster upload: tcp://HOST:8786, or local:4 for four processes "
            "here. They need the files at the same path, and credentials of their own.",
            "S3_UPLOAD_CLUSTER",
            group="Tuning",
        ),
    ] = None

    def __post_init__(self) -> None:
        # What the environment says is no flag: these two count more.
        fails = self.tuning.if_exists == "fail" and os.environ.get(IF_EXISTS) != "fail"
        if self.objects.no_clobber and fails:
            raise UsageError("--no-clobber and --if-exists fail do not go together: leave one out")
        skips = self.tuning.if_exists == "skip" and os.environ.get(IF_EXISTS) != "skip"
        if self.objects.if_none_match and skips:
            raise UsageError("--if-none-match and --if-exists skip do not go together: leave one out")
        if self.cluster is not None and self.store.embedded is not None:
            raise UsageError(
                "--cluster and --embedded do not go together: the keys of an embedded store stay here"
            )
        if self.journal.journal is not None and self.store.embedded is not None:
            raise UsageError(
                "--journal and --embedded do not go together: an embedded store has another address in each "
                "run, and a journal is of one"
            )
        lists = (self.output.failed_to, self.sources.files_from, self.sources.manifest)
        if self.output.null and lists == (None, None, None):
            raise UsageError("-0 is for --failed-to, --files-from and --manifest: give one of them, too")

    @property
    def said_who(self) -> str:
        """Who takes part, in flags."""
        return f"--processes {self.processes}" if self.cluster is None else f"--cluster {self.cluster}"

    def choice(self) -> Choice:
        """Raises `UsageError`."""
        return self.sources.choice(nul=self.output.null)

    def config(self) -> UploadConfig:
        """Raises `UsageError` for values that do not go together."""
        tuning = self.tuning
        if tuning.multipart_threshold > tuning.max_in_flight_bytes:
            raise UsageError(
                f"--multipart-threshold {show_size(tuning.multipart_threshold)}: must not be more than the "
                f"{show_size(tuning.max_in_flight_bytes)} of --max-in-flight-bytes"
            )
        config = UploadConfig(**dataclasses.asdict(self.tuning))
        part_size = part_size_for(self.expected_size, config.part_size)
        if part_size > MAX_PART_BYTES:
            most = show_size(MAX_PARTS * MAX_PART_BYTES)
            raise UsageError(
                f"--expected-size {show_size(self.expected_size)}: no object has more than {most}"
            )
        return dataclasses.replace(config, part_size=part_size, if_exists=self._if_exists(config.if_exists))

    def _if_exists(self, said: Literal["overwrite", "skip", "fail"]) -> Literal["overwrite", "skip", "fail"]:
        if self.objects.no_clobber:
            return "skip"
        # Some stores take If-None-Match and overwrite all the same: with "fail" they are asked before.
        return "fail" if self.objects.if_none_match else said
