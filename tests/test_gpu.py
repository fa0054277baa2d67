import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"
SYSTEMS = ["geochat", "pixtral-aid", "skyeyegpt"]


def measured(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={**os.environ, "PYTHONSAFEPATH": ""},  # which the command line sets for its children
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_branch_of_what_a_card_is_measured_by_runs_with_small_models(tmp_path):
    done = measured("--tiny", "--out", tmp_path / "gpu.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert list(result["systems"]) == list(result["parity"]) == SYSTEMS
    for name in SYSTEMS:
        row = result["systems"][name]
        assert row["losses_fall"] and len(row["losses"]) == 8
        assert row["planned_gb"] > 0 and row["score_tokens_per_second"] > 0
        assert row["rows_per_second"] > 0 and row["plain_trainer"]["rows_per_second"] > 0
        assert result["parity"][name]["largest_difference"] < 1e-3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_it_needs():
    done = measured()
    assert done.returncode == 2
    assert "no GPU here" in done.stderr and "--tiny" in done.stderr
