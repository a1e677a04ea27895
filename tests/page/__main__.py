"""Looks at the page about a run in a headless Chromium: `python -m tests.page --help`.

The tests are in looks.py, under a name that `make test` does not collect: what they need (Playwright, a
browser) is not needed for anything else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGES = ("chromium-headless-shell", "chromium")
"""Of Debian and Ubuntu; the first is half as large."""


def browser() -> str | None:
    """Where a Chromium is, which is installed if it can be."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install(*PACKAGES)
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found


def install(*names: str) -> None:
    """Installs the first of these packages that there is. That it could not shows by what is not there."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], env=environment, check=False, **quiet)  # type: ignore[call-overload]
    for name in names:
        words = ["apt-get", "install", "-qy", "--no-install-recommends", name]
        done = subprocess.run(words, env=environment, check=False, **quiet)  # type: ignore[call-overload]
        if done.returncode == 0:
            return


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.page", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write new pictures into docs/images")
    wanted = parser.parse_args()
    found = browser()
    if found is None:
        print("no Chromium, and none to be installed: how the page looks is left out", file=sys.stderr)
        return 0
    os.environ["CHROMIUM"] = found
    code = pytest.main([str(Path(__file__).with_name("looks.py")), "-q", "-p", "no:cacheprovider"])
    if code == 0 and wanted.write:
        from tests.page.pictures import write

        install("fonts-inter")
        write(found)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
