"""`--help`: a screen for everybody, topics from the dataclasses; and what shells complete."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli import help
from s3_upload.cli.commands import command_names
from s3_upload.cli.completion import script
from s3_upload.cli.main import main
from s3_upload.cli.names import COMMANDS
from s3_upload.cli.options import flags
from s3_upload.config import UploadConfig

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = list(flags.all_flags())
NAMES = {name for flag in FLAGS for name in flag.names}


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "-h",
        "help",
        "photos s3://bkt --help",
        "cp -h",
        "photos s3://bkt --quiet --help",
        "--help photos s3://bkt",
        "photos --help s3://bkt",
        "photos s3://bkt --help --",
        "--help s3://bkt",
        "-h a/b",
    ],
)
def test_it_fits_a_screen(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, *words.split())
    assert text == help.SHORT + "\n"
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) < 80


def test_all_that_it_names_is_there() -> None:
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help.SHORT))
    assert named - {"--help", "--help-all"} <= NAMES
    for name in command_names():
        assert re.search(rf"^  {name}  ", help.SHORT, re.MULTILINE), name
    assert set(COMMANDS) == set(command_names())


def test_what_nobody_else_has_stands_where_people_see_it() -> None:
    assert "--share" in help.SHORT
    assert "--max-bandwidth" in help.SHORT


@pytest.mark.parametrize("topic", help.TOPICS)
def test_a_topic_describes_all_of_its_flags(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--help", topic)
    assert text == said(capsys, f"--help={topic}")
    ours = [flag for flag in FLAGS if flag.topic == topic]
    assert ours
    for flag in ours:
        assert f"  {', '.join(flag.names)}" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    "words",
    ["photos s3://bkt --help tuning", "photos --help tuning s3://bkt", "photos s3://bkt --help=tuning"],
)
def test_a_topic_may_come_behind_other_words(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, *words.split()) == said(capsys, "--help", "tuning")


def test_all_of_it_is_all(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--help-all")
    assert text == said(capsys, "--help", "all") == said(capsys, "a", "s3://b", "--help-all")
    assert text.startswith(help.SHORT)
    assert all(name in text for name in NAMES)
    for spec in dataclasses.fields(UploadConfig):
        assert f"S3_UPLOAD_{spec.name.upper()}" in text
    assert {flag.topic for flag in FLAGS} == set(help.TOPICS)


@pytest.mark.parametrize("topic", ["--part-size", "part-size"])
def test_one_flag_can_be_asked_for(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "--help", topic)
    assert text.startswith("  --part-size SIZE ")
    assert "S3_UPLOAD_PART_SIZE" in text


def test_commands_have_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "perf-data", "--help").startswith("Usage: s3-upload perf-data [-n N]")
    for name in command_names():
        text = said(capsys, name, "--help")
        assert text.startswith(f"Usage: s3-upload {name}")
        assert said(capsys, "--help", name) == said(capsys, "help", name) == text


@pytest.mark.parametrize("words", ["-m s3_upload --version", "-m s3_upload -V", "-m s3_upload version"])
def test_the_package_runs_as_a_module(words: str) -> None:
    done = subprocess.run(
        [sys.executable, *words.split()], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("s3-upload 0.")


def test_help_comes_without_the_parser() -> None:
    code = "import sys; from s3_upload.cli.main import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"cyclopts", "rich", "asyncio", "botocore"} & set(done.stdout.splitlines()[-1].split())


# --- completion ------------------------------------------------------------------------------------------


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    (tmp_path / ".aws").mkdir(exist_ok=True)
    (tmp_path / ".aws" / "config").write_text("[default]\n[profile work]\nregion = x\n[sso-session s]\n")
    (tmp_path / ".aws" / "credentials").write_text("[testing]\naws_access_key_id = k\n")
    (tmp_path / "script").write_text(script("bash", command_names()))
    line = json.dumps(["s3-upload", *words])
    code = (
        f"source ./script; COMP_WORDS=({' '.join(json.loads(line)[:-1])} {words[-1]!r}); "
        f"COMP_CWORD={len(words)}; compopt() {{ :; }}; _s3_upload; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code.replace("-euo pipefail", "")],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["photos", "--excl"], ["--exclude", "--exclude-from"]),
        (["photos", "--share", ""], ["full", "fair", "background"]),
        (["photos", "--share", "=", "ba"], ["background"]),
        (["photos", "--profile", ""], ["default", "testing", "work"]),
        (["photos", "--content-type", "te"], []),
        (["photos", "--ca-bundle", "te"], []),  # readline's own: files
        (["comp"], ["completion"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["photos", "s3:"], []),
    ],
)
def test_bash_completes(tmp_path: Path, words: list[str], offered: list[str]) -> None:
    assert completed(tmp_path, *words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_all_flags(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "completion", shell)
    for name in NAMES:
        spelled = name if shell != "fish" else f"-l {name[2:]} " if name[:2] == "--" else f"-s {name[1:]} "
        assert spelled in text, name


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("a.txt s3://bkt/p/", ["p/a.txt"]),
        ("a.txt s3://bkt/p", ["p"]),
        ("photos s3://bkt/p", ["p/1.jpg", "p/b/2.jpg"]),
        ("photos docs s3://bkt/p", ["p/photos/1.jpg", "p/photos/b/2.jpg", "p/docs/x"]),
        ("photos s3://bkt --exclude * --include 2.*", ["b/2.jpg"]),
    ],
)
def test_the_keys_come_out_that_help_and_readme_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    keys: list[str],
) -> None:
    for name in ("a.txt", "photos/1.jpg", "photos/b/2.jpg", "docs/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    lines = said(capsys, "--dryrun", "--json", *words.split()).splitlines()
    assert [json.loads(line)["key"] for line in lines[:-1]] == keys
