"""What a journal says is done, for one who only looks: of the job nothing is noted, and no file is made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager

from s3_upload.observe.journal import Journal
from s3_upload.observe.journal_content import Lookup
from s3_upload.observe.journal_file import InUseError, JournalFile, UnusableError, UnwritableError
from s3_upload.observe.journal_of_run import check_job, is_said_otherwise, knows
from s3_upload.sources.own_journals import Parts
from s3_upload.sources.source import Here, ObjectSource


class Look:
    """`done`: how many sources a run would leave out so far. `problem`: why nothing is known of any."""

    def __init__(self, journal: Journal, lookup: Lookup | None = None, problem: str = "") -> None:
        self.done = 0
        self.problem = problem
        self._parts = Parts(journal.path)
        self._lookup = lookup
        self._here = Here()

    def taken(self, sources: Iterable[ObjectSource]) -> Iterator[ObjectSource]:
        """The same; the journal itself is skipped."""
        return map(self._parts.passed_over, sources)

    def left(self, sources: Iterable[ObjectSource]) -> Iterator[ObjectSource]:
        """Those that are not done."""
        for source in self.taken(sources):
            if self._lookup is None or not self._is_done(self._lookup, source):
                yield source
            else:
                self.done += 1

    def _is_done(self, lookup: Lookup, source: ObjectSource) -> bool:
        if not source.is_file or source.problem or source.skip_reason:
            return False
        return knows(lookup, source.key, source.path, self._here) is not None


@contextmanager
def looked_into(journal: Journal, about: Mapping[str, str]) -> Iterator[Look]:
    """Within, what there is in `journal` can be looked up. `about`: what the job is.

    Raises `ConfigError` as a run does that begins with it.
    """
    try:
        there = os.path.getsize(journal.path) > 0  # noqa: PTH202 - a text
    except OSError:  # none yet, or a run will tell
        there = False
    if not there:
        yield Look(journal)
        return
    try:
        # Of a copy, so that no upload is held up for as long as somebody reads.
        with closing(JournalFile(journal.path, puts_aside=False, is_ours=journal.is_ours)) as file:
            content = file.copied()
    except (UnusableError, UnwritableError, InUseError) as error:
        if not (journal.is_optional or isinstance(error, UnusableError)):
            raise
        yield Look(journal, problem=str(error))
        return
    with closing(content):
        was, now = content.about(), {"said": "", **journal.about, **about}
        check_job(journal.path, was, now)
        known = content.has_objects() and not is_said_otherwise(was, now)
        yield Look(journal, Lookup(content) if known else None)
