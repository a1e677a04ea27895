"""What is ready for a slot, in the order in which it goes.

Rules:

* What ends an object that was sent in parts (or asks about it) goes first: until it is completed, all that
  was sent of it can be lost.
* Then parts, in the order of coming: they come all the time, and one that had to wait for those that come
  later would keep its object from being completed up to the end of the run.
* Then whole objects, and what only brings parts after a round trip (a Create).
"""

from __future__ import annotations

from collections import deque

from s3_upload.transfer.unit import Unit


class Ready(deque[Unit]):
    """See the module's rules. Whole objects and Creates are appended; what goes once more is put on the left
    end."""

    def put_begun(self, unit: Unit) -> None:
        """A part, or what ends an object in parts."""
        index = 0
        if unit.operation.part_number:
            while index < len(self) and self[index].upload.upload_id:
                index += 1
        self.insert(index, unit)
