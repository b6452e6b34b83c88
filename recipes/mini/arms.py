"""Train every arm and seed, one after the other: `python -m recipes.mini.arms --output DIR`.

The same command again goes on where it was, in the middle of an arm too; arms that are done are passed over,
one that another recipe made is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from evalkit.artifacts import cache_dir
from model_adapters.audio_llm.training.recipe import read_recipe, with_seed
from model_adapters.audio_llm.training.run import is_trained, train

RECIPES = Path(__file__).parent
COMPARED = ("moe_adapter", "dense_baseline", "dense_active")
ABLATED = ("dense_linear", "moe_no_shared", "moe_no_balance")
SEEDS = 3


def queue() -> Iterator[tuple[str, int | None]]:
    """(recipe, further seed or None), those that most is learnt from first."""
    for seed in (None, *range(1, SEEDS)):
        yield from ((arm, seed) for arm in COMPARED)
    yield from ((arm, None) for arm in ABLATED)


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is no I/N with I from 1 to N, such as 1/2")
    return int(part), int(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        default=cache_dir() / "mini-train",
        help="what `python -m recipes.mini.build` made (%(default)s)",
    )
    parser.add_argument("--output", type=Path, default=Path("training"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--part", type=_part, default=(1, 1), help="I/N: only every N-th, for N machines")
    arguments = parser.parse_args()
    part, parts = arguments.part
    for arm, seed in list(queue())[part - 1 :: parts]:
        recipe = read_recipe(RECIPES / f"{arm}.yaml")
        recipe = recipe if seed is None else with_seed(recipe, seed)
        name, output = recipe.name, arguments.output / recipe.name
        if is_trained(recipe, output):
            print(f"{name} is done", flush=True)
            continue
        card = train(
            recipe,
            output,
            data=arguments.data,
            device=arguments.device,
            say=lambda line, name=name: print(f"{name}: {line}", flush=True),  # type: ignore[misc]
        )
        print(f"{name} is done: evalkit run --model {card} --tasks mini", flush=True)


if __name__ == "__main__":
    main()
