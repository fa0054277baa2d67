"""swath: from satellite and aerial imagery with annotations to a vision-language model you own.

`swath.load("runs/quickstart").ask("picture.png", "What kind of scene is this?")`
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.inference.ask import Assistant

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(model: str | Path) -> Assistant:
    """A run, an exported folder or "swath-nano", ready to be asked.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    from swath.endpoint import is_address
    from swath.files import refuse_no_model

    if not is_address(model):
        refuse_no_model(model)  # before torch is loaded
    from swath.inference.ask import Assistant

    return Assistant(model)
