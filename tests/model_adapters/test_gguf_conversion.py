"""A GGUF file becomes the same model and tokenizer that transformers' own GGUF reader makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model_adapters.backbone.llm import write_llama

WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD = 64, 2, 4, 2, 96
MERGES = ["h e", "l l", "he ll", "hell o", "1 2"]
TEXT = "hello 13, naïve?\n hello<|im_end|>"


def byte_alphabet() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def write_tiny_gguf(path: Path, architecture: str = "llama", without: str = "") -> None:
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_alphabet()]
    tokens += [merge.replace(" ", "") for merge in MERGES]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(MERGES)
    for name, number in (("bos", 1), ("eos", 2), ("unk", 0), ("pad", 2)):
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    random = np.random.default_rng(0)
    for name, shape in tensor_shapes(len(tokens)).items():
        if name == without:
            continue
        array = random.standard_normal(shape).astype(np.float32)
        kind = gguf.GGMLQuantizationType.F32
        if len(shape) == 2:
            kind = (
                gguf.GGMLQuantizationType.Q8_0
                if name == "token_embd.weight"
                else gguf.GGMLQuantizationType.Q4_1
            )
            array = gguf.quants.quantize(array, kind)
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensor_shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    key_width = WIDTH // HEADS * KV_HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, WIDTH),
        "output_norm.weight": (WIDTH,),
    }
    for layer in range(LAYERS):
        parts: dict[str, tuple[int, ...]] = {
            "attn_norm": (WIDTH,),
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (key_width, WIDTH),
            "attn_v": (key_width, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_norm": (WIDTH,),
            "ffn_gate": (FEED_FORWARD, WIDTH),
            "ffn_up": (FEED_FORWARD, WIDTH),
            "ffn_down": (WIDTH, FEED_FORWARD),
        }
        shapes |= {f"blk.{layer}.{part}.weight": shape for part, shape in parts.items()}
    return shapes


def test_the_folder_agrees_with_the_gguf_reader_of_transformers(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_tiny_gguf(tmp_path / "tiny.gguf")
    write_llama(tmp_path / "tiny.gguf", tmp_path / "llm")
    ours, found = AutoModelForCausalLM.from_pretrained(tmp_path / "llm", output_loading_info=True)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    weights = ours.state_dict()
    for name, tensor in reference.state_dict().items():
        assert torch.equal(tensor, weights[name]), name

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "llm")
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    assert ids[0].tolist() == AutoTokenizer.from_pretrained(tmp_path, gguf_file="tiny.gguf")(TEXT).input_ids
    assert tokenizer.decode(ids[0]) == TEXT
    with torch.no_grad():
        assert torch.equal(ours(ids).logits, reference(ids).logits)


def test_digits_are_tokens_of_their_own(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    write_tiny_gguf(tmp_path / "tiny.gguf")
    write_llama(tmp_path / "tiny.gguf", tmp_path / "llm")
    assert AutoTokenizer.from_pretrained(tmp_path / "llm").tokenize("12") == ["1", "2"]


def test_a_file_that_is_another_model_or_incomplete_is_refused(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "gpt2.gguf", architecture="gpt2")
    with pytest.raises(ValueError, match=r"gpt2\.gguf is not a Llama model"):
        write_llama(tmp_path / "gpt2.gguf", tmp_path / "llm")
    write_tiny_gguf(tmp_path / "half.gguf", without="blk.1.ffn_up.weight")
    with pytest.raises(ValueError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        write_llama(tmp_path / "half.gguf", tmp_path / "llm")
    assert not (tmp_path / "llm").exists()
