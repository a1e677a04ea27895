"""Files of patterns in a tree: what is left out is what git leaves out, by git's own word."""

from __future__ import annotations

import os
import queue
import random
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from s3_upload import Filter, files_recursive
from s3_upload.sources.ignoring import Patterns

NAMES = ("a", "b", "ab", "a.b", "c", "a\n", "\n", "b\na")
LINES = (
    "*", "**", "/*", "/**", "**/*", "*/", "a", "a/", "/a", "a/b", "/a/b", "a/*", "a/**", "**/a", "**/b/",
    "c/**/a", "**/a/b", "?", "??", "[ab]", "[!a]", "a.b", "*.*", "a*", "*b", "a**b", "!a", "!*/", "!*.b",
    "!b/", "!a/b", "!/c", "!**", "!a/**", "#x", "\\a", "***", "!", "/", "\\", "", " ", "b ", "a\\ ",
)  # fmt: skip


def plant(rng: random.Random, directory: Path, depth: int = 0) -> None:
    """Files, directories and files of patterns, at random."""
    for name in NAMES:
        chance = rng.random()
        if chance < 0.45:
            (directory / name).touch()
        elif chance < 0.8 and depth < 3:
            (directory / name).mkdir()
            plant(rng, directory / name, depth + 1)
    if rng.random() < (0.3 if depth else 0.9):
        lines = [rng.choice(LINES) for _ in range(rng.randint(1, 4))]
        (directory / ".gitignore").write_text("\n".join(lines))


def by_git(root: Path) -> list[str]:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    words = ["git", "-C", str(root), "ls-files", "--others", "-z", "--exclude-per-directory=.gitignore"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(root / ".git")
    return sorted(filter(None, said.split("\0")))


@pytest.mark.skipif(shutil.which("git") is None, reason="git is asked")
@pytest.mark.parametrize("seed", range(40))
def test_what_is_taken_is_what_git_takes(tmp_path: Path, seed: int) -> None:
    plant(random.Random(seed), tmp_path)
    left_out = Filter(ignore_file=".gitignore")
    taken = sorted(source.key for source in files_recursive(tmp_path, filter=left_out))
    assert taken == by_git(tmp_path)


@pytest.mark.parametrize(
    ("lines", "path", "is_directory", "says"),
    [
        (["a/"], "a", True, True),
        (["a/"], "a", False, None),
        (["a/"], "a/b", False, None),  # of that its directory decides, which the walk has judged
        (["*", "!*/"], "a", True, False),
        (["*", "!*/"], "a", False, True),
        (["!*.d", "?"], "x.d/y", False, True),
        (["a/**"], "a", True, None),
        (["a/**"], "a/b", False, True),
        (["a"], "a\n", False, None),
        (["a"], "b\nc/a", False, True),
        (["a"], "b\na", False, None),
        (["*"], "\n", False, True),
    ],
)
def test_the_last_line_that_matches_the_entry_itself_decides(
    lines: list[str], path: str, is_directory: bool, says: bool | None
) -> None:
    assert Patterns(lines).says(path, is_directory=is_directory) is says


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs")
def test_what_is_no_file_of_patterns_is_not_opened(tmp_path: Path) -> None:
    """To open a FIFO waits for ever, and to read a device may never end."""
    for name in ("fifo", "null", "zero"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").touch()
    os.mkfifo(tmp_path / "fifo" / ".gitignore")
    (tmp_path / "null" / ".gitignore").symlink_to(os.devnull)
    (tmp_path / "zero" / ".gitignore").symlink_to("/dev/zero")
    found: queue.Queue[dict[str, str]] = queue.Queue()

    def walk() -> None:
        sources = files_recursive(tmp_path, filter=Filter(ignore_file=".gitignore"))
        found.put({source.key: str(source.problem or source.skip_reason) for source in sources})

    threading.Thread(target=walk, daemon=True).start()
    assert found.get(timeout=60) == {
        "fifo": f"{tmp_path}/fifo/.gitignore: is no file: what it leaves out is not known",
        "null/.gitignore": "is a character device",
        "null/f": "",
        "zero": f"{tmp_path}/zero/.gitignore: is no file: what it leaves out is not known",
    }
