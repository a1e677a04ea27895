"""Fixtures of several modules."""

from __future__ import annotations

import pytest

from s3_upload.cli import session

AWS_VARIABLES = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[session.Job]:
    """What the commands would run, in place of running it; no AWS variables are set."""
    for name in AWS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    taken: list[session.Job] = []

    def take(job: session.Job) -> int:
        taken.append(job)
        return 0

    monkeypatch.setattr(session, "run", take)
    return taken
