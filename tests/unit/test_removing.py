"""`remove_source`: only what the store has proved to have, and never a file that changed meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from s3_upload import ConfigError, FailureKind, ObjectSource, UploadReport, removing
from s3_upload.removing import MAX_TOLD, Remover, refuse_overlap
from s3_upload.report import SKIPPED, SUCCESS
from s3_upload.sources.version import NO_TIME_NS, TICK_NS, Identity, Versions

REMOVED_NONE = "removed 0 files here"


@pytest.fixture(autouse=True)
def src(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src" / "d").mkdir(parents=True)
    for name in ("a", "b", "d/c"):
        (tmp_path / "src" / name).write_text("three")
    return tmp_path / "src"


def report(source: ObjectSource, **how: object) -> UploadReport:
    said = {"seq": 0, "key": source.key, "source": source.name, "bytes": 5, "outcome": SUCCESS, "etag": '"e"'}
    return UploadReport(**{**said, "object": source, **how})  # type: ignore[arg-type]


def noted(remover: Remover, sources: list[ObjectSource]) -> list[ObjectSource]:
    return list(remover.noting(sources))  # type: ignore[arg-type]


def is_there(path: str) -> bool:
    return Path(path).exists()


def uploaded(
    *paths: str,
    remover: Remover | None = None,
    meanwhile: Callable[[], object] = lambda: None,
    elsewhere: bool = False,
    **how: object,
) -> Remover:
    """All are found; something happens meanwhile; all are reported."""
    remover = remover or Remover(["src"])
    sources = noted(remover, [ObjectSource.file(path, path) for path in paths])
    meanwhile()

    async def tell() -> None:
        progress = remover.beside(None, elsewhere=elsewhere)
        for source in sources:
            if (returned := progress(report(source, **how))) is not None:
                await returned

    asyncio.run(tell())
    remover.close()
    return remover


def test_what_is_uploaded_is_removed_and_directories_stay() -> None:
    remover = uploaded("src/a", "src/d/c")
    assert (remover.removed, remover.stays, remover.failed) == (2, 0, 0)
    assert remover.notes() == ["removed 2 files here"]
    assert [path.name for path in sorted(Path("src").rglob("*"))] == ["b", "d"]


@pytest.mark.parametrize(("name", "value"), [("outcome", "timeout"), ("outcome", SKIPPED), ("etag", "")])
def test_what_the_store_has_not_proved_to_have_stays(name: str, value: str) -> None:
    remover = uploaded("src/a", **{name: value})  # type: ignore[arg-type]
    assert Path("src/a").exists()
    assert (remover.removed, remover.stays, remover.notes()) == (0, 0, [REMOVED_NONE])


def write() -> None:
    Path("src/a").write_text("other")


def write_and_put_the_time_back() -> None:
    before = Path("src/a").stat()
    write()
    os.utime("src/a", ns=(before.st_atime_ns, before.st_mtime_ns))


def replace() -> None:
    before = Path("src/a").stat()
    Path("new").write_text("other")
    os.utime("new", ns=(before.st_atime_ns, before.st_mtime_ns))
    Path("new").rename("src/a")


def grow() -> None:
    with Path("src/a").open("a") as file:
        file.write("more")


@pytest.mark.parametrize("change", [write, write_and_put_the_time_back, replace, grow])
def test_what_changed_meanwhile_stays_and_is_told(change: Callable[[], None]) -> None:
    os.utime("src/a", ns=(0, 10**18))
    remover = uploaded("src/a", meanwhile=change)
    assert Path("src/a").exists()
    assert (remover.removed, remover.stays, remover.failed) == (0, 1, 1)
    assert remover.notes()[1].startswith("stays, though it is uploaded: src/a: changed meanwhile: its ")


def test_what_another_host_has_changed_stays_though_a_look_by_its_path_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NFS answers from its cache of attributes; only opening a file asks the server."""
    before, stat = Path("src/a").stat(), os.stat

    def remembers(path: Any, **how: Any) -> os.stat_result:
        return before if path == "src/a" else stat(path, **how)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", remembers)
        remover = uploaded("src/a", meanwhile=write)
    assert is_there("src/a")
    assert (remover.removed, remover.failed) == (0, 1)


def clock(monkeypatch: pytest.MonkeyPatch, *, goes: bool) -> list[float]:
    """The machine's clock stands at the time of the files, and goes on in naps alone, which are returned."""
    now_ns, naps = Path("src/d/c").stat().st_ctime_ns, list[float]()

    def nap(seconds: float) -> None:
        nonlocal now_ns
        naps.append(seconds)
        now_ns += round(seconds * 1e9) if goes else 0

    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    monkeypatch.setattr(time, "sleep", nap)
    return naps


def test_what_is_written_twice_within_a_tick_stays_and_goes_with_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its times nobody can tell it from what was uploaded."""
    tick_ns = Path("src/d/c").stat().st_ctime_ns
    with monkeypatch.context() as patched:
        clock(patched, goes=False)
        patched.setattr(Versions, "identity", lambda _, info: Identity(info.st_size, tick_ns, tick_ns))
        remover = uploaded("src/a", "src/b", meanwhile=write)
    assert Path("src/a").read_text() == "other"
    assert (remover.removed, remover.stays, remover.failed) == (0, 2, 2)
    why = "they were written to just before they were read: the next run removes them"
    assert remover.notes() == [REMOVED_NONE, f"2 files stay, though they are uploaded: {why}"]
    assert uploaded("src/a", "src/b").notes() == ["removed 2 files here"]


def test_what_was_written_a_moment_ago_is_looked_at_when_its_tick_is_over_and_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    naps = clock(monkeypatch, goes=True)
    assert uploaded("src/a", "src/b", "src/d/c").removed == 3
    assert 0 < sum(naps) < 2 * TICK_NS / 1e9, "not for each file anew"


def test_where_the_time_of_change_is_made_up_not_each_file_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    naps, looks = clock(monkeypatch, goes=True), itertools.count(Path("src/d/c").stat().st_ctime_ns)
    monkeypatch.setattr(Versions, "identity", lambda _, info: Identity(info.st_size, 1, next(looks)))
    assert uploaded("src/a", "src/b", "src/d/c").removed == 3
    assert len(naps) == 1


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "settles_ns"),
    [
        (1, 10**18 + 1, TICK_NS + 1),
        (10**18 - 1, 1, TICK_NS - 1),
        (1, 10**18 - TICK_NS - 1, -1),
        (1, 10**18, 2 * 10**9),
        (10**18, 10**18 - TICK_NS - 1, 2 * 10**9),
        (2 * 10**18, 10**18 - TICK_NS - 1, -1),
    ],
    ids=["ctime", "mtime", "neither", "whole seconds", "of modification", "a time to come that was set"],
)
def test_times_settle_when_a_tick_of_the_file_system_is_over(
    mtime_ns: int, ctime_ns: int, settles_ns: int
) -> None:
    was = Identity(5, mtime_ns, ctime_ns)
    assert Versions().settles_ns(was, 10**18) == settles_ns
    assert Versions("size").settles_ns(was, 10**18) < 0


def test_what_has_another_size_than_was_sent_stays() -> None:
    """It was replaced between the look at it and its reading, and put back."""
    remover = uploaded("src/a", bytes=4)
    assert remover.notes()[1] == "stays, though it is uploaded: src/a: changed before it was read"


def test_a_file_of_which_another_version_was_sent_stays() -> None:
    """A worker on another host has read what lies at the same path there: a stale copy of the same size."""
    remover = uploaded("src/a", mtime_ns=10**18, elsewhere=True)
    assert is_there("src/a")
    assert (remover.removed, remover.failed) == (0, 1)
    assert "its time of modification was 2001-09-09 01:46:40" in remover.notes()[1]


def test_a_file_of_which_several_versions_were_sent_stays() -> None:
    """Under one key the stale one, by one worker; under another its own."""
    remover, here_ns = Remover(["src"]), Path("src/a").stat().st_mtime_ns
    sources = noted(remover, [ObjectSource.file("src/a", key) for key in ("k1", "k2")])

    async def tell() -> None:
        progress = remover.beside(None, elsewhere=True)
        assert progress(report(sources[0], mtime_ns=10**18)) is None
        await progress(report(sources[1], mtime_ns=here_ns))

    asyncio.run(tell())
    assert is_there("src/a")
    assert (remover.removed, remover.failed) == (0, 1)


def test_a_file_sent_elsewhere_goes_where_its_time_says_that_it_is_the_same_one_and_stays_without() -> None:
    assert uploaded("src/a", elsewhere=True, mtime_ns=Path("src/a").stat().st_mtime_ns).removed == 1
    unknown = uploaded("src/b", elsewhere=True)
    assert (unknown.removed, unknown.failed) == (0, 1)
    assert unknown.notes()[1].endswith("src/b: it is not known which version of it was read")


@pytest.mark.parametrize("mtime_ns", [10**18, NO_TIME_NS])
def test_where_times_of_modification_mean_nothing_that_of_what_was_sent_means_nothing(mtime_ns: int) -> None:
    remover = Remover(["src"], "size")
    assert uploaded("src/a", remover=remover, elsewhere=True, mtime_ns=mtime_ns).removed == 1


def test_a_file_sent_elsewhere_goes_without_a_time_where_a_file_system_makes_times_up() -> None:
    remover = Remover(["src"])
    remover._versions._no_mtime.add(Path("src").stat().st_dev)
    assert uploaded("src/a", remover=remover, elsewhere=True).removed == 1


def test_what_is_gone_already_is_told() -> None:
    remover = uploaded("src/a", meanwhile=Path("src/a").unlink)
    assert remover.notes()[1] == "stays, though it is uploaded: src/a: No such file or directory"


def test_links_and_what_lies_behind_them_stay(tmp_path: Path) -> None:
    Path("outside").mkdir()
    Path("outside/x").write_text("three")
    Path("src/to_x").symlink_to("../outside/x")
    Path("src/d/to_outside").symlink_to("../../outside")
    remover = uploaded("src/to_x", "src/d/to_outside/x")
    assert (remover.removed, remover.stays, remover.failed) == (0, 2, 0)
    assert Path("src/to_x").is_symlink()
    assert Path("outside/x").exists()
    assert remover.notes()[1] == "stays, though it is uploaded: src/to_x: is a link, or lies behind one"


def test_a_source_that_is_itself_a_link_is_the_directory_that_was_named() -> None:
    Path("link").symlink_to("src")
    for root in ("link", "link/"):
        Path("src/a").write_text("three")
        assert uploaded("link/a", remover=Remover([root])).removed == 1
    Path("src/to_b").symlink_to("b")
    assert uploaded("src/to_b", remover=Remover(["src/to_b"])).stays == 1


def test_of_sources_without_a_root_what_lies_behind_any_link_stays() -> None:
    """They may come of a walk, which follows links, and nobody says where it began."""
    Path("outside").mkdir()
    Path("outside/x").write_text("three")
    Path("src/d/to_outside").symlink_to("../../outside")
    remover = uploaded("src/d/to_outside/x", "src/d/c", str(Path("src/a").absolute()), remover=Remover())
    assert (remover.removed, remover.stays) == (2, 1)
    assert Path("outside/x").exists()


def test_a_directory_that_became_a_link_meanwhile_saves_what_it_leads_to() -> None:
    def replace_directory() -> None:
        Path("src/d").rename("moved")
        Path("src/d").symlink_to("../moved")

    remover = uploaded("src/d/c", meanwhile=replace_directory)
    assert (remover.removed, remover.stays) == (0, 1)
    assert Path("moved/c").exists()


def test_of_a_file_under_several_keys_the_last_that_ends_removes_it() -> None:
    remover = Remover(["src"])
    sources = noted(remover, [ObjectSource.file("src/a", key) for key in ("k1", "k2")])

    async def tell() -> list[bool]:
        progress, there = remover.beside(None), []
        for source in sources:
            if (returned := progress(report(source))) is not None:
                await returned
            there.append(is_there("src/a"))
        return there

    assert asyncio.run(tell()) == [True, False]


@pytest.mark.parametrize("other", ["./src/a", "src/d/../a", "src//a", "link/a", "{src}/a"])
def test_a_path_in_two_spellings_is_one_file_that_the_last_to_end_removes(src: Path, other: str) -> None:
    Path("link").symlink_to("src")
    paths = ["src/a", other.format(src=src)]
    remover = Remover(["src", "link"])
    first, second = noted(remover, [ObjectSource.file(path, path) for path in paths])

    async def tell() -> None:
        progress = remover.beside(None)
        assert progress(report(second)) is None
        assert is_there("src/a")
        await progress(report(first))

    asyncio.run(tell())
    assert not is_there("src/a")
    assert remover.notes() == ["removed 1 file here"]


def test_where_an_upload_by_another_spelling_failed_it_stays() -> None:
    remover = Remover(["src"])
    first, second = noted(remover, [ObjectSource.file(path, path) for path in ("src/a", "./src/a")])

    async def tell() -> None:
        progress = remover.beside(None)
        assert progress(report(second, outcome="timeout")) is None
        assert progress(report(first)) is None

    asyncio.run(tell())
    assert is_there("src/a")
    assert remover.notes() == [REMOVED_NONE]


@pytest.mark.parametrize("paths", [("src/d/c", "src/l/c"), ("src/l/c", "src/d/c")])
def test_what_a_link_leads_to_in_the_same_tree_is_removed_by_its_own_path(paths: tuple[str, str]) -> None:
    Path("src/l").symlink_to("d")
    remover = uploaded(*paths)
    assert (remover.removed, remover.stays) == (1, 0)
    assert not is_there("src/d/c")
    assert Path("src/l").is_symlink()


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["src", "./src/a"], "./src/a: lies in src, "),
        (["src/d/c", "src/b", "src/d"], "src/d/c: lies in src/d, "),
        (["src/a", "src/../src/a"], "src/a: is the same as src/../src/a, "),
        (["src", "src/."], "src/.: is the same as src, "),
        (["link", "src"], "src: is the same as link, "),
        (["/", "src"], "src: lies in /, "),
    ],
)
def test_sources_that_lie_in_one_another_are_refused(paths: list[str], said: str) -> None:
    Path("link").symlink_to("src")
    with pytest.raises(ConfigError) as caught:
        refuse_overlap(paths)
    assert str(caught.value).startswith(said)


def test_sources_beside_one_another_are_taken() -> None:
    refuse_overlap(["src", "src.d", "src-d", "other/src", "src2", "-"])


def test_where_one_of_its_keys_failed_it_stays() -> None:
    remover = Remover(["src"])
    sources = noted(remover, [ObjectSource.file("src/a", key) for key in ("k1", "k2")])

    async def tell() -> None:
        progress = remover.beside(None)
        assert progress(report(sources[0], outcome="timeout")) is None
        assert progress(report(sources[1])) is None

    asyncio.run(tell())
    assert Path("src/a").exists()


def problems(sources: list[ObjectSource]) -> list[FailureKind | None]:
    return [None if source.problem is None else source.problem.kind for source in sources]


@pytest.mark.parametrize(
    "second",
    [ObjectSource.file("src/b", "k"), ObjectSource.data(b"b", "k"), ObjectSource.stream([b"b"], "k")],
    ids=["file", "data", "stream"],
)
def test_under_the_key_of_a_file_that_is_removed_nothing_else_is_sent(second: ObjectSource) -> None:
    """Whether that is under way, or removed already, or is to come again with another key."""
    sources = [ObjectSource.file("src/a", "k"), second, ObjectSource.file("src/a", "k2")]
    assert problems(noted(Remover(), sources)) == [None, FailureKind.SAME_KEY, None]


def test_a_file_goes_once_more_under_its_key_by_any_spelling_of_its_path() -> None:
    """It is there again, or failed."""
    sources = [ObjectSource.file(path, "k") for path in ("src/a", "src/a", "./src/a", "src/d/../a")]
    assert problems(noted(Remover(), sources)) == [None] * 4


def test_what_stays_may_be_overwritten() -> None:
    sources = [ObjectSource.data(b"1", "k"), ObjectSource.data(b"2", "k"), ObjectSource.file("src/a", "k")]
    assert problems(noted(Remover(), sources)) == [None] * 3


def test_a_file_that_was_refused_for_one_of_its_keys_stays() -> None:
    remover = Remover()
    sources = [("src/a", "k"), ("src/b", "k2"), ("src/b", "k")]
    first, second, refused = noted(remover, [ObjectSource.file(*source) for source in sources])

    async def tell() -> None:
        progress = remover.beside(None)
        await progress(report(first))
        assert progress(report(second)) is None
        assert progress(report(refused, outcome="same-key", etag="")) is None

    asyncio.run(tell())
    assert [is_there(path) for path in ("src/a", "src/b")] == [False, True]


def test_each_of_many_keys_has_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one row, where a hash may lie across two others."""
    monkeypatch.setattr(removing, "_ROWS", 1)
    monkeypatch.setattr(removing, "_HASH_BYTES", 2)
    keys, numbers = removing._Keys(), range(100)
    assert all(keys.takes(f"k{number}", f"f{number}") for number in numbers)
    assert all(keys.takes(f"k{number}", f"f{number}") for number in numbers)
    assert not any(keys.takes(f"k{number}", f"f{number + 1}") for number in numbers)


def test_who_else_is_told_is_told_before_and_waited_for() -> None:
    heard: list[object] = []

    async def progress(report: UploadReport) -> None:
        await asyncio.sleep(0)
        heard.append((report.key, is_there("src/a")))

    remover = Remover(["src"])
    (source,) = noted(remover, [ObjectSource.file("src/a", "k")])

    async def tell() -> None:
        await remover.beside(progress)(report(source))
        await remover.beside(progress)(report(ObjectSource.data(b"x", "data")))

    asyncio.run(tell())
    assert heard == [("k", True), ("data", False)]
    assert not Path("src/a").exists()


def test_an_async_iterable_stays_one() -> None:
    remover = Remover()

    async def sources() -> AsyncIterator[ObjectSource]:
        yield ObjectSource.file("src/a", "k")

    async def run() -> None:
        async for source in remover.noting(sources()):  # type: ignore[union-attr]
            await remover.beside(None)(report(source))

    asyncio.run(run())
    assert remover.removed == 1


def test_not_more_than_some_are_told_by_name() -> None:
    paths = [f"src/{number}" for number in range(MAX_TOLD + 5)]
    for path in paths:
        Path(path).write_text("three")
    remover = uploaded(*paths, bytes=4)
    assert len(remover.notes()) == 1 + MAX_TOLD + 1
    assert remover.notes()[-1] == "5 more stay"
