from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.runner.plan import BatchBudget, budget_for, estimated_length, plan_batches

# 200 samples scattered over so many groups, every fifth in none.
GROUPS = st.integers(1, 60).map(lambda n: [7 * i % n if i % 5 else None for i in range(200)])
LENGTHS = st.lists(st.floats(min_value=0, max_value=5_000), max_size=200)
BUDGETS = st.builds(
    BatchBudget,
    samples=st.integers(1, 40),
    length=st.one_of(st.just(float("inf")), st.floats(min_value=0, max_value=10_000)),
    window=st.integers(1, 64),
)


@given(LENGTHS, BUDGETS, GROUPS)
def test_every_index_is_planned_exactly_once(
    lengths: list[float], budget: BatchBudget, groups: list[int | None]
) -> None:
    planned = [index for batch in plan_batches(lengths, budget, groups) for index in batch]
    assert sorted(planned) == list(range(len(lengths)))


@given(LENGTHS, BUDGETS, GROUPS)
def test_no_batch_exceeds_the_budget_unless_it_is_one_sample(
    lengths: list[float], budget: BatchBudget, groups: list[int | None]
) -> None:
    for batch in plan_batches(lengths, budget, groups):
        assert 1 <= len(batch) <= budget.samples
        padded = len(batch) * max(lengths[index] for index in batch)
        assert len(batch) == 1 or padded <= budget.length


@given(LENGTHS, BUDGETS)
def test_a_plan_looks_no_further_ahead_than_its_window(lengths: list[float], budget: BatchBudget) -> None:
    for batch in plan_batches(lengths, budget):
        assert len({index // budget.window for index in batch}) == 1


@given(LENGTHS, BUDGETS, LENGTHS)
def test_a_plan_of_whole_windows_does_not_depend_on_what_follows(
    lengths: list[float], budget: BatchBudget, more: list[float]
) -> None:
    whole = lengths[: len(lengths) // budget.window * budget.window]
    plan = plan_batches(whole, budget)
    assert plan_batches(whole + more, budget)[: len(plan)] == plan


def test_the_longest_come_first_and_equals_keep_their_order() -> None:
    assert plan_batches([1, 3, 2, 3, 1], BatchBudget(2)) == ((1, 3), (2, 0), (4,))


def test_a_batch_is_filled_to_its_padded_length() -> None:
    assert plan_batches([10, 10, 10, 4, 4, 40], BatchBudget(8, length=20)) == ((5,), (0, 1), (2, 3), (4,))


@given(LENGTHS, GROUPS)
def test_a_group_that_fits_into_a_batch_is_not_torn_apart(
    lengths: list[float], groups: list[int | None]
) -> None:
    budget = BatchBudget(10, window=500)
    batch_of = {index: n for n, batch in enumerate(plan_batches(lengths, budget, groups)) for index in batch}
    for group in set(groups[: len(lengths)]) - {None}:
        members = [index for index in range(len(lengths)) if groups[index] == group]
        if len(members) <= budget.samples:
            assert len({batch_of[index] for index in members}) == 1


def test_a_group_stands_where_its_longest_belongs() -> None:
    assert plan_batches([1, 9, 5, 7], BatchBudget(2), ["a", "b", None, "a"]) == ((1,), (3, 0), (2,))


@given(LENGTHS, BUDGETS)
def test_groups_of_one_change_nothing(lengths: list[float], budget: BatchBudget) -> None:
    assert plan_batches(lengths, budget, range(len(lengths))) == plan_batches(lengths, budget)


def test_no_samples_need_no_batch() -> None:
    assert plan_batches([], BatchBudget(8)) == ()


def test_a_batch_size_is_a_number_of_samples_and_auto_a_budget() -> None:
    assert budget_for(8, "cpu").samples == 8
    assert budget_for("auto", "cuda:1").length > budget_for("auto", "cpu").length
    with pytest.raises(ValueError, match="at least 1"):
        budget_for(0, "cpu")


def test_length_counts_audio_text_and_answer() -> None:
    assert estimated_length(2.0, 40, 7) == 25 + 10 + 7
