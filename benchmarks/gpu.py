"""How near evalkit's loops come to what a GPU can do, at the size of the paper, with random weights.

    python benchmarks/gpu.py --out gpu.json

The machine's roofline is measured first: operations a second of one large matrix product, in bf16 and in fp32, and
bytes a second of one large copy. Then the loops of `model_adapters.audio_llm` are timed in the number formats of a
run: the encoder on windows of 30 s, the projector (fp32), reading prompts, and writing answers; the fp32 output layer
also by itself, beside one with bf16 weights whose logits are made fp32 afterwards. Operations are counted by torch,
bytes are the weights that a pass must read (for a step of writing also the key-value cache; not the embedding table,
of which it looks up a row a token). A loop can take no less than the larger of operations / peak and bytes /
bandwidth, with the peak of its own number format (writing: bf16); `share` is that bound over the median time.

Sizes: an encoder as Whisper large-v3, the projector of Lei et al. (arXiv 2601.02967), an LLM as Qwen3-1.7B. On
a machine without CUDA it says so and exits 2; `--device cpu --scale tiny` tries the program.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import report
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from evalkit.model import GenerationSettings
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.cost import paper_scale
from model_adapters.audio_llm.decoding import decode
from model_adapters.audio_llm.encoder import MAX_WINDOW, SAMPLES_PER_FRAME, encode
from model_adapters.audio_llm.llm import Fp32Head
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.tree import Unit, read

NO_CUDA = 2


@dataclass(frozen=True, slots=True)
class Scale:
    """encoder, llm: what WhisperConfig and Qwen3Config take; matrix, copied: sizes that measure the roofline."""

    encoder: dict[str, int]
    projector: ProjectorConfig
    llm: dict[str, int]
    matrix: int
    copied: int


def _encoder(width: int, layers: int, heads: int, mels: int) -> dict[str, int]:
    sizes = {"encoder_layers": layers, "encoder_attention_heads": heads, "encoder_ffn_dim": 4 * width}
    decoder = {"decoder_layers": 1, "decoder_attention_heads": heads, "decoder_ffn_dim": 4}
    return {"d_model": width, "num_mel_bins": mels, **sizes, **decoder}


def _llm(width: int, inner: int, layers: int, heads: int, head: int, vocabulary: int) -> dict[str, int]:
    attention = {"num_attention_heads": heads, "num_key_value_heads": heads // 2, "head_dim": head}
    sizes = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    return {**sizes, **attention, "vocab_size": vocabulary}


MOE = ProjectorConfig(kind="moe")
SMALL = {"encoder_width": 16, "llm_width": 32, "expert_width": 8, "moe_width": 16}
SCALES = {
    "paper": Scale(
        _encoder(1280, 32, 20, 128), paper_scale(MOE), _llm(2048, 6144, 28, 16, 128, 151_936), 8192, 1 << 30
    ),
    "tiny": Scale(
        _encoder(16, 1, 2, 80), MOE.model_copy(update=SMALL), _llm(32, 64, 2, 2, 16, 512), 64, 1 << 16
    ),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the device was measured to do at best."""

    device: torch.device
    dtype: torch.dtype
    rounds: int

    def seconds(self, work: Callable[[], object]) -> float:
        """Median of the rounds, after one that is not counted."""
        times = []
        for _ in range(self.rounds + 1):
            began = self._now()
            work()
            times.append(self._now() - began)
        return statistics.median(times[1:])

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def peak(self, size: int, dtype: torch.dtype) -> float:
        """Operations a second of one matrix product."""
        a, b = (torch.randn(size, size, device=self.device, dtype=dtype) for _ in range(2))
        return 2 * size**3 / self.seconds(lambda: a @ b)

    def bandwidth(self, size: int) -> float:
        """Bytes a second, read and written, of one copy."""
        source = torch.empty(size, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        return 2 * size / self.seconds(lambda: target.copy_(source))


@dataclass(frozen=True, slots=True)
class Work:
    """One loop. before: what it begins with and is not to count; steps: how many passes over the weights it
    makes; cache: bytes of key-value cache a step reads; dtype: the number format of its operations."""

    run: Callable[[], object]
    weights: nn.Module
    before: Callable[[], object] | None = None
    steps: int = 1
    cache: float = 0.0
    dtype: torch.dtype = torch.bfloat16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", choices=sorted(SCALES), default="paper")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--clips", type=int, default=32, help="in a batch")
    parser.add_argument("--tokens", type=int, default=160, help="in a prompt")
    parser.add_argument("--new-tokens", type=int, default=64, help="in an answer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("this machine has no CUDA device, so nothing was measured", file=sys.stderr)
        raise SystemExit(NO_CUDA)
    scale, machine = SCALES[options.scale], Machine(device, torch.bfloat16, options.rounds)
    with torch.inference_mode():
        peaks = {dtype: machine.peak(scale.matrix, dtype) for dtype in (torch.bfloat16, torch.float32)}
        bandwidth = machine.bandwidth(scale.copied)
        loops = works(scale, machine, options.clips, options.tokens, options.new_tokens)
        found = {name: measured(machine, work, peaks[work.dtype], bandwidth) for name, work in loops.items()}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    roofline = {
        "tflops": float(f"{peaks[torch.bfloat16] / 1e12:.4g}"),
        "tflops_fp32": float(f"{peaks[torch.float32] / 1e12:.4g}"),
        "gb_per_second": float(f"{bandwidth / 1e9:.4g}"),
    }
    asked = {key: getattr(options, key) for key in ("scale", "clips", "tokens", "new_tokens", "rounds")}
    head = {"benchmark": "gpu", "device": name, **report.machine(), **asked}
    report.write(head | {"roofline": roofline, "loops": found}, options.out)


def works(scale: Scale, machine: Machine, clips: int, tokens: int, new: int) -> dict[str, Work]:
    from transformers import Qwen3Config, Qwen3ForCausalLM, WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    device, dtype = machine.device, machine.dtype
    with device:
        encoder = WhisperEncoder(WhisperConfig(**scale.encoder)).to(dtype).eval()
        projector = Projector(scale.projector).eval()
        llm: Any = Qwen3ForCausalLM(Qwen3Config(**scale.llm)).to(dtype).eval()
        llm.lm_head = Fp32Head(llm.get_input_embeddings().weight)
        mels = list(
            torch.randn(clips, scale.encoder["num_mel_bins"], MAX_WINDOW // SAMPLES_PER_FRAME * 2).to(dtype)
        )
        frames = torch.randn(clips * tokens, scale.projector.input_width)
        hidden = torch.randn(clips, scale.llm["hidden_size"]).to(dtype)
        prompts: list[Tensor] = list(torch.randn(clips, tokens, scale.llm["hidden_size"]).to(dtype))
    config = llm.config
    held = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * dtype.itemsize

    def write(new_tokens: int) -> object:
        return decode(llm, prompts, GenerationSettings(max_new_tokens=new_tokens), ())

    cache = held * clips * (tokens + new / 2)
    layers, half = nn.ModuleList([llm.model.layers, llm.model.norm]), llm.get_input_embeddings()
    step = nn.ModuleList([layers, llm.lm_head])
    return {
        "encoder": Work(lambda: encode(encoder, mels), encoder),
        "projector": Work(lambda: projector(frames), projector, dtype=torch.float32),
        "reading": Work(lambda: read(llm, [Unit(prompt) for prompt in prompts]), layers),
        "writing": Work(lambda: write(new), step, lambda: write(1), new - 1, cache),
        "head_fp32": Work(lambda: llm.lm_head(hidden), llm.lm_head, dtype=torch.float32),
        "head_bf16": Work(lambda: nn.functional.linear(hidden, half.weight).float(), half),
    }


def measured(machine: Machine, work: Work, peak: float, bandwidth: float) -> dict[str, Any]:
    operations, seconds = operations_of(work.run), machine.seconds(work.run)
    if work.before is not None:
        operations -= operations_of(work.before)
        seconds -= machine.seconds(work.before)
    weights = sum(one.numel() * one.element_size() for one in work.weights.parameters())
    moved = work.steps * (weights + work.cache)
    compute, memory = operations / peak, moved / bandwidth
    return {
        "ms": round(1e3 * seconds, 3),
        "tflops": float(f"{operations / seconds / 1e12:.4g}"),
        "gb_per_second": float(f"{moved / seconds / 1e9:.4g}"),
        "bound": "compute" if compute > memory else "memory",
        "share": round(max(compute, memory) / seconds, 3),
    }


def operations_of(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


if __name__ == "__main__":
    main()
