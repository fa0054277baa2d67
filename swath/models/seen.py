"""Images as a model has seen them: through its tower once, for all that is asked about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling

from swath.errors import ModelError
from swath.models.inputs import Inputs, plain, to_device
from swath.models.joined import JoinedForConditionalGeneration
from swath.models.pixels import View


class Seen:
    """The images of some questions.

    A model that takes nothing but pixels gets them anew with every question.

    Args:
        inputs: of the model.
        views: of each image, by its path.
        at_once: images that go through the tower together.

    Raises:
        ModelError: the tower makes other than one feature of each image token.
    """

    def __init__(self, inputs: Inputs, views: Mapping[str, View], at_once: int) -> None:
        model = inputs.loaded.model
        self.views = views
        self._inputs, self._place = inputs, {path: place for place, path in enumerate(views)}
        values = inputs.tensor(list(views.values())).to(model.device, model.dtype)
        self._values = None if takes_features(inputs) else values
        if self._values is None:
            some = [_features(inputs, part) for part in values.split(at_once)]
            self._features = torch.cat(some)  # (images, tokens, width)
            made, loaded = self._features.shape[1], inputs.loaded
            if loaded.image_tokens not in (0, made):
                raise ModelError(
                    f"{loaded.base}: its tower makes {made} features of a picture, and its family "
                    f"has {loaded.image_tokens} image tokens for them; its config.json is not as "
                    f"swath knows the family, put back the one it was published with."
                )

    def of(self, questions: Iterable[Sequence[str]]) -> dict[str, Any]:
        """What the model takes for rows whose images lie at these paths."""
        rows = [[self._place[path] for path in paths] for paths in questions]
        order = [place for row in rows for place in row]
        if self._values is not None:
            return self._inputs.pixels(self._values[order], [len(row) for row in rows])
        features, kind = self._features[order], self._inputs.kind
        if kind == "encoder":
            return {"encoder_outputs": BaseModelOutput(last_hidden_state=features)}
        if isinstance(plain(self._inputs.loaded.model), JoinedForConditionalGeneration):
            return {"image_features": features}
        given = BaseModelOutputWithPooling(pooler_output=list(features))  # type: ignore[arg-type]
        grid = {"image_grid_thw": self._inputs.grid(len(order))} if kind == "patches" else {}
        return {"mm_encoder_outputs": {"image": given}} | grid


def takes_features(inputs: Inputs) -> bool:
    """Whether the model's forward takes what was made of the images, and no pixels."""
    model = plain(inputs.loaded.model)
    if inputs.kind == "encoder" or isinstance(model, JoinedForConditionalGeneration):
        return True
    takes = signature(model.forward).parameters
    return "mm_encoder_outputs" in takes and takes["pixel_values"].default is None


def _features(inputs: Inputs, values: Tensor) -> Tensor:
    """(images, tokens, width), of the tower or behind the projector."""
    model = plain(inputs.loaded.model)
    pixels = to_device(inputs.pixels(values, [1] * len(values)), values.device)
    if inputs.kind == "encoder":
        return model.encoder(**pixels).last_hidden_state
    found = model.get_image_features(**pixels)
    found = getattr(found, "pooler_output", found)
    return found if isinstance(found, Tensor) else torch.stack(list(found))
