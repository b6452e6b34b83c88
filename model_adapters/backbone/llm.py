"""Turn a Llama-family GGUF file into a Hugging Face folder, without torch or transformers.

Weights are dequantised to float32 with the values GGUF defines (Q4_1: d * q + m), so nothing is
rounded; tokenizer and chat template are those stored in the file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[np.float32]]
    Field = Callable[[str], Any]

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
CONTROL_TOKEN = 3  # gguf.TokenType.CONTROL


def write_llama(gguf_file: Path, folder: Path) -> None:
    """Write config, generation config, tokenizer, chat template and float32 weights.

    Raises ValueError for another architecture, another tokenizer family, or tensors that are
    missing or left over.
    """
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    reader = GGUFReader(gguf_file)

    def field(name: str) -> Any:
        if name not in reader.fields:
            raise ValueError(f"{gguf_file.name} lacks the field {name!r}")
        return reader.fields[name].contents()

    if field("general.architecture") != "llama" or field("tokenizer.ggml.pre") != "smollm":
        raise ValueError(f"{gguf_file.name} is not a Llama model with the SmolLM tokenizer")
    config = _config(field)
    arrays = llama_arrays(reader.tensors, config)
    folder.mkdir(parents=True)
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it private; caches are shared
    _write_json(folder / "config.json", {**config, "tie_word_embeddings": "lm_head.weight" not in arrays})
    special = {name: value for name, value in config.items() if name.endswith("token_id")}
    _write_json(folder / "generation_config.json", special)
    _write_json(folder / "tokenizer.json", tokenizer_json(field))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(field))
    (folder / "chat_template.jinja").write_text(field("tokenizer.chat_template"), encoding="utf-8")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def llama_arrays(tensors: Iterable[Any], config: Mapping[str, Any]) -> Arrays:
    """float32 weights under the names of `LlamaForCausalLM`, from GGUF tensors."""
    from gguf.quants import dequantize

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    arrays: Arrays = {}
    for tensor in tensors:
        name = _hf_name(tensor.name)
        # GGUF lists dimensions from the fastest; `dequantize` gives rows first.
        array = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        kind = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
        arrays[name] = _unpermute(array, heads[kind]) if kind in heads else np.ascontiguousarray(array)
    wanted = set(TOP_NAMES.values()) - {"lm_head.weight"} | {
        f"model.layers.{layer}.{part}.weight"
        for layer in range(config["num_hidden_layers"])
        for part in LAYER_NAMES.values()
    }
    wrong = wanted ^ (set(arrays) - {"lm_head.weight"})
    if wrong:
        raise ValueError(f"GGUF tensors are missing or left over: {sorted(wrong)[:5]}")
    return arrays


def _hf_name(name: str) -> str:
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    parts = name.split(".")
    if len(parts) != 4 or parts[0] != "blk" or parts[2] not in LAYER_NAMES or parts[3] != "weight":
        raise ValueError(f"GGUF tensor {name!r} has no place in a Llama model")
    return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.weight"


def _unpermute(array: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Undo llama.cpp's interleaving of rotary halves (convert_hf_to_gguf.py, `LlamaModel.permute`)."""
    half = array.shape[0] // heads // 2
    rows = array.reshape(heads, half, 2, *array.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(rows.reshape(array.shape))


def _config(field: Field) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": int(field("llama.vocab_size")),
        "hidden_size": int(field("llama.embedding_length")),
        "intermediate_size": int(field("llama.feed_forward_length")),
        "num_hidden_layers": int(field("llama.block_count")),
        "num_attention_heads": int(field("llama.attention.head_count")),
        "num_key_value_heads": int(field("llama.attention.head_count_kv")),
        "max_position_embeddings": int(field("llama.context_length")),
        "rope_theta": float(field("llama.rope.freq_base")),
        # stored as float32: 9.99999974e-06 is 1e-5
        "rms_norm_eps": float(f"{field('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": int(field("tokenizer.ggml.bos_token_id")),
        "eos_token_id": int(field("tokenizer.ggml.eos_token_id")),
        "pad_token_id": int(field("tokenizer.ggml.padding_token_id")),
    }


def tokenizer_json(field: Field) -> dict[str, Any]:
    """SmolLM's byte-level BPE; digits are split one by one (llama.cpp pre-tokenizer "smollm")."""
    tokens = field("tokenizer.ggml.tokens")
    kinds = field("tokenizer.ggml.token_type")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **flags}
            for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == CONTROL_TOKEN
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": field("tokenizer.ggml.merges"),
        },
    }


def _tokenizer_config(field: Field) -> dict[str, Any]:
    tokens = field("tokenizer.ggml.tokens")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[field("tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[field("tokenizer.ggml.eos_token_id")],
        "pad_token": tokens[field("tokenizer.ggml.padding_token_id")],
        "unk_token": tokens[field("tokenizer.ggml.unknown_token_id")],
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(field("llama.context_length")),
    }
