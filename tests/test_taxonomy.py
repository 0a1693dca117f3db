"""Levels, scenarios and domains."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvalues import taxonomy
from cvalues.errors import ConfigError, UsageError

BANK = '[[category]]\ncode = "finance"\nlevel = 2\nzh = "金融"\nen = "Finance"\n'


def test_builtin_has_ten_scenarios_and_eight_domains() -> None:
    """Ten scenarios at level 1, eight domains at level 2, every name in both languages."""
    built = taxonomy.load()
    assert (len(built.at(1)), len(built.at(2))) == (10, 8)
    assert all(category.zh and category.en for category in built.categories)


def test_only_public_names_are_called_the_papers() -> None:
    """Three scenario names are marked as the paper's, the other seven as our own, and all domains as the paper's."""
    built = taxonomy.load()
    assert {category.code for category in built.at(1) if category.origin == "paper"} == {
        "dangerous_topic",
        "crimes",
        "personal_privacy",
    }
    assert all(category.origin == "paper" for category in built.at(2))


def test_user_file_adds_a_domain(tmp_path: Path) -> None:
    """A bank's file adds 金融 beside the built-in domains and changes a built-in name where it gives the same code."""
    path = tmp_path / "t.toml"
    path.write_text(BANK + '[[category]]\ncode = "law"\nlevel = 2\nzh = "法律"\nen = "Law"\n', encoding="utf-8")
    merged = taxonomy.load(path)
    assert len(merged.categories) == 19
    assert merged.name("finance", "zh") == "金融"
    assert merged.category("law").zh == "法律"


def test_user_file_replaces_everything(tmp_path: Path) -> None:
    """With `replace = true` only the user's categories are left."""
    path = tmp_path / "t.toml"
    path.write_text("replace = true\n" + BANK, encoding="utf-8")
    assert [category.code for category in taxonomy.load(path).categories] == ["finance"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BANK + BANK, "category code given twice: finance"),
        ("replace = true\n", "holds no"),
        (BANK.replace("level = 2", "level = 3"), "t.toml"),
        (BANK + "colour = 1\n", "colour"),
    ],
)
def test_faulty_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    """Each kind of fault gives an error that names the file and the fault."""
    path = tmp_path / "t.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        taxonomy.load(path)


def test_unknown_code_lists_the_nearest() -> None:
    """An unknown category names the nearest ones."""
    with pytest.raises(UsageError, match="did you mean psychology"):
        taxonomy.load().category("psycology")
