"""What bash offers behind s3://, with the script that `s3-upload completion bash` prints and a real store."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli.buckets import TIMEOUT_S, store_options
from s3_upload.cli.commands import command_names
from s3_upload.cli.completion import script
from s3_upload.cli.options.store import StoreOptions
from tests.faults.actions import Answer, Rule, Stall, s3_error

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer
    from tests.store import Store

BIN = str(Path(sys.executable).parent)
HANG_S = 25.0
"""Less than a request about buckets may take, and far more than somebody who types waits."""
PATIENT_S = 100.0
PATIENT = f"""#!{sys.executable}
import os

from s3_upload.cli import buckets
from s3_upload.cli.main import run

buckets.TIMEOUT_S = float(os.environ.get("LIMIT_S", {PATIENT_S}))
run()
"""
"""The command as somebody has it who waits for an answer: a busy machine may be late, which is no silence."""
BREAKS = " \t\n\"'><=;|&(:"
"""readline's own."""


@pytest.fixture
def account(store: Store) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": store.endpoint_url,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
    }


def offered(tmp_path: Path, env: dict[str, str], line: str, words: list[str], breaks: str = BREAKS) -> str:
    """What bash offers of buckets at the end of `line`, which it has split into `words`."""
    said, _, names = completed(tmp_path, env, line, words, breaks).partition("\n")
    assert said == "-o nospace +o default +o bashdefault"
    return names.strip("\n")


def completed(tmp_path: Path, env: dict[str, str], line: str, words: list[str], breaks: str = BREAKS) -> str:
    """The same of anything, behind how it is to be offered."""
    (tmp_path / "script").write_text(script("bash", command_names()))
    (tmp_path / "s3-upload").write_text(PATIENT)
    (tmp_path / "s3-upload").chmod(0o755)
    code = (
        f"source ./script; COMP_WORDBREAKS={shlex.quote(breaks)}; COMP_LINE={shlex.quote(line)}; "
        f'COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; compopt() {{ echo "$*"; }}; '
        "_s3_upload; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    clean = {name: os.environ[name] for name in os.environ if name.startswith("AWS_") or name == "HOME"}
    done = subprocess.run(
        ["bash", "-eu", "-c", code],
        cwd=tmp_path, env=clean | env | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, timeout=PATIENT_S + HANG_S, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def asked(env: dict[str, str], line: str) -> subprocess.CompletedProcess[str]:
    return told([f"{BIN}/s3-upload"], env, line, HANG_S)


def asked_patiently(env: dict[str, str], line: str) -> subprocess.CompletedProcess[str]:
    return told([sys.executable, "-c", PATIENT], env, line, PATIENT_S + HANG_S)


def told(
    command: list[str], env: dict[str, str], line: str, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("S3_UPLOAD_")}
    return subprocess.run(
        [*command, "completion-buckets", line],
        env=clean | env, capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("first", ["photos", "a b/c"])
def test_bash_offers_what_stands_behind_its_colon(
    tmp_path: Path, account: dict[str, str], bucket: str, first: str
) -> None:
    typed = bucket[:20]
    line = f"s3-upload {shlex.quote(first)} s3://{typed}"
    words = ["s3-upload", first, "s3", ":", f"//{typed}"]
    assert offered(tmp_path, account, line, words) == f"//{bucket}/"


def test_bash_offers_whole_urls_where_a_colon_ends_no_word(
    tmp_path: Path, account: dict[str, str], bucket: str
) -> None:
    line = f"s3-upload photos s3://{bucket[:-1]}"
    assert offered(tmp_path, account, line, line.split(), BREAKS.rstrip(":")) == f"s3://{bucket}/"
    quoted = f's3-upload photos "s3://{bucket[:-1]}'
    assert offered(tmp_path, account, quoted, quoted.split()) == f"s3://{bucket}/"


def test_behind_the_bucket_nothing_is_offered_and_nobody_asked(tmp_path: Path, bucket: str) -> None:
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    words = ["s3-upload", "photos", "s3", ":", f"//{bucket}/x"]
    assert offered(tmp_path, nobody, f"s3-upload photos s3://{bucket}/x", words) == ""


def test_flags_on_the_line_name_the_store(account: dict[str, str], store: Store, bucket: str) -> None:
    nowhere = account | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "URL": store.endpoint_url}
    for line in (
        f"s3-upload a s3:// --endpoint-url {store.endpoint_url} --create-bucket",
        's3-upload "a b" --endpoint-url=$URL "s3://',
    ):
        done = asked_patiently(nowhere, line)
        assert f"s3://{bucket}/" in done.stdout.splitlines()
        assert (done.stderr, done.returncode) == ("", 0)
    assert asked_patiently(account, "s3-upload --endpoint-url $(only the shell knows) a s3://").stdout == ""


def test_the_profile_on_the_line_names_the_account(tmp_path: Path, store: Store, bucket: str) -> None:
    keys = f"aws_access_key_id = {store.access_key}\naws_secret_access_key = {store.secret_key}\n"
    (tmp_path / "keys").write_text(f"[me]\n{keys}")
    (tmp_path / "config").write_text(f"[profile me]\nendpoint_url = {store.endpoint_url}\n")
    env = {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "keys"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ACCESS_KEY_ID": "another",
        "AWS_SECRET_ACCESS_KEY": "another-secret",
    }
    assert f"s3://{bucket}/" in asked_patiently(env, "s3-upload --profile me a s3://").stdout.splitlines()


def test_all_flags_of_the_store_count() -> None:
    line = "s3-upload --profile=me 'a b' --region eu-west-1 --no-verify-ssl --json s3://b --ca-bundle 'x y"
    expected = StoreOptions(profile="me", region="eu-west-1", no_verify_ssl=True, ca_bundle="x y")
    assert asdict(store_options(line)) == asdict(expected)


@pytest.mark.parametrize(
    "line",
    [
        "s3-upload a s3:// --endpoint-url nonsense",
        "s3-upload a s3:// --profile nobody",
        "s3-upload a s3:// --embedded /nowhere",
        "s3-upload a s3:// --client-key x",
    ],
)
def test_whatever_is_wrong_nothing_is_said(account: dict[str, str], line: str) -> None:
    done = asked_patiently(account, line)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_without_an_account_nothing_is_said() -> None:
    done = asked_patiently({}, "s3-upload a s3://")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_store_that_refuses_is_asked_and_nothing_is_said(
    fault_server: StartFaultServer, account: dict[str, str]
) -> None:
    refuses = fault_server([Rule(s3_error(403, "AccessDenied"))])
    done = asked_patiently(account, f"s3-upload a s3:// --endpoint-url {refuses.url}")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert refuses.requests


def test_where_nobody_listens_nothing_is_said(account: dict[str, str]) -> None:
    done = asked(account, "s3-upload a s3:// --endpoint-url http://127.0.0.1:1")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_store_that_does_not_answer_is_not_waited_for(
    fault_server: StartFaultServer, account: dict[str, str]
) -> None:
    silent = fault_server([Rule(Stall())])
    line = f"s3-upload a s3:// --endpoint-url {silent.url}"
    for limit_s in (TIMEOUT_S, 10.0, 60.0):  # a busy machine may not come to ask in the first of them
        done = asked_patiently(account | {"LIMIT_S": str(limit_s)}, line)
        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
        if silent.requests:
            break
    assert silent.requests
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        done = asked(account, f"s3-upload a s3:// --endpoint-url http://127.0.0.1:{deaf.getsockname()[1]}")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_what_no_bucket_is_called_comes_to_no_shell(
    fault_server: StartFaultServer, account: dict[str, str], tmp_path: Path
) -> None:
    names = ("$(touch hit)", "`touch hit`", "a b", "good", "x;touch hit")
    buckets = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names)
    page = f"<ListAllMyBucketsResult><Buckets>{buckets}</Buckets></ListAllMyBucketsResult>".encode()
    hostile = fault_server([Rule(Answer(200, body=page))])
    words = ["s3-upload", "a", "s3", ":", "//"]
    env = account | {"AWS_ENDPOINT_URL": hostile.url}
    assert offered(tmp_path, env, "s3-upload a s3://", words) == "//good/"
    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("", ["$(touch hit)", "`touch hit`", "a b", "default", "me;touch hit"]),
        ("a", ["a b"]),
        (r"a\ b", ["a b"]),
        ('"a ', ["a b"]),
        ("x", [""]),
    ],
)
def test_bash_offers_profiles_as_they_are_called(tmp_path: Path, typed: str, names: list[str]) -> None:
    (tmp_path / "config").write_text(
        "[default]\n[profile $(touch hit)]\n[profile a b]\n[profile `touch hit`]\n"
    )
    (tmp_path / "keys").write_text("[me;touch hit]\n")
    files = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "keys", "LC_ALL": "C"}
    words = ["s3-upload", "--profile", typed]
    assert sorted(completed(tmp_path, files, " ".join(words), words).removesuffix("\n").split("\n")) == names
    assert not (tmp_path / "hit").exists()


def test_what_zsh_is_told_of_a_flag_has_its_parts_and_no_more() -> None:
    """Its text in brackets, what to call its value, and what that may be."""
    specs = [line for line in script("zsh", command_names()).splitlines() if line.startswith("    '*-")]
    assert len(specs) > 50
    for spec in specs:
        behind = re.sub(r"\\.", "", spec).partition("]")[2]
        assert behind.count(":") in {0, 2}, spec


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_asks_for_buckets(shell: str) -> None:
    assert "s3-upload completion-buckets " in script(shell, command_names())
