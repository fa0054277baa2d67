"""Candidate answers weighed: their log-probabilities, several questions read in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from swath.models.encoding import Encoded
from swath.models.inputs import Inputs, head_of, to_device, words_at
from swath.models.trie import Trie

LEAST_SHARED = 16
"""Tokens before the first image that are worth a pass of their own."""


def log_probabilities(
    inputs: Inputs, rows: Sequence[Sequence[Encoded]], given: Mapping[str, Any]
) -> list[NDArray[np.float64]]:
    """Summed log-probability of each conversation's answer, row by row.

    Args:
        inputs: of the model.
        rows: conversations about the same images; one a row, where the family shares no prefix.
        given: what the model takes for the images of each row.
    """
    model, device = inputs.loaded.model, inputs.loaded.model.device
    tries = [Trie.of(row) for row in rows]
    batch = to_device(inputs.reading(tries), device)
    wanted = torch.zeros(len(tries), max(len(one.ids) for one in tries), dtype=torch.bool)
    before = [np.concatenate(one.before) for one in tries]
    for row, places in zip(wanted, before, strict=True):
        row[places] = True
    number = (wanted.flatten().cumsum(0) - 1).view_as(wanted)  # of each place among the wanted
    common = _common(inputs, tries)
    if common:
        batch, wanted = _after(model, batch, common), wanted[:, common:]
    with words_at(head_of(model, inputs.loaded), wanted.to(device)):
        logits = model(**batch, **to_device(given, device), use_cache=bool(common)).logits.float()
    whole = logits.logsumexp(-1)  # (wanted,)
    scores = []
    for row, places, one in zip(number, before, tries, strict=True):
        at = row[places].to(device)
        words = torch.from_numpy(np.concatenate(one.answers)).to(device)
        logs = (logits[at, words] - whole[at]).double().cpu().numpy()
        scores.append(np.add.reduceat(logs, np.cumsum([0, *map(len, one.answers[:-1])])))
    return scores


def _common(inputs: Inputs, tries: Sequence[Trie]) -> int:
    """Tokens before the first image that all rows share; 0 where that gains little."""
    if len(tries) == 1 or not inputs.branching:
        return 0
    shortest = min(len(one.ids) for one in tries)
    first = tries[0].ids[:shortest]
    alike = first != inputs.loaded.tokenizer.convert_tokens_to_ids(inputs.loaded.family.image_token)
    for one in tries:  # and no question has left the path yet
        alike &= (one.ids[:shortest] == first) & (one.ends[:shortest] == len(one.ids))
    common = shortest if alike.all() else int(alike.argmin())
    return common if common >= LEAST_SHARED else 0


def _after(model: Any, batch: Mapping[str, torch.Tensor], common: int) -> dict[str, Any]:
    """The batch behind its first tokens, which are read once and kept for all rows."""
    ids, mask, places = batch["input_ids"], batch["attention_mask"], batch["position_ids"]
    kept = model(
        input_ids=ids[:1, :common],
        position_ids=places[..., :1, :common],
        use_cache=True,
        logits_to_keep=1,
    ).past_key_values
    kept.batch_repeat_interleave(len(ids))
    return {
        "input_ids": ids[:, common:],
        "position_ids": places[..., common:],
        "attention_mask": mask[:, :, common:],
        "past_key_values": kept,
    }
