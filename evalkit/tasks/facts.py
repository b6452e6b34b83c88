"""What determines a prompt and how it is answered, as plain data for fingerprints."""

from __future__ import annotations

from typing import Any

from evalkit.tasks.schema import Task, TaskFunction, Template


def prompt_facts(task: Task) -> dict[str, Any]:
    """Everything that determines the messages and choices of a sample, JSON-able.

    Which column holds the audio is part of the data (request hashes), not of the prompt.
    """
    choice = task.doc_to_choice
    return {
        "description": task.description,
        "doc_to_text": _fact(task.doc_to_text),
        "doc_to_choice": list(choice) if isinstance(choice, tuple) else _fact(choice),
        "audios": len(task.doc_to_audio),
    }


def settings_facts(task: Task) -> dict[str, Any]:
    """Everything that determines how an answer is made, JSON-able: scoring choices has no sampling."""
    limit = task.meta.long_audio
    long_audio = {"long_audio": [limit.policy, limit.seconds]} if limit else {}
    if task.output_type == "multiple_choice":
        return {"output_type": task.output_type, **long_audio}
    settings = task.generation
    return {
        **long_audio,
        "output_type": task.output_type,
        "max_new_tokens": settings.max_new_tokens,
        "do_sample": settings.do_sample,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "stop": list(settings.stop),
        "repeats": task.repeats,
    }


def _fact(template: Template) -> Any:
    if isinstance(template, TaskFunction):
        return {"function": template.name, "sha256": template.sha256}
    return template
