"""Runs every case with the AWS CLI and with ours, and compares both with the page, or writes it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from tests.settings.cases import BASE, CASES
from tests.settings.page import PAGE, differ, page, rows
from tests.settings.reading import AWS_PYTHON, ours, read, theirs
from tests.settings.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.settings.reading import Command, Reading


def readings(start: Callable[[], Command]) -> dict[str, Reading]:
    """Every case as one command reads it."""
    with Recorder() as recorder, closing(start()) as command:
        return {case.what: read(command, case, recorder) for case in [BASE, *CASES]}


def main(words: list[str]) -> int:
    said = subprocess.run(
        [AWS_PYTHON.with_name("aws"), "--version"], capture_output=True, text=True, check=True
    )
    version = said.stdout.split()[0].partition("/")[2]
    with ThreadPoolExecutor() as pool:
        their, our = pool.map(readings, (theirs, ours))
    found = {case.what: (their[case.what], our[case.what]) for case in [BASE, *CASES]}
    differing = [case for case in CASES if differ(case, found[BASE.what], found[case.what])]
    unexplained = [case for case in differing if not case.why]
    needless = [case for case in CASES if case.why and case not in differing]
    for case in unexplained:
        told = "the AWS CLI {}, ours {}".format(*found[case.what])
        print(f"no reason is given: {case.what}: {told}")
    for case in needless:
        print(f"a reason without a difference: {case.what}: {found[case.what][0]}")
    text = page(found, version)
    if "--write" in words:
        PAGE.write_text(text)
    kept, now = rows(PAGE.read_text()), rows(text)
    stale = [what for what in {**kept, **now} if kept.get(what) != now.get(what)]
    for what in stale:
        print(f"the page says otherwise: {what}: {kept.get(what)}, now {now.get(what)}")
    same = len(CASES) - len(differing)
    print(
        f"{len(CASES)} settings beside the AWS CLI {version}: {same} the same, {len(differing)} differ, "
        f"{len(unexplained)} of them without a reason; {len(stale)} rows of the page are not as read"
    )
    return bool(unexplained or needless or stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
