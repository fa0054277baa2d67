"""What every model of a tower, a projector and a decoder does the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from swath.errors import ShapeError


class JoinedModel(PreTrainedModel):
    """Up to the last hidden states; a subclass adds the three parts and `get_image_features`.

    They are named `vision_tower`, `multi_modal_projector` and `language_model`.
    """

    language_model: Any

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """(images, 3, size, size) to projected features (images, tokens, hidden)."""
        raise NotImplementedError

    def embed(self, input_ids: Tensor, image_features: Tensor | None) -> Tensor:
        """Word embeddings with the image features in the places of the image tokens.

        Raises:
            ShapeError: the text holds another number of image tokens than there are features.
        """
        embedded = self.get_input_embeddings()(input_ids)
        if image_features is None:
            return embedded
        places = input_ids == self.config.image_token_id
        features = image_features.reshape(-1, image_features.shape[-1])
        if int(places.sum()) != len(features):
            raise ShapeError(
                f"the text has {int(places.sum())} image tokens and the images give "
                f"{len(features)} features; was a row cut through an image?"
            )
        return embedded.masked_scatter(places[..., None], features.to(embedded.dtype))


class JoinedForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """With a language head; a subclass adds `model`, a `JoinedModel`, and `lm_head`."""

    model: Any
    lm_head: nn.Linear

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """(images, 3, size, size) to projected features (images, tokens, hidden)."""
        return self.model.get_image_features(pixel_values)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits, and the mean loss over labels that are not -100.

        Args:
            input_ids: (batch, tokens), image tokens in place; several images or video frames
                of a row are simply more of them.
            pixel_values: (images, 3, size, size), in the order of their tokens.
            image_features: (images, tokens, hidden), projected, instead of `pixel_values`.
            attention_mask: (batch, tokens), or (batch, 1, tokens, tokens) booleans.
            labels: (batch, tokens); with labels, logits are computed only where a label is
                and come back as (labelled, vocabulary).
        """
        if inputs_embeds is None:
            if pixel_values is not None:
                image_features = self.get_image_features(pixel_values)
            inputs_embeds = self.model.embed(input_ids, image_features)
        if attention_mask is not None and attention_mask.ndim == 4:
            lowest = torch.finfo(inputs_embeds.dtype).min
            attention_mask = torch.where(attention_mask, 0.0, lowest).to(inputs_embeds.dtype)
        output = self.model.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        hidden = output.last_hidden_state
        loss = None
        if labels is None:
            keep = (
                slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            )
            logits = self.lm_head(hidden[:, keep])
        else:
            counted = labels[:, 1:] != -100
            logits = self.lm_head(hidden[:, :-1][counted])
            loss = functional.cross_entropy(logits.float(), labels[:, 1:][counted])
        return CausalLMOutputWithPast(
            loss=loss, logits=logits, past_key_values=output.past_key_values
        )

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Images are read with the first step only; later steps find them in the cache."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(  # type: ignore[misc]
            input_ids,  # type: ignore[arg-type]
            is_first_iteration=is_first_iteration,
            **kwargs,
        )
        if is_first_iteration or not kwargs.get("use_cache", True):
            inputs["pixel_values"] = pixel_values
            inputs["image_features"] = image_features
        return inputs
