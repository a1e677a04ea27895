"""The tables of docs/shared-network.md, made from the results alone.

A cell is the median of the runs; "never" is what half of the runs or more did not reach, "-" what was
not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.network import LabError
from lab.scenario import BULK, NOTHING, VIDEO, Scenario
from lab.targets import Verdict, verdicts
from lab.uploaders import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lab.metrics import Figures
    from lab.results import Results

BEGIN, END = "<!-- lab: begin -->", "<!-- lab: end -->"
NOT_MEASURED = "-"
NAMES = {
    "background": "s3-upload, background", "fair": "s3-upload, fair", "full": "s3-upload, full",
    "aws": "AWS CLI", NOBODY: "nobody",
}  # fmt: skip
FOREGROUND_NAMES = {
    "cubic": "one CUBIC flow",
    "bbr": "one BBR flow",
    VIDEO: "a live stream",
    NOTHING: "nothing else",
}


def page(results: Results, plots: Mapping[str, str]) -> str:
    """All that stands between the marks. `plots`: title -> path of the picture, from the page."""
    sections = [
        about(results),
        _section("The emulator beside the kernel's TBF", check_table(results.data["check"])),
        _section("The targets", targets_table(verdicts(results))),
        _section("What a bulk flow keeps beside an upload", keeps_table(results)),
        *(_section(title, table) for title, table in detail_tables(results)),
        *(f"![{title}]({path})\n" for title, path in plots.items()),
        failures(results),
        problems(results),
    ]
    return "\n".join(section for section in sections if section)


def summary(results: Results) -> str:
    """For a terminal: the tables without the page around them."""
    sections = [f"{title}\n\n{table}" for title, table in detail_tables(results)]
    return "\n".join([*sections, failures(results), problems(results)])


def write(document: Path, text: str) -> None:
    """Puts `text` between the marks of `document`, or makes a document of it alone. Raises `LabError`."""
    known = document.read_text(encoding="utf-8") if document.exists() else f"{BEGIN}{END}\n"
    before, begin, rest = known.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise LabError(f"{document}: has no {BEGIN} … {END}")
    document.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def about(results: Results) -> str:
    entries = [entry for _, entry in results.entries() if entry["runs"]]
    if not entries:
        return "Nothing is measured yet.\n"
    on = " and on ".join(
        f"{one['cores']} cores, {one['system']}, Python {one['python']}" for one in results.machines()
    )
    counts = sorted({len(entry["runs"]) for entry in entries})
    seeds = sorted({run["seed"] for entry in entries for run in entry["runs"]})
    emulators = [run["emulator"] for entry in entries for run in entry["runs"]]
    return (
        f"Measured on {on}; "
        f"{'; '.join(results.versions())}. Medians of {' to '.join(map(str, counts))} runs with seeds from "
        f"{seeds[0]} to {seeds[-1]}. The emulator ran with {emulators[-1]['priority']}, took at most "
        f"{max(run['cpu_share'] for run in emulators):.0%} of one core and was at most "
        f"{max(run['late_ms'] for run in emulators):.1f} ms late in a valid run.\n"
    )


def check_table(agreements: Sequence[Mapping[str, Any]]) -> str:
    if not agreements:
        return ""
    rows = []
    for agreement in agreements:
        cells = [f"{agreement['rate_Mbps']:g} Mbit/s, {agreement['algorithm'].upper()}"]
        for name, unit in (("received_Mbps", "Mbit/s"), ("probe_p50_ms", "ms"), ("probe_p95_ms", "ms")):
            tbf, ours = agreement["tbf"][name], agreement["emulator"][name]
            cells.append(f"{tbf:.1f} {unit} / {ours:.1f} {unit} ({ours / tbf - 1:+.1%})")
        rows.append(cells)
    return markdown(["one flow", "throughput: TBF / emulator", "probe p50", "probe p95"], rows)


def targets_table(found: Sequence[Verdict]) -> str:
    rows = [[verdict.target, verdict.where, verdict.measured, verdict.word] for verdict in found]
    return markdown(["target", "where", "measured", "reached"], rows) if rows else ""


def keeps_table(results: Results) -> str:
    """Uploader by link: what the foreground keeps of what it has alone, in the second half of its time."""
    bulk = [scenario for scenario, _ in results.entries() if scenario.foreground in BULK and _usual(scenario)]
    links = sorted(
        {(scenario.foreground, scenario.rtt_ms) for scenario in bulk}, key=lambda x: (x[0] != "cubic", x)
    )
    whos = list(dict.fromkeys(upload_name(s) for s in bulk if s.uploader != NOBODY))
    head = ["beside", *(f"{foreground.upper()}, {rtt_ms:g} ms" for foreground, rtt_ms in links)]
    by = {(upload_name(s), s.foreground, s.rtt_ms): s for s in bulk}
    rows = []
    for who in whos:
        cells = [_percent(keeps(results, by.get((who, *link)))) for link in links]
        rows.append([who, *cells])
    return markdown(head, rows) if rows else ""


def keeps(results: Results, scenario: Scenario | None, name: str = "received_late_Mbps") -> float | None:
    """The share of its throughput alone that the foreground has beside the upload."""
    if scenario is None:
        return None
    beside, alone = results.medians(scenario), results.medians(scenario.alone)
    if beside is None or alone is None or not alone[name] or beside[name] is None:
        return None
    return (beside[name] or 0.0) / (alone[name] or 1.0)


def delay_s(results: Results, scenario: Scenario) -> float | str | None:
    """How much later the foreground has its link because of the upload."""
    beside, alone = results.medians(scenario), results.medians(scenario.alone)
    if beside is None or alone is None or alone["ramp_s"] is None:
        return None
    return "never" if beside["ramp_s"] is None else beside["ramp_s"] - alone["ramp_s"]


def detail_tables(results: Results) -> list[tuple[str, str]]:
    """A table for each link and foreground: (title, markdown)."""
    groups: dict[Scenario, list[Scenario]] = {}
    for scenario, entry in results.entries():
        if entry["runs"]:
            groups.setdefault(scenario.alone, []).append(scenario)
    return [
        (_title(alone), _detail(results, members)) for alone, members in sorted(groups.items(), key=_order)
    ]


def _order(group: tuple[Scenario, list[Scenario]]) -> tuple[int, bool, float, float]:
    scenario = group[0]
    kinds = (*BULK, VIDEO, NOTHING)
    return kinds.index(scenario.foreground), scenario.fair_queue, scenario.loss, scenario.rtt_ms


def _detail(results: Results, members: Sequence[Scenario]) -> str:
    columns = _columns(results, members[0].foreground)
    rows = []
    for scenario in sorted(members, key=lambda s: s.uploader != NOBODY):
        figures = results.medians(scenario)
        if figures is not None:
            rows.append([
                NOT_MEASURED if of_upload and scenario.uploader == NOBODY else cell(scenario, figures)
                for _, of_upload, cell in columns
            ])  # fmt: skip
    return markdown([head for head, _, _ in columns], rows)


def _columns(results: Results, foreground: str) -> list[tuple[str, bool, Callable[[Scenario, Figures], str]]]:
    """Head, whether it needs an upload, and what makes the cell."""
    columns: list[tuple[str, bool, Callable[[Scenario, Figures], str]]] = [
        ("upload", False, lambda s, _: upload_name(s)),
        ("runs", False, lambda s, _: str(results.count(s))),
        ("conns", True, lambda _, f: _number(f.get("connections"), 0)),
        ("share alone", True, lambda _, f: _percent(f.get("alone_share"))),
        ("payload alone Mbit/s", True, lambda _, f: _number(f.get("alone_Mbps"), 1)),
        ("full after s", True, lambda _, f: _time(f.get("to_full_s"))),
        ("queue alone ms", True, lambda _, f: _number(f.get("queue_alone_ms"), 1)),
        ("probe p50/p95 alone ms", False, lambda _, f: _pair(f, "probe_alone_p50_ms", "probe_alone_p95_ms")),
    ]
    if foreground in BULK:
        columns += [
            ("flow Mbit/s", False, lambda _, f: _number(f.get("received_Mbps"), 1)),
            ("flow 2nd half", False, lambda _, f: _number(f.get("received_late_Mbps"), 1)),
            ("keeps", True, lambda s, _: _percent(keeps(results, s, "received_Mbps"))),
            ("keeps 2nd half", True, lambda s, _: _percent(keeps(results, s))),
            ("upload's share", True, lambda _, f: _percent(f.get("beside_share"))),
            ("later by s", True, lambda s, _: _time(delay_s(results, s))),
        ]
    if foreground == VIDEO:
        columns.append(("chunk p50/p95 ms", False, lambda _, f: _chunks(f)))
    if foreground != NOTHING:
        columns += [
            ("reclaims s", True, lambda _, f: _time(f.get("reclaim_s"))),
            (
                "probe p50/p95 beside ms",
                False,
                lambda _, f: _pair(f, "probe_beside_p50_ms", "probe_beside_p95_ms"),
            ),
        ]
    return columns


def failures(results: Results) -> str:
    """In which runs the upload itself failed."""
    lines = [
        f"- {scenario.key}: {len(entry['failed'])} of {results.tried(scenario)} failed: "
        f"{'; '.join(dict.fromkeys(entry['failed']))}\n"
        for scenario, entry in results.entries()
        if entry["failed"]
    ]
    return _section("Uploads that failed", "".join(lines))


def problems(results: Results) -> str:
    """What was skipped, and which runs said nothing."""
    lines = []
    for scenario, entry in results.entries():
        if entry["skipped"]:
            lines.append(f"- {scenario.key}: skipped: {entry['skipped']}")
        if entry["invalid"]:
            lines.append(
                f"- {scenario.key}: {len(entry['invalid'])} invalid run(s): {'; '.join(entry['invalid'])}"
            )
    return _section("Skipped, and runs that were invalid", "\n".join(lines) + "\n") if lines else ""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _section(title: str, text: str) -> str:
    return f"### {title}\n\n{text}" if text else ""


def _title(scenario: Scenario) -> str:
    queue = "fair queueing" if scenario.fair_queue else "FIFO"
    loss = f", {scenario.loss:.1%} loss" if scenario.loss else ""
    return f"Beside {FOREGROUND_NAMES[scenario.foreground]}, {scenario.rtt_ms:g} ms, {queue}{loss}"


def _usual(scenario: Scenario) -> bool:
    return not scenario.fair_queue and not scenario.loss


def upload_name(scenario: Scenario) -> str:
    mode, _, flags = scenario.uploader.partition(" ")
    name = NAMES.get(mode, mode) + (f" {flags}" if flags else "")
    name += f", {scenario.workload}" if scenario.workload else ""
    return name if scenario.algorithm == "cubic" else f"{name} ({scenario.algorithm.upper()})"


def _number(value: float | None, digits: int) -> str:
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value * 100:.1f} %"


def _time(value: float | str | None) -> str:
    """For moments None means that it never came."""
    return value if isinstance(value, str) else "never" if value is None else f"{value:.1f}"


def _pair(figures: Figures, first: str, second: str) -> str:
    return f"{_number(figures.get(first), 0)} / {_number(figures.get(second), 0)}"


def _chunks(figures: Figures) -> str:
    """None is what never came, as of moments."""
    if figures.get("chunk_p50_ms", 0.0) is None:
        return "never"
    return _pair(figures, "chunk_p50_ms", "chunk_p95_ms")


def picture(alone: Scenario) -> tuple[str, str]:
    """The title and the file name of the picture of all uploads on that link, beside that flow."""
    title = f"Uploads beside one {alone.foreground.upper()} flow, {alone.rtt_ms:g} ms"
    words = [alone.foreground]
    if alone.fair_queue:
        title += ", fair queueing"
        words.append("drr")
    if alone.loss:
        title += f", {alone.loss * 100:g} % loss"
        words.append(f"loss{alone.loss * 100:g}")
    return title, f"{'-'.join([*words, f'{alone.rtt_ms:g}ms'])}.svg"
