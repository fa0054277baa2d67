import json

import numpy as np
import pytest
from PIL import Image


class Folder:
    """A folder that tests fill with small pictures and annotation files."""

    def __init__(self, path):
        self.path = path
        self._seed = 0

    def picture(self, name, size_wh=(16, 12)):
        """Write a picture unlike any other; return its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._seed += 1
        noise = np.random.default_rng(self._seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(size_wh, Image.Resampling.BICUBIC).save(path)
        return path

    def json(self, name, content):
        """Write a JSON file; return its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    def text(self, name, *lines):
        """Write lines of text; return the path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)
