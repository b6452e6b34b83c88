"""What training reads: the tasks' prompts and answers, and encoder states that are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from evalkit.tasks.schema import AudioRef
from model_adapters.audio_llm import encoder
from model_adapters.audio_llm.prompt import CHATML
from model_adapters.audio_llm.training.data import read_examples, spoken_form
from model_adapters.audio_llm.training.features import cached_states
from model_adapters.audio_llm.training.recipe import DataSource
from model_adapters.backbone import Backbone

DATA = Path(__file__).parents[2] / "tasks/mini/data"
SPEECH = [DataSource(task="mini_asr_en", path="asr_en/test.jsonl")]


@pytest.fixture(scope="module")
def tokenizer(backbone: Backbone) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(backbone.llm)


def test_a_clip_that_is_asked_about_twice_speaks_both_answers(tokenizer: Any, tmp_path: Path) -> None:
    audio = DATA / "music_qa/audio" / next(iter(sorted((DATA / "music_qa/audio").iterdir()))).name
    rows = [
        {
            "id": str(n),
            "group": "g",
            "topic": "t",
            "audio": str(audio),
            "question": "?",
            "choices": ["flute", "6/8"],
            "label": label,
        }
        for n, label in enumerate(("flute", "6/8"))
    ]
    (tmp_path / "music.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = [DataSource(task="mini_music_qa", path="music.jsonl", align=False)]
    first, second = read_examples(sources, tmp_path, tokenizer, CHATML)
    words = [tuple(tokenizer(" " + w, add_special_tokens=False).input_ids) for w in ("flute", "6 8")]
    assert first.spoken == second.spoken == words[0] + words[1]
    assert first.answer != second.answer and first.family == "music_qa"


def test_examples_ask_as_the_task_does_and_answer_in_spoken_form(tokenizer: Any) -> None:
    examples = read_examples(SPEECH, DATA, tokenizer, CHATML)
    rows = [json.loads(line) for line in (DATA / SPEECH[0].path).read_text().splitlines()]
    assert [e.task for e in examples] == ["mini_asr_en"] * len(rows)
    row = rows[0]
    first = examples[0]
    prompt = "".join(tokenizer.decode(s.tokens) for s in first.segments if s.audio is None)
    assert "Transcribe the speech." in prompt
    assert tokenizer.decode(first.answer) == spoken_form(row["text"]) + "<|im_end|>"
    assert tokenizer.decode(first.spoken) == " " + spoken_form(row["text"])


def test_training_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"training data .*test\.jsonl is not in .*: build it with `python"):
        read_examples(SPEECH, tmp_path, None, None)


def test_a_source_of_several_tasks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "speaker.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"'speaker' means several tasks; name one of .*mini_gender"):
        read_examples([DataSource(task="speaker", path="speaker.jsonl")], tmp_path, None, None)


def test_states_of_a_long_clip_are_those_of_its_windows(backbone: Backbone, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 31 * encoder.RATE).astype(np.float32)
    clips: dict[AudioRef, str] = {}
    for name, cut in (
        ("whole", noise),
        ("first", noise[: encoder.MAX_WINDOW]),
        ("rest", noise[encoder.MAX_WINDOW :]),
    ):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, cut, encoder.RATE, "FLOAT")
        clips[AudioRef(name, path=path)] = name

    def load() -> tuple[Any, Any]:
        model = encoder.load_encoder(backbone.whisper, torch.float32, torch.device("cpu"))
        return encoder.WhisperFeatures(backbone.whisper), model

    def states(load: Any) -> Sequence[torch.Tensor]:
        return cached_states(tmp_path / "kept", clips, "key", load, lambda done: None)

    whole, first, rest = states(load)
    assert (len(first), len(rest)) == (1500, encoder.frame_count(encoder.RATE))
    torch.testing.assert_close(whole, torch.cat([first, rest]), rtol=0.01, atol=0.01)
    assert torch.equal(states(None)[0], whole)
