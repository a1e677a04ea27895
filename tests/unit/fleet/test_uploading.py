"""How many processes take part."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from s3_upload.config import MIB, UploadConfig
from s3_upload.errors import ConfigError
from s3_upload.fleet import child, uploading
from s3_upload.fleet.processes import ALONE, Spread
from s3_upload.fleet.uploading import check_spread, count_for
from s3_upload.pace import Pace


@pytest.fixture(autouse=True)
def _sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "processors", lambda: 16)


def test_auto_takes_no_more_than_eight() -> None:
    assert count_for(Spread("auto"), UploadConfig()) == 8


@pytest.mark.parametrize("bound", [{"max_in_flight": 2}, {"max_in_flight_bytes": 64 * MIB}])
def test_auto_stays_alone_where_a_bound_is_set_that_all_would_share(bound: dict[str, int]) -> None:
    assert count_for(Spread("auto"), UploadConfig(**bound)) == 1  # type: ignore[arg-type]


def test_there_are_no_more_processes_than_requests_in_flight() -> None:
    assert count_for(Spread(4), UploadConfig(max_in_flight=3)) == 3


def test_no_process_has_less_bandwidth_than_it_can_be_held_to() -> None:
    assert count_for(Spread(4), UploadConfig(max_bandwidth="130kB/s")) == 2
    assert count_for(Spread(4), UploadConfig(max_bandwidth="130kB/s"), Pace(max_bandwidth="1MB/s")) == 4
    assert count_for(Spread(4), UploadConfig(), Pace(max_bandwidth="130kB/s")) == 2


def test_one_is_what_a_call_has_by_default() -> None:
    assert count_for(ALONE, UploadConfig()) == 1


def test_an_executor_has_as_many_as_it_does_at_a_time_or_as_are_wanted() -> None:
    with ThreadPoolExecutor(3) as executor:
        assert count_for(Spread(1, executor), UploadConfig()) == 3
        assert count_for(Spread(5, executor), UploadConfig()) == 5


def test_where_no_process_can_be_begun_an_executor_does_it_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a program that is one file with its interpreter, say: the workers are the executor's."""
    monkeypatch.setattr(child, "CAN_BEGIN", False)
    with ThreadPoolExecutor(3) as executor:
        check_spread(Spread(1, executor), UploadConfig(), None)
    with pytest.raises(ConfigError, match="cannot give a socket to a new process"):
        check_spread(Spread(2), UploadConfig(), None)
