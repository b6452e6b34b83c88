"""What Whisper does beside transcribing: translation, language id, checkpoints named by a card."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.cards import load_model, model_info, resolve_model
from evalkit.data import decode
from evalkit.model import Audio, AudioSlot, GenerationSettings, Hints, LoadOptions, Message, Request
from evalkit.tasks.schema import AudioRef
from model_adapters.backbone import Backbone

RATE = 16_000
FRENCH = Path(__file__).parents[2] / "tasks/mini/data/asr_fr"
NAMES = ("English", "French", "Russian", "Spanish")


@pytest.fixture(scope="module")
def french() -> Audio:
    rows = map(json.loads, (FRENCH / "test.jsonl").read_text(encoding="utf-8").splitlines())
    row = next(row for row in rows if row["id"] == "asterisk-fr-agent-pass")
    return decode(AudioRef(row["id"], FRENCH / row["audio"]), RATE)


def ask(audio: Audio, **more: Any) -> Request:
    settings = GenerationSettings(max_new_tokens=16)
    return Request("s", (Message("user", (AudioSlot(0),)),), (audio,), settings=settings, **more)


def loaded(**args: str) -> Any:
    return load_model(resolve_model("whisper_base"), LoadOptions(device="cpu", args=args))


def test_the_language_is_named_among_the_tasks_options_or_all(backbone: Backbone, french: Audio) -> None:
    model = loaded(task="language")
    assert model.info.hints == ("options",)
    free, offered = ask(french), ask(french, hints=Hints(options=("fr", "en")))
    assert [one.text for one in model.generate([model.prepare(free), model.prepare(offered)])] == [
        "French",
        "fr",
    ]
    (weighed,) = model.score_choices([model.prepare(ask(french, choices=NAMES))])
    assert int(np.argmax(weighed.choice_logprobs)) == NAMES.index("French")
    assert max(weighed.choice_logprobs) <= 0.0
    with pytest.raises(ValueError, match="'Klingon' is none that it knows"):
        model.prepare(ask(french, choices=("French", "Klingon")))


def test_translation_is_asked_of_the_same_weights(backbone: Backbone, french: Audio) -> None:
    plain, translating = loaded(), loaded(task="translate")
    assert plain.info.fingerprint != translating.info.fingerprint
    request = replace(ask(french), hints=Hints(language="fr"))
    said, translated = (str(one.generate([one.prepare(request)])[0].text) for one in (plain, translating))
    assert said != translated
    assert {"your", "password", "the", "please", "and", "number"} & set(translated.lower().split())


def test_a_card_may_name_any_whisper(backbone: Backbone, tmp_path: Path) -> None:
    folder = tmp_path / "my_whisper"
    folder.symlink_to(backbone.whisper)
    by_folder = model_info(resolve_model(f"hf:{folder}"), LoadOptions(device="cpu"))
    own = model_info(resolve_model("whisper_base"), LoadOptions(device="cpu"))
    assert by_folder is not None
    assert own is not None
    assert (by_folder.name, by_folder.parameters) == ("whisper", own.parameters)
    assert list(by_folder.sources) == ["weights"]


def test_a_task_that_it_does_not_know_is_refused(backbone: Backbone) -> None:
    with pytest.raises(ValueError, match="task is one of transcribe, translate, language, not 'sing'"):
        loaded(task="sing")


def test_it_prints_no_warning_of_masks_it_has_no_need_of(backbone: Backbone) -> None:
    program = """
import numpy as np
from evalkit.cards import load_model, resolve_model
from evalkit.model import Audio, GenerationSettings, LoadOptions, Request
model = load_model(resolve_model("whisper_base"), LoadOptions(device="cpu", args={"language": "en"}))
audio = Audio(np.zeros(16000, dtype=np.float32), 16000, "0")
request = Request("s", (), (audio,), settings=GenerationSettings(max_new_tokens=2))
print(len(model.generate([model.prepare(request), model.prepare(request)])))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout.split() == ["2"]
    assert done.stderr == ""
