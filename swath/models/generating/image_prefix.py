"""Images as a model has seen them: through its tower once, for all that is asked about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling

from swath.errors import ModelError
from swath.models.architectures.base import JoinedForConditionalGeneration
from swath.models.encoding import batches
from swath.models.inputs import Inputs, plain
from swath.models.pixels import View
from swath.models.vision_cache import Features, image_features, projector_of


class Seen:
    """The images of some questions.

    A model that takes nothing but pixels gets them anew with every question.

    Args:
        inputs: of the model.
        views: of each image, by its path.
        at_once: images that go through the tower together.
        kept: features of an earlier time.
        recent: features by path, looked up and added to, where a path always means one picture.

    Raises:
        ModelError: the tower makes other than one feature of each image token.
    """

    def __init__(
        self,
        inputs: Inputs,
        views: Mapping[str, View],
        at_once: int,
        kept: Features | None = None,
        recent: dict[str, Tensor] | None = None,
    ) -> None:
        model = inputs.loaded.model
        self.views = views
        self._inputs, self._place = inputs, {path: place for place, path in enumerate(views)}
        self._features: Tensor | None = None  # (images, tokens, width)
        if not takes_features(inputs):
            self._values = inputs.tensor(list(views.values())).to(model.device, model.dtype)
        elif recent is None:
            self._features = _made(inputs, list(views.values()), at_once, kept)
        else:
            new = [path for path in views if path not in recent]
            if new:
                features = _made(inputs, [views[path] for path in new], at_once, kept)
                recent.update(zip(new, features, strict=True))
            self._features = torch.stack([recent[path] for path in views])

    def of(self, questions: Iterable[Sequence[str]]) -> dict[str, Any]:
        """What the model takes for rows whose images lie at these paths."""
        rows = [[self._place[path] for path in paths] for paths in questions]
        order = [place for row in rows for place in row]
        if self._features is None:
            return self._inputs.pixels(self._values[order], [len(row) for row in rows])
        return instead_of_pixels(self._inputs, self._features[order])


def instead_of_pixels(inputs: Inputs, features: Tensor) -> dict[str, Any]:
    """What the model takes for images whose features (images, tokens, width) are there.

    They are those behind the projector, row after row.
    """
    if inputs.kind == "encoder":
        return {"encoder_outputs": BaseModelOutput(last_hidden_state=features)}
    if isinstance(plain(inputs.loaded.model), JoinedForConditionalGeneration):
        return {"image_features": features}
    taken: Any = features if inputs.loaded.family.stacked else list(features)
    pooled = BaseModelOutputWithPooling(pooler_output=taken)
    grid = {"image_grid_thw": inputs.grid(len(features))} if inputs.kind == "patches" else {}
    return {"mm_encoder_outputs": {"image": pooled}} | grid


def _made(inputs: Inputs, views: Sequence[View], at_once: int, kept: Features | None) -> Tensor:
    """(images, tokens, width), behind the projector."""
    parts = batches(views, at_once)
    if kept and (tower := kept.tower(inputs)):
        of_tower = torch.cat([kept.of(inputs, tower, part) for part in parts])
        features = torch.cat([projector_of(inputs)(part) for part in of_tower.split(at_once)])
    else:
        features = torch.cat([image_features(inputs, part) for part in parts])
    count, loaded = features.shape[1], inputs.loaded
    if loaded.image_tokens not in (0, count):
        raise ModelError(
            f"{loaded.base}: its tower makes {count} features of a picture, and its family has "
            f"{loaded.image_tokens} image tokens for them; its config.json is not as swath knows "
            f"the family, put back the one it was published with."
        )
    return features


def takes_features(inputs: Inputs) -> bool:
    """Whether the model's forward takes what was made of the images, and no pixels."""
    model = plain(inputs.loaded.model)
    if inputs.kind == "encoder" or isinstance(model, JoinedForConditionalGeneration):
        return True
    if getattr(model.config.vision_config, "deepstack_visual_indexes", None):
        return False  # features of several layers, and one of them is kept
    takes = signature(model.forward).parameters
    return "mm_encoder_outputs" in takes and takes["pixel_values"].default is None
