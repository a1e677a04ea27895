"""`jobs resume`: a job run again from another shell, with what that no longer has. `clean`, and clocks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli import clean
from s3_upload.cli.jobs import to_the_same_store
from s3_upload.cli.journals import COMMAND as COMMAND_OF
from s3_upload.cli.journals import came_by_stdin, how_to_go_on
from s3_upload.cli.main import main
from s3_upload.observe.journal import Journal
from tests.e2e.test_cli_journal import COMMAND, TIMEOUT_S, environment, put, run, src  # noqa: F401 - a fixture
from tests.faults.model import Upload

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer


@pytest.mark.parametrize("words", [("--files-from", "-"), ("--files_from=-",)])
def test_a_job_whose_list_came_by_stdin_is_to_be_typed_again(
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
    words: tuple[str, ...],
) -> None:
    server = fault_server()
    begun = subprocess.run(
        [COMMAND, "src", "s3://bucket/p", *words],
        env=environment(server),
        input=b"00.txt\n01.txt\n",
        timeout=TIMEOUT_S,
        check=True,
    )
    assert begun.returncode == 0
    name = run(server, "jobs").stdout.split()[0]
    result = run(server, "jobs", "resume", name)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"{' '.join(words)} is what came in then, and is not kept: type it: s3-upload src" in result.stderr
    assert "2 done, 0 left" in run(server, "jobs").stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("src s3://bucket --files-from -", "--files-from -"),
        ("src s3://bucket --files-from=/dev/stdin", "--files-from=/dev/stdin"),
        ("src s3://bucket --manifest /dev/fd/63", "--manifest /dev/fd/63"),
        ("src s3://bucket --exclude-from /dev/stdin", "--exclude-from /dev/stdin"),
        ("src s3://bucket --files-from list --exclude - --content-type a-b", ""),
    ],
)
def test_what_a_command_reads_of_its_shell_is_known(words: str, found: str) -> None:
    assert came_by_stdin(words.split()) == found


@pytest.mark.parametrize(("words", "can"), [("--files-from -", False), ("--files-from list", True)])
def test_who_interrupts_a_job_whose_list_came_by_stdin_is_not_told_to_resume_it(
    words: str, *, can: bool
) -> None:
    journal = Journal("j", {COMMAND_OF: json.dumps(["src", "s3://bucket", *words.split()])})
    assert ("jobs resume j" in how_to_go_on(journal)) is can


def test_a_job_that_is_resumed_goes_to_the_store_of_then(
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
) -> None:
    server, other = fault_server(), fault_server()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    put(src / "new", b"new")
    name = run(server, "jobs").stdout.split()[0]
    assert run(other, "jobs", "resume", name).stdout.startswith("uploaded 1 file")
    assert [request.key for request in server.of("PUT")][-1] == "p/new"
    assert not other.requests


def test_a_job_at_aws_goes_there_again_whatever_store_the_environment_names() -> None:
    assert to_the_same_store("S3 in eu-west-1") == {
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_REGION": "eu-west-1",
    }
    assert to_the_same_store("") == {}


def test_clean_without_an_age_compares_no_clocks(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else what was begun within the difference of the clocks would be left out."""
    server = fault_server()
    server.model.uploads["u"] = Upload("bucket", "p/a", {})
    monkeypatch.setattr(clean, "time", SimpleNamespace(time=lambda: 0.0))  # ours is far behind
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    assert main(["clean", "s3://bucket/p/"]) == 0
    assert "1 unfinished upload," in capsys.readouterr().out
    assert main(["clean", "s3://bucket/p/", "--older-than", "1s"]) == 0
    assert capsys.readouterr().out == "no unfinished uploads\n"


def test_a_dry_run_leaves_out_what_the_journal_has_as_done(
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = fault_server()
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    assert main(["src", "s3://bucket/p"]) == 0
    put(src / "07.txt", b"another size")
    capsys.readouterr()
    for _ in range(2):  # to look changes nothing
        assert main(["src", "s3://bucket/p", "--dryrun"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "(dryrun) upload: src/07.txt to s3://bucket/p/07.txt",
            "(dryrun) would upload 1 file, 12 B; 19 done by earlier runs",
        ]
    assert main(["src", "s3://bucket/p", "--dryrun", "--acl", "private", "--quiet", "--json"]) == 0
    assert '"files":20' in capsys.readouterr().out.splitlines()[-1]  # which is another job
    assert main(["src", "s3://bucket/p"]) == 0
    assert "uploaded 1 file" in capsys.readouterr().out
