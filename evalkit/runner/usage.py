"""What a run takes of the machine, for its record: memory at its peak, operations of the projector."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from evalkit.inside import Costed
from evalkit.model import Model

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def start_peak(device: str) -> None:
    """Count from here on, so that a model is not charged for one that was run before it.

    Where the system cannot start over (only Linux and CUDA can) the peak is that of the whole process.
    """
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(torch.device(device))
    elif _CLEAR.exists():
        # 5 sets VmHWM to what is held now (proc_pid_clear_refs(5)).
        with contextlib.suppress(OSError):
            _CLEAR.write_text("5")


def peak_memory(device: str) -> int:
    """Bytes: the most that tensors took on the GPU, else the most that the process held; 0 for a server."""
    if device == "remote":
        return 0
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(torch.device(device)))
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        held = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        if held:
            return int(held[0]) * 1024
    return _peak_of_process()


def projector_flops(model: Model) -> float:
    """Floating-point operations of the projector for a second of audio, by formula; 0 for a model without one."""
    if not isinstance(model, Costed):
        return 0.0
    cost = model.projector_cost()
    return float(cost.flops * cost.tokens_per_second)


def _peak_of_process() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
