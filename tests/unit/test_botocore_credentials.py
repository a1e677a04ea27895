"""Credentials as found on a machine: real files, real environment, real botocore."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import pytest

from s3_upload.account.botocore import (
    LOAD_TIMEOUT_S,
    RETRY_REFRESH_S,
    BotocoreCredentials,
    credentials_from_environment,
)
from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.s3.credentials import Credentials
from tests.aws_home import Home, home

__all__ = ["home"]

ENV_KEYS = {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "envsecret"}


def get(provider: BotocoreCredentials, rejected: Credentials | None = None) -> Credentials:
    async def refresh() -> Credentials:
        return await provider.refresh(rejected)

    return asyncio.run(refresh())


def failure(provider: BotocoreCredentials) -> str:
    with pytest.raises(RunError) as caught:
        get(provider)
    assert caught.value.kind is FailureKind.CREDENTIALS
    assert "\n" not in str(caught.value)
    return str(caught.value)


def botocore_access_key(profile: str | None = None) -> str:
    import botocore.session

    session: Any = botocore.session.Session(profile=profile)
    return str(session.get_credentials().access_key)


def test_environment_needs_no_botocore(home: Home) -> None:
    program = (
        "import sys\n"
        "from s3_upload.account.botocore import BotocoreCredentials\n"
        "from s3_upload.account.settings import resolve_settings\n"
        "resolve_settings()\n"
        "assert BotocoreCredentials().current().access_key == 'AKENV'\n"
        "assert not [name for name in sys.modules if name.startswith('botocore')]\n"
    )
    home.env(**ENV_KEYS)
    subprocess.run([sys.executable, "-c", program], check=True)


def test_keys_in_a_file_need_no_session_of_botocore(home: Home) -> None:
    program = (
        "import asyncio, sys\n"
        "from s3_upload.account.botocore import BotocoreCredentials\n"
        "provider = BotocoreCredentials()\n"
        "for _ in range(2):\n"
        "    assert asyncio.run(provider.refresh()).access_key == 'AKFILE'\n"
        "    assert provider.method.endswith('credentials [default]')\n"
        "assert not {'botocore.session', 'botocore.credentials', 'urllib3'} & set(sys.modules)\n"
    )
    home.credentials("[default]\naws_access_key_id = AKFILE\naws_secret_access_key = B\n")
    subprocess.run([sys.executable, "-c", program], check=True)


KEYS = "aws_access_key_id = AKFILE\naws_secret_access_key = B\n"


@pytest.mark.parametrize(
    ("credentials", "config"),
    [
        (KEYS, ""),
        ("", KEYS),
        (KEYS + "aws_session_token = new\n", ""),
        (KEYS + "aws_session_token = new\naws_security_token = old\n", ""),
        (KEYS, "aws_session_token = of-the-other-file\n"),
        (KEYS, "aws_access_key_id = AKCONFIG\naws_secret_access_key = C\n"),
    ],
)
def test_keys_in_files_are_those_that_botocore_takes(home: Home, credentials: str, config: str) -> None:
    import botocore.session

    home.credentials(f"[default]\n{credentials}")
    home.config(f"[default]\n{config}")
    session: Any = botocore.session.Session()
    theirs = session.get_credentials()
    expected = Credentials(theirs.access_key, theirs.secret_key, theirs.token)
    assert get(BotocoreCredentials()) == expected


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_what_the_environment_begins_is_left_to_botocore(home: Home, name: str) -> None:
    home.credentials(f"[default]\n{KEYS}")
    home.env(**{name: "/nowhere", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r"})
    failure(BotocoreCredentials())
    assert get(BotocoreCredentials("default")).access_key == "AKFILE"


def test_environment_with_token(home: Home) -> None:
    home.env(**ENV_KEYS, AWS_SESSION_TOKEN="new")
    assert credentials_from_environment() == Credentials("AKENV", "envsecret", "new")
    home.env(AWS_SECURITY_TOKEN="old")  # botocore asks for this one first
    assert credentials_from_environment() == Credentials("AKENV", "envsecret", "old")


@pytest.mark.parametrize("variables", [{}, {"AWS_ACCESS_KEY_ID": "A"}, {**ENV_KEYS, "AWS_ACCESS_KEY_ID": ""}])
def test_no_whole_credentials_in_the_environment(variables: dict[str, str]) -> None:
    assert credentials_from_environment(variables) is None


def test_a_broken_key_in_the_environment_is_blamed_on_it(home: Home) -> None:
    home.env(AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="hunter2\n")
    with pytest.raises(
        ConfigError, match=r"AWS_ACCESS_KEY_ID and its companions: secret_key: has spaces"
    ) as caught:
        BotocoreCredentials()
    assert "hunter2" not in str(caught.value)


def test_environment_beats_the_variable_profile_but_not_the_argument(home: Home) -> None:
    home.credentials("[work]\naws_access_key_id = AKFILE\naws_secret_access_key = B\n")
    home.env(**ENV_KEYS, AWS_PROFILE="work")
    current = BotocoreCredentials().current()
    assert current is not None
    assert current.access_key == botocore_access_key() == "AKENV"
    assert BotocoreCredentials("work").current() is None
    assert get(BotocoreCredentials("work")).access_key == botocore_access_key("work") == "AKFILE"


def test_shared_credentials_file(home: Home) -> None:
    home.credentials("[default]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = C\n")
    provider = BotocoreCredentials()
    assert provider.current() is None
    assert get(provider) == Credentials("A", "B", "C")
    assert provider.current() == Credentials("A", "B", "C")


def test_rejected_credentials_are_read_again(home: Home) -> None:
    home.credentials("[default]\naws_access_key_id = OLD\naws_secret_access_key = B\n")
    provider = BotocoreCredentials()
    old = get(provider)
    with pytest.raises(RunError, match=r"credentials OLD have expired; .*credentials \[default\]\)"):
        get(provider, rejected=old)
    home.credentials("[default]\naws_access_key_id = NEW\naws_secret_access_key = B\n")
    assert get(provider, rejected=old).access_key == "NEW"
    home.credentials("[default]\naws_access_key_id = NEWEST\naws_secret_access_key = B\n")
    assert get(provider, rejected=old).access_key == "NEW"  # replaced already: no third look


def test_rejected_environment_credentials(home: Home) -> None:
    home.env(**ENV_KEYS)
    provider = BotocoreCredentials()
    with pytest.raises(RunError, match=r"AKENV have expired; the place they came from \(env\)"):
        get(provider, rejected=provider.current())
    home.env(AWS_ACCESS_KEY_ID="AKNEXT")
    assert get(provider, rejected=provider.current()).access_key == "AKNEXT"


def test_no_credentials(home: Home) -> None:
    text = failure(BotocoreCredentials())
    assert text.startswith("no credentials found in the environment, ")
    assert "aws configure" in text
    home.config("[profile empty]\nregion = x\n")
    assert failure(BotocoreCredentials("empty")).startswith("no credentials found in profile 'empty'")


def test_half_credentials(home: Home) -> None:
    home.env(AWS_ACCESS_KEY_ID="A")
    assert "AWS_SECRET_ACCESS_KEY" in failure(BotocoreCredentials())


def test_profile_not_found(home: Home) -> None:
    assert failure(BotocoreCredentials("typo")).startswith("profile 'typo' is neither in ")


def test_sso_login_needed(home: Home) -> None:
    home.config(
        "[profile work]\nsso_start_url = https://sso.invalid/start\nsso_region = eu-west-1\n"
        "sso_account_id = 123456789012\nsso_role_name = r\n"
    )
    assert "run `aws sso login --profile work`" in failure(BotocoreCredentials("work"))


def test_sso_session_login_needed(home: Home) -> None:
    home.config(
        "[sso-session s]\nsso_start_url = https://sso.invalid/start\nsso_region = eu-west-1\n"
        "[profile work]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
    )
    home.env(AWS_PROFILE="work")
    assert "run `aws sso login --profile work`" in failure(BotocoreCredentials())


Impatient = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Impatient:
    """While it lasts, what is not there at once is late."""

    @contextmanager
    def at_once() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr("s3_upload.account.botocore.LOAD_TIMEOUT_S", 0.0)
            yield

    return at_once


class Process:
    """A `credential_process` that hands out AK1, AK2, ... with a given time to live."""

    def __init__(self, home: Home) -> None:
        self._answer = home.path / "answer.json"
        self._calls = home.path / "calls"
        self._calls.touch()
        script = home.path / "process.py"
        script.write_text(
            "import json, sys, pathlib, signal\n"
            "signal.alarm(60)\n"
            f"calls = pathlib.Path({str(self._calls)!r})\n"
            "calls.write_text(calls.read_text() + 'x')\n"
            f"answer = json.loads(pathlib.Path({str(self._answer)!r}).read_text())\n"
            "answer['AccessKeyId'] = f'AK{len(calls.read_text())}'\n"
            "json.dump(answer, sys.stdout)\n"
        )
        home.config(f"[default]\ncredential_process = {sys.executable} {script}\n")

    def lives(self, **duration: float) -> None:
        self._answer.unlink(missing_ok=True)
        self._answer.write_text(self.answer(**duration))

    def answer(self, **duration: float) -> str:
        end = datetime.now(UTC) + timedelta(**duration)
        answer = {"Version": 1, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end.isoformat()}
        return json.dumps(answer)

    def breaks(self) -> None:
        self._answer.write_text("none")

    def hangs(self) -> None:
        self._answer.unlink()
        os.mkfifo(self._answer)

    def hung(self) -> TextIO:
        """What the call that hangs reads, once it does so: it ends when this is closed."""
        return self._answer.open("w")

    @property
    def calls(self) -> int:
        return len(self._calls.read_text())


def test_concurrent_callers_share_one_refresh(home: Home) -> None:
    process = Process(home)
    process.lives(hours=1)
    provider = BotocoreCredentials()

    async def many() -> set[str]:
        cancelled = asyncio.ensure_future(provider.refresh())
        callers = [asyncio.ensure_future(provider.refresh()) for _ in range(20)]
        await asyncio.sleep(0)
        cancelled.cancel()
        return {credentials.access_key for credentials in await asyncio.gather(*callers)}

    assert asyncio.run(many()) == {"AK1"}
    assert process.calls == 1


def test_a_failed_refresh_reaches_all_callers_and_the_next_one_tries_again(home: Home) -> None:
    process = Process(home)
    process.breaks()
    provider = BotocoreCredentials()

    async def many() -> list[Credentials | BaseException]:
        return await asyncio.gather(*(provider.refresh() for _ in range(5)), return_exceptions=True)

    assert {type(result) for result in asyncio.run(many())} == {RunError}
    assert process.calls == 1
    process.lives(hours=1)
    assert get(provider).access_key == "AK2"


def test_not_renewed_while_they_live_long(home: Home) -> None:
    clock = 0.0
    process = Process(home)
    process.lives(minutes=20)
    provider = BotocoreCredentials(now=lambda: clock)
    first = get(provider)
    clock = 100 * RETRY_REFRESH_S
    assert provider.current() == first
    assert process.calls == 1


async def renewed(provider: BotocoreCredentials) -> Credentials:
    """What `current` gives, once what it may have begun is done."""
    provider.current()
    if provider._loading is not None:
        await provider._loading
    current = provider.current()
    assert current is not None
    return current


def test_near_their_end_they_are_used_while_no_newer_ones_come(home: Home) -> None:
    clock = 0.0
    process = Process(home)
    process.lives(minutes=12)
    provider = BotocoreCredentials(now=lambda: clock)
    first = get(provider)
    calls = process.calls
    assert asyncio.run(renewed(provider)) == first  # asked for just now: the next look is in a minute
    assert process.calls == calls
    clock = RETRY_REFRESH_S
    process.breaks()
    assert asyncio.run(renewed(provider)) == first
    assert process.calls == calls + 1
    clock = 2 * RETRY_REFRESH_S
    process.lives(hours=1)
    newer = asyncio.run(renewed(provider))
    assert newer != first
    clock = 10 * RETRY_REFRESH_S
    assert provider.current() == newer


def test_a_renewal_that_hangs_leaves_what_is_still_good(home: Home, impatient: Impatient) -> None:
    """And the place is asked again beside it: botocore's own object is locked until the call ends."""
    process = Process(home)
    process.lives(minutes=8)
    provider = BotocoreCredentials()
    first = get(provider)
    process.hangs()
    with impatient():
        assert get(provider) == provider.current() == first
    with process.hung():
        process.lives(hours=1)
        assert get(provider).access_key == f"AK{process.calls}"
        assert not provider._source_hangs


def test_what_a_place_brings_late_is_taken(home: Home, impatient: Impatient) -> None:
    process = Process(home)
    process.lives(minutes=8)
    provider = BotocoreCredentials()

    async def run() -> None:
        first = await provider.refresh()
        process.hangs()
        with impatient():
            assert await provider.refresh() == first
        with process.hung() as late:
            late.write(process.answer(minutes=30))
        for thread in threading.enumerate():
            if thread.name == "s3-upload-credentials":
                await asyncio.to_thread(thread.join)
        current = provider.current()
        assert current is not None
        assert current.access_key == f"AK{process.calls}"

    asyncio.run(run())


def test_what_the_store_refuses_is_asked_for_again_after_a_renewal_that_failed(home: Home) -> None:
    """The renewal had begun before, with what is kept: it may bring the same again."""
    clock = 0.0
    process = Process(home)
    process.lives(minutes=8)
    provider = BotocoreCredentials(now=lambda: clock)

    async def run() -> None:
        nonlocal clock
        first = await provider.refresh()
        clock = RETRY_REFRESH_S
        process.hangs()
        assert provider.current() == first
        refused = asyncio.ensure_future(provider.refresh(rejected=first))
        await asyncio.sleep(0)
        with process.hung():
            process.lives(hours=1)
        assert (await refused).access_key == f"AK{process.calls}"

    asyncio.run(run())


def test_expired_credentials_are_never_used(home: Home) -> None:
    process = Process(home)
    process.lives(minutes=-1)
    provider = BotocoreCredentials()
    assert "still expired" in failure(provider)
    assert provider.current() is None


def test_a_process_that_hangs_does_not_hang_us(home: Home, impatient: Impatient) -> None:
    home.config("[default]\ncredential_process = sleep 5\n")
    with impatient():
        assert failure(BotocoreCredentials()).startswith(
            "the credentials could not be loaded: no answer within 0 s"
        )
    assert LOAD_TIMEOUT_S > 60
