"""Huge pages of memory for the arrays of a program, on Linux."""

import os
import sys

_VARIABLE, _OPTION = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"


def restart_with_huge_pages() -> None:
    """Restarts this program with glibc's option for huge pages, unless the environment sets its options already.

    XLA allocates the temporary arrays of a step anew on a CPU, and the system clears them page by page: about a
    quarter of a training step (docs/performance.md). glibc reads its options when a process starts; others ignore them. It
    comes before anything else: arguments, the process number and open files stay.
    """
    if sys.platform == "linux" and sys.executable and _VARIABLE not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, _VARIABLE: _OPTION})
