"""Which files of a tree are taken: patterns, their order, and what is not even listed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from s3_upload import ConfigError, Filter, Rule, files_recursive
from s3_upload.sources.filters import UNMATCHED, Filters, rules_of

FILES = (
    ".git/config",
    "a.tmp",
    "b.txt",
    "docs/a.pdf",
    "docs/deep/b.pdf",
    "docs/deep/x.tmp",
    "src/build",
    "src/docs/c.pdf",
    "src/node_modules/m/q.js",
    "src/ü x.js",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def kept(tree: Path, *rules: str) -> list[str]:
    """The keys of what is taken by rules such as "-*.tmp" and "+keep.tmp"."""
    taken = Filter(rules=[Rule(rule[1:], include=rule[0] == "+") for rule in rules])
    return [source.key for source in files_recursive(tree, filter=taken)]


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("*.tmp", {"a.tmp", "docs/deep/x.tmp"}),
        ("node_modules", {"src/node_modules/m/q.js"}),
        ("docs", {"docs/a.pdf", "docs/deep/b.pdf", "docs/deep/x.tmp", "src/docs/c.pdf"}),
        ("/docs", {"docs/a.pdf", "docs/deep/b.pdf", "docs/deep/x.tmp"}),
        ("./docs/", {"docs/a.pdf", "docs/deep/b.pdf", "docs/deep/x.tmp"}),
        ("docs/*.pdf", {"docs/a.pdf"}),
        ("docs/**", {"docs/a.pdf", "docs/deep/b.pdf", "docs/deep/x.tmp"}),
        ("docs/**/*.pdf", {"docs/a.pdf", "docs/deep/b.pdf"}),
        ("**/docs/*.pdf", {"docs/a.pdf", "src/docs/c.pdf"}),
        ("docs/d**f", {"docs/deep/b.pdf"}),
        ("build", {"src/build"}),
        ("build/", set()),
        ("[!a-z]*", {".git/config", "src/ü x.js"}),
        ("[ab].*", {"a.tmp", "b.txt", "docs/a.pdf", "docs/deep/b.pdf"}),
        ("?.txt", {"b.txt"}),
        ("ü*", {"src/ü x.js"}),
        ("*", set(FILES)),
        ("**", set(FILES)),
        ("*/*", set(FILES) - {"a.tmp", "b.txt"}),
        ("B.TXT", set()),
        (r"\*.tmp", set()),
        ("b.tx", set()),
    ],
)
def test_what_a_pattern_leaves_out(tree: Path, pattern: str, left_out: set[str]) -> None:
    assert set(FILES) - set(kept(tree, f"-{pattern}")) == left_out


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (("-*", "+*.pdf"), ["docs/a.pdf", "docs/deep/b.pdf", "src/docs/c.pdf"]),
        (("-*", "+*.pdf", "-deep"), ["docs/a.pdf", "src/docs/c.pdf"]),
        (("-*", "+docs/a.pdf"), ["docs/a.pdf"]),
        (("-*", "+docs"), ["docs/a.pdf", "docs/deep/b.pdf", "docs/deep/x.tmp", "src/docs/c.pdf"]),
        (("-*", "+/docs", "-*.tmp"), ["docs/a.pdf", "docs/deep/b.pdf"]),
        (("+*.pdf", "-*"), []),
        (("-*", "+src/**/q.js"), ["src/node_modules/m/q.js"]),
        (("-src", "+build"), [*FILES[:6], "src/build"]),
    ],
)
def test_the_last_match_decides_also_of_what_lies_in_a_directory(
    tree: Path, rules: tuple[str, ...], expected: list[str]
) -> None:
    assert kept(tree, *rules) == expected


@pytest.mark.parametrize(
    ("rules", "listed"),
    [
        (("-src", "-.git"), {"", "docs", "docs/deep"}),
        (("-*", "+docs/*.pdf"), {"", "docs"}),
        (("-*", "+docs/**"), {"", "docs", "docs/deep"}),
        (("+*.js", "-src", "-docs", "-.git"), {""}),
    ],
)
def test_a_directory_of_which_nothing_can_be_taken_is_not_listed(
    tree: Path, monkeypatch: pytest.MonkeyPatch, rules: tuple[str, ...], listed: set[str]
) -> None:
    asked: set[str] = set()
    scandir = os.scandir

    def watching(path: str) -> Any:
        asked.add(Path(path).relative_to(tree).as_posix().removeprefix("."))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", watching)
    kept(tree, *rules)
    assert asked == listed


def test_what_is_left_out_is_not_told_as_failed_or_skipped(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "loop").symlink_to(".")
    (tree / "linked").symlink_to("docs")
    sources = list(files_recursive(tree, exclude=["pipe", "dangling", "loop", "linked/"]))
    assert [source.key for source in sources] == list(FILES)


def test_a_link_to_a_directory_is_a_directory_to_a_pattern(tree: Path) -> None:
    (tree / "linked").symlink_to("docs")
    assert [key for key in kept(tree, "-docs/", "-.git", "-src") if "/" in key] == [
        "linked/a.pdf",
        "linked/deep/b.pdf",
        "linked/deep/x.tmp",
    ]


def test_patterns_are_for_the_path_from_the_root_whatever_the_keys_begin_with(tree: Path) -> None:
    keys = [source.key for source in files_recursive(tree, "docs/p", exclude="/docs", include="a.pdf")]
    assert keys == [f"docs/p/{name}" for name in FILES if not name.startswith("docs/") or "a.pdf" in name]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "exclude '': matches nothing: give a name, or a path from the source's root"),
        ("/", "exclude '/': matches nothing: give a name, or a path from the source's root"),
        ("./", "exclude './': matches nothing: give a name, or a path from the source's root"),
        ("../x", "exclude '../x': '..' leads out of the source: give a path from its root"),
        ("[ab", r"exclude '[ab': is no pattern: the ] of its [ is missing (\[ is the character itself)"),
        ("x\\", "exclude 'x\\\\': is no pattern: it ends in a backslash"),
        ("[z-a]", "exclude '[z-a]': is no pattern: bad character range z-a at position 6"),
    ],
)
def test_what_is_no_pattern_is_refused_at_once(tree: Path, pattern: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        files_recursive(tree, exclude=pattern)
    assert str(caught.value) == message


def test_including_alone_would_leave_out_nothing_and_is_refused(tree: Path) -> None:
    with pytest.raises(ConfigError, match=r"include '\*.pdf': everything is taken already: .* exclude '\*'"):
        files_recursive(tree, include="*.pdf")
    assert len(list(files_recursive(tree, include="*"))) == len(FILES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"exclude": 3}, "exclude: must be a pattern or an iterable of patterns, not int"),
        ({"exclude": ["a", Path("b")]}, r"exclude\[1\]: must be str, not PosixPath"),
        ({"filter": ["a"]}, "filter: must be Filter or None, not list"),
    ],
)
def test_a_wrong_class_is_named(tree: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        files_recursive(tree, **arguments)
    with pytest.raises(TypeError, match="an item of rules: must be Rule, not str"):
        Filters(["*.tmp"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="pattern: must be str, not int"):
        Rule(3)  # type: ignore[arg-type]


def test_filters_of_ones_own_go_alone(tree: Path) -> None:
    with pytest.raises(ConfigError, match="do not go together"):
        files_recursive(tree, exclude="a", filter=Filter(exclude="b"))
    with pytest.raises(ConfigError, match="do not go together"):
        Filter(exclude="a", rules=[Rule("b")])


def test_a_set_may_hold_what_means_something_to_regular_expressions() -> None:
    for char in "]\\[^&~|-":
        text = {"]": "[]x]", "-": "[x-]", "\\": "[\\]"}.get(char, f"[x{char}]")
        filters = Filters(rules_of(text))
        assert filters.last_match(char, is_directory=False) == 0
        assert filters.last_match("y", is_directory=False) == UNMATCHED
    assert repr(Filters([Rule("a"), Rule("b", include=True)])) == "Filters(exclude 'a', include 'b')"
