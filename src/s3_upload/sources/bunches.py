"""Sources that come in bunches: several at a time, of which the last may wait for something."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3_upload.sources.source import ObjectSource


class Bunches(ABC):
    """An iterable that whoever pulls from it may ask for several at a time."""

    @abstractmethod
    def next_bunch(self, count: int) -> list[ObjectSource]:
        """From 1 to `count` sources; waits until there is one.  None at all: there will be no more."""

    def __iter__(self) -> Iterator[ObjectSource]:
        while bunch := self.next_bunch(1):
            yield from bunch
