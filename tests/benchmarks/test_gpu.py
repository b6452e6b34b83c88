"""benchmarks/gpu.py at a tiny size; its figures are of no use on a CPU, its way of counting is the same."""

from __future__ import annotations

import json
from pathlib import Path

import gpu
import pytest
import torch
from torch import nn


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["gpu.py", *arguments])
    gpu.main()


def test_every_loop_is_bounded_by_the_measured_roofline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "gpu.json"
    sizes = ["--clips", "2", "--tokens", "12", "--new-tokens", "4", "--rounds", "1"]
    run(monkeypatch, "--device", "cpu", "--scale", "tiny", *sizes, "--out", str(out))
    report = json.loads(out.read_text())
    loops = ["encoder", "projector", "reading", "writing", "head_fp32", "head_bf16"]
    assert list(report["loops"]) == loops
    assert min(report["roofline"].values()) > 0
    assert {loop["bound"] for loop in report["loops"].values()} <= {"compute", "memory"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_it_says_so_in_a_line_and_exits_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "this machine has no CUDA device, so nothing was measured\n"


def test_operations_bytes_and_the_bound_are_counted_right() -> None:
    layer, x = nn.Linear(30, 50, bias=False), torch.ones(7, 30)

    class Clock(gpu.Machine):
        def seconds(self, work: object) -> float:
            return 2.0 if work is twice else 1.0

    def once() -> object:
        return layer(x)

    def twice() -> object:
        return layer(layer(x) @ torch.ones(50, 30))

    machine = Clock(torch.device("cpu"), torch.float32, 1)
    assert gpu.operations_of(once) == 2 * 7 * 30 * 50
    # 21,000 operations at 42,000 a second; 6,000 bytes at 60,000 a second; a second was needed.
    found = gpu.measured(machine, gpu.Work(once, layer), 42_000, 60_000)
    assert (found["bound"], found["share"], found["ms"]) == ("compute", 0.5, 1000.0)
    found = gpu.measured(machine, gpu.Work(twice, layer, once, steps=3, cache=4_000), 1e9, 60_000)
    # 3 steps of 10,000 bytes take half of the second that is left.
    assert (found["bound"], found["share"]) == ("memory", 0.5)


def test_a_step_of_writing_reads_every_layer_and_the_head_but_not_the_embedding_table() -> None:
    machine = gpu.Machine(torch.device("cpu"), torch.bfloat16, 1)
    works = gpu.works(gpu.SCALES["tiny"], machine, 1, 4, 2)

    def read(name: str) -> int:
        return sum(one.numel() * one.element_size() for one in works[name].weights.parameters())

    attention = 2 * 32 * 32 + 2 * 32 * 16 + 2 * 16  # queries and output, keys and values, their norms
    layer = attention + 3 * 32 * 64 + 2 * 32
    assert read("reading") == 2 * (2 * layer + 32)
    assert read("head_fp32") == 4 * 512 * 32 == 2 * read("head_bf16")
    assert read("writing") == read("reading") + read("head_fp32")


def test_the_projector_is_timed_in_the_number_format_of_a_run() -> None:
    machine = gpu.Machine(torch.device("cpu"), torch.bfloat16, 1)
    work = gpu.works(gpu.SCALES["tiny"], machine, 1, 4, 2)["projector"]
    assert {one.dtype for one in work.weights.parameters()} == {work.dtype} == {torch.float32}


def test_the_sizes_of_the_paper_are_built() -> None:
    scale = gpu.SCALES["paper"]
    with torch.device("meta"):
        projector = gpu.Projector(scale.projector)
    assert (scale.projector.input_width, scale.projector.llm_width) == (5120, 2048)
    assert sum(one.numel() for one in projector.parameters()) > 9_000_000
    assert scale.encoder["d_model"] == 1280
