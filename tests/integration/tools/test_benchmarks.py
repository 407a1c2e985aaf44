"""A benchmark that did not do what it measures ends with its reason, and with no figure."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks import sync
from benchmarks.load import measure
from benchmarks.outcome import Failed, ends_loudly, require_good
from tests.servers.process import PROJECT, loopback
from tests.servers.slapd import Slapd
from tests.servers.web import Installation, configure_directory


@pytest.mark.slapd
def test_a_build_that_the_directory_refused_is_no_result(
    installation: Installation, slapd: Slapd
) -> None:
    installation.must("authsvc", "db", "upgrade")
    configure_directory(installation, slapd.profile(servers=(loopback(),)))
    with pytest.raises(Failed, match=r"the run is failed: .*connection refused"):
        sync.build(installation)


def test_a_job_that_went_wrong_makes_no_figure() -> None:
    def breaks() -> bool:
        raise KeyError("code")

    figures = measure([lambda: True, lambda: False, breaks], 1)
    assert (figures.count, figures.errors, figures.fault) == (3, 2, "KeyError: 'code'")
    with pytest.raises(Failed, match=r"^flows: 2 of 3 went wrong, such as: KeyError: 'code'$"):
        require_good(figures, "flows")
    assert require_good(measure([lambda: True], 1), "flows").count == 1


def test_a_failed_command_is_a_failed_benchmark() -> None:
    def search() -> None:
        command = ["sh", "-c", "echo Size limit exceeded >&2; exit 4"]
        subprocess.run(command, check=True, capture_output=True, text=True)

    with pytest.raises(SystemExit) as ended:
        ends_loudly("benchmarks.sync", search)
    assert ended.value.code == "benchmarks.sync FAILED: sh ended with 4 Size limit exceeded"


@pytest.mark.parametrize("name", ["sync", "signin", "sso", "console"])
def test_every_benchmark_ends_loudly(name: str) -> None:
    code = (
        "import runpy, tempfile; tempfile.tempdir = '/nowhere';"
        f"runpy.run_module('benchmarks.{name}', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"benchmarks.{name} FAILED: ")
