"""What lies outside: models fetched from the Hub, and what `transformers` says of damaged files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from torch._weights_only_unpickler import UnpicklingError  # type: ignore[attr-defined]
from transformers import AutoConfig, dynamic_module_utils

from swath.errors import ModelError, first_line
from swath.models.family import family_row

# Where `transformers` itself opens a part of a model it would ask on stdin whether to run its code.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0

TOKENIZER_PACKAGES = ("sentencepiece", "tiktoken", "protobuf")
"""Packages of the extra `hub`, without which some tokenizers cannot be read."""


def fetched(name: str, revision: str | None, any_kind: bool = False) -> Path:
    """The folder of a Hub model, downloaded if need be.

    Args:
        any_kind: a part of a model, which need not be of a known family.

    Raises:
        ModelError: there is no such repository, it cannot be reached, or swath cannot encode it.
    """
    if name.count("/") != 1 or Path(name).parent.is_dir():
        raise ModelError(f"'{name}': there is no such run or folder, and it is no Hub name either.")
    from huggingface_hub import hf_hub_download

    # The variable of this name was read when huggingface_hub was imported.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        # The small file first: a family that swath cannot encode is refused before gigabytes.
        file = hf_hub_download(name, "config.json", revision=revision)
        if not any_kind:
            with reading(name, "its config.json"):
                config = AutoConfig.from_pretrained(file, trust_remote_code=False)
            family_row(config, name)
        return _downloaded(name, revision)
    except HFValidationError:
        raise ModelError(
            f"'{name}': there is no such folder or run, and it is no Hub name either."
        ) from None
    except GatedRepoError:
        raise ModelError(
            f"'{name}' is given only to those who accept its licence; do so at "
            f"{constants.ENDPOINT}/{name}, then run `hf auth login` with a token that may read it."
        ) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"'{name}' is no folder here and cannot be fetched from the Hub at "
            f"{constants.ENDPOINT} ({first_line(error)}); with no network, use "
            f"models.base=swath-nano or a folder, or --tiny: the architecture, small and random."
        ) from None


def _downloaded(name: str, revision: str | None) -> Path:
    """A repository's files; its pickled weights only where it holds no others."""
    from huggingface_hub import snapshot_download

    def download(*weights: str) -> Path:
        patterns = ["*.json", "*.txt", "*.jinja", "*.model", *weights]
        # Folders and `consolidated` files hold the same weights in other forms.
        forms = ["*/*", "consolidated*"]
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=patterns, ignore_patterns=forms
            )
        )

    folder = download("*.safetensors")
    if any(folder.glob("*.safetensors")):
        return folder
    return download("pytorch_model*.bin")


@contextmanager
def reading(folder: Path | str, what: str = "it") -> Iterator[None]:
    """What `transformers` raises on damaged files, or for want of a package, becomes one error."""
    try:
        yield
    except UnpicklingError:
        raise ModelError(
            f"{folder}: {what} holds pickled objects other than weights, and swath runs no code of "
            f"a file; use a model that is saved as safetensors."
        ) from None
    except (OSError, ValueError, LookupError, RuntimeError, ImportError, SafetensorError) as error:
        text = str(error)
        if "custom code" in text:
            raise ModelError(
                f"{folder}: {what} names Python code (auto_map) to be run, and swath runs none; "
                f"use a model of an architecture that `transformers` itself brings."
            ) from None
        missing = [name for name in TOKENIZER_PACKAGES if name in text.lower() and _lacks(name)]
        if missing:
            raise ModelError(
                f"{folder}: {what} cannot be read without {', '.join(missing)}; run "
                f"pip install 'swath[hub]'."
            ) from None
        raise ModelError(
            f"{folder}: {what} cannot be loaded ({first_line(error)}); copy it anew."
        ) from None


def _lacks(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return True
    return False
