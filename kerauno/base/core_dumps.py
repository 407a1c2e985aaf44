"""No copy of a process's memory is left on a disk: it holds passwords and the secret key."""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def forbid_core_dumps() -> None:
    """Let the kernel write no core dump of this process, nor of those that it forks.

    The limit also holds across exec. On Linux the process is marked as not dumpable besides, so
    that a handler of core dumps gets nothing and other processes of the same user cannot read its
    memory (prctl(2), PR_SET_DUMPABLE); exec ends that mark.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
