import pytest
import torch

from swath.errors import TuningError
from swath.tuning import memory
from swath.tuning.memory import fitting

MB = 10**6


@pytest.fixture
def machine(monkeypatch):
    """A machine of 1,000 free MB on which `held` is the peak of what was tried."""
    held = {"peak": 500 * MB}
    monkeypatch.setattr(memory, "available_memory", lambda: 1000 * MB)
    monkeypatch.setattr(memory, "peak_memory", lambda: held["peak"])
    return held


def taking(held, each_mb, tried):
    def step(size):
        tried.append(size)
        held["peak"] = max(held["peak"], 500 * MB + size * each_mb * MB)

    return step


@pytest.mark.parametrize(
    ("each_mb", "most", "reserved_mb", "size"),
    [
        (60, 100, 0, 8),  # 8 take 480; 16 would take 960, and 800 of 1,000 may be taken
        (50, 100, 0, 16),  # 16 take 800
        (50, 100, 1, 8),  # the optimiser takes 1, which leaves 799
        (1, 1000, 0, 64),
        (1, 12, 0, 8),  # twelve images
        (900, 100, 0, 1),
    ],
)
def test_rows_double_until_the_next_would_take_more_than_four_fifths(
    machine, each_mb, most, reserved_mb, size
):
    tried = []
    assert fitting(taking(machine, each_mb, tried), most, reserved_mb * MB) == size
    assert tried == [2**n for n in range(size.bit_length())]  # nothing larger was tried


def test_a_step_that_runs_out_of_memory_is_halved(machine):
    def step(size):
        if size > 4:
            raise torch.OutOfMemoryError

    assert fitting(step, most=64) == 4


def test_one_row_that_does_not_fit_is_answered_with_advice(machine):
    def step(size):
        raise torch.OutOfMemoryError

    with pytest.raises(TuningError, match=r"not even one row fits.*checkpointing"):
        fitting(step, most=64)


def test_memory_of_this_machine_is_seen():
    if torch.cuda.is_available():
        pytest.skip("the processor's memory is not asked where there is a GPU")
    before = memory.peak_memory()
    held = torch.ones(64 * MB, dtype=torch.uint8)
    assert memory.peak_memory() >= before
    assert memory.peak_memory() > held.numel()
    assert memory.available_memory() > 0
