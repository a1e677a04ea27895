"""The event loop that a client's connections belong to: the one that the last of its runs was on."""

from __future__ import annotations

import asyncio
import os

from s3_upload.errors import ConfigError


class OwnLoop:
    """See the module's text. Connections neither survive a fork nor may be used from two loops at a time."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()

    def enter(self) -> bool:
        """Takes the running loop; says whether another one had the connections, which are lost then.

        Raises `ConfigError` where the other still runs, and in a process that was forked since.
        """
        if self._process != os.getpid():
            raise ConfigError("client: was made before this process was forked: make one in each process")
        before, self._loop = self._loop, asyncio.get_running_loop()
        if before is None or before is self._loop:
            return False
        if before.is_running():
            self._loop = before
            raise ConfigError("client: is in use on an event loop in another thread: make one for each loop")
        return True
