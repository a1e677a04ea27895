"""Second copies of requests that are slow to be answered: where they are safe, and what they cost.

A part sent twice is one part.  An object sent twice is one object, except in a bucket with versioning, which
keeps both; the version ID in its answers shows that.  Two CreateMultipartUploads make two uploads.
"""

from __future__ import annotations

from s3_upload.control.retrying.budget import SpeculationBudget
from s3_upload.http import Response
from s3_upload.s3.operations import HEDGED, PUT_OBJECT
from s3_upload.transfer.tries import Attempt, Request


class Hedges:
    """See the module's text. `enabled`: the user wants them."""

    def __init__(self, budget: SpeculationBudget, *, enabled: bool) -> None:
        self._budget = budget
        self._enabled = enabled
        self._keeps_versions = False

    def may(self, attempt: Attempt) -> bool:
        """Whether a second copy of `attempt` does no harm."""
        name = attempt.request.operation.name
        if not self._enabled or name not in HEDGED or attempt.request.settled:
            return False
        return not (self._keeps_versions and name == PUT_OBJECT)

    def not_sent(self, request: Request) -> None:
        """One that was paid for came too late to be sent."""
        self._budget.give_back_hedge(len(request.operation.body))

    def won(self, request: Request) -> None:
        """One was answered first."""
        # If its original was taken in as a whole, the store lost the answer: the copy was not in vain.
        if all(rival.acked_s for rival in request.in_flight):
            self._budget.give_back_hedge(len(request.operation.body))

    def succeeded(self, request: Request, response: Response) -> None:
        """A request has succeeded, which pays for hedges of others."""
        self._budget.succeeded(len(request.operation.body))
        if not self._keeps_versions and response.headers.get("x-amz-version-id", "null") != "null":
            self._keeps_versions = True
