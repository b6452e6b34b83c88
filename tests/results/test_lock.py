from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.results.lock import LOCK_NAME, RunLockedError, hold

HOLDER = """
import sys, time
from pathlib import Path
from evalkit.results.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def start_holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.fault
def test_a_folder_in_use_is_refused_with_the_process_id_until_it_dies(tmp_path: Path) -> None:
    process = start_holder(tmp_path)
    with pytest.raises(RunLockedError) as error, hold(tmp_path):
        pass
    assert f"process {process.pid} is running here" in str(error.value)
    assert str(tmp_path) in str(error.value)

    process.send_signal(signal.SIGKILL)
    process.wait()
    with hold(tmp_path):
        assert (tmp_path / LOCK_NAME).read_text() == str(os.getpid())


def test_a_lock_is_free_again_after_an_exception(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold(tmp_path):
        raise KeyError
    with hold(tmp_path):
        pass


def test_two_holders_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(RunLockedError), hold(tmp_path):
        pass
