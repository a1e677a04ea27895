"""`python without_locks.py COMMAND...`: runs a command for which no file can be locked.

As on NFS without a lock daemon: the kernel answers fcntl(F_SETLK) with ENOLCK.  A seccomp filter has it do so
(seccomp(2), linux/filter.h), which stays over execve and needs no privilege.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
AT_NUMBER, AT_SECOND_ARGUMENT = 0, 24  # in struct seccomp_data
F_SETLK = 6
FCNTL = {"x86_64": 72, "aarch64": 25}
"""The number of the system call, by machine."""
CAN = sys.platform == "linux" and platform.machine() in FCNTL


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse_locks() -> None:
    """From now on, for this process and what it becomes."""
    code = b"".join(
        struct.pack("<HBBI", *instruction)
        for instruction in (
            (LOAD, 0, 0, AT_NUMBER),
            (JUMP_IF_EQUAL, 0, 3, FCNTL[platform.machine()]),
            (LOAD, 0, 0, AT_SECOND_ARGUMENT),
            (JUMP_IF_EQUAL, 0, 1, F_SETLK),
            (RETURN, 0, 0, ERRNO | errno.ENOLCK),
            (RETURN, 0, 0, ALLOW),
        )
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for words in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if prctl(*words) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "prctl")


if __name__ == "__main__":
    refuse_locks()
    os.execvp(sys.argv[1], sys.argv[1:])
