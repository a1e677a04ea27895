"""docs/settings.md, of what both have read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.settings.cases import ALWAYS, BASE, CASES, TUNING
from tests.settings.reading import REFUSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.settings.cases import Case
    from tests.settings.reading import Reading

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
SAME = "the same"
Pair = tuple["Reading", "Reading"]
_ROW = re.compile(r"^\| `(.*?)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)


def page(read: Mapping[str, Pair], version: str) -> str:
    """The page's text. `read`: of each case theirs and ours; `version`: of the AWS CLI."""
    lines = [
        "# Settings, beside the AWS CLI's",
        "",
        f"Made by `make test-settings ARGS=--write` with the AWS CLI {version}. Each row is a run of "
        "`aws s3 cp` and one of `s3-upload`, with the same files, variables and flags, at the same recording "
        "server, whose log the cells are from. A row shows what differs from a run in eu-west-1 without the "
        "setting, and wherever the two differ, why. `s3-upload config` shows what is in force on a machine, "
        "and where it came from.",
        "",
        "| setting | the AWS CLI | s3-upload | why they differ |",
        "| --- | --- | --- | --- |",
        *(_row(case, read[BASE.what], read[case.what]) for case in CASES),
        "",
        "## Tuning",
        "",
        "What no request shows. A setting counts where neither a flag nor `S3_UPLOAD_*` says it. An empty "
        "`S3_UPLOAD_*` says nothing. An upload, `sync` and `config` take all of them, `verify` the tries and "
        "the size of a part. `perf-data` takes none: it measures what its flags and `S3_UPLOAD_*` say. "
        "With `--embedded` none counts.",
        "",
        "| setting | the AWS CLI | s3-upload |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in TUNING),
    ]
    return "\n".join([*lines, ""])


def _row(case: Case, base: Pair, read: Pair) -> str:
    their, our = read
    shown = [
        name
        for name in case.looks_at
        if name not in ALWAYS or {their.get(name), our.get(name)} != {base[0][name]}
    ]
    if REFUSED in read:
        shown = ["all", *case.looks_at[:1]] if their != our else ["all"]
    cells = " | ".join(_cells(shown, reading) for reading in read)
    return f"| `{case.what}` | {cells} | {case.why if differ(case, base, read) else ''} |"


def differ(case: Case, base: Pair, read: Pair) -> bool:
    """Whether the setting makes a difference between the two that is not there without it."""
    usual = {name for name in ALWAYS if base[0][name] != base[1][name]}
    told = [{name: text for name, text in reading.items() if name not in usual} for reading in read]
    return told[0] != told[1]


def _cells(shown: list[str], reading: Reading) -> str:
    return ", ".join(_cell(name, reading) for name in shown if name in reading) or SAME


def _cell(name: str, reading: Reading) -> str:
    value = reading[name]
    return value if name == "all" else f"{name} `{value}`" if value else f"no {name}"


def rows(text: str) -> dict[str, tuple[str, str, str]]:
    """Of each setting on a page: what each command does, and why they differ."""
    return {what: (their, our, why) for what, their, our, why in _ROW.findall(text)}
