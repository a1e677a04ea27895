"""How the page about a run looks and behaves in a browser. `make test-page` runs this."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.page.story import story
from tests.unit.reports import attempt, failed, uploaded
from tests.unit.test_page import EVIL, RUNS, page_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
OVER_TIME = ("rate", "requests", "failures", "queue")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    story()  # which has a loop of its own, as Playwright has
    with sync_playwright() as playwright:
        # As root, Chromium's sandbox needs what a container may not have; the pages are our own.
        yield playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page, and sees to it that it asks for nothing, complains of nothing and opens no dialog."""
    troubles: list[str] = []

    def open_page(text: str, **look: Any) -> Page:
        path = tmp_path / "run.html"
        path.write_text(text, encoding="utf-8")
        page = browser.new_context(**(look or DESKTOP)).new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.on(
            "request", lambda request: troubles.append(request.url) if request.url != path.as_uri() else None
        )
        page.goto(path.as_uri())
        return page

    yield open_page
    assert troubles == []


def charts(page: Page) -> list[str]:
    """The charts that were drawn: those with something on their canvas."""
    script = """() => [...document.querySelectorAll(".chart")].filter(place => {
        const canvas = place.querySelector("canvas"), { width, height } = canvas;
        return canvas.getContext("2d").getImageData(0, 0, width, height).data.some(v => v);
    }).map(place => place.id)"""
    found: list[str] = page.evaluate(script)
    return found


def canvases(page: Page) -> dict[str, str]:
    """What is drawn, chart by chart."""
    found: dict[str, str] = page.evaluate("""() => Object.fromEntries(
        [...document.querySelectorAll(".chart")].map(
            place => [place.id, place.querySelector("canvas").toDataURL()])
    )""")
    return found


def overhang(page: Page) -> int:
    """How much wider the page is than the screen."""
    width: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return width


@pytest.mark.parametrize("look", [PHONE, DESKTOP, {"viewport": {"width": 320, "height": 600}}], ids=str)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_charts_are_drawn_and_nothing_overhangs(
    show: Callable[..., Page], look: dict[str, Any], scheme: str
) -> None:
    page = show(story(), color_scheme=scheme, **look)
    assert charts(page) == [*OVER_TIME, "sizes"]
    assert overhang(page) == 0


@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_is_drawn(show: Callable[..., Page], name: str) -> None:
    text = page_of(RUNS[name], wall_time_s=3.0)
    page = show(text)
    assert charts(page) == re.findall('class="chart" id="([a-z]*)"', text)


def test_names_are_shown_and_never_run_nor_overhang(show: Callable[..., Page]) -> None:
    lost = attempt(0.0, 1.0, 5, outcome="server", message=EVIL)
    reports = [failed(0, lost, source=EVIL), uploaded(1, attempt(1.0, 1.0, 5), source="x" * 1024)]
    page = show(page_of(reports, wall_time_s=3.0), **PHONE)
    assert page.get_by_text("<script>alert(1)</script>").count() > 0
    assert overhang(page) == 0


def test_dark_and_light_differ_and_follow_the_system(show: Callable[..., Page]) -> None:
    page = show(story(), color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light, light_chart = page.evaluate(ground), page.locator("#rate").screenshot()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) != light
    assert page.locator("#rate").screenshot() != light_chart
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == light
    assert page.locator("#rate").screenshot() == light_chart
    assert charts(page) == [*OVER_TIME, "sizes"]


def test_the_values_under_the_pointer_are_told_in_all_charts_over_time(show: Callable[..., Page]) -> None:
    page = show(story())
    page.locator("#rate .u-over").hover()
    values = {name: page.locator(f"#{name} .u-legend").inner_text() for name in OVER_TIME}
    assert "MB/s" in values["rate"]
    assert " ms" in values["queue"]
    assert all(re.match(r"\d+(\.\d+)? s|\d:\d\d", text) for text in values.values()), values


def test_the_dot_under_the_pointer_is_told(show: Callable[..., Page]) -> None:
    page = show(page_of([uploaded(0, attempt(1.0, 0.5, 2_000_000))], wall_time_s=3.0))
    page.locator("#sizes").scroll_into_view_if_needed()
    blue = page.evaluate("""() => {
        const canvas = document.querySelector("#sizes canvas"), box = canvas.getBoundingClientRect();
        const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let n = 0; n < data.length; n += 4)
            if (data[n + 2] > data[n] + 80)
                return [box.left + n / 4 % width, box.top + Math.floor(n / 4 / width)];
    }""")
    tip = page.locator(".tip")
    assert not tip.is_visible()
    page.mouse.move(*blue)
    assert tip.inner_text() == "2 MB in 500 ms: 4 MB/s"
    page.mouse.move(0, 0)
    assert not tip.is_visible()


def test_to_drag_zooms_all_charts_over_time_and_a_double_click_goes_back(show: Callable[..., Page]) -> None:
    page = show(story())
    before = canvases(page)
    box = page.locator("#rate .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 20, steps=4)
    page.mouse.up()
    page.mouse.move(0, 0)
    zoomed = canvases(page)
    assert [name for name in OVER_TIME if zoomed[name] == before[name]] == []
    page.mouse.dblclick(box["x"] + 30, box["y"] + 20)
    page.mouse.move(0, 0)
    after = canvases(page)
    assert [name for name in OVER_TIME if after[name] != before[name]] == []


def test_a_window_that_changes_has_its_charts_drawn_anew(show: Callable[..., Page]) -> None:
    page = show(story())
    page.set_viewport_size({"width": 500, "height": 800})
    page.wait_for_function("document.querySelector('#rate .uplot').clientWidth < 500")
    assert overhang(page) == 0
    assert charts(page) == [*OVER_TIME, "sizes"]
