from __future__ import annotations

import asyncio
import pickle

import pytest

from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.s3.credentials import Credentials, StaticCredentials

KEYS = Credentials("AKIDEXAMPLE", "s3cr3t/+", "t0k3n==")


def test_repr_shows_neither_secret_nor_token() -> None:
    for text in (repr(KEYS), str(KEYS), f"{KEYS}", repr(StaticCredentials(KEYS))):
        assert "AKIDEXAMPLE" in text
        assert "s3cr3t" not in text
        assert "t0k3n" not in text


def test_repr_tells_whether_there_is_a_token() -> None:
    assert repr(Credentials("A", "B")) == "Credentials(access_key='A', secret_key=***)"
    assert (
        repr(Credentials("A", "B", "C")) == "Credentials(access_key='A', secret_key=***, session_token=***)"
    )


def test_credentials_are_values() -> None:
    assert pickle.loads(pickle.dumps(KEYS)) == KEYS
    assert hash(Credentials("A", "B")) == hash(Credentials("A", "B"))
    with pytest.raises(AttributeError):
        KEYS.secret_key = "other"  # type: ignore[misc]


@pytest.mark.parametrize("bad", ["", "se cret", "secret\n", "secrét", "sec\x00ret"])
@pytest.mark.parametrize("field", ["access_key", "secret_key", "session_token"])
def test_what_no_credential_has_is_refused_without_being_quoted(field: str, bad: str) -> None:
    values = {"access_key": "A", "secret_key": "B", "session_token": "C", field: bad}
    with pytest.raises(ConfigError, match=f"^{field}: ") as caught:
        Credentials(**values)
    assert not bad or bad not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_static_credentials_cannot_replace_rejected_ones() -> None:
    provider = StaticCredentials(KEYS)
    assert provider.current() is KEYS
    assert asyncio.run(provider.refresh()) is KEYS
    assert asyncio.run(provider.refresh(rejected=Credentials("old", "x"))) is KEYS
    with pytest.raises(RunError, match=r"AKIDEXAMPLE have expired; .* start again with new ones") as caught:
        asyncio.run(provider.refresh(rejected=KEYS))
    assert caught.value.kind is FailureKind.CREDENTIALS
    assert "s3cr3t" not in str(caught.value)
