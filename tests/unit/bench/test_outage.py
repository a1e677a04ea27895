"""The verdicts on a run whose link was cut, and whether an object is what was sent."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from bench.gostore import Stored
from bench.measure import etag_of
from bench.outage import Uploaded, beyond_s, differing, limit_s, retries, shortfalls

if TYPE_CHECKING:
    from pathlib import Path


def uploaded(**given: Any) -> Uploaded:
    usual: dict[str, Any] = {"took_s": 24.0, "stored": 10, "expected": 10, "left_over": 0, "retries": 3}
    return Uploaded(**{**usual, **given})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (uploaded(), []),
        (uploaded(took_s=10.0 + 12.0 + 5.0), []),
        (uploaded(took_s=10.0 + 12.0 + 5.1), ["too slow"]),
        (uploaded(took_s=99.0, left_over=1), ["multipart uploads left over: 1", "too slow"]),
        (uploaded(stored=9), ["objects missing: 1"]),
        (uploaded(left_over=2), ["multipart uploads left over: 2"]),
        (uploaded(stored=9, problem="exit 3: refused"), ["exit 3: refused", "objects missing: 1"]),
    ],
)
def test_a_target_that_is_missed_is_named(found: Uploaded, said: list[str]) -> None:
    assert shortfalls(10.0, 12.0, found) == said


def test_the_outage_itself_is_not_held_against_the_run() -> None:
    assert beyond_s(10.0, 12.0, uploaded(took_s=24.0)) == pytest.approx(2.0)
    assert limit_s(10.0) == pytest.approx(5.0)


def test_an_object_counts_as_sent_only_with_its_size_and_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    files = {"a": tmp_path / "a"}
    whole = hashlib.md5(b"0123456789").hexdigest()
    digests = b"".join(hashlib.md5(part).digest() for part in (b"0123", b"4567", b"89"))
    parts = f"{hashlib.md5(digests).hexdigest()}-3"
    assert etag_of(files["a"], 0) == whole
    assert etag_of(files["a"], 4) == parts
    assert differing(files, {"a": Stored(10, whole, 0)}) == []
    assert differing(files, {"a": Stored(10, parts, 4)}) == []
    assert differing(files, {"a": Stored(10, parts, 5)}) == ["a"]
    assert differing(files, {"a": Stored(9, whole, 0)}) == ["a"]
    assert differing(files, {"b": Stored(10, whole, 0)}) == ["b"]


def test_retries_are_what_the_summary_says_beyond_the_first_tries() -> None:
    upload = json.dumps({"type": "upload", "attempts": 4})
    assert retries(f"{upload}\n" + json.dumps({"type": "summary", "attempts": 14, "sources": 10}) + "\n") == 4
    assert retries(upload) == retries("") == -1
