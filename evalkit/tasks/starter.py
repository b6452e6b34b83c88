"""The text that `evalkit tasks new NAME` writes."""

from __future__ import annotations

from evalkit.tasks.document import NAME

_TEXT = """\
# A task: what is asked, on which data, and how it is scored.
# Check it with: evalkit tasks validate {name}.yaml
task: {name}
tag: [mine]

# A folder with test.jsonl, test.csv or test.parquet, such a file itself, or a data set id of the hub.
# A line of data/{name}/test.jsonl: {{"id": "1", "audio": "clips/1.wav", "text": "hello", "group": "voice 1"}}
dataset_path: ./data/{name}
test_split: test

# The name of a column, or Jinja over the columns.
doc_to_audio: audio
doc_to_text: "Transcribe the speech."
doc_to_target: text

output_type: generate_until
generation_kwargs: {{max_gen_toks: 96, do_sample: false}}
metric_list:
  - metric: wer

metadata:
  version: 1
  evalkit:
    family: asr
    side: semantic
    language: en
    cluster: group
    license: ""
    summary: ""
"""


def new_task_yaml(name: str) -> str:
    """A task file that is valid as it stands and says what each part is for.

    Raises ValueError for a name that no task can have.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no task name: letters, digits and `_ . + -`, at most 120")
    return _TEXT.format(name=name)
