"""The page about a run: whole, offline, and safe whatever the names are."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest

from s3_upload.cli.views.page import page_html, shown, time_text
from s3_upload.errors import FailureKind
from s3_upload.observe.events import LimitsChanged
from s3_upload.observe.history import Ending, History
from s3_upload.observe.records import SummaryRecord
from s3_upload.report import PaceReport, UploadReport
from tests.unit.reports import attempt, failed, many, summary_of, uploaded

EVIL = "a</script><script>alert(1)</script>\udcff\n\u202e.txt"
EVIL_SHOWN = r"a&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;\xff\n\u202e.txt"
VOID = {"meta", "br", "link"}


class Outline(HTMLParser):
    """Notes the tags, the attributes that name something to load, and the texts of the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.scripts: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "srcset", "action"}]
        self.ids |= {value for name, value in attrs if name == "id" and value}
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data


def page_of(reports: list[UploadReport], *, wall_time_s: float = 0.0, ending: str = "") -> str:
    history = History()
    for report in reports:
        history.add(report)
    if wall_time_s:
        history.end(summary_of(reports, wall_time_s))
    return page_html(history, "src → s3://b/p", "s3-upload 1", ending)


RUNS = {
    "no file": [],
    "one empty file": [uploaded(0, attempt(0.0, 0.01, 0))],
    "one file": [uploaded(0, attempt(0.0, 0.1, 5))],
    "failures only": [
        failed(0, attempt(0.0, 1.0, 5, outcome="rejected", status=403, code="AccessDenied")),
        failed(1, kind=FailureKind.SOURCE),
    ],
    "skipped only": [UploadReport(seq=0, key="k", source="s", bytes=0, outcome="skipped", reason="a socket")],
    "many": list(many(2_000)),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_run_has_a_page_that_is_whole_and_loads_nothing(name: str) -> None:
    text = page_of(RUNS[name], wall_time_s=3.0)
    outline = Outline(text)
    assert (outline.open, outline.loads) == ([], [])
    assert "url(" not in text
    assert "@import" not in text
    assert len(text) < 1_500_000
    assert json.loads(outline.scripts[0])["span"] >= 0.0


def test_the_policy_names_the_scripts_and_nothing_else() -> None:
    text = page_of(RUNS["one file"])
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    _, *scripts = Outline(text).scripts
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(digests) == 2
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert policy[1] == f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}"


def test_names_are_shown_and_never_run() -> None:
    lost = attempt(0.0, 1.0, 5, outcome="server", message=EVIL)
    text = page_of([failed(0, lost, source=EVIL), uploaded(1, lost, attempt(1.0, 1.0, 5), source=EVIL)])
    assert EVIL_SHOWN in text
    assert "<script>alert" not in text
    assert len(Outline(text).scripts) == 3
    text.encode()


def test_title_and_ending_are_shown_and_never_run() -> None:
    history = History()
    text = page_html(history, EVIL, EVIL, EVIL)
    assert text.count(EVIL_SHOWN) == 4
    assert len(Outline(text).scripts) == 3


def test_what_a_file_of_records_names_is_shown_and_never_run() -> None:
    history = History()
    history.add(uploaded(0, attempt(0.0, 1.0, 5)))
    history.add_event(LimitsChanged(at_s=0.1, requests=1, max_requests=1, limited_by=EVIL))
    state = PaceReport(at_s=0.1, share="fair", state=EVIL, base_s=0.1)
    history.end(SummaryRecord(wall_time_s=1.0, pace=(state,), limits={EVIL: 1.0}, notes=(EVIL,)))
    text = page_html(history, "t", "f")
    data, *others = Outline(text).scripts
    assert len(others) == 2
    assert "<" not in data
    text.encode()


def test_a_name_too_long_for_a_table_loses_its_middle() -> None:
    assert len(shown("x" * 1024)) == 251


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("no file", {"data"}),
        ("skipped only", {"data"}),
        ("one file", {"data", "rate", "requests", "sizes"}),
        ("failures only", {"data", "rate", "requests", "failures", "sizes"}),
    ],
)
def test_there_is_a_place_for_each_chart_that_has_something_to_show(name: str, ids: set[str]) -> None:
    assert Outline(page_of(RUNS[name], wall_time_s=1.0)).ids == ids


@pytest.mark.parametrize(
    ("name", "ending", "verdict"),
    [
        ("no file", "", "Nothing was uploaded."),
        ("one file", "", "<b>Uploaded</b> 1 file, 5 B."),
        ("failures only", "", 'Uploaded nothing, <b class="bad">2 files failed</b>.'),
        ("skipped only", "", "Nothing was uploaded, 1 skipped."),
        (
            "one file",
            "no <way>",
            '<b class="cut">Not all was done:</b> no &lt;way&gt;. Uploaded so far: 1 file, 5 B.',
        ),
    ],
)
def test_the_verdict_is_one_line(name: str, ending: str, verdict: str) -> None:
    text = page_of(RUNS[name], wall_time_s=1.0, ending=ending)
    assert f'<p class="verdict">{verdict}</p>' in text


def test_the_rate_is_of_what_this_run_has_sent() -> None:
    report = msgspec.structs.replace(uploaded(0, attempt(0.0, 9.0, 80_000_000)), resumed_bytes=60_000_000)
    tiles = re.sub(r"<[^>]*>", " ", page_of([report], wall_time_s=10.0))
    assert re.search(r"Rate, mean\s+2\s+MB/s", tiles), tiles


def test_records_that_end_before_the_run_are_told_to_be_so() -> None:
    assert "the records end before the run does" in page_of(RUNS["one file"])


def test_limits_are_shown_by_their_shares() -> None:
    history = History()
    history.ending = Ending(limited_by={"reading": 0.25, "the <link>": 0.7, "cpu": 0.001})
    text = page_html(history, "t", "f")
    assert re.findall("</i>([^<]*)</li>", text) == ["the &lt;link&gt; 70%", "reading files 25%"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2e-4, "200 µs"),
        (0.0123, "12.3 ms"),
        (4.9, "4.9 s"),
        (67, "1:07 min"),
        (3725, "1:02:05 h"),
    ],
)
def test_times_read_well(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
