"""`screen.frame`: what fits a terminal, whatever names there are."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from s3_upload.errors import FailureKind, UploadError
from s3_upload.observe.limits import AWAY, CAP, LINK, NAMES, THROTTLED
from s3_upload.observe.status import Moving, Status, Total
from s3_upload.report import UploadReport
from s3_upload.screen.frame import ASCII, MAX_ROWS, RED, UNICODE, YELLOW, Frame, Glyphs, Title
from tests.unit.screen.statuses import status

MB = 10**6
TITLE = Title("photos", "s3://my-bucket/holidays", "minio.local:9000")
TOTAL = Total(files=3_801, bytes=2150 * MB, complete=True)
HOSTILE = "a\x1b[2J\x1b]0;owned\x07\r\nb\t\u202ec\udcff\x9b31m"
NAMES_OF_ALL_KINDS = [
    "a",
    "raw/DSC0412.ARW",
    "x" * 300,
    "写真/2024年の夏休み/海へ行った日のとても長い名前の写真.jpg",
    HOSTILE,
    "e\u0301" * 90,
    "👩‍🚀" * 40,
]


def texts(frame: Frame, stands: Status, width: int = 80) -> list[str]:
    return ["".join(piece.text for piece in line) for line in frame.lines(stands, width)]


def moving(*names: str, size: int | None = 100 * MB, since_s: float = 0.0) -> tuple[Moving, ...]:
    return tuple(Moving(seq, name, 30 * MB + seq, size, since_s) for seq, name in enumerate(names))


def failure(source: str, why: str = "the link leads to nothing") -> UploadReport:
    error = UploadError(why, key=source, kind=FailureKind.SOURCE, attempts=0)
    return UploadReport(seq=9, key=source, source=source, bytes=0, outcome="source", error=error)


def full(name: str, **more: Any) -> Status:
    """A run with something in every place."""
    values: dict[str, Any] = {
        "files": 1_237, "done": 1_240, "bytes": 1120 * MB, "total": TOTAL, "left_s": 41.0, "failed": 3,
        "retried": 12, "skipped": 1, "rate_bytes_per_s": 27.3e6, "rate_files_per_s": 52.0, "requests": 24,
        "limited_by": LINK, "last_failure": failure(name), "moving": moving(*[name] * 6),
    }  # fmt: skip
    return status(**(values | more))


# --- what fits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 5, 20, 40, 60, 62, 63, 80, 140])
@pytest.mark.parametrize("name", NAMES_OF_ALL_KINDS, ids=ascii)
def test_no_line_is_wider_than_the_terminal_and_the_echo_of_ctrl_c_fits_behind_it(
    name: str, width: int
) -> None:
    for more in (
        {}, {"total": Total(files=9, bytes=99)}, {"total": None}, {"moving": moving(name, size=None)},
        {"limited_by": AWAY, "away_s": 500.0, "away_cause": name, "left_s": None},
        {"limited_by": THROTTLED, "accepted_per_s": 9e9}, {"left_s": 1e6, "rate_bytes_per_s": 1e15},
    ):  # fmt: skip
        for glyphs in (UNICODE, ASCII):
            title = Title(name, f"s3://bucket/{name}", name)
            for line in texts(Frame(title, glyphs=glyphs), full(name, **more), width):
                assert cell_len(line) <= max(width - 3, 1)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_nothing_of_a_name_reaches_the_terminal_but_characters(glyphs: Glyphs) -> None:
    frame = Frame(Title(HOSTILE, f"s3://bucket/{HOSTILE}", HOSTILE), glyphs=glyphs, notes={CAP: HOSTILE})
    for more in ({}, {"limited_by": CAP}, {"limited_by": AWAY, "away_s": 5.0, "away_cause": HOSTILE}):
        for line in texts(frame, full(HOSTILE, **more), 140):
            assert line.isprintable()
    assert any("\\x1b[2J" in line for line in texts(frame, full(HOSTILE), 140))


def test_plain_characters_do_where_a_terminal_has_no_others() -> None:
    for stands in (full("a"), full("x" * 300), full("a", limited_by=AWAY, away_s=3.0, total=None)):
        assert "".join(texts(Frame(TITLE, glyphs=ASCII), stands)).isascii()


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_the_most_important_is_left_where_there_is_little_room(width: int) -> None:
    shown = "\n".join(texts(Frame(TITLE), full("raw/DSC0412.ARW"), width))
    assert " 50 % " in shown
    assert "1,240 of 3,801" in shown
    if width >= 40:
        assert "0:41 left" in shown
        assert "27.3 MB/s" in shown
        assert "1.12 of 2.15 GB" in shown
        assert "3 failed" in shown
    if width >= 80:
        assert "limited by the link" in shown


@pytest.mark.parametrize(
    ("width", "title", "text"),
    [
        (80, TITLE, "photos → s3://my-bucket/holidays at minio.local:9000"),
        (48, TITLE, "photos → s3://my-bucket/holidays"),  # rather the whole of where to than the host
        (80, TITLE._replace(host=""), "photos → s3://my-bucket/holidays"),
        (63, TITLE._replace(sources="x" * 90, host=""), "x" * 26 + "… → s3://my-bucket/holidays"),
        (20, TITLE, "photos → s3://my…"),
    ],
)
def test_where_the_title_is_too_long_the_destination_is_kept(width: int, title: Title, text: str) -> None:
    line = texts(Frame(title), status(), width)[0]
    assert line == text if "x" not in text else line.startswith("xxx")
    assert line.endswith(text[-20:])


# --- what is said -------------------------------------------------------------------------------------


def test_while_it_is_counted_how_much_there_is_no_percentage_is_shown() -> None:
    frame = Frame(TITLE)
    counting = status(files=3, bytes=217 * MB, elapsed_s=4.0, total=Total(files=40, bytes=412 * MB))
    assert texts(frame, counting)[1:] == [
        " 217 of at least 412 MB   0:04",
        " 3 of at least 40 files · 0 B/s",
    ]
    unknown = status(bytes=217 * MB, elapsed_s=11.0, moving=moving("photos.tar", size=None))
    assert texts(frame, unknown)[1:] == [" 217 MB   0:11", " 0 B/s"]


def test_a_bar_begins_empty_and_ends_full() -> None:
    def bar(done: int) -> str:
        return texts(Frame(TITLE), status(done=done, total=Total(files=100, complete=True)))[1]

    assert bar(0).startswith("  0 % ────")
    assert "━" not in bar(0)
    assert bar(100).startswith("100 % ━━━━")
    assert "─" not in bar(100)
    assert [bar(n).count("━") for n in range(101)] == sorted(bar(n).count("━") for n in range(101))


@pytest.mark.parametrize("width", [40, 80, 140])
def test_nothing_of_the_second_line_moves_about_while_it_goes_on(width: int) -> None:
    frame, ends, lefts = Frame(TITLE), set(), set()
    for percent in range(1, 100):
        stands = status(
            done=38 * percent, bytes=2150 * MB * percent // 100, total=TOTAL, left_s=(100 - percent) * 6.0
        )
        line = texts(frame, stands, width)[1]
        ends.add(max(line.rfind(glyph) for glyph in "━╸─"))
        lefts.add(line.index("left") - len(line.split()[-2]))
    assert len(ends) == 1
    assert len(lefts) == 1


def test_a_note_takes_the_place_of_what_limits() -> None:
    frame = Frame(TITLE, notes={CAP: "held at 20 MB/s by --max-bandwidth"})
    assert texts(frame, status(files=1, limited_by=CAP))[2].endswith("held at 20 MB/s by --max-bandwidth")
    assert texts(frame, status(files=1, limited_by=LINK))[2].endswith("limited by the link")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_of_our_own_making_is_yellow(name: str) -> None:
    pieces = [piece for line in Frame(TITLE).lines(status(files=1, limited_by=name), 140) for piece in line]
    assert (YELLOW in {piece.style for piece in pieces}) == (name in {AWAY, THROTTLED})


def test_a_store_that_is_away_is_said_at_80_columns_with_all_that_is_known() -> None:
    stands = full(
        "a", limited_by=AWAY, away_s=12.0, next_try_s=3.0, away_cause="refused", left_s=None, moving=()
    )
    lines = texts(Frame(TITLE), stands)
    assert lines[1].endswith("1.12 of 2.15 GB   waiting")
    assert "the store is away" in lines[2]
    assert lines[3] == " no answer for 12 s, next try in 3 s (refused)"
    assert Frame(TITLE).lines(stands, 80)[3][0].style == YELLOW


def test_a_store_that_is_silent_is_said_with_how_long() -> None:
    stands = full("a", limited_by=AWAY, silent_s=4.0, left_s=None, moving=())
    lines = texts(Frame(TITLE), stands)
    assert lines[1].endswith("1.12 of 2.15 GB   waiting")
    assert "the store is silent" in lines[2]
    assert lines[3] == " no answer for 4 s"


def test_failures_are_counted_and_the_last_is_told_once() -> None:
    line = Frame(TITLE).lines(full("old/link", moving=()), 140)[3]
    assert "".join(piece.text for piece in line) == (
        " 3 failed · 12 tried again · 1 skipped · last: old/link: the link leads to nothing"
    )
    assert [piece.style for piece in line if "failed" in piece.text or "last" in piece.text] == [RED, RED]
    named = full("a", last_failure=failure("old/link", "old/link: no such file"), moving=())
    assert texts(Frame(TITLE), named, 140)[3].endswith("last: old/link: no such file")


# --- objects on their way -----------------------------------------------------------------------------


def rows(frame: Frame, *names: str, since_s: float = 0.0, **more: Any) -> list[str]:
    """The names of the rows."""
    own = tuple(Moving(ord(name[0]), name, 30 * MB, 100 * MB, since_s) for name in names)
    lines = texts(frame, status(total=TOTAL, moving=own, **more))[3:]
    return [line.partition("↑ ")[2] for line in lines]


def test_a_row_says_how_far_an_object_is_under_the_line_about_the_whole() -> None:
    stands = status(total=TOTAL, moving=moving("holidays/raw/DSC0412.ARW"))
    assert texts(Frame(TITLE), stands)[3] == " 30 % ━━━━──────────  30.0 of 100 MB   ↑ raw/DSC0412.ARW"
    unknown = status(total=TOTAL, moving=moving("a.tar", size=None))
    assert texts(Frame(TITLE), unknown)[3] == " " * 20 + "  30.0 MB          ↑ a.tar"


def test_of_a_long_name_the_end_is_shown() -> None:
    line = texts(Frame(TITLE), status(total=TOTAL, moving=moving("x" * 90 + "/写真.jpg")))[3]
    assert "↑ …xx" in line
    assert line.endswith("x/写真.jpg")


def test_an_object_keeps_its_row_until_it_ends_and_another_takes_it() -> None:
    frame = Frame(TITLE)
    assert rows(frame, *"abcdef") == ["a", "b", "c", "d"]
    assert rows(frame, *"acdef") == ["a", "e", "c", "d"]
    assert rows(frame, *"cdef") == ["f", "e", "c", "d"]
    assert rows(frame, *"cd") == ["c", "d"]
    assert rows(frame) == []
    assert len(rows(frame, *"abcdefgh")) == MAX_ROWS


def test_what_is_on_its_way_for_less_than_a_second_has_no_row() -> None:
    assert rows(Frame(TITLE), "a", since_s=9.1) == []
    assert rows(Frame(TITLE), "a", since_s=9.0) == ["a"]


def test_a_single_object_has_no_row_since_the_second_line_is_about_it() -> None:
    one = Total(files=1, bytes=100 * MB, complete=True)
    assert len(texts(Frame(TITLE), status(total=one, moving=moving("a")))) == 3
    assert len(texts(Frame(TITLE), status(moving=moving("a", size=None)))) == 3
    assert len(texts(Frame(TITLE), status(moving=moving("a", "b")))) == 5


def test_more_is_sent_than_there_was_and_the_bar_is_full() -> None:
    line = texts(Frame(TITLE), status(total=TOTAL, moving=(Moving(0, "grown", 9 * MB, 8 * MB, 0.0),)))[3]
    assert line.startswith("100 % ━━━━━━━━━━━━━━  8.00 of 8.00 MB")
