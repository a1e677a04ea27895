"""How the classes of the flags are made: as dataclasses that are neither compared nor shown.

Python compiles the methods for that, and for being frozen, when the class is made: at each start of the
command, which shows where an upload is small.  Type checkers see usual dataclasses, and that nobody writes
their fields.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as options_class
else:

    def options_class(**checked: Any) -> Any:
        """`checked`: for type checkers."""
        return dataclasses.dataclass(kw_only=True, eq=False, repr=False)


__all__ = ["options_class"]
