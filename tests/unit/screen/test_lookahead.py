"""`screen.lookahead`: how much there is to upload."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest

from s3_upload.errors import SourceError
from s3_upload.observe.events import SEQ_OF_WORKER
from s3_upload.observe.status import Total
from s3_upload.screen.lookahead import BATCH, EXACT, REST, SAMPLE, SLICE_S, Lookahead
from s3_upload.sources.source import ObjectSource, size_of
from s3_upload.sources.walk import Entry, PlainFiles, walk_tree


def sources(*sizes: int) -> list[ObjectSource]:
    return [ObjectSource.stream([], f"k/{n}", size) for n, size in enumerate(sizes)]


def lookahead(found: Iterable[Entry], *, times: int = 1) -> Lookahead:
    """One that never rests, for time stands still."""
    return Lookahead(lambda: found, times=times, rest=lambda _: None, clock=lambda: 0.0)


def test_of_few_files_each_is_looked_at(tmp_path: Path) -> None:
    for n in range(20):
        (tmp_path / f"f{n}").write_bytes(bytes(n))
    (tmp_path / "dangling").symlink_to("nowhere")
    ahead = lookahead(walk_tree(str(tmp_path), "k"))
    assert ahead.total == Total()
    ahead.run()
    assert ahead.total == Total(files=21, bytes=190, complete=True)


def test_what_is_nothing_to_upload_does_not_count() -> None:
    found = [ObjectSource(key="fifo", path="/fifo", skip_reason="a FIFO"), *sources(5, 6)]
    ahead = lookahead(found)
    ahead.run()
    assert ahead.total == Total(files=2, bytes=11, complete=True)


def test_what_is_uploaded_several_times_counts_as_often_and_is_not_guessed() -> None:
    ahead = lookahead(sources(*[7] * (EXACT + 500)), times=3)
    ahead.run()
    assert ahead.total == Total(files=3 * (EXACT + 500), bytes=21 * (EXACT + 500), complete=True)


def test_of_many_small_ones_only_some_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x" * 100)
    there, gone = str(tmp_path / "there"), str(tmp_path / "gone")
    paths = [gone if seq >= EXACT and seq % SAMPLE else there for seq in range(EXACT + 8_000)]
    ahead = lookahead([ObjectSource.file(path, "k") for path in paths])
    ahead.run()
    assert ahead.total == Total(files=len(paths), bytes=100 * len(paths), complete=True, estimated=True)


def test_files_that_come_many_at_once_are_counted_as_those_that_come_singly(tmp_path: Path) -> None:
    """The same number of each is looked at, wherever one kind ends and the other begins."""
    (tmp_path / "there").write_bytes(b"x" * 100)
    names = ["there" if seq < EXACT or seq % SAMPLE == 0 else "gone" for seq in range(5_000)]
    found: list[Entry] = [
        PlainFiles(f"{tmp_path}/", "k/", names[:100]),
        *(ObjectSource.file(tmp_path / name, "k") for name in names[100 : EXACT + 10]),
        PlainFiles(f"{tmp_path}/", "k/", names[EXACT + 10 : 4_001]),
        PlainFiles(f"{tmp_path}/", "k/", names[4_001:4_002]),
        ObjectSource.file(tmp_path / names[4_002], "k"),
        PlainFiles(f"{tmp_path}/", "k/", names[4_003:]),
    ]
    ahead = lookahead(found)
    ahead.run()
    assert ahead.total == Total(files=5_000, bytes=500_000, complete=True, estimated=True)
    for seq in range(5_000):
        ahead.seen(seq, 200)
    looked_at = EXACT + len(range(EXACT, 5_000, SAMPLE))
    assert ahead.total == Total(files=5_000, bytes=1_000_000 - 100 * looked_at, complete=True)


def test_of_many_that_are_not_small_each_is_looked_at(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(1_000_000)
    ahead = lookahead([PlainFiles(f"{tmp_path}/", "k/", ["big"] * (3 * EXACT + 7))])
    ahead.run()
    assert ahead.total == Total(files=3 * EXACT + 7, bytes=(3 * EXACT + 7) * 1_000_000, complete=True)


def test_the_guess_is_the_mean_of_those_that_were_looked_at_from_there_on() -> None:
    """The first directory may have other files than the rest."""
    ahead = lookahead(sources(*[50_000] * EXACT, *[100] * 8_000))
    ahead.run()
    assert ahead.total.bytes == 50_000 * EXACT + 100 * 8_000


def test_where_files_are_not_small_each_is_looked_at() -> None:
    sizes = [1_000_000 + n for n in range(2 * EXACT + 100)]
    ahead = lookahead(sources(*sizes))
    ahead.run()
    assert ahead.total == Total(files=len(sizes), bytes=sum(sizes), complete=True)


def guessed(length: int) -> list[int]:
    return [seq for seq in range(length) if seq >= EXACT and seq % SAMPLE]


def test_what_the_upload_comes_to_is_known_and_in_the_end_nothing_is_guessed() -> None:
    sizes = [1_000] * EXACT + [1_000 if n % 50 else 5_000_000 for n in range(6_000)]
    ahead = lookahead(sources(*sizes))
    ahead.run()
    for seq, size in enumerate(sizes):
        ahead.seen(seq, size)
    assert ahead.total == Total(files=len(sizes), bytes=sum(sizes), complete=True)


def test_big_ones_among_small_are_put_right_as_they_come() -> None:
    sizes = [1_000] * (EXACT + 4_000)
    big = guessed(len(sizes))[::700]
    for seq in big:
        sizes[seq] = 10**9
    ahead = lookahead(sources(*sizes))
    ahead.run()
    assert ahead.total.bytes == 1_000 * len(sizes)
    for seq in big:
        ahead.seen(seq, 10**9)
    assert ahead.total.bytes == sum(sizes)


def test_big_ones_that_the_upload_comes_to_first_are_not_guessed_later() -> None:
    sizes = [1_000] * (EXACT + 800)
    big = guessed(len(sizes))[10]
    sizes[big] = 10**9
    ahead = lookahead(sources(*sizes))
    ahead.seen(big, 10**9)
    ahead.seen(big + 1, 1_000)  # a small one may well be guessed
    ahead.run()
    assert ahead.total.bytes == sum(sizes)


def test_where_other_processes_upload_too_the_sum_comes_right_and_nothing_is_kept_of_each() -> None:
    sizes = [1_000] * EXACT + [100_000 if n % 50 else 5_000_000 for n in range(6_000)]
    ahead = lookahead(sources(*sizes))
    ahead.run()
    for seq, size in enumerate(sizes[:2_000]):
        ahead.seen(seq, size)
    others = [2 * SEQ_OF_WORKER, SEQ_OF_WORKER, -1, 2_000]  # the last: of the one at home, and no place
    for number, size in enumerate(sizes[2_000:]):
        ahead.seen(others[number % 4] + number, size)
        if number == 1_000:
            assert ahead.total.estimated
            assert 0.5 < ahead.total.bytes / sum(sizes) < 2.0
    assert ahead.total == Total(files=len(sizes), bytes=sum(sizes), complete=True)
    assert ahead._known.ahead == {}


def test_those_whose_size_was_looked_at_do_not_count_twice() -> None:
    ahead = lookahead(sources(10, 20, 30))
    ahead.run()
    for seq in range(3):
        ahead.seen(seq, 99)
    assert ahead.total == Total(files=3, bytes=60, complete=True)


def test_a_walk_that_fails_leaves_the_total_unknown() -> None:
    def walk() -> Iterator[ObjectSource]:
        yield from sources(*[1] * (2 * BATCH))
        raise PermissionError("no")

    ahead = lookahead(walk())
    ahead.run()
    assert ahead.total == Total(files=2 * BATCH, bytes=2 * BATCH)


def test_a_walk_that_cannot_begin_leaves_it_unknown_too() -> None:
    def walk() -> Iterable[ObjectSource]:
        raise FileNotFoundError("gone")

    ahead = Lookahead(walk)
    ahead.run()
    assert ahead.total == Total()


def test_it_works_for_a_while_and_rests_for_four_times_as_long() -> None:
    now = [0.0]
    rested: list[float] = []

    def walk() -> Iterator[ObjectSource]:
        for source in sources(*[1] * (20 * BATCH)):
            now[0] += SLICE_S / (3.9 * BATCH)
            yield source

    def rest(seconds: float) -> None:
        rested.append(seconds)
        now[0] += seconds

    Lookahead(walk, rest=rest, clock=lambda: now[0]).run()
    assert rested == [SLICE_S * REST] * 5


def test_what_is_stopped_counts_no_more() -> None:
    taken = count()

    def walk() -> Iterator[ObjectSource]:
        while True:
            if next(taken) == 3 * BATCH:
                ahead.stop()
            yield ObjectSource.data(b"x", "k")

    ahead = Lookahead(walk, rest=lambda _: None)
    ahead.run()
    assert not ahead.total.complete
    assert ahead.total.files <= 4 * BATCH


def test_it_starts_once_and_in_a_thread_that_holds_up_no_exit() -> None:
    begun: list[bool] = []
    done = threading.Event()

    def walk() -> Iterator[ObjectSource]:
        begun.append(threading.current_thread().daemon)
        done.set()
        return iter(())

    ahead = Lookahead(walk)
    ahead.start()
    ahead.start()
    assert done.wait(30.0)
    assert begun == [True]


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda path: ObjectSource.file(path, "k"), 3),
        (lambda path: ObjectSource.file(f"{path}.gone", "k"), 0),
        (lambda path: ObjectSource(key="k", path=path, problem=SourceError("no")), 0),
        (lambda path: ObjectSource.data(b"four", "k"), 4),
        (lambda path: ObjectSource.stream([], "k"), 0),
    ],
)
def test_the_size_of_a_source_is_what_can_be_known_at_once(
    make: Callable[[str], ObjectSource], size: int, tmp_path: Path
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    assert size_of(make(str(path))) == size
