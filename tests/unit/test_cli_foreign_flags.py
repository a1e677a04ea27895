"""Flags of an upload in a command that has none of these, and other ends of small commands: one line."""

from __future__ import annotations

import json
import os
import shlex
import sys

import pytest

from s3_upload.cli.main import main
from s3_upload.cli.output import EXIT_USAGE


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("jobs --json", "--json: is no flag of s3-upload jobs."),
        ("jobs --quiet", "--quiet: is no flag of s3-upload jobs."),
        ("jobs list -q", "-q: is no flag of s3-upload jobs."),
        ("clean s3://bkt --json", "--json: is no flag of s3-upload clean."),
        ("clean s3://bkt --quiet", "--quiet: is no flag of s3-upload clean."),
        ("report run.jsonl -o page.html --verbose", "--verbose: is no flag of s3-upload report."),
        ("serve store --embedded_=x", "--embedded_: no such flag. s3-upload serve --help lists them."),
        ("clean s3://bkt --older-then=1d", "--older-then: no such flag. Did you mean --older-than?"),
        ("clean s3://bkt --force", "--force: no such flag. s3-upload clean --help lists them."),
        ("src s3://bkt --jsn", "--jsn: no such flag. Did you mean --json?"),
    ],
)
def test_a_flag_that_a_command_does_not_have_is_told_so(
    capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    assert main(shlex.split(words)) == EXIT_USAGE
    assert capsys.readouterr().err == f"s3-upload: error: {line}\n"


def test_records_of_a_closed_stdin_are_one_clear_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["report", "-", "-o", "page.html"]) == EXIT_USAGE
    assert capsys.readouterr().err == "s3-upload: error: -: stdin is closed: there is nothing to read\n"


def test_a_setting_that_is_no_unicode_is_escaped_in_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", os.fsdecode(b"conf\xff"))
    assert main(["config", "--json"]) == 0
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert {row["name"]: row["value"] for row in rows}["config_file"] == r"conf\xff (not there)"
