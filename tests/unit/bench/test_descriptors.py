"""Counting sockets and requests in flight, and the verdict on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bench.descriptors import Used, kinds_of, most_in_flight, open_files, shortfalls

if TYPE_CHECKING:
    from pathlib import Path


def used(**given: Any) -> Used:
    usual: dict[str, Any] = {
        "took_s": 4.0, "stored": 10, "expected": 10, "refused": 1, "in_flight": 100, "sockets": 150,
        "at_store": 150, "connections": 200, "open_files": 180,
    }  # fmt: skip
    return Used(**{**usual, **given})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (used(), []),
        (used(sockets=200, at_store=200), []),
        (used(sockets=201), ["201 sockets, more than twice 100"]),
        (used(at_store=900), ["900 sockets, more than twice 100"]),
        (used(stored=7), ["objects missing: 3"]),
        (used(stored=7, problem="exit 1: no"), ["exit 1: no", "objects missing: 3"]),
    ],
)
def test_a_target_that_is_missed_is_named(found: Used, said: list[str]) -> None:
    assert shortfalls(found) == said


def test_sockets_are_told_from_other_open_files() -> None:
    found = kinds_of(["socket:[1]", "/dev/null", "anon_inode:[eventpoll]", "socket:[2]"])
    assert found == {"all": 4, "sockets": 2}


def test_of_a_process_that_is_gone_nothing_is_open(tmp_path: Path) -> None:
    assert list(open_files(tmp_path / "gone")) == []


def test_a_file_that_is_closed_meanwhile_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "0").symlink_to("/dev/null")
    (tmp_path / "1").touch()  # reading it as a link fails
    assert list(open_files(tmp_path)) == ["/dev/null"]


def test_requests_in_flight_are_those_that_overlap() -> None:
    spans = [[(0.0, 2.0)], [(1.0, 3.0), (3.0, 4.0)], [(1.5, 3.5)], [(2.0, 2.5)]]
    lines = [
        json.dumps({"attempt_reports": [{"started_s": begin, "ended_s": end} for begin, end in attempts]})
        for attempts in spans
    ]
    assert most_in_flight([*lines, json.dumps({"type": "summary"})]) == 3
    assert most_in_flight([]) == 0
