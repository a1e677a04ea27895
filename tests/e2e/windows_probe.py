"""Runs what it is told in a Python that lacks what Windows lacks, as far as that can be had elsewhere.

python windows_probe.py command WORD...     the command
python windows_probe.py upload ENDPOINT_URL DIRECTORY     a call of the library; prints its summary
python windows_probe.py import     every module

Before the standard library is asked for them, POSIX's modules are refused and its names removed; the event
loop has no signal handlers, as those of Windows.  Paths,
processes, consoles and sockets' errors stay those of this system: what depends on these is not seen here.
"""

from __future__ import annotations

import _socket
import importlib
import os
import select
import sys
from types import SimpleNamespace
from typing import Any

MODULES = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty", "uvloop"}
NAMES: dict[Any, str] = {
    importlib.import_module(
        "_signal"
    ): "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH"
    " pthread_kill pthread_sigmask siginterrupt sigpending sigwait",
    _socket: "AF_UNIX IPPROTO_MPTCP MSG_DONTWAIT SO_REUSEPORT TCP_CONGESTION TCP_INFO"
    " TCP_USER_TIMEOUT socketpair",
    os: "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK fchmod fork geteuid getgid getloadavg getpgid"
    " getpgrp getuid killpg mkfifo pidfd_open posix_fadvise posix_spawn pread preadv pwrite register_at_fork"
    " sched_getaffinity sendfile set_blocking setsid statvfs tcgetpgrp uname",
    select: "epoll poll",
}


class Lacks:
    """A finder of modules that has none of `MODULES`."""

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return None if name in MODULES else self._finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def lack() -> None:
    """Makes this process lack it all."""
    early = sorted({"_signal", "asyncio", "s3_upload", "selectors", "signal", "socket"} & set(sys.modules))
    assert early in ([], ["_signal"]), f"imported too early: {early}"
    for module, names in NAMES.items():
        for name in names.split():
            vars(module).pop(name, None)
    for name in MODULES & set(sys.modules):
        del sys.modules[name]
    sys.meta_path[:] = map(Lacks, sys.meta_path)

    import asyncio

    del os.sysconf  # asyncio asks it here, where sockets have a sendmsg

    class Loop(asyncio.SelectorEventLoop):
        """Hears no signals."""

        def add_signal_handler(self, *_: object) -> None:
            raise NotImplementedError

        def remove_signal_handler(self, *_: object) -> bool:
            raise NotImplementedError

    vars(asyncio.events)["new_event_loop"] = Loop


def import_all() -> None:
    import pkgutil

    import s3_upload

    for module in pkgutil.walk_packages(s3_upload.__path__, "s3_upload."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    print(sorted(MODULES & set(sys.modules)))


def upload(endpoint_url: str, directory: str) -> None:
    from s3_upload import Credentials, upload

    credentials = Credentials("key", "secret")
    print(upload(directory, "s3://bucket", endpoint_url=endpoint_url, credentials=credentials))


def main(what: str, *words: str) -> None:
    lack()
    if what == "command":
        from s3_upload import embedded
        from s3_upload.cli.main import run

        vars(embedded)["sys"] = SimpleNamespace(platform="win32", executable=sys.executable)
        sys.argv = ["s3-upload", *words]
        run()
    elif what == "upload":
        upload(*words)
    else:
        import_all()


if __name__ == "__main__":
    main(*sys.argv[1:])
