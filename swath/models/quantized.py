"""A language model's frozen matrices in four or eight bits, beside which an adapter learns.

Source: QLoRA (arXiv:2305.14314), NormalFloat4; LLM.int8 (arXiv:2208.07339).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from swath.errors import ModelError
from swath.models.inputs import head_of
from swath.models.loaded import Loaded, compute_device


def quantize(loaded: Loaded, kind: str) -> Loaded:
    """The model with its language model's matrices quantised, each as it moves to the device.

    Words' embeddings, the head, norms, tower and projector stay as they are.

    Args:
        kind: "4bit" or "8bit".

    Raises:
        ModelError: bitsandbytes is not installed, or the language model has no plain matrices.
    """
    try:
        import bitsandbytes
    except ImportError:
        raise ModelError(
            "models.quantize needs bitsandbytes; run pip install 'swath[qlora]', or use "
            "models.quantize=none."
        ) from None
    base_digest = loaded.digest
    language = loaded.model.get_submodule(loaded.family.language)
    head = head_of(loaded.model, loaded)
    count = 0
    for parent in language.modules():
        for name, layer in parent.named_children():
            if type(layer) is nn.Linear and layer is not head:
                setattr(parent, name, _quantized(bitsandbytes.nn, layer, kind))
                count += 1
    if not count:
        raise ModelError(
            f"models.quantize: {loaded.base}'s language model has no plain matrices to hold in "
            f"{kind}; use models.quantize=none."
        )
    # By these peft and accelerate know how to stand beside such layers.
    loaded.model.is_loaded_in_4bit = kind == "4bit"
    loaded.model.is_loaded_in_8bit = kind == "8bit"
    return replace(loaded, quantized=kind, base_digest=base_digest)


def _quantized(kinds: Any, layer: nn.Linear, kind: str) -> nn.Module:
    """A layer of the same product, its matrix quantised on the device."""
    sizes = layer.in_features, layer.out_features, layer.bias is not None
    matrix = layer.weight.data
    if kind == "4bit":
        linear = kinds.Linear4bit(*sizes, compute_dtype=matrix.dtype, quant_type="nf4")
        weight = kinds.Params4bit(matrix, requires_grad=False, quant_type="nf4")
        # On a processor answering would pack it anew, in a form that learning does not read.
        linear.support_avx512bf16_for_cpu = False
    else:
        linear = kinds.Linear8bitLt(*sizes, has_fp16_weights=False)
        weight = kinds.Int8Params(matrix, requires_grad=False, has_fp16_weights=False)
    linear.weight = weight
    if layer.bias is not None:
        linear.bias = layer.bias
    return linear.to(compute_device())
