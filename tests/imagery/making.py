"""Clips for the tests."""

import numpy as np
import pytest


def write_clip(path, frames=10, size_wh=(32, 16), codec="mpeg4", rate=25):
    """A clip whose frame n is grey of the level 20 n, with one frame in five a key frame."""
    av = pytest.importorskip("av", reason="needs PyAV: pip install 'swath[video]'")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size_wh
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 5
        for number in range(frames):
            pixels = np.full((size_wh[1], size_wh[0], 3), 20 * number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path
