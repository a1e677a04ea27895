"""Tuning that a profile of the AWS tools asks for: real files, the command's own parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_upload.cli.commands import app
from s3_upload.cli.main import main
from s3_upload.config import UploadConfig
from tests.aws_home import Home, home

if TYPE_CHECKING:
    from inspect import BoundArguments

__all__ = ["home"]
SECTION = """
[default]
max_attempts = 4
s3 =
    max_concurrent_requests = 20
    multipart_threshold = 64MB
    multipart_chunksize = 32MB
    max_bandwidth = 50MB/s
[profile other]
s3 =
    max_concurrent_requests = 3
"""


def tuned(*flags: str, command: tuple[str, ...] = ()) -> UploadConfig:
    _, bound, _ = app.parse_args([*command, "a", "s3://bucket", *flags])
    return _config(bound)


def _config(bound: BoundArguments) -> UploadConfig:
    config: UploadConfig = bound.arguments["options"].config()
    return config


def test_the_nested_section_is_in_force(home: Home) -> None:
    home.config(SECTION)
    config = tuned()
    assert config.max_in_flight == 20
    assert config.multipart_threshold == 64 << 20
    assert config.part_size == 32 << 20
    assert config.max_bandwidth == f"{50 << 20}B/s"
    assert config.n_retries == 3


def test_sync_heeds_it_as_an_upload_does(home: Home) -> None:
    home.config(SECTION)
    assert tuned(command=("sync",)) == tuned()
    assert tuned("--n-retries", "8", command=("sync",)).n_retries == 8


def test_verify_heeds_what_it_has_a_use_for(home: Home) -> None:
    home.config(SECTION)
    assert tuned(command=("verify",)) == UploadConfig(n_retries=3, part_size=32 << 20)


def test_perf_data_measures_what_its_flags_say(home: Home) -> None:
    home.config(SECTION)
    _, bound, _ = app.parse_args(["perf-data", "a", "bucket", "prefix", "--window", "fixed"])
    assert _config(bound) == UploadConfig(window="fixed")


def test_flags_and_our_own_variables_win(home: Home) -> None:
    home.config(SECTION)
    home.env(S3_UPLOAD_PART_SIZE="8MiB")
    config = tuned("--max-in-flight", "2048", "--max-bandwidth", "1MB/s", "--n-retries", "8")
    assert (config.max_in_flight, config.max_bandwidth, config.n_retries) == (2048, "1MB/s", 8)
    assert config.part_size == 8 << 20


def test_the_profile_that_a_flag_or_variable_names_counts(home: Home) -> None:
    home.config(SECTION)
    assert tuned("--profile", "other").max_in_flight == 3
    assert tuned("--profile", "other").n_retries == 8
    home.env(AWS_PROFILE="other")
    assert tuned().max_in_flight == 3
    assert tuned("--embedded", "/tmp/x").max_in_flight == 2048  # nobody's account


def test_the_variable_of_attempts_comes_first(home: Home) -> None:
    home.config(SECTION)
    home.env(AWS_MAX_ATTEMPTS="1")
    assert tuned().n_retries == 0
    home.env(AWS_MAX_ATTEMPTS="")
    assert tuned().n_retries == 3


def test_what_is_beyond_us_is_brought_within(home: Home) -> None:
    home.config(
        "[default]\ns3 =\n    max_concurrent_requests = 99999\n    multipart_threshold = 1GB\n"
        "    multipart_chunksize = 1MB\n    max_bandwidth = 1KB/s\n"
    )
    config = tuned()
    assert config.max_in_flight == 10_000
    assert config.multipart_threshold == config.max_in_flight_bytes
    assert config.part_size == 5 << 20
    assert config.max_bandwidth == "16000B/s"
    assert tuned("--max-in-flight-bytes", "16MiB").multipart_threshold == 16 << 20


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("max_concurrent_requests = many", "must be a whole number from 1"),
        ("multipart_threshold = 1 parsec", "must be a size such as 64MB"),
        ("multipart_chunksize = 0", "must be a size such as 64MB"),
        ("max_bandwidth = 10MB", "must be a rate such as 10MB/s"),
    ],
)
def test_a_wrong_value_is_told_with_where_it_stands(
    home: Home, capsys: pytest.CaptureFixture[str], line: str, why: str
) -> None:
    home.config(f"[default]\ns3 =\n    {line}\n")
    assert main(["a", "s3://bucket/"]) == 2
    key, _, value = line.partition(" = ")
    error = capsys.readouterr().err
    assert f"{home.path}/.aws/config [default] s3.{key} = '{value}': {why}\n" in error
    assert error.count("\n") == 1
