"""Cards are found by name in packages, in the user's cache and by path; mistakes are named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evalkit.cards import (
    fetch_model,
    find_cards,
    import_model,
    load_model,
    read_card,
    resolve_model,
)
from evalkit.model import Card, LoadOptions

PARROT = """
name: parrot
loader: bird
summary: Repeats what it is told.
license: Apache-2.0
config: {says: hello}
"""
LOADER = """
fetched = []

def load(card, options):
    return card.config["says"], options.seed

def fetch(card, options):
    fetched.append(card.name)

def convert(source, name, output, mapping):
    says = source.read_text()
    if not says:
        raise ValueError(f"{source}: no weights in it")
    (output / name).mkdir(parents=True)
    (output / name / "card.yaml").write_text(f"name: {name}\\nloader: bird\\nconfig: {{says: {says}}}\\n")
    return f"it says {says}"
"""
ENTRY_POINTS = """
[evalkit.models]
bird = aviary:load
lost = aviary:nothing_of_that_name
[evalkit.fetchers]
bird = aviary:fetch
[evalkit.importers]
bird = aviary:convert
[evalkit.cards]
aviary = aviary_cards
"""


@pytest.fixture
def aviary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cards folder of an installed package with a loader `bird`, beside an empty cache."""
    site = tmp_path / "site"
    cards = site / "aviary_cards"
    info = site / "aviary-1.0.dist-info"
    cards.mkdir(parents=True)
    info.mkdir()
    (cards / "parrot.yaml").write_text(PARROT)
    (site / "aviary.py").write_text(LOADER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aviary\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delitem(sys.modules, "aviary", raising=False)
    return cards


def test_a_packaged_card_is_found_by_name(aviary: Path) -> None:
    card = resolve_model("parrot")
    assert card == Card(
        "parrot", "bird", {"says": "hello"}, aviary / "parrot.yaml", "Repeats what it is told.", "Apache-2.0"
    )
    assert card in find_cards()


def test_a_card_is_found_by_path(tmp_path: Path, aviary: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: crow\nloader: bird\n")
    assert resolve_model(str(file)).name == "crow"
    with pytest.raises(FileNotFoundError, match=r"other\.yaml.*evalkit models"):
        resolve_model(str(tmp_path / "other.yaml"))


def test_an_unknown_name_gets_the_nearest_one(aviary: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown model 'parot'; did you mean 'parrot'\?.*evalkit models"):
        resolve_model("parot")


def test_the_loader_named_by_the_card_loads_the_model(aviary: Path) -> None:
    assert load_model(resolve_model("parrot"), LoadOptions(seed=3)) == ("hello", 3)


def test_a_loader_that_is_not_installed_is_named(aviary: Path) -> None:
    card = Card("parrot", "brid", {}, aviary / "parrot.yaml")
    with pytest.raises(ValueError, match=r"parrot\.yaml: loader 'brid'; did you mean 'bird'\?"):
        load_model(card, LoadOptions())


def test_a_loader_that_cannot_be_imported_is_named_with_its_package(aviary: Path) -> None:
    card = Card("parrot", "lost", {}, aviary / "parrot.yaml")
    with pytest.raises(ValueError, match="'lost' of package aviary cannot be imported"):
        load_model(card, LoadOptions())


def test_fetching_says_whether_the_loader_fetches(aviary: Path) -> None:
    assert fetch_model(resolve_model("parrot"), LoadOptions())
    assert __import__("aviary").fetched == ["parrot"]
    assert not fetch_model(Card("stone", "lost", {}, aviary / "stone.yaml"), LoadOptions())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: crow\nlaoder: bird\n",
            r"loader: Field required; unknown key 'laoder'; did you mean 'loader'",
        ),
        ("name: ../crow\nloader: bird\n", r"'\.\./crow' cannot name a model"),
        ("name: crow\nloader: [bird]\n", "loader: Input should be a valid string"),
        ("- name: crow\n", "not a model card"),
        ("name: [\n", "not a YAML model card"),
        ("name: !!python/object/apply:os.system [ls]\n", "not a YAML model card"),
    ],
)
def test_mistakes_in_a_card_are_named_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "crow.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"crow\.yaml: .*{message}"):
        read_card(file)


def test_a_card_must_be_called_like_its_file(aviary: Path) -> None:
    (aviary / "raven.yaml").write_text(PARROT)
    with pytest.raises(ValueError, match=r"raven\.yaml: its name is 'parrot'"):
        resolve_model("raven")


def test_an_imported_checkpoint_becomes_a_named_model(tmp_path: Path, aviary: Path) -> None:
    source = tmp_path / "weights"
    source.write_text("caw")
    card, report = import_model(source, "crow", "bird", None)
    assert report == "it says caw"
    assert card == tmp_path / "cache" / "models" / "crow" / "card.yaml"
    assert load_model(resolve_model("crow"), LoadOptions()) == ("caw", 0)
    with pytest.raises(ValueError, match=r"'crow' exists: .*--as"):
        import_model(source, "crow", "bird", None)


def test_a_failed_import_leaves_no_model(tmp_path: Path, aviary: Path) -> None:
    source = tmp_path / "weights"
    source.write_text("")
    with pytest.raises(ValueError, match="no weights in it"):
        import_model(source, "crow", "bird", None)
    with pytest.raises(FileNotFoundError, match="no such file"):
        import_model(tmp_path / "none", "crow", "bird", None)
    assert "crow" not in {card.name for card in find_cards()}


def test_a_name_that_two_cards_claim_is_refused(tmp_path: Path, aviary: Path) -> None:
    second = tmp_path / "cache" / "models" / "parrot"
    second.mkdir(parents=True)
    (second / "card.yaml").write_text(PARROT)
    with pytest.raises(ValueError, match="two model cards are called 'parrot'"):
        resolve_model("parrot")
