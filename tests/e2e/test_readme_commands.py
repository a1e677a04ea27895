"""The commands that README.md and the help show, as a shell runs them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli.help import SHORT
from tests.e2e.test_cli import (
    COMMAND,
    TIMEOUT_S,
    env,  # noqa: F401 - a fixture
)
from tests.proxy.forward import ForwardProxy
from tests.proxy.socks import SocksProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store import Store

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if "s3-upload " in line
]
HELP = [
    line.strip() for line in SHORT.partition("Examples:")[2].splitlines() if line.startswith("  s3-upload ")
]
UPLOADED = r"uploaded [1-9]\d* files?, "
OTHERS = {"s3-upload jobs": "^no jobs: ", "s3-upload clean": "^no unfinished uploads$"}
"""What those say that upload nothing."""
FILES = ("a.txt", "big.iso", "photos/a.jpg", "photos/2024/b.jpg", "run1/x", "run2/x", "docs/index.html")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with all that the commands name."""
    for name in FILES:
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    return tmp_path / "here"


@pytest.fixture
def account(env: dict[str, str], store: Store, tmp_path: Path) -> dict[str, str]:  # noqa: F811
    """Of one who has an account with `store`, also as the profiles that the commands name."""
    keys = f"aws_access_key_id={store.access_key}\naws_secret_access_key={store.secret_key}\n"
    credentials = tmp_path / "credentials"
    credentials.write_text("".join(f"[{name}]\n{keys}" for name in ("testing", "me")), encoding="utf-8")
    return env | {
        "AWS_ENDPOINT_URL_S3": store.endpoint_url,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "PATH": f"{Path(COMMAND).parent}{os.pathsep}{env['PATH']}",
    }


def test_there_are_commands_to_try() -> None:
    assert len(SHELL) >= 8
    assert len(HELP) >= 3


@pytest.fixture
def proxies() -> Iterator[tuple[str, str]]:
    """HOST:PORT of one that forwards, and of one that speaks SOCKS."""
    with (
        ForwardProxy(login="me:p@ssword", names={"localhost": "127.0.0.1"}) as forward,
        SocksProxy(names={"localhost": "127.0.0.1"}) as socks,
    ):
        yield f"127.0.0.1:{forward.port}", f"127.0.0.1:{socks.port}"


@pytest.mark.parametrize("line", [*SHELL, *HELP])
def test_a_command_does_what_it_is_shown_for(  # noqa: PLR0917 - fixtures
    account: dict[str, str],
    place: Path,
    store: Store,
    bucket: str,
    tmp_path: Path,
    proxies: tuple[str, str],
    line: str,
) -> None:
    command = (
        line.replace("http://localhost:9000", store.endpoint_url)
        .replace("/tmp/store", str(tmp_path / "store"))
        .replace("s3://my-bucket", f"s3://{bucket}")
        .replace("s3://b", f"s3://{bucket}")
        .replace(" my-bucket ", f" {bucket} ")
        .replace("proxy.example.com:3128", proxies[0])
        .replace("localhost:1080", proxies[1])
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=place,
        env=account,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = next((said for words, said in OTHERS.items() if line.startswith(words)), UPLOADED)
    assert re.search(said, done.stdout + done.stderr)


def test_the_keys_are_those_of_the_comments(account: dict[str, str], place: Path, bucket: str) -> None:
    """Of the commands that say in a comment which keys come out."""
    shown = {
        line.partition("#")[0].strip(): line.partition("#")[2].strip() for line in SHELL if "/... " in line
    }
    assert shown
    for command, comment in shown.items():
        done = subprocess.run(
            ["bash", "-c", f"{command.replace('my-bucket', bucket)} --dryrun"],
            cwd=place,
            env=account,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        keys = re.findall(rf" to s3://{bucket}/(\S+)", done.stdout)
        roots = re.findall(r"(\S+)/\.\.\.", comment)
        assert keys
        assert all(key.startswith(tuple(f"{root}/" for root in roots)) for key in keys), (command, keys)


def test_the_screen_that_is_shown_is_one() -> None:
    [shown] = re.findall(r"```text\n(.*?)\n```", README, re.DOTALL)
    assert shown in (ROOT / "tests" / "screens" / "four-big-files.80.txt").read_text(encoding="utf-8")
