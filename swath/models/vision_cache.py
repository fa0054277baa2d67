"""What a frozen tower made of a picture, kept on disk: no epoch or evaluation asks it again.

A file a picture, named by the picture as the model sees it, in a folder named by the tower's
weights: a tower that was tuned, or another view of the picture, finds nothing and makes its own.
Kept as they were made, without rounding, so that answers are the same with and without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from swath.endpoint import digest
from swath.errors import ModelError
from swath.files import replacing
from swath.models.inputs import Inputs, plain, to_device
from swath.models.pixels import View

LIMIT = 4 << 30  # bytes kept at most, of all towers; the oldest files go first

RATE = {"cpu": 1e11, "cuda": 1e14, "mps": 3e12}  # multiplications and additions a second, about
READ = 2e8  # bytes a second that a disk gives, about


class Features:
    """Features of pictures in a folder.

    Args:
        folder: made with the first file.
        limit: bytes kept at most.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder, self._limit = folder, limit
        self._towers: dict[Inputs, str | None] = {}
        self._held = sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))

    def tower(self, inputs: Inputs) -> str | None:
        """`tower_name`, told once for each model."""
        if inputs not in self._towers:
            self._towers = {inputs: tower_name(inputs)}
        return self._towers[inputs]

    def of(self, inputs: Inputs, tower: str, views: Sequence[View]) -> Tensor:
        """(images, tokens, width) as the projector takes them.

        Args:
            tower: see `tower_name`.

        Raises:
            ModelError: a file is damaged.
        """
        files = [self.folder / tower / f"{_name(view)}.safetensors" for view in views]
        # What is there is read first: making room for new files may remove it.
        rows: list[Any] = [_read(file) if file.is_file() else None for file in files]
        missing = [place for place, row in enumerate(rows) if row is None]
        if missing:
            computed = seen_by_tower(inputs, [views[place] for place in missing])
            for place, row in zip(missing, computed, strict=True):
                rows[place] = row
                self._keep(files[place], row)
        return torch.stack([row.to(inputs.loaded.model.device) for row in rows])

    def _keep(self, file: Path, one: Tensor) -> None:
        with replacing(file) as temporary:
            save_file({"features": one.contiguous().cpu()}, temporary)
        self._held += file.stat().st_size
        if self._held > self._limit:
            files = self.folder.glob("*/*.safetensors")
            for old in sorted(files, key=lambda one: (one.stat().st_mtime_ns, one.name)):
                if self._held <= 0.9 * self._limit:
                    break
                self._held -= old.stat().st_size
                old.unlink()


def tower_name(inputs: Inputs) -> str | None:
    """The tower by its weights and what is read of it; None where keeping does not pay or serve.

    It serves where one projector takes a picture's features and nothing else, and no adapter is in
    the tower; it pays where the tower is estimated to take twice as long as the disk.
    """
    loaded = inputs.loaded
    if inputs.kind not in ("images", "rows") or len(loaded.family.projector) != 1:
        return None
    model = plain(loaded.model)
    tower = model.get_submodule(loaded.family.vision)
    if any("lora_" in name for name, _ in tower.named_parameters()) or not loaded.image_tokens:
        return None
    weights = sum(parameter.numel() for parameter in tower.parameters())
    patches = (loaded.image_size // loaded.family.patch(model.config)) ** 2
    if not keeping_pays(weights, patches, picture_bytes(inputs), model.device.type):
        return None
    read = [str(getattr(model.config, key, None)) for key in (*SELECTED, *SELECTING)]
    return digest([weights_of(tower), read, loaded.mean, loaded.std, versions(), str(model.device)])


def picture_bytes(inputs: Inputs) -> int:
    """Bytes of what a tower makes of one picture, in the model's own format."""
    widths = [each.shape[-1] for each in projector_of(inputs).parameters() if each.ndim == 2]
    return inputs.loaded.image_tokens * widths[0] * plain(inputs.loaded.model).dtype.itemsize


def keeping_pays(weights: int, patches: int, size: float, device: str) -> bool:
    """Whether a tower takes twice as long for a picture as a disk to give its features' bytes."""
    return weights * patches / RATE.get(device, RATE["cuda"]) >= size / READ


def weights_of(module: nn.Module) -> str:
    """A hash of a module's weights."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hashed.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return hashed.hexdigest()


def versions() -> list[str]:
    """Of the packages that what a model makes depends on."""
    return [version(name) for name in ("swath", "torch", "transformers")]


SELECTED = ("vision_feature_layer", "select_layer")
"""Where a config names the layer whose output is read, as `hidden_states` counts them."""

SELECTING = ("vision_feature_select_strategy", "keep_class_token", "leading")


def projector_of(inputs: Inputs) -> nn.Module:
    """What lies between tower and language model, where that is one part."""
    (place,) = inputs.loaded.family.projector
    module: nn.Module = plain(inputs.loaded.model).get_submodule(place)
    return module


class _ReachedError(Exception):
    """The projector is about to be asked."""


def seen_by_tower(inputs: Inputs, views: Sequence[View]) -> Tensor:
    """What the projector takes of some pictures, (images, tokens, width); nothing learns from it.

    Raises:
        ModelError: the projector is not called with one tensor of all pictures.
    """
    taken: list[Tensor] = []

    def take(projector: nn.Module, given: tuple[Tensor, ...]) -> None:
        taken.extend(given)
        raise _ReachedError

    tower = plain(inputs.loaded.model).get_submodule(inputs.loaded.family.vision)
    hook = projector_of(inputs).register_forward_pre_hook(take)
    learning = tower.training
    tower.eval()
    try:
        with torch.no_grad():
            image_features(inputs, views)
    except _ReachedError:
        pass
    finally:
        hook.remove()
        tower.train(learning)
    if len(taken) != 1 or len(taken[0]) != len(views):
        raise ModelError(
            f"{inputs.loaded.base}: its projector does not take the pictures' features alone; "
            f"its family's row is wrong, name the projector's parts in `projector`."
        )
    return taken[0]


def image_features(inputs: Inputs, views: Sequence[View]) -> Tensor:
    """(images, tokens, width), of the tower or behind the projector."""
    model = plain(inputs.loaded.model)
    values = inputs.tensor(views).to(model.device, model.dtype)
    pixels = to_device(inputs.pixels(values, [1] * len(values)), values.device)
    if inputs.kind == "encoder":
        return model.encoder(**pixels).last_hidden_state
    with unread_left_out(inputs):
        output = model.get_image_features(**pixels)
    output = getattr(output, "pooler_output", output)
    return output if isinstance(output, Tensor) else torch.stack(list(output))


@contextmanager
def unread_left_out(inputs: Inputs) -> Iterator[None]:
    """The tower's layers behind those that are read hand on what they get, which nobody looks at.

    LLaVA reads the last layer but one of CLIP, and `transformers` computes the last all the same.
    """
    model = plain(inputs.loaded.model)
    settings = [getattr(model.config, key, None) for key in SELECTED]
    chosen = next(filter(None, settings), None)
    tower = model.get_submodule(inputs.loaded.family.vision)
    layers = getattr(getattr(tower, "encoder", tower), "layers", ())
    read = [chosen] if isinstance(chosen, int) else list(chosen or ())
    places = [place if place >= 0 else len(layers) + 1 + place for place in read]
    last = max(places, default=0)
    if not 0 < last < len(layers):
        yield
        return
    handed: list[object] = []
    hook = layers[last - 1].register_forward_hook(lambda _, given, made: handed.append(made))
    for layer in layers[last:]:
        layer.forward = lambda *given, **named: handed[-1]
    try:
        yield
    finally:
        hook.remove()
        for layer in layers[last:]:
            del layer.forward


def _name(view: View) -> str:
    return hashlib.sha256(str(view.pixels.shape).encode() + view.pixels.tobytes()).hexdigest()


def _read(file: Path) -> Tensor:
    try:
        return load_file(file)["features"]
    except (SafetensorError, KeyError, OSError) as error:
        raise ModelError(
            f"{file}: kept features cannot be read ({error}); remove the folder {file.parent}, "
            f"they are made anew."
        ) from None
