"""What `--help` says: one screen for everybody, and topics with all flags, made from the dataclasses.

The screen is plain text, so that it comes at once: neither the parser nor the flags are loaded for it, and
what topics alone need is imported where they are made.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from s3_upload.cli.options.flags import all_flags
from s3_upload.cli.options.idle import is_idle
from s3_upload.cli.output import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from s3_upload.cli.options.flags import Flag

SHORT = """\
Usage: s3-upload [FLAGS] SRC... s3://BUCKET/PREFIX/    files and directories
       s3-upload [FLAGS] FILE s3://BUCKET/KEY          one file, this very key
       COMMAND | s3-upload [FLAGS] - s3://BUCKET/KEY   what comes in by stdin

Which keys come out (--dryrun shows them all):
  s3-upload a.txt s3://b/p/               p/a.txt
  s3-upload photos s3://b/p               p/... for what is in photos
  s3-upload photos docs s3://b/p          p/photos/... and p/docs/...
Examples:
  s3-upload . s3://b/src --exclude .git --exclude node_modules
  s3-upload photos s3://b --endpoint-url http://localhost:9000 --profile me
  s3-upload big.iso s3://b/ --share background --max-bandwidth 20MB/s

What to upload
  --exclude GLOB, --include GLOB   may be repeated, the last match wins
  --ignore-file NAME  --min-size SIZE  --newer-than AGE  --files-from FILE
  --no-clobber                     never overwrite: what exists is skipped
  --no-journal                     send again what earlier runs have uploaded
  --dryrun                         say what would go where, and how much
Where to
  --endpoint-url URL  --profile NAME  --region NAME  --no-sign-request
  --create-bucket                  make the bucket if there is none
How much of the link
  --share full|fair|background     all, a fair share, what nobody else wants
  --max-bandwidth 20MB/s           at most; or 100Mbit/s, about 80% of the link
What to say
  --progress auto|bar|plain|none  --quiet  --only-show-errors  -v
  --json  --report FILE.html
About the objects
  --content-type TYPE  --cache-control TEXT  --metadata K=V,K=V  --tags K=V
  --storage-class NAME  --acl NAME  --sse AES256|aws:kms

Commands (more by s3-upload COMMAND --help)
  sync         upload only what is missing or different
  verify       compare what is there with the sources, upload nothing
  jobs         what was broken off: list, show, resume, prune
  clean        list unfinished uploads in parts, and abort them
  perf-data    upload a directory N times, print how each object fared
  report       make a page with charts of what --json said of a run
  serve        run a small S3 store on this machine, to try things out
  config       print each setting in force, and where it came from
  completion   print what makes bash, zsh or fish complete the words

All flags: --help-all; some: --help sources|store|output|objects|journal|tuning
Exit: 0 all uploaded, 1 some failed, 2 wrong usage, 3 cut short, 130 stopped"""

PERF_DATA = """\
Usage: s3-upload perf-data [-n N] [FLAGS] SRC BUCKET PREFIX

Uploads the directory SRC N times (-n, default 1) below PREFIX and prints a row
for each object: attempts, bytes, success_ms, total_ms, MBps and MBps est. The
store is http://localhost:9000 and the profile "testing", unless flags or the
environment say otherwise. The flags are those of an upload: s3-upload --help
The tuning in an AWS profile does not count here."""

SYNC = """\
Usage: s3-upload sync [--compare HOW] [FLAGS] SRC... s3://BUCKET/PREFIX

Uploads what is missing below PREFIX, or different there. Keys, flags and output are
those of an upload (s3-upload --help), but no journal is kept and nothing comes in by
stdin. What is the same is only counted; --dryrun says what would go up, and why:
new, larger, smaller, newer, older, checksum differs.
Nothing is ever deleted, neither here nor there.

  --compare time       (the default) another size, or a file modified after its
                       object was written, as `aws s3 sync` has it
  --compare size       another size (also: --size-only)
  --compare mtime      another size, or another time of modification than the one
                       that the object keeps (as by --preserve mtime, or rclone);
                       what is uploaded keeps it
  --compare checksum   another size, or other bytes: what the store keeps is
                       compared (ETags, of parts too, and checksums), no object
                       is read. Where nothing tells, size and time decide, and
                       a note says so
It takes the permission s3:ListBucket; mtime and checksum also s3:GetObject."""

VERIFY = """\
Usage: s3-upload verify [FLAGS] SRC... s3://BUCKET/PREFIX

Compares what is below PREFIX with the sources by size and checksum, and uploads
nothing. It writes a line for each difference; the exit code is 1 where there is
one. Keys are those of an upload (s3-upload --help).

  --size-only       compare sizes alone
  --download        read the objects back, and compare every byte
  --one-way         what only the bucket has is no difference
  --combined FILE   write a line for every key: its mark, a blank and the key
                    (-: to stdout, in place of the line for each difference)
  =  the same   *  different    +  only at the source   -  only in the bucket
  !  cannot be read
Checksums are those that the store keeps (s3-upload sync --help). It takes the
permissions s3:ListBucket and s3:GetObject."""

JOBS = """\
Usage: s3-upload jobs                            a line for each, the latest first
       s3-upload jobs show JOB                   its command, what failed, and why
       s3-upload jobs resume JOB                 run its command again
       s3-upload jobs prune [--older-than AGE]   remove journals

An upload keeps a journal, so that the same command again sends what is left. JOB
is a name as the list has it, the first letters of one, or a journal's file. Those
of --journal FILE are not in the list.

prune removes the journals of jobs that are done; with --older-than (30d, 12h) all
that were last run so long ago, finished or not. The same command uploads all of
it after that. No object and no file is touched."""

CLEAN = """\
Usage: s3-upload clean [FLAGS] s3://BUCKET/PREFIX

Lists the unfinished uploads in parts below PREFIX, whoever began them, with what
they hold: it costs money until they are ended. Whole objects are left alone.

  --older-than AGE  only those begun so long ago (7d, 12h), by the clock here
  --yes             abort them: also those that somebody is sending now
The exit code is 1 where the store still has parts of one that was aborted, or
does not abort it."""

OWN = {"sync": SYNC, "verify": VERIFY, "jobs": JOBS, "clean": CLEAN, "perf-data": PERF_DATA}
"""Commands with a text of their own."""
FLAGS = ("--help", "-h")
TOPICS = {
    "sources": "What to upload",
    "store": "Which store, and as whom",
    "output": "What to say",
    "objects": "About the objects",
    "journal": "How a run that was broken off goes on",
    "tuning": "Tuning: the defaults suit an ordinary machine and S3",
}
_INDENT = 26
_MAX_COLUMNS = 100


def of_command(words: Sequence[str], commands: Sequence[str]) -> list[str]:
    """`--help serve` is `serve --help`; other words stay as they are."""
    if len(words) == 2 and words[0] in {*FLAGS, "help"} and words[1] in commands:
        return [words[1], FLAGS[0]]
    return list(words)


def asked_for(words: Sequence[str], commands: Sequence[str]) -> str | None:
    """The text that `words` ask for, None where they ask for none. Raises `UsageError` for a topic that
    there is not."""
    first = words[0] if words else ""
    if first in commands:
        return _own(first) if first in OWN and any(word in FLAGS for word in words) else None
    flags = list(words[: words.index("--")] if "--" in words else words)
    if first == "help" and len(words) <= 2 and not words[-1].startswith("s3:"):
        flags[0] = FLAGS[0]
    for number, word in enumerate(flags):
        if word == "--help-all":
            return about("all")
        name, equals, topic = word.partition("=")
        if name in FLAGS:
            return about(topic if equals else _topic_behind(flags[number + 1 :]))
    return None


def _topic_behind(words: Sequence[str]) -> str:
    """What the word behind --help asks for, "" where it is a source or the destination. A last word that is
    neither of these is a topic too, whatever it says."""
    if not words:
        return ""
    word = words[0]
    if word in {*TOPICS, "all", "short", *OWN} or any(word in flag.names for flag in all_flags()):
        return word
    return word if len(words) == 1 and "/" not in word and not os.path.lexists(word) else ""


def about(topic: str) -> str:
    """The help on a topic, or on a flag. Raises `UsageError` for what is neither."""
    if topic in {"", "short"}:
        return SHORT
    if topic in OWN:
        return _own(topic)
    flags = list(all_flags())
    if topic == "all":
        return f"{SHORT}\n\n" + "\n\n".join(_section(name, flags) for name in TOPICS)
    if topic in TOPICS:
        return _section(topic, flags)
    wanted = f"--{topic.lstrip('-')}" if len(topic.lstrip("-")) > 1 else f"-{topic.lstrip('-')}"
    found = [flag for flag in flags if wanted in flag.names]
    if found:
        return _described(found[0])
    names = [*TOPICS, "all", *(name for flag in flags for name in flag.names)]
    import difflib

    similar = difflib.get_close_matches(topic, names, n=1)
    did_you_mean = f" Did you mean {similar[0]}?" if similar else ""
    raise UsageError(f"--help {topic}: no such topic ({', '.join(TOPICS)}, all) or flag.{did_you_mean}")


def _own(command: str) -> str:
    """The text of a command, with the flags of an upload that it takes, if these are not nearly all."""
    if command not in {"clean", "verify"}:
        return OWN[command]
    taken = [flag for flag in all_flags() if not is_idle(command, flag)]
    if command == "clean":
        return f"{OWN[command]}\n\n{_section('store', taken)}"
    return "\n".join([OWN[command], "", "Flags of an upload that it takes, too:", *_in_short(taken)])


def _in_short(flags: list[Flag]) -> Iterator[str]:
    """Their names, by topics."""
    import textwrap

    for topic in TOPICS:
        # A blank within a flag is none at which a line may end.
        names = [
            f"{flag.names[0]} {flag.metavar}".rstrip().replace(" ", "\0")
            for flag in flags
            if flag.topic == topic
        ]
        lines = textwrap.wrap(
            "  ".join(names), 80, initial_indent=f"  {topic}: ", subsequent_indent=" " * 4,
            break_on_hyphens=False, break_long_words=False,
        )  # fmt: skip
        yield from (line.replace("\0", " ") for line in lines if names)


def _section(topic: str, flags: list[Flag]) -> str:
    described = [_described(flag) for flag in flags if flag.topic == topic]
    return "\n".join([f"{TOPICS[topic]} ({topic})", *described])


def _described(flag: Flag) -> str:
    """A flag's names, and its text beside or below them."""
    import shutil
    import textwrap

    head = f"  {', '.join(flag.names)} {flag.metavar}".rstrip()
    notes = [f"default: {flag.default}"] if flag.default else []
    notes += flag.variables
    text = flag.text + (f" ({'; '.join(notes)})" if notes else "")
    width = min(_MAX_COLUMNS, shutil.get_terminal_size().columns) - 1
    lines = textwrap.wrap(
        text, max(width, 40), initial_indent=" " * _INDENT, subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )  # fmt: skip
    if len(head) < _INDENT - 1 and lines:
        lines[0] = head.ljust(_INDENT) + lines[0].lstrip()
        return "\n".join(lines)
    return "\n".join([head, *lines])
