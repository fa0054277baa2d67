"""Configurations of published models, so that their architecture is known without the Hub.

Each file is the `config.json` of a Hub repository, named for it, without what `transformers`
assumes anyway. The weights stay where they are.
"""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig

from swath.errors import ModelError
from swath.registry import did_you_mean

FOLDER = Path(__file__).parent

ALIASES = {"THUDM/glm-4-9b-chat-hf": "zai-org/glm-4-9b-chat-hf", "gpt2": "openai-community/gpt2"}
"""Other names of the same repositories."""


def published_names() -> list[str]:
    """Hub names whose configuration is here, in alphabetical order."""
    return sorted(file.stem.replace("--", "/") for file in FOLDER.glob("*.json"))


def published_config(name: str) -> PretrainedConfig:
    """The configuration of that Hub repository.

    Raises:
        ModelError: it is not among those shipped; the nearest names are offered.
    """
    name = ALIASES.get(name, name)
    if name not in published_names():
        raise ModelError(
            f"the configuration of '{name}' is not shipped with swath"
            f"{did_you_mean(name, published_names())}"
        )
    values = json.loads((FOLDER / f"{name.replace('/', '--')}.json").read_text(encoding="utf-8"))
    return AutoConfig.for_model(values.pop("model_type"), **values)
