"""Turn a CTranslate2 Whisper model into a Hugging Face folder, without torch or transformers.

The folder holds encoder and decoder, tokenizer, feature extractor and generation settings, so that
`WhisperForConditionalGeneration.generate(language="en", task="transcribe")` works on it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from model_adapters.backbone.ct2 import Ct2Model

    Arrays = dict[str, NDArray[Any]]

# Numbers of the CTranslate2 file that are not weights; what they say is fixed for Whisper.
SCALARS = frozenset(
    {
        "decoder/activation",
        "decoder/alibi",
        "decoder/alignment_heads",
        "decoder/alignment_layer",
        "decoder/pre_norm",
        "decoder/scale_embeddings",
        "decoder/start_from_zero_embedding",
    }
)
TIMESTAMPS = 1501  # <|0.00|> to <|30.00|> in steps of 0.02 s


class _Source:
    """Hands out the variables of a CTranslate2 model and remembers which are left."""

    def __init__(self, model: Ct2Model) -> None:
        self.variables = dict(model.variables)

    def take(self, name: str) -> NDArray[Any]:
        if name not in self.variables:
            raise ValueError(f"Whisper weights lack the variable {name!r}")
        return self.variables.pop(name)

    def linear(self, target: str, source: str) -> Arrays:
        return {
            f"{target}.weight": self.take(f"{source}/weight"),
            f"{target}.bias": self.take(f"{source}/bias"),
        }

    def norm(self, target: str, source: str) -> Arrays:
        return {
            f"{target}.weight": self.take(f"{source}/gamma"),
            f"{target}.bias": self.take(f"{source}/beta"),
        }

    def fused(self, target: str, source: str, parts: tuple[str, ...]) -> Arrays:
        """Split a fused projection. Keys have no bias in Whisper; CTranslate2 stores zeros."""
        weights = np.split(self.take(f"{source}/weight"), len(parts))
        biases = np.split(self.take(f"{source}/bias"), len(parts))
        arrays: Arrays = {}
        for part, weight, bias in zip(parts, weights, biases, strict=True):
            arrays[f"{target}.{part}.weight"] = weight
            if part != "k_proj":
                arrays[f"{target}.{part}.bias"] = bias
            elif bias.any():
                raise ValueError(f"Whisper weights: {source}/bias is not zero for the keys, as it must be")
        return arrays


def whisper_arrays(model: Ct2Model, layers: int) -> Arrays:
    """The weights under the names of `WhisperForConditionalGeneration`, in the stored precision.

    `proj_out` is tied to the token embeddings and left out. Raises ValueError if a variable is
    missing or left over.
    """
    if model.spec != "WhisperSpec":
        raise ValueError(f"expected a CTranslate2 WhisperSpec, found {model.spec}")
    source = _Source(model)
    for name in SCALARS | {"encoder/num_heads", "decoder/num_heads"}:
        source.take(name)
    arrays: Arrays = {"model.decoder.embed_tokens.weight": source.take("decoder/embeddings/weight")}
    for conv in ("conv1", "conv2"):
        arrays |= source.linear(f"model.encoder.{conv}", f"encoder/{conv}")
    for half in ("encoder", "decoder"):
        positions = source.take(f"{half}/position_encodings/encodings")
        arrays[f"model.{half}.embed_positions.weight"] = positions
        arrays |= source.norm(f"model.{half}.layer_norm", f"{half}/layer_norm")
        for layer in range(layers):
            arrays |= _layer(source, half, layer)
    if source.variables:
        raise ValueError(f"Whisper weights hold variables that have no place: {sorted(source.variables)[:5]}")
    return arrays


def _layer(source: _Source, half: str, layer: int) -> Arrays:
    old, new = f"{half}/layer_{layer}", f"model.{half}.layers.{layer}"
    arrays = source.norm(f"{new}.self_attn_layer_norm", f"{old}/self_attention/layer_norm")
    arrays |= source.fused(
        f"{new}.self_attn", f"{old}/self_attention/linear_0", ("q_proj", "k_proj", "v_proj")
    )
    arrays |= source.linear(f"{new}.self_attn.out_proj", f"{old}/self_attention/linear_1")
    arrays |= source.norm(f"{new}.final_layer_norm", f"{old}/ffn/layer_norm")
    arrays |= source.linear(f"{new}.fc1", f"{old}/ffn/linear_0")
    arrays |= source.linear(f"{new}.fc2", f"{old}/ffn/linear_1")
    if half == "decoder":
        arrays |= source.norm(f"{new}.encoder_attn_layer_norm", f"{old}/attention/layer_norm")
        arrays |= source.linear(f"{new}.encoder_attn.q_proj", f"{old}/attention/linear_0")
        arrays |= source.fused(f"{new}.encoder_attn", f"{old}/attention/linear_1", ("k_proj", "v_proj"))
        arrays |= source.linear(f"{new}.encoder_attn.out_proj", f"{old}/attention/linear_2")
    return arrays


def write_whisper(
    model: Ct2Model, settings: Mapping[str, Any], tokenizer: Mapping[str, Any], folder: Path
) -> None:
    """Write the Hugging Face folder.

    settings: CTranslate2's config.json (`suppress_ids`, `suppress_ids_begin`, `alignment_heads`);
    tokenizer: a tokenizer.json. Weights keep their float16; config.json says float32, so that
    loading without a dtype computes in float32.
    """
    from safetensors.numpy import save_file

    vocab, width = model.variables["decoder/embeddings/weight"].shape
    layers = sum(
        name.startswith("encoder/") and name.endswith("ffn/linear_0/bias") for name in model.variables
    )
    heads = int(model.variables["encoder/num_heads"])
    arrays = whisper_arrays(model, layers)
    ids = {token["content"]: int(token["id"]) for token in tokenizer["added_tokens"]}
    folder.mkdir(parents=True)
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it private; caches are shared
    _write_json(folder / "config.json", _config(arrays, vocab, width, layers, heads, ids))
    _write_json(folder / "generation_config.json", _generation_config(settings, ids))
    _write_json(folder / "preprocessor_config.json", _feature_extractor(arrays))
    _write_json(folder / "tokenizer.json", _with_timestamps(tokenizer))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config())


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _config(
    arrays: Arrays, vocab: int, width: int, layers: int, heads: int, ids: Mapping[str, int]
) -> dict[str, Any]:
    end = ids["<|endoftext|>"]
    feed_forward = arrays["model.encoder.layers.0.fc1.weight"].shape[0]
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "dtype": "float32",
        "vocab_size": vocab,
        "d_model": width,
        "num_mel_bins": arrays["model.encoder.conv1.weight"].shape[1],
        "encoder_layers": layers,
        "decoder_layers": layers,
        "num_hidden_layers": layers,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": feed_forward,
        "decoder_ffn_dim": feed_forward,
        "max_source_positions": arrays["model.encoder.embed_positions.weight"].shape[0],
        "max_target_positions": arrays["model.decoder.embed_positions.weight"].shape[0],
        "activation_function": "gelu",
        "dropout": 0.0,
        "is_encoder_decoder": True,
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": ids["<|startoftranscript|>"],
    }


def _generation_config(settings: Mapping[str, Any], ids: Mapping[str, int]) -> dict[str, Any]:
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    languages = {name: number for name, number in ids.items() if start < number < ids["<|translate|>"]}
    return {
        "alignment_heads": settings["alignment_heads"],
        "begin_suppress_tokens": settings["suppress_ids_begin"],
        "suppress_tokens": settings["suppress_ids"],
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": start,
        "is_multilingual": True,
        "lang_to_id": languages,
        "task": "transcribe",
        "task_to_id": {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "return_timestamps": False,
    }


def _feature_extractor(arrays: Arrays) -> dict[str, Any]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "feature_size": arrays["model.encoder.conv1.weight"].shape[1],
        "sampling_rate": 16000,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": 30,
        "n_samples": 480000,
        "nb_max_frames": 3000,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }


def _with_timestamps(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """Add the timestamp tokens, which follow <|notimestamps|> and are not in every tokenizer.json."""
    first = 1 + next(
        int(token["id"]) for token in tokenizer["added_tokens"] if token["content"] == "<|notimestamps|>"
    )
    added = [token for token in tokenizer["added_tokens"] if int(token["id"]) < first]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    stamps = (f"<|{step * 0.02:.2f}|>" for step in range(TIMESTAMPS))
    tokens = [{"id": first + step, "content": stamp, **flags} for step, stamp in enumerate(stamps)]
    return {**tokenizer, "added_tokens": [*added, *tokens]}


def _tokenizer_config() -> dict[str, Any]:
    end = "<|endoftext|>"
    return {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "bos_token": end,
        "eos_token": end,
        "unk_token": end,
        "pad_token": end,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "model_max_length": 1024,
        "return_attention_mask": False,
    }
