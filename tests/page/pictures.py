"""Pictures of the page for docs/images, in few colors."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.page.story import story

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MAX_BYTES = 60_000
FONT = "Inter"
"""What a desktop's own font would be."""

DESKTOP = {"width": 1080, "height": 1370}
LOOKS: dict[str, dict[str, Any]] = {
    "report": {"viewport": DESKTOP},
    "report-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "report-phone": {"viewport": {"width": 390, "height": 1100}, "device_scale_factor": 2},
}


def write(executable: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    text = story()  # which has a loop of its own, as Playwright has
    text = text.replace("15px/1.5 system-ui, ", f"15px/1.5 {FONT}, system-ui, ")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        (Path(folder) / "run.html").write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--hide-scrollbars"]
        )
        for name, look in LOOKS.items():
            page = browser.new_context(**look).new_page()
            page.goto((Path(folder) / "run.html").as_uri())
            picture = Image.open(BytesIO(page.screenshot()))
            path = IMAGES / f"{name}.png"
            picture.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
            print(f"{path}: {path.stat().st_size:,} bytes")
            assert path.stat().st_size <= MAX_BYTES
