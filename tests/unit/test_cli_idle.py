"""Flags that another command has no use for: refused in one line, and not in its help."""

from __future__ import annotations

import re

import pytest

from s3_upload.cli import help
from s3_upload.cli.main import main
from s3_upload.cli.options import flags
from s3_upload.cli.options.idle import is_idle

FLAGS = list(flags.all_flags())
PLACES = {
    "verify": ["src", "s3://bucket"],
    "sync": ["src", "s3://bucket"],
    "clean": ["s3://bucket"],
    "perf-data": ["src", "bucket", "p"],
}


def idle(command: str) -> list[flags.Flag]:
    return [flag for flag in FLAGS if is_idle(command, flag)]


def given(flag: flags.Flag) -> str:
    """The flag as it is typed, with a value that is none."""
    return f"{flag.names[0]}=x" if flag.metavar else flag.names[0]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("verify", "--storage-class"),
        ("verify", "--remove-source"),
        ("verify", "--order"),
        ("verify", "--dry-run"),
        ("verify", "--max-in-flight"),
        ("verify", "--journal"),
        ("verify", "-v"),
        ("clean", "--checksum"),
        ("verify", "--payload-signing"),
        ("clean", "--create-bucket"),
        ("sync", "--no-journal"),
        ("sync", "--expected-size"),
        ("sync", "--processes"),
        ("sync", "--cluster"),
        ("perf-data", "--journal"),
    ],
)
def test_a_flag_that_does_nothing_is_refused_in_one_line(
    command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (flag,) = [flag for flag in idle(command) if name in flag.names]
    typed = f"{name}=x" if flag.metavar else name
    assert main([command, typed, *PLACES[command]]) == 2
    assert capsys.readouterr().err == (
        f"s3-upload: error: {name}: does nothing in s3-upload {command}: leave it out\n"
    )


@pytest.mark.parametrize(
    ("word", "name"), [("--storage_class=x", "--storage-class"), ("-qv", "-v"), ("-v=true", "-v")]
)
def test_it_is_refused_in_each_way_in_which_the_parser_takes_it(
    word: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", word, *PLACES["verify"]]) == 2
    silent = "q" in word
    assert (f"{name}: does nothing" in capsys.readouterr().err) is not silent


@pytest.mark.parametrize("command", PLACES)
def test_all_of_them_are_refused_before_anything_is_begun(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert idle(command)
    for flag in idle(command):
        assert main([command, given(flag), *PLACES[command]]) == 2
        assert "does nothing" in capsys.readouterr().err


def test_behind_two_hyphens_is_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    main(["verify", "--", "--journal", "s3://bucket"])
    assert "does nothing" not in capsys.readouterr().err


def test_what_the_environment_says_is_said_for_all_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("S3_UPLOAD_MAX_IN_FLIGHT", "5")
    main(["verify", "nowhere", "s3://bucket"])
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "clean"])
def test_the_help_shows_what_a_command_takes_and_nothing_else(command: str) -> None:
    text = help.about(command)
    for flag in FLAGS:
        shown = re.search(rf"(?<![\w-]){flag.names[0]}(?![\w-])", text) is not None
        if flag.topic == "store" or command == "verify":
            assert shown is not is_idle(command, flag), flag.names
    assert max(map(len, text.splitlines())) <= 100


def test_the_help_of_jobs_says_what_ages_are() -> None:
    assert "--older-than AGE" in help.about("jobs")
    assert "FLOAT" not in help.about("jobs")
