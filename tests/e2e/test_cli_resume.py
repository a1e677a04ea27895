"""`jobs resume`: a job run again from another shell, with what that no longer has. `clean`, and clocks."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli import clean
from s3_upload.cli.jobs import with_journal
from s3_upload.cli.journals import COMMAND as COMMAND_OF
from s3_upload.cli.journals import SUFFIX, came_by_stdin, folder, how_to_go_on
from s3_upload.cli.main import main
from s3_upload.observe.journal import Journal
from s3_upload.observe.journal_file import JournalFile
from s3_upload.observe.journal_look import looked_into
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


def test_a_job_is_not_resumed_at_another_store_than_then(
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
) -> None:
    server, other = fault_server(), fault_server()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    put(src / "new", b"new")
    name = run(server, "jobs").stdout.split()[0]
    refused = run(other, "jobs", "resume", name)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"another job, to s3://bucket at {server.url}, and this one is to s3://bucket" in refused.stderr
    assert not other.requests
    for _ in range(2):  # its command has its journal now
        assert run(server, "jobs", "resume", name).returncode == 0
    assert [request.key for request in server.of("PUT")].count("p/new") == 1


def test_the_journal_stands_before_what_are_no_flags() -> None:
    here, flag = Path("/j"), "--journal=/j"
    assert with_journal(["a", "--", "-b", "s3://b"], here) == ["a", flag, "--", "-b", "s3://b"]
    for before in (["--journal", "k"], ["--journal=k"]):
        assert with_journal(["a", *before, "s3://b"], here) == ["a", "s3://b", flag]


def test_a_job_is_resumed_by_a_file_that_is_named_from_another_folder(
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = fault_server()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    put(src / "new", b"new")
    [path] = folder().glob(f"*{SUFFIX}")
    monkeypatch.chdir(path.parent)
    assert run(server, "jobs", "resume", path.name).stdout.startswith("uploaded 1 file")
    assert len(server.of("PUT")) == 21


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
    for age in ("1s", "2w", "1d12h"):
        assert main(["clean", "s3://bucket/p/", "--older-than", age]) == 0
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


def test_a_dry_run_beside_an_upload_of_the_same_job_neither_fails_nor_holds_it_up(
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
) -> None:
    server = fault_server()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    [path] = folder().glob(f"*{SUFFIX}")
    with closing(JournalFile(str(path))) as file:  # an upload is under way
        about = file.about()
        beside = run(server, "src", "s3://bucket/p", "--dryrun")
    assert beside.returncode == 0
    assert "would upload 20 files" in beside.stdout
    assert "at work with this journal" in beside.stderr
    with looked_into(Journal(path), about) as look:
        assert look.problem == ""
        JournalFile(str(path)).close()


def test_what_a_move_would_remove_is_seen_in_its_dry_run(
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
) -> None:
    """Also what an earlier run has uploaded."""
    server = fault_server()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    told = run(server, "src", "s3://bucket/p", "--remove-source", "--dryrun").stdout
    assert told.count("(dryrun) move: ") == 20
