"""A device that is not the CPU, for machines without one: its tensors are the CPU's behind another name.

What mixes devices fails here as it does on a GPU, and every look of the host at a value is counted. Kernels and
their rounding are the CPU's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("elsewhere")
ELSEWHERE = torch.device("elsewhere:0")

# These take tensors of the CPU beside those of a device: copies, and indices of what is on the device.
_MIXING = (
    "aten::copy_",
    "aten::_to_copy",
    "aten::index.Tensor",
    "aten::index_put_",
    "aten::_index_put_impl_",
)
# For these the host waits: it needs a value, or a size that hangs on values.
_WAITING = (
    "aten::_local_scalar_dense",
    "aten::bincount",
    "aten::masked_select",
    "aten::nonzero",
    "aten::_unique2",
)


class Elsewhere(Tensor):
    """inner: the tensor of the CPU that it is."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Elsewhere:
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=ELSEWHERE,
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        raise AssertionError(f"{func.name()} outside of `elsewhere()`")

    def tolist(self) -> Any:
        return self.cpu().tolist()


class _Device(TorchDispatchMode):
    """looks: the operations by which the host waited for a value."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        with self:  # in inference mode operations come here before they are taken apart
            found = func.decompose(*args, **kwargs)
        if found is not NotImplemented:
            return found
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        here = [one for one in tensors if not isinstance(one, Elsewhere) and one.dim()]
        away = len(here) < len(tensors) and any(isinstance(one, Elsewhere) for one in tensors)
        if away and here and not (func.name().startswith(_MIXING) and _first_may(func, args)):
            raise RuntimeError(f"{func.name()} takes tensors on {ELSEWHERE} and on the CPU")
        there = away
        if kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]).type == ELSEWHERE.type
            kwargs["device"] = torch.device("cpu")
        if away and (not there or func.name() in _WAITING):
            self.looks.append(func.name())
        # A view of a weight must be as the weight is, and that was not made in inference mode.
        with torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext():
            found = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
            if func._schema.is_mutable:
                return args[0]
            return tree_map(lambda one: Elsewhere(one) if there and isinstance(one, Tensor) else one, found)


def _first_may(func: Any, args: Sequence[Any]) -> bool:
    """Indices may be the CPU's, what is indexed and what is written into it may not."""
    if not func.name().startswith(("aten::index", "aten::_index")):
        return True
    return all(isinstance(one, Elsewhere) or not one.dim() for one in (args[0], *args[2:3]))


def _inner(one: Any) -> Any:
    return one.inner if isinstance(one, Elsewhere) else one


@contextmanager
def elsewhere() -> Iterator[list[str]]:
    """Yields the operations by which the host waited for a value, as they come."""
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    # So that `torch.tensor(list, device=...)` is a copy that is seen.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with _Device() as device:
            yield device.looks
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
