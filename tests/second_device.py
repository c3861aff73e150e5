"""A device beside the CPU on any machine: it computes on the CPU, and refuses what a GPU would refuse.

Its tensors say that they are on `meta`, where torch computes nothing, and hold their numbers on the CPU. One that
meets a tensor on the CPU raises as torch does on a GPU, and none becomes an array of numpy. So what would fail on a GPU
at once fails here; what only a GPU's own kernels do is not seen. It counts in the thread that opened it alone.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

SECOND = torch.device("meta")
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)  # from device to device
INDEXED = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default)


class _Held(torch.Tensor):
    """A tensor on the second device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "_Held":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=SECOND,
        )
        made.held = held
        return made

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            args = args[0], _without_lists(args[1]), *args[2:]
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Tensors that are made on the second device, or copied to it."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


class _Numbers(TorchFunctionMode):
    """`torch.tensor` would not look at the numbers that it is given, for this device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if function is torch.tensor and torch.device(given.get("device") or "cpu") == SECOND:
            del given["device"]
            return torch.tensor(*args, **given).to(SECOND)
        return function(*args, **given)


@contextlib.contextmanager
def second_device() -> Iterator[torch.device]:
    """The device, for tensors of this thread."""
    with _Factories(), _Numbers():
        yield SECOND


def _without_lists(index: Any) -> Any:
    """Lists as tensors on the CPU: torch would not look at their numbers, for this device."""
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(torch.tensor(part) if isinstance(part, list) else part for part in parts)


def _computed(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    here = any(isinstance(tensor, _Held) for tensor in tensors)
    if here and function not in COPIES:
        looked_at = [args[0], *args[2:3]] if function in INDEXED else tensors  # indices may be on the CPU
        others = [
            tensor
            for tensor in looked_at
            if isinstance(tensor, torch.Tensor) and not isinstance(tensor, _Held) and tensor.ndim
        ]
        if others:
            raise RuntimeError(f"{function}: Expected all tensors to be on the same device, but got {SECOND} and cpu")
    wanted = kwargs.get("device")
    if wanted is not None:
        here = torch.device(wanted) == SECOND
        kwargs = kwargs | {"device": torch.device("cpu")}
    if function is aten.copy_.default:
        here = isinstance(args[0], _Held)
    args_held, kwargs_held = tree_map(lambda part: part.held if isinstance(part, _Held) else part, (args, kwargs))
    if function is aten.copy_.default and args_held[0].data_ptr() == args_held[1].data_ptr():
        return args[0]  # to itself, as `matmul` into a view does
    found = function(*args_held, **kwargs_held)
    if not here:
        return found
    written = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, _Held)}
    return tree_map(lambda part: _kept(part, written) if isinstance(part, torch.Tensor) else part, found)


def _kept(found: torch.Tensor, written: dict[int, _Held]) -> _Held:
    """What was written to, if it is that; else a new one. Conjugates are written out, for the bit would be lost."""
    return written[id(found)] if id(found) in written else _Held(found.resolve_conj().resolve_neg())
