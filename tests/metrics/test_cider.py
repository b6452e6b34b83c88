"""CIDEr-D: parity with pycocoevalcap, by goldens and (slow, where Java and the package are) by running it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from evalkit.metrics.cider import cider
from evalkit.metrics.ngrams import corpus, positions, translated
from evalkit.text import ptb_tokens

GOLDEN = json.loads((Path(__file__).parent / "goldens/captions.json").read_text("utf-8"))
REFERENCES = [sample["references"] for sample in GOLDEN["samples"]]
ANSWERS = [sample["answer"] for sample in GOLDEN["samples"]]


def test_scores_equal_pycocoevalcap() -> None:
    scorer = cider({}).fit(REFERENCES)
    statistics = scorer.statistics(REFERENCES, ANSWERS)
    assert statistics[:, 0] == pytest.approx([sample["cider"] for sample in GOLDEN["samples"]], abs=1e-9)
    assert scorer.reduce(statistics, np.ones((1, len(ANSWERS))))[0] == pytest.approx(GOLDEN["cider"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_the_reference_implementation_still_says_what_the_goldens_say() -> None:
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer").PTBTokenizer()
    reference = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    wanted = {i: [{"caption": text} for text in texts] for i, texts in enumerate(REFERENCES)}
    said = {i: [{"caption": text}] for i, text in enumerate(ANSWERS)}
    wanted, said = tokenizer.tokenize(wanted), tokenizer.tokenize(said)
    _, scores = reference.compute_score(wanted, said)
    assert [[" ".join(ptb_tokens(text)) for text in texts] for texts in REFERENCES] == list(wanted.values())
    assert [[" ".join(ptb_tokens(text))] for text in ANSWERS] == list(said.values())
    assert cider({}).fit(REFERENCES).statistics(REFERENCES, ANSWERS)[:, 0] == pytest.approx(scores, abs=1e-9)


def test_document_frequencies_come_from_the_fitted_references() -> None:
    """Scoring a part of the data, or words never seen in a reference, leaves the frequencies as they were."""
    scorer = cider({}).fit(REFERENCES)
    whole = scorer.statistics(REFERENCES, ANSWERS)
    assert scorer.statistics(REFERENCES[7:20], ANSWERS[7:20]) == pytest.approx(whole[7:20])
    strange = scorer.statistics([["zebra zither"], *REFERENCES], ["zebra zither", *ANSWERS])
    assert strange[1:] == pytest.approx(whole)
    assert strange[0, 0] == pytest.approx(5.0)


def test_the_formula_by_hand() -> None:
    """Two documents, "a b" and "c": answer "a b c" to the first. Unigram vectors ln 2 each, one bigram shared."""
    scorer = cider({}).fit([["a b"], ["c"]])
    statistics = scorer.statistics([["a b"], ["c"]], ["a b c", None])
    unigrams, bigrams = 2 / (math.sqrt(3) * math.sqrt(2)), 1 / math.sqrt(2)
    expected = 10 * (unigrams + bigrams) / 4 * math.exp(-1 / 72)
    assert statistics[:, 0] == pytest.approx([expected, 0.0])


def test_repeating_a_word_does_not_help() -> None:
    scorer = cider({}).fit([["a dog barks"], ["rain falls"], ["a bell rings"]])
    once, often = scorer.statistics([["a dog barks"]] * 2, ["a dog barks", "dog dog dog dog"])[:, 0]
    assert often < 0.3 * once


def test_no_answer_and_an_empty_one_score_nothing() -> None:
    scorer = cider({}).fit(REFERENCES)
    assert scorer.statistics(REFERENCES[:2], [None, ""]).tolist() == [[0.0], [0.0]]
    assert scorer.statistics([], []).shape == (0, 1)


def test_a_sample_without_references_is_refused() -> None:
    with pytest.raises(ValueError, match="no reference"):
        cider({}).fit([["a"], []])


def test_options_are_refused() -> None:
    with pytest.raises(ValueError, match="option of metric cider 'sigma'"):
        cider({"sigma": 6})


def test_ngrams_are_counted_and_found_again() -> None:
    captions = [["a", "b", "a", "b"], [], ["b", "a"], ["c"]]
    made = corpus(captions, 3)
    assert [len(grams.pairs) for grams in made.orders] == [3, 2, 2]
    assert made.orders[1].owner.tolist() == [0, 0, 0, 2]
    other = corpus([["x", "b", "a"], ["a", "b", "a"]], 3)
    found = [(ids >= 0).sum() for ids in translated(other, made)]
    assert found == [2, 2, 1]
    assert positions(np.array([1, 4]), np.array([4, 2, 1])).tolist() == [1, -1, 0]
