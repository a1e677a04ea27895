"""The screens that are kept are those that people get. `python -m tests.screens --write` keeps new ones: look
at them."""

from __future__ import annotations

import pytest

from tests.screens.__main__ import HERE, screens
from tests.screens.stories import STORIES
from tests.screens.terminal import Terminal


@pytest.mark.parametrize("name", STORIES)
def test_a_screen_is_as_it_is_kept(name: str) -> None:
    kept = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob(f"{name}.*.txt")}
    assert screens([name]) == kept


def test_no_screen_is_kept_of_a_story_that_is_gone() -> None:
    assert {path.name.partition(".")[0] for path in HERE.glob("*.txt")} == set(STORIES)


def test_trouble_is_yellow_what_failed_red_and_what_is_done_green() -> None:
    colors = STORIES["throttled"](80).terminal.colors()
    assert colors["brown"] >= {"throttled by the store", "812 tried again"}  # what pyte calls yellow
    colors = STORIES["failures"](80).terminal.colors()
    assert "1 tried again" in colors["brown"]
    assert "4 failed" in colors["red"]
    assert any(set(text) <= set("━╸") for text in colors["green"])


def test_a_terminal_that_is_made_narrower_wraps_what_stands_there() -> None:
    terminal = Terminal(20, 5)
    terminal.write("one two three\r\n日本語")
    terminal.resize(8)
    assert terminal.lines() == ["one two", "three", "日本語"]
    assert terminal.column == 6
