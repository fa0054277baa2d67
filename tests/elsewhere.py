"""A device that is not there: tensors compute on the CPU and refuse to meet those that stayed.

As on a GPU, a tensor on the device and one beside it cannot be mixed, NumPy cannot read the first,
and a number alone may come from anywhere.
"""

from __future__ import annotations

from contextlib import contextmanager

import torch
from accelerate.state import AcceleratorState, PartialState
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from transformers import Trainer, TrainingArguments

from swath.models import engine

backend_registration._setup_privateuseone_for_python_backend("elsewhere")
DEVICE = torch.device("elsewhere", 0)
"""The name it goes by: no kernel runs on it, so what slips past the mode fails."""

MOVING = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
"""What may take tensors of both."""

SELECTING = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put_.default,
    torch.ops.aten.index_put.default,
}
"""Places of a tensor on the device may be told by tensors beside it."""

COMPOSITE = "CompositeImplicitAutograd"
"""Operators made of others; without gradients they are not taken apart before."""


class Away(torch.Tensor):
    """A tensor on the device, its numbers held by one on the CPU."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Away:
        away = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=held.requires_grad,
        )
        away.held = held
        return away

    def __repr__(self) -> str:
        return f"Away({self.held!r})"

    def tolist(self):
        return self.held.tolist()

    def untyped_storage(self):
        return self.held.untyped_storage()

    def data_ptr(self):
        return self.held.data_ptr()

    def __reduce_ex__(self, protocol):
        return self.held.__reduce_ex__(protocol)

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert a tensor on the device to numpy; use .cpu() first.")

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return computed(function, args, kwargs or {})


class Elsewhere(TorchDispatchMode):
    """While it is on, `device=DEVICE` and `.to(DEVICE)` lead there."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return computed(function, args, kwargs or {})


class Making(TorchFunctionMode):
    """Some tensors are made below the other mode; this one makes them where it sees them."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu") == DEVICE:
            numbers = tree_map(lambda v: v.item() if isinstance(v, Away) else v, args)
            return function(*numbers, **{**kwargs, "device": "cpu"}).to(DEVICE)
        if function in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            places = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], tuple(map(_place, places)), *args[2:])
        return function(*args, **kwargs)


def _place(place):
    """Numbers of places as a tensor, which torch would make below the other mode."""
    return torch.tensor(list(place)) if isinstance(place, list | range) else place


def computed(function, args, kwargs):
    """The result of an operator, on the device where its tensors or its arguments say so."""
    if torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), COMPOSITE):
        with Elsewhere():
            parts = function.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
    mixed = args[:1] + args[2:] if function in SELECTING else args
    tensors = [v for v in tree_flatten((mixed, kwargs))[0] if isinstance(v, torch.Tensor)]
    away = [tensor for tensor in tensors if isinstance(tensor, Away)]
    stayed = [tensor for tensor in tensors if not isinstance(tensor, Away) and tensor.ndim]
    if away and stayed and function not in MOVING:
        raise RuntimeError(
            f"{function}: expected all tensors to be on the same device, but found "
            f"{tuple(stayed[0].shape)} beside the device."
        )
    goes = bool(away)
    if (device := kwargs.get("device")) is not None:
        goes = torch.device(device) == DEVICE
        kwargs = {**kwargs, "device": torch.device("cpu") if goes else device}
    if function is torch.ops.aten.copy_.default:
        goes = isinstance(args[0], Away)
    plain_args, plain_kwargs = tree_map(
        lambda value: value.held if isinstance(value, Away) else value, (args, kwargs)
    )
    made = function(*plain_args, **plain_kwargs)
    if function._schema.is_mutable and tensors:
        first = function._schema.arguments[0]
        if first.alias_info is not None and first.alias_info.is_write:
            return args[0] if function._schema.returns else None
    if not goes:
        return made
    return tree_map(lambda value: Away(value) if isinstance(value, torch.Tensor) else value, made)


@contextmanager
def elsewhere(monkeypatch):
    """Models compute on the device, trainers and engines move them there."""

    def device(arguments):
        getattr(arguments, "_setup_devices")  # noqa: B009 (what else it finds out is kept)
        return DEVICE

    def prepared(trainer):
        create(trainer)
        trainer.accelerator.state.device = PartialState().device = DEVICE

    create = Trainer.create_accelerator_and_postprocess
    with monkeypatch.context() as patched, Elsewhere(), Making():
        patched.setattr(engine, "compute_device", lambda: DEVICE)
        patched.setattr(torch, "inference_mode", torch.no_grad)  # it forbids such tensors
        patched.setattr(TrainingArguments, "device", property(device))
        patched.setattr(Trainer, "create_accelerator_and_postprocess", prepared)
        # As on a GPU, a parameter that moves stays the same object, so tied weights stay tied.
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            yield
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
            AcceleratorState._reset_state(reset_partial_state=True)
