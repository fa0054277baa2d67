import pytest

from swath.models.engine import LocalEngine
from tests.making import small_set


@pytest.fixture
def built(tmp_path):
    return small_set(tmp_path / "pictures")


@pytest.fixture
def worse(built):
    """A score that falls as the model learns: how improbable it finds the true classes."""
    asked = [one for one in built.split("train") if one.task == "classify"]

    def score(loaded):
        assert not loaded.model.training
        found = LocalEngine(loaded).score(asked, [[one.truth.label] for one in asked])
        return -float(sum(one[0] for one in found))

    return score
