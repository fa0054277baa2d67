"""The tests of `on_a_device.py`, in a process whose accelerator is the one they register."""

import subprocess
import sys
from pathlib import Path

CHECKS = Path(__file__).with_name("on_a_device.py")


def test_tuning_and_asking_work_on_a_device_beside_the_cpu():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(CHECKS)]
    done = subprocess.run(command, cwd=CHECKS.parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
