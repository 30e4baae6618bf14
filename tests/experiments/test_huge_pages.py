"""The restart of a program with huge pages."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from experiments.huge_pages import restart_with_huge_pages
restart_with_huge_pages()
print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), *sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's option is for Linux")
@pytest.mark.parametrize(("given", "expected"), [(None, "glibc.malloc.hugetlb=1"), ("", ""), ("x.y=1", "x.y=1")])
def test_a_program_restarts_once_with_its_arguments_and_its_process(given, expected):
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    environment |= {} if given is None else {"GLIBC_TUNABLES": given}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--config", "a b"], env=environment, stdout=subprocess.PIPE, text=True
    )
    output, _ = process.communicate()
    assert output == f"{process.pid} {expected} --config a b\n"
