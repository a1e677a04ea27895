"""docs/benchmarks.md, from what the suite measured: all figures of the page come from its JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench import plots
from bench.figures import Line, RowData, cells, floor_text, lines, seconds, target_text, verdict
from bench.rows import is_complete
from bench.sinks import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE, FOLDER, RESULTS = "benchmarks.md", "benchmarks", "results.json"

INTRODUCTION = """\
# Benchmarks

s3-upload beside other uploaders, each with its own best settings, on one machine and at stores on the same machine: what the tools cost, not what a network does. `make bench ARGS=--write` measures all of this again and writes this page; `make bench-quick` is a part of it, in less than three minutes.
"""  # noqa: E501
HOW = """\
## How it is measured

- One measurement is one whole process, from its start to its end; its processor time (user and system) and the peak of its memory come from `wait4`. Of a tool with several processes the peak is that of the largest.
- Contenders take turns within a round. A time is the median of the rounds, a ratio the median of the rounds' own ratios: the other's time by ours, so that above 1 s3-upload is faster.
- Every run has an empty store of its own, and is checked: every key, every size. After a warm-up round, which does not count, every byte is compared by MD5. Who fails is out of the row, which says so.
- s3-upload runs with its defaults. Of each other tool's settings a sweep on files of the same kind, mostly on fewer, takes the best; the tables name it. Where there is no sweep, each takes its first setting. Who needs long takes part in as many rounds as fit into two minutes, in two at least: the table says in how many.
- Which build of Python runs s3-upload counts for small files: two of one version can differ by half. {loop}One built with profile-guided optimization (Debian's, python.org's, uv's, and not pyenv's default) is what most people have: `make bench PYTHON=/usr/bin/python3` in a fresh clone.
- Our store in Go keeps keys, sizes and ETags but no bodies, to leave the processor to the uploader: it shares the machine with the tool under test.
- The floor is what the same takes without an uploader: PUTs of one body by `wrk`, or files by sendfile, nothing hashed, signed or checked. Over TLS sendfile reads and encrypts.
"""  # noqa: E501
LOOP = "A step of a plain loop (above) tells how fast this one was. "
HEAD = "| uploader | seconds | min..max | ratio | rate | CPU | peak MiB | rounds | setting |"
RULE = "|---|---:|---:|---:|---:|---:|---:|---:|---|"


def write(results: dict[str, Any], docs: Path) -> Path:
    """The page below `docs`, with its pictures and its JSON beside it; where it is."""
    folder = docs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, svg in pictures(results).items():
        (folder / name).write_text(svg, encoding="utf-8")
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (docs / PAGE).write_text(page(results), encoding="utf-8")
    return docs / PAGE


def pictures(results: dict[str, Any]) -> dict[str, str]:
    """Name of the file -> SVG."""
    rows = results["rows"]
    return {"overview.svg": plots.overview(rows), **{f"{row['name']}.svg": plots.bars(row) for row in rows}}


def page(results: dict[str, Any]) -> str:
    return "\n".join(_parts(results))


def _parts(results: dict[str, Any]) -> Iterator[str]:
    rows = results["rows"]
    yield INTRODUCTION
    if not is_complete([*(row["name"] for row in rows), *results["skipped"]]) or results["quick"]:
        yield "**This is a part of the suite, and not its result.**\n"
    yield f"![The ratios of all rows]({FOLDER}/overview.svg)\n"
    yield "| files | verdict |\n|---|---|"
    yield from (f"| [{row['title']}](#{row['name']}) | {verdict(row)} |" for row in rows)
    yield ""
    yield from (f"The row {name!r} is left out: {why}.\n" for name, why in results["skipped"].items())
    yield machine_text(results) + "\n"
    yield "How each of them runs: " + how_text(results) + "\n"
    yield HOW.format(loop=LOOP if "python_ns" in results["machine"] else "")
    for row in rows:
        yield from _section(row)


def machine_text(results: dict[str, Any]) -> str:
    """What it was measured on, and with which versions."""
    versions = ", ".join(f"{one['name']} {one['version']}" for one in results["contenders"] if one["version"])
    missing = [
        f"{one['name']} took no part: {one['missing']}." for one in results["contenders"] if one["missing"]
    ]
    return " ".join(
        (
            f"Measured on {results['date']}: {_machine(results['machine'])}; {versions}.",
            *missing,
        )
    )


def _machine(about: dict[str, Any]) -> str:
    # What was measured before the bench looked at this does not say it.
    loop = f" ({about['python_ns']:.0f} ns for a step of a plain loop)" if "python_ns" in about else ""
    return (
        f"{about['usable_cores']} cores ({about['processor']}), {about['memory_GiB']:.0f} GiB, "
        f"{about['system']}, load {about['load_average']:.1f} before, Python {about['python']}{loop}"
    )


def _apart(row: RowData) -> str:
    """Where a row is of another day, machine or version than the page says for all; "" where it is not."""
    own = row.get("own", {})
    versions = ", ".join(f"{name} {version}" for name, version in own.get("versions", {}).items())
    said = [
        *([f"on {own['date']}"] if "date" in own else []),
        *([f"with {versions}"] if versions else []),
        *([f"on {_machine(own['machine'])}"] if "machine" in own else []),
    ]
    return f"Measured apart from the other rows: {', '.join(said)}." if said else ""


def how_text(results: dict[str, Any]) -> str:
    return "; ".join(f"{one['name']}: {one['how']}" for one in results["contenders"]) + "."


def _section(row: RowData) -> Iterator[str]:
    yield f'<a id="{row["name"]}"></a>\n\n### {row["title"]}\n'
    yield f"![Seconds of each]({FOLDER}/{row['name']}.svg)\n"
    said = verdict(row), target_text(row), f"To {NAMES[row['sink']]}.", floor_text(row), _apart(row)
    yield " ".join(filter(None, said)) + "\n"
    yield HEAD
    yield RULE
    yield from (_table_line(row, line) for line in lines(row))
    yield ""
    yield from (f"{name} took no part: {why}.\n" for name, why in row["left_out"].items())
    if row["sweep_files"]:
        yield f"The sweep, on {row['sweep_files']:,} files: {_sweep(row)}.\n"


def _table_line(row: RowData, line: Line) -> str:
    setting = f"`{line.setting}`" if line.setting else "defaults"
    if not line.measured:
        return f"| {line.name} | failed: {_cell(line.failed)} | | | | | | | {setting} |"
    return f"| {' | '.join([*cells(row, line), setting])} |"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _sweep(row: RowData) -> str:
    return "; ".join(
        f"{one['name']} "
        + ", ".join(f"`{setting}` {seconds(took)} s" for setting, took in one["sweep_s"].items())
        for one in row["contenders"]
        if one["sweep_s"]
    )
