"""A step rehearsed with tensors that have a shape and no memory: what it would hold and compute."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers import AutoModelForImageTextToText, VisionEncoderDecoderModel

from swath.models.family import family_of, family_row
from swath.models.inputs import head_of, plain
from swath.models.loaded import Loaded
from swath.recipe import Stage
from swath.tuning.stages import PartCount, count_parts, prepare

BYTES_QUANTIZED = {"4bit": 0.5 + 4 / 64, "8bit": 1.0}
"""Bytes of a number of a quantised matrix, with the scale of each block of 64."""

_FEW = (2, 4)  # layers
_WITH_PIXELS_ALONE = ("images", "encoder")


@dataclass(frozen=True)
class Shape:
    """A batch.

    Args:
        images: pictures in it.
        rows: rows of words, several for a picture where its tokens cannot be shared.
        tokens: of the longest row, its pictures' among them.
        answers: tokens of a row that are learnt.
    """

    images: int
    rows: int
    tokens: int
    answers: int


@dataclass(frozen=True)
class Memory:
    """What a stage holds on one device, bytes.

    Args:
        weights: of all parts, each in its own format.
        gradients: of what learns, float32.
        optimizer: AdamW's two moments of what learns, float32.
        activations: at the peak of a batch's forward and backward pass, logits among them.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True)
class Rehearsed:
    """A stage's step as it would be.

    Args:
        memory: held at the peak.
        flops: floating point operations of one batch, forward and backward.
        parts: what learns.
        tower_counted: whether `memory` has the vision tower's activations; towers that read sizes
            or grids of pictures cannot be rehearsed.
    """

    memory: Memory
    flops: float
    parts: tuple[PartCount, ...]
    tower_counted: bool


def shadow(config: Any, dtype: torch.dtype) -> Any:
    """A model of a configuration without any memory for its weights."""
    with torch.device("meta"):
        if config.model_type == "vision-encoder-decoder":
            model: Any = VisionEncoderDecoderModel(config)
            model.to(dtype)
        else:
            model = AutoModelForImageTextToText.from_config(
                config, dtype=dtype, trust_remote_code=False
            )
    return model


def rehearse(
    config: Any, stage: Stage, shape: Shape, dtype: torch.dtype, half: bool, quantized: str
) -> Rehearsed:
    """A stage's batch on the model of a configuration; no weight is read.

    Args:
        config: of the whole model, at the side of its pictures.
        stage: what learns, and how.
        shape: of the batch.
        dtype: of frozen weights.
        half: whether products are computed in half precision.
        quantized: "none", "4bit" or "8bit", the recipe's `models.quantize`.

    Raises:
        TuningError: the stage wishes for what the model does not have.
    """
    model, loaded = _prepared(config, stage, dtype)
    parts = tuple(count_parts(model, loaded))
    trained = sum(part.trained for part in parts)
    weights = _weight_bytes(model, loaded, quantized)
    layers = _text_config(config).num_hidden_layers
    if layers <= _FEW[1]:
        activations, flops, seeing = _act(model, loaded, stage, shape, half)
        activations = max(activations, seeing)
    else:
        # Layers are alike, so two of few layers tell what all of them take.
        small, larger = (
            _act(*_prepared(_with_layers(config, count), stage, dtype), stage, shape, half)
            for count in _FEW
        )
        steps = (layers - _FEW[0]) / (_FEW[1] - _FEW[0])
        activations = small[0] + steps * (larger[0] - small[0])
        activations = max(activations, small[2])
        flops = small[1] + steps * (larger[1] - small[1])
    memory = Memory(weights, 4 * trained, 8 * trained, max(0, round(activations)))
    tower_counted = loaded.family.pixels in _WITH_PIXELS_ALONE
    return Rehearsed(memory, flops + _unseen_flops(model, loaded, shape), parts, tower_counted)


def _prepared(config: Any, stage: Stage, dtype: torch.dtype) -> tuple[Any, Loaded]:
    """The model without memory, with the stage's parts learning."""
    model = shadow(config, dtype)
    family = family_row(config, "this model")
    loaded = Loaded(model, None, family, family_of(config), dtype=dtype)
    return prepare(model, loaded, stage), loaded


def _text_config(config: Any) -> Any:
    return getattr(config, "decoder", None) or config.get_text_config()


def _with_layers(config: Any, count: int) -> Any:
    """The same with fewer layers in its language model."""
    smaller = deepcopy(config)
    text = _text_config(smaller)
    text.num_hidden_layers = count
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:count]
    return smaller


def _act(
    model: Any, loaded: Loaded, stage: Stage, shape: Shape, half: bool
) -> tuple[float, float, float]:
    """What a batch takes.

    Returns:
        Bytes at its peak from the first word on, beside weights and gradients; its operations;
        and bytes at the peak before, while the tower looks.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = 4 * sum(parameter.numel() for parameter in trained)
    with FakeTensorMode():
        _give_shapes(model)
        model.train()
        if stage.accumulate > 1:  # those of the batch before are still there
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)
            gradients = 0
        with Account(model) as account:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = _loss(model, loaded, stage, shape, account)
            loss.backward()  # type: ignore[no-untyped-call]
    return account.peak - gradients, account.flops, account.earlier


class Account(TorchDispatchMode):
    """Counts the bytes of tensors that live at one time, and the operations that made them.

    Args:
        model: whose weights were there before.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.now = self.peak = self.earlier = 0
        self.flops = 0.0
        self._sizes: dict[int, int] = {}
        for tensor in (*model.parameters(), *model.buffers()):
            self._sizes[tensor.untyped_storage()._cdata] = 0

    def begin_anew(self) -> None:
        """Look for another peak from here on; the one before becomes `earlier`."""
        self.earlier, self.peak = self.peak, self.now

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do as asked, and note the new storage."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        operations = flop_registry.get(func._overloadpacket)
        if operations is not None:
            self.flops += operations(*args, **kwargs, out_val=output)
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return output

    def _note(self, storage: Any) -> None:
        place = storage._cdata
        if place in self._sizes:
            return
        self._sizes[place] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, place)

    def _forget(self, place: int) -> None:
        self.now -= self._sizes.pop(place)


def _give_shapes(model: nn.Module) -> None:
    """Put a tensor of the present mode in the place of each that lies nowhere; ties stay."""
    replaced: dict[int, Tensor] = {}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, tensor in table.items():
                if tensor is None:
                    continue
                if id(tensor) not in replaced:
                    shaped = torch.empty(tensor.shape, dtype=tensor.dtype)
                    if isinstance(tensor, nn.Parameter):
                        shaped = nn.Parameter(shaped, tensor.requires_grad)
                    replaced[id(tensor)] = shaped
                table[name] = replaced[id(tensor)]  # type: ignore[assignment]


def _loss(model: Any, loaded: Loaded, stage: Stage, shape: Shape, account: Account) -> Tensor:
    """The loss of a batch of blank pictures and nameless words."""
    base, family = plain(model), loaded.family
    side = family.side(base.config)
    pixels = torch.zeros(shape.images, 3, side, side)
    ids = torch.zeros(shape.rows, shape.tokens, dtype=torch.int64)
    if not stage.text_loss:
        features = base.get_submodule(family.vision)(pixels)
        return getattr(features, "last_hidden_state", features).float().mean()
    with _answers_alone(head_of(model, loaded), shape.answers):
        if family.pixels == "encoder":
            logits = base(pixel_values=pixels, decoder_input_ids=ids, use_cache=False).logits
        else:
            language = base.get_submodule(family.language)
            words = language.get_input_embeddings()(ids)
            words = _with_pictures(base, stage, loaded, words, pixels)
            account.begin_anew()
            mask = None
            if family.shared_prefix:
                mask = torch.ones(shape.rows, 1, shape.tokens, shape.tokens, dtype=torch.bool)
            if family_of(base.config) in ("swath_nano", "swath_composed") and mask is not None:
                mask = mask.to(words.dtype)
            hidden = language(
                inputs_embeds=words, attention_mask=mask, use_cache=False
            ).last_hidden_state
            logits = head_of(model, loaded)(hidden)
    targets = torch.zeros(logits.shape[:2], dtype=torch.int64).flatten()
    return functional.cross_entropy(logits.float().flatten(0, 1), targets)


def _with_pictures(
    base: Any, stage: Stage, loaded: Loaded, words: Tensor, pixels: Tensor
) -> Tensor:
    """Word embeddings (rows, tokens, hidden) with the pictures' features before them."""
    learns = {"vision", "projector"} & set(stage.train)
    if loaded.family.pixels not in _WITH_PIXELS_ALONE:
        # Towers that read sizes or grids cannot be asked without numbers in their tensors.
        return words.detach().requires_grad_(True) if learns else words
    features = base.get_image_features(pixels)
    features = getattr(features, "pooler_output", features)
    if not isinstance(features, Tensor):
        features = torch.stack(list(features))
    features = features.reshape(-1, features.shape[-1]).to(words.dtype)
    flat = words.flatten(0, 1)
    joined = torch.cat([features[: len(flat)], flat[len(features) :]])
    return joined.view_as(words)


@contextmanager
def _answers_alone(head: nn.Module, answers: int) -> Iterator[None]:
    """Words are computed in as many places as answers have tokens."""
    hook = head.register_forward_pre_hook(lambda module, hidden: (hidden[0][:, :answers],))
    try:
        yield
    finally:
        hook.remove()


def _weight_bytes(model: nn.Module, loaded: Loaded, quantized: str) -> int:
    """Bytes of all weights and buffers, tied ones once, as the stage holds them."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    total += sum(tensor.numel() * tensor.element_size() for tensor in model.buffers())
    if quantized == "none":
        return total
    head = head_of(model, loaded)
    language = plain(model).get_submodule(loaded.family.language)
    for name, layer in language.named_modules():
        if type(layer) is nn.Linear and layer is not head and ".lora_" not in f".{name}":
            matrix = layer.weight
            smaller = matrix.element_size() - BYTES_QUANTIZED[quantized]
            total -= int(matrix.numel() * smaller)
    return total


def _unseen_flops(model: Any, loaded: Loaded, shape: Shape) -> float:
    """Operations of a tower that was not rehearsed: two a weight and patch."""
    base, family = plain(model), loaded.family
    if family.pixels in _WITH_PIXELS_ALONE:
        return 0.0
    tower = base.get_submodule(family.vision)
    side, patch = family.side(base.config), base.config.vision_config.patch_size
    weights = sum(parameter.numel() for parameter in tower.parameters())
    return 2.0 * weights * (side // patch) ** 2 * shape.images
