"""Lists of what to take: what is listed is what a walk finds there, with the key that a walk gives it."""

from __future__ import annotations

import functools
import io
import os
import queue
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3_upload import ConfigError, Filter
from s3_upload.cli.main import main
from s3_upload.sources.listed import FIRST_BYTES, MAX_ENTRY_BYTES, Listed
from s3_upload.sources.mapping import Choice, Destination, Mapped
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.walk import LINK
from tests.platforms import needs_any_name

FILES = ("a", "b c", "d/1", "d/2", "d/e/3", "ü/4")


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for root in ("src", "other"):
        for name in FILES:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    return tmp_path / "src"


def listed(
    *lines: str, sources: tuple[str, ...] = ("src",), prefix: str = "p", **choice: object
) -> list[ObjectSource]:
    Path("list").write_bytes(os.fsencode("\n".join(lines)))
    made = Choice(listed=Listed("list"), **choice)  # type: ignore[arg-type]
    return list(Mapped(sources, Destination("b", prefix), made).files())


def told(found: list[ObjectSource]) -> list[tuple[str, str]]:
    return [(source.key, str(source.problem or source.skip_reason)) for source in found]


def keys(*lines: str, **how: object) -> list[str]:
    found = listed(*lines, **how)  # type: ignore[arg-type]
    assert {why for _, why in told(found)} <= {""}
    return [source.key for source in found]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a", "d/2"], ["p/a", "p/d/2"]),
        (["d/2", "a"], ["p/d/2", "p/a"]),  # in the list's order
        (["./a", "d//1", "d/./2"], ["p/a", "p/d/1", "p/d/2"]),
        (["d"], ["p/d/1", "p/d/2", "p/d/e/3"]),
        (["d/"], ["p/d/1", "p/d/2", "p/d/e/3"]),
        (["."], [f"p/{name}" for name in FILES]),
        (["", "a", "", "b c", ""], ["p/a", "p/b c"]),
        (["a\r", "b c\r", ""], ["p/a", "p/b c"]),
        (["\ufeffa"], ["p/a"]),
        (["ü/4"], ["p/ü/4"]),
        (["a", "a"], ["p/a", "p/a"]),
    ],
)
def test_paths_are_relative_to_the_source_and_keys_are_those_of_a_walk(
    lines: list[str], expected: list[str]
) -> None:
    assert keys(*lines) == expected


@pytest.mark.parametrize("source", ["src", "src/", ".", "other/../src", "{}/src", "link", "{}/./src"])
def test_whole_paths_inside_of_the_source_are_taken_however_it_is_spelled(tree: Path, source: str) -> None:
    Path("link").symlink_to("src")
    source = source.format(tree.parent)
    below = "p/src" if source == "." else "p"
    root = os.path.realpath(tree)
    assert keys(f"{root}/d/1", f"{root}/a", sources=(source,)) == [f"{below}/d/1", f"{below}/a"]
    (told_as,) = listed("a" if below == "p" else "src/a", sources=(source,))
    whole = os.path.join(tree.parent, told_as.path)  # noqa: PTH118 - as --failed-to writes it
    assert keys(whole, sources=(source,)) == [f"{below}/a"]


def test_of_several_sources_whole_paths_tell_in_which_they_lie(tree: Path) -> None:
    above = tree.parent
    found = listed(f"{above}/src/a", f"{above}/other/d", f"{above}/list", "a", sources=("src", "other"))
    assert told(found) == [
        ("p/src/a", ""),
        *((f"p/other/d/{name}", "") for name in ("1", "2", "e/3")),
        (f"{above}/list", f"{above}/list: lies in none of the sources"),
        ("a", "a: is relative, and there are several sources: give its whole path"),
    ]
    with pytest.raises(ConfigError, match="another source has the same keys"):
        listed("x", sources=("src/.", "other/."))


def test_a_file_that_is_a_source_keeps_its_key(tree: Path) -> None:
    assert keys(f"{tree}/a", sources=("src/a",), prefix="very/key") == ["very/key"]
    assert keys(f"{tree}/a", sources=("src/a", "other"), prefix="p") == ["p/a"]
    assert told(listed("a", sources=("src/a",)))[0][1] == "a: src/a is no directory: give the whole path"


def test_what_is_not_there_fails_and_stops_nothing_else(tree: Path) -> None:
    assert told(listed("gone", "a", "d/gone/x", f"{tree}/gone", "../other/a", "a/x", "d/1")) == [
        ("p/gone", "src/gone: no such file: paths are relative to the source"),
        ("p/a", ""),
        ("p/d/gone/x", "src/d/gone/x: no such file: paths are relative to the source"),
        ("p/gone", "src/gone: no such file"),
        ("../other/a", "../other/a: '..' is in no path that a walk finds: leave it out"),
        ("p/a/x", "src/a/x: no such file: paths are relative to the source"),
        ("p/d/1", ""),
    ]


def test_links_are_followed_or_skipped_as_by_a_walk(tree: Path) -> None:
    (tree / "to_d").symlink_to("d")
    (tree / "to_a").symlink_to("a")
    (tree / "nowhere").symlink_to("gone")
    os.mkfifo(tree / "pipe")
    lines = ("to_a", "to_d", "to_d/1", "nowhere", "pipe", "d")
    assert told(listed(*lines)) == [
        ("p/to_a", ""),
        *((f"p/to_d/{name}", "") for name in ("1", "2", "e/3")),
        ("p/to_d/1", ""),
        ("p/nowhere", "src/nowhere: the link leads to nothing"),
        ("p/pipe", "is a FIFO"),
        *((f"p/d/{name}", "") for name in ("1", "2", "e/3")),
    ]
    assert told(listed(*lines[:4], follow_symlinks=False)) == [
        (f"p/{name}", LINK) for name in ("to_a", "to_d", "to_d/1", "nowhere")
    ]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (Filter(exclude="d"), ["a", "b c", "ü/4"]),
        (Filter(exclude="/d/e"), ["a", "b c", "d/1", "d/2", "ü/4"]),
        (Filter(exclude="*", include="d/[12]"), ["d/1", "d/2"]),
        (Filter(min_size=3), ["b c", "d/1", "d/2", "d/e/3", "ü/4"]),
        (Filter(ignore_file=".ignore"), ["a", "b c", "d/1", "ü/4"]),
    ],
)
@pytest.mark.parametrize("lines", [FILES, (".",)])
def test_what_the_filters_leave_out_is_left_out_of_a_list_too(
    tree: Path, lines: tuple[str, ...], filter: Filter, expected: list[str]
) -> None:
    (tree / "d" / ".ignore").write_text("2\ne/\n.ignore\n")
    left = [key.removeprefix("p/") for key in keys(*lines, filters=filter.selection())]
    assert [key for key in left if key != "d/.ignore"] == expected


@needs_any_name
def test_names_are_the_bytes_that_they_are(tree: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe")
    (tree / odd).touch()
    (tree / "ends in cr\r").touch()
    (tree / "two\nlines").touch()
    (found,) = listed(odd)
    assert "the name is not UTF-8" in str(found.problem)
    Path("list").write_bytes(b"two\nlines\0ends in cr\r\0a\0")
    mapped = Mapped(["src"], Destination("b"), Choice(listed=Listed("list")))
    assert [source.key for source in mapped.files()] == ["two\nlines", "ends in cr\r", "a"]


def of_bytes(data: bytes, nul: bool = False) -> list[str]:
    """Read in pieces as small as a slow pipe gives them."""
    file = io.BytesIO(data)
    sizes = random.Random(len(data))

    def blocks() -> Iterator[bytes]:
        return iter(lambda: file.read(sizes.choice((1, 7, 4_096))), b"")

    return [item.path for item in Listed("-", blocks=blocks, nul=nul).items()]


def test_a_list_is_read_in_pieces_and_where_they_break_does_not_matter() -> None:
    names = [f"name {number} ü" for number in range(20_000)]
    for end in ("\n", "\r\n", "\0"):
        for tail in ("", end):
            assert of_bytes((end.join(names) + tail).encode()) == names
    assert of_bytes(b"a\nb\0", nul=True) == ["a\nb"]
    assert of_bytes(b"") == of_bytes(b"\n\n") == []


def test_nuls_are_told_by_the_first_of_them() -> None:
    long = b"x" * (FIRST_BYTES + 1)
    assert of_bytes(b"a\nb\0" + long) == ["a\nb", long.decode()]


def test_what_is_no_list_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(ConfigError, match=r"files_from -: is no list of paths: [\d,]+ bytes without"):
        of_bytes(b"x" * (MAX_ENTRY_BYTES + 60_000))


def test_an_iterable_of_paths_will_do_and_wrong_ones_are_named(tree: Path) -> None:
    given: list[str | bytes | Path] = ["a", Path("d/1"), b"d/2", ""]
    choice = Choice(listed=Listed(given))
    assert [source.key for source in Mapped(["src"], Destination("b"), choice).files()] == ["a", "d/1", "d/2"]
    for wrong, error, message in (
        (3, TypeError, "files_from: must be the path of a file, or an iterable of paths, not int"),
        ("gone", ConfigError, "files_from gone: No such file or directory"),
    ):
        with pytest.raises(error, match=message):
            Listed(wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs")
def test_a_fifo_is_opened_once_and_read_to_its_end() -> None:
    """Whoever writes into one that is closed fails, and who opens it again waits for ever."""
    os.mkfifo("fifo")
    paths: queue.Queue[list[str]] = queue.Queue()

    def read() -> None:
        paths.put([item.path for item in given().items()])

    @functools.cache
    def given() -> Listed:
        return Listed("fifo")

    threading.Thread(target=read, daemon=True).start()
    with open("fifo", "wb") as file:  # noqa: PTH123
        file.write(b"a\nd/1\n")
    assert paths.get(timeout=60) == ["a", "d/1"]
    assert not given().can_be_read_again
    with pytest.raises(ConfigError, match="files_from fifo: is no file, and has been read: give a file"):
        list(given().items())


# --- manifests ------------------------------------------------------------------------------------


def manifest(*lines: bytes | str, prefix: str = "p") -> list[tuple[str, str, str]]:
    Path("list").write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
    choice = Choice(listed=Listed("list", "manifest", has_keys=True))
    found = Mapped(["src"], Destination("b", prefix), choice).files()
    return [(source.path, source.key, str(source.problem or source.skip_reason)) for source in found]


def test_what_cannot_be_looked_at_fails_and_stops_nothing_else(tree: Path) -> None:
    long = "n" * 300
    why = f"src/{long}: File name too long"
    assert told(listed(long, "a")) == [(f"p/{long}", why), ("p/a", "")]
    assert manifest(f"{long}\tone", "a\ttwo") == [(f"src/{long}", "p/one", why), ("src/a", "p/two", "")]


def test_a_path_may_have_as_many_levels_as_it_has_room_for() -> None:
    deep, deeper = "a/" * 1_000 + "f", "a/" * 2_048 + "f"
    assert told(listed(deep, deeper, "a")) == [
        (f"p/{deep}", f"src/{deep}: no such file: paths are relative to the source"),
        (deeper, f"{deeper[:100]}…: has 2,049 levels, more than any path"),
        ("p/a", ""),
    ]


def test_a_manifest_gives_each_file_its_key_below_the_prefix(tree: Path) -> None:
    assert manifest("a\tone", f"{tree}/d/1\ttwo/x", "gone\tthree", "d\tfour", "", "a\tfive\r") == [
        ("src/a", "p/one", ""),
        ("src/d/1", "p/two/x", ""),
        ("src/gone", "p/three", "src/gone: no such file: paths are relative to the source"),
        ("src/d", "p/four", "src/d: is a directory: a manifest names files"),
        ("src/a", "p/five", ""),
    ]
    assert manifest("a\tü", prefix="") == [("src/a", "ü", "")]
    assert manifest("b c\t" + "k" * 1_023)[0][2].startswith("src/b c: its key has 1,025 bytes")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a\tk", "b"], "manifest list: line 2: must be a path, one tab and a key"),
        (["a\tk\tl"], "manifest list: line 1: must be a path, one tab and a key"),
        (["", "\tk"], "manifest list: line 2: must be a path, one tab and a key"),
        (["a\t"], "manifest list: line 1: must be a path, one tab and a key"),
        ([b"a\t\xff"], "manifest list: line 1: the key is not valid UTF-8"),
        (["a\tk", "d/1\tl", "d/2\tk"], "manifest list: d/2 would overwrite a: both have the key k"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_found_before_anything_is_sent(
    lines: list[bytes | str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        manifest(*lines)
    assert str(caught.value) == message


# --- the command ----------------------------------------------------------------------------------


def dry(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    code = main(["src", "s3://bkt/p", "--dryrun", *words])
    out, err = capsys.readouterr()
    return code, [line for line in (err + out).splitlines() if "would" not in line]


def test_the_command_takes_lists_from_files_and_from_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("list").write_text("d/1\0gone\0")
    lines = [
        "(dryrun) failed: src/gone: no such file: paths are relative to the source",
        "(dryrun) upload: src/d/1 to s3://bkt/p/d/1",
    ]
    assert dry(capsys, "--files-from", "list") == (1, lines)
    assert dry(capsys, "--files-from", "list", "-0") == (1, lines)
    for stdin in ("-", "/dev/stdin"):
        with Path("list").open() as file:
            monkeypatch.setattr("sys.stdin", file)
            assert dry(capsys, "--files-from", stdin) == (1, lines)
    Path("list").write_text("a\tk\n")
    assert dry(capsys, "--manifest", "list") == (0, ["(dryrun) upload: src/a to s3://bkt/p/k"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--files-from gone", "--files-from gone: No such file or directory"),
        (
            "--files-from list --manifest list",
            "--files-from and --manifest do not go together: leave one out",
        ),
        ("--manifest -", "--manifest -: is read twice: give a file"),
        ("--manifest list", "--manifest list: line 1: must be a path, one tab and a key"),
    ],
)
def test_what_is_wrong_is_one_line(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list").write_text("a\n")
    assert dry(capsys, *words.split()) == (2, [f"s3-upload: error: {message}"])


def test_a_list_of_nothing_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list").touch()
    assert main(["src", "s3://bkt/p", "--dryrun", "--files-from", "list"]) == 0
    said = capsys.readouterr().out
    assert said == "(dryrun) nothing to upload in src: --files-from list lists nothing of it\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--files-from -", "--files-from -: stdin can be read once: leave -n out"),
        ("--remove-source", "--remove-source: what is removed cannot be uploaded again: leave -n out"),
    ],
)
def test_perf_data_refuses_what_can_be_done_once(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perf-data", "-n", "2", "src", "bkt", "p", "--dryrun", *words.split()]) == 2
    assert capsys.readouterr().err == f"s3-upload: error: {message}\n"


def test_perf_data_takes_a_list_once_more_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list").write_text("a\n")
    words = [
        "perf-data",
        "-n",
        "2",
        "src",
        "bkt",
        "p",
        "--dryrun",
        "--embedded",
        "store",
        "--files-from",
        "list",
    ]
    assert main(words) == 0
    assert capsys.readouterr().out.count("upload: src/a to") == 2


@pytest.mark.parametrize(("wrong", "found"), [(None, "None"), (1, "int")])
def test_an_item_that_is_no_path_is_named(wrong: object, found: str) -> None:
    items = Listed(["a", wrong]).items()  # type: ignore[list-item]
    assert next(items).path == "a"
    with pytest.raises(TypeError, match=rf"^files_from\[1\]: must be str or os.PathLike, not {found}$"):
        next(items)
