"""A random Whisper and a random Llama in place of the mini backbone, with its feature extractor and tokenizer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

WIDTH, LLM_WIDTH = 16, 32
PROJECTOR = {
    "kind": "moe",
    "encoder_width": WIDTH,
    "llm_width": LLM_WIDTH,
    "num_experts": 4,
    "top_k": 2,
    "expert_width": 12,
    "moe_width": 24,
}


def install(folder: Path) -> None:
    """Make it in `folder`, let the audio LLM find it there, and use a cache of its own from now on."""
    from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig, WhisperModel

    from model_adapters.audio_llm import loading
    from model_adapters.audio_llm.training import run
    from model_adapters.backbone import Backbone, resolve

    real = resolve("mini", fetch=False)
    torch.manual_seed(0)
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    whisper = WhisperModel(WhisperConfig(d_model=WIDTH, vocab_size=51865, **heads, **sizes))
    whisper.save_pretrained(folder / "whisper")
    llama = LlamaConfig(
        vocab_size=49152,
        hidden_size=LLM_WIDTH,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    LlamaForCausalLM(llama).save_pretrained(folder / "llm")
    shutil.copy(real.whisper / "preprocessor_config.json", folder / "whisper")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(real.llm / name, folder / "llm")
    tiny = Backbone("tiny", folder / "whisper", folder / "llm", "tiny", {})
    for module in (loading, run):
        module.resolve = lambda *given, **options: tiny  # type: ignore[attr-defined]
    os.environ["EVALKIT_CACHE"] = str(folder / "cache")
