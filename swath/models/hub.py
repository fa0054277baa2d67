"""What lies outside: models fetched from the Hub, and what `transformers` says of damaged files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub.constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from transformers import AutoConfig

from swath.errors import ModelError
from swath.models.family import family_row


def fetched(name: str, revision: str | None, any_kind: bool = False) -> Path:
    """The folder of a Hub model, downloaded if need be.

    Args:
        any_kind: a part of a model, which need not be of a known family.

    Raises:
        ModelError: there is no such repository, it cannot be reached, or swath cannot encode it.
    """
    if name.count("/") != 1 or Path(name).parent.is_dir():
        raise ModelError(f"'{name}': there is no such run or folder, and it is no Hub name either.")
    from huggingface_hub import hf_hub_download, snapshot_download

    # The variable of this name was read when huggingface_hub was imported.
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    patterns = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]
    try:
        # The small file first: a family that swath cannot encode is refused before gigabytes.
        file = hf_hub_download(name, "config.json", revision=revision)
        if not any_kind:
            family_row(AutoConfig.from_pretrained(file), name)
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except HFValidationError:
        raise ModelError(
            f"'{name}': there is no such folder or run, and it is no Hub name either."
        ) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"'{name}' is no folder here and cannot be fetched from the Hub "
            f"({first_line(error)}); with no network, use models.base=swath-nano or a folder."
        ) from None


@contextmanager
def reading(folder: Path | str, what: str = "it") -> Iterator[None]:
    """What `transformers` raises on damaged files becomes one error."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{folder}: {what} cannot be loaded ({first_line(error)}); copy it anew."
        ) from None


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:200]
