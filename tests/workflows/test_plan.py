"""Options → plan: what is asked, of whom, under which name."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvalues.errors import UsageError
from cvalues.records import write_records
from cvalues.schema import Choice, Sampling
from cvalues.workflows.plan import RunOptions, make_plan, rough_tokens, select
from make import choice


def options(**changes: object) -> RunOptions:
    """Options of a small run."""
    base = RunOptions(sets=("starter-choice",), models=("baseline:first",), limit=12)
    return msgspec.structs.replace(base, **changes)


def test_the_same_command_has_the_same_name() -> None:
    """A run's default name follows from what it asks, so that repeating a command continues it."""
    assert make_plan(options()).run.name == make_plan(options()).run.name
    names = {
        make_plan(options(**changes)).run.name
        for changes in (
            {},
            {"limit": 18},
            {"template": "ab"},
            {"system": "x"},
            {"models": ("baseline:second",)},
            {"seed": 1},
            {"filters": {"level": "1"}},
        )
    }
    assert len(names) == 7


def test_speed_settings_are_no_part_of_the_name() -> None:
    """How fast a run is driven does not change what it measures."""
    assert (
        make_plan(options(max_concurrency=3, rpm=10.0, attempts=2, timeout=5.0)).run.name
        == make_plan(options()).run.name
    )


def test_limit_keeps_pairs_whole_and_does_not_depend_on_the_rest() -> None:
    """A limited draw holds both orders of each pair, in the order of the set, and is stable when other items are filtered away."""
    items = [choice(number, better=1 if number % 2 == 0 else 2) for number in range(40)]
    drawn = select(items, RunOptions(limit=10))
    assert len(drawn) == 10
    pairs = [item.pair_id for item in drawn if isinstance(item, Choice)]
    assert all(pairs.count(pair) == 2 for pair in pairs)
    assert drawn == [item for item in items if item in drawn]
    assert select(drawn, RunOptions(limit=10)) == drawn


@given(st.integers(1, 60), st.integers(0, 5))
@settings(max_examples=30)
def test_a_larger_limit_contains_a_smaller_one(limit: int, seed: int) -> None:
    """Raising the limit only adds items, so what was asked before is not lost."""
    items = [choice(number) for number in range(60)]
    small = {item.id for item in select(items, RunOptions(limit=limit, seed=seed))}
    large = {item.id for item in select(items, RunOptions(limit=limit + 6, seed=seed))}
    assert small <= large


def test_filters_combine_and_take_lists() -> None:
    """Several filters must all hold; one filter may list values; tags count as fields."""
    items = make_plan(options(limit=None, filters={"category": "law,crimes", "level": "2"})).items.values()
    assert {item.category for item in items} == {"law", "crimes"}
    assert {item.level for item in items} == {2}


def test_model_settings_override_the_runs_field_by_field(tmp_path: Path) -> None:
    """models.toml's sampling wins over the run's where it says something, and vendor fields are merged."""
    path = tmp_path / "models.toml"
    path.write_text(
        '[m]\nendpoint = "openai:x@http://h/v1"\nsystem = "mine"\n[m.sampling]\ntemperature = 0.7\n[m.params]\nb = 2\n',
        encoding="utf-8",
    )
    plan = make_plan(
        options(
            models=("m",),
            models_file=str(path),
            sampling=Sampling(temperature=0.0, max_tokens=5),
            params={"a": 1},
            system="run's",
        )
    )
    request = plan.entries[0].request
    assert (request.sampling.temperature, request.sampling.max_tokens, request.extra) == (0.7, 5, {"a": 1, "b": 2})
    assert request.messages[0].content == "mine"


def test_baselines_choose_and_servers_write() -> None:
    """What can only choose is given the options; a server is sent the text unless --mode choose is given."""
    plan = make_plan(options(models=("baseline:first", "openai:x@http://h/v1")))
    modes = {entry.request.model: (entry.request.mode, bool(entry.request.options)) for entry in plan.entries}
    assert modes == {"baseline:first": ("choose", True), "x": ("generate", False)}
    chosen = make_plan(options(models=("openai:x@http://h/v1",), mode="choose", template="ab"))
    assert chosen.entries[0].request.options[0].label == "A"


def test_users_own_set_and_taxonomy(tmp_path: Path) -> None:
    """A file of one's own with a category of one's own is planned like any other."""
    (tmp_path / "t.toml").write_text(
        '[[category]]\ncode = "finance"\nlevel = 2\nzh = "金融"\nen = "Finance"\n', encoding="utf-8"
    )
    write_records(tmp_path / "bank.jsonl", [choice(number, level=2, category="finance") for number in range(4)])
    plan = make_plan(options(sets=(str(tmp_path / "bank.jsonl"),), taxonomy=str(tmp_path / "t.toml"), limit=None))
    assert plan.taxonomy.name("finance", "zh") == "金融"
    assert len(plan.items) == 4


def test_items_that_occur_twice_are_refused() -> None:
    """Naming a set twice is a mistake, not twice the weight."""
    with pytest.raises(UsageError, match="occurs twice"):
        make_plan(options(sets=("starter-choice", "starter-choice"), limit=None))


def test_rough_tokens_are_in_range() -> None:
    """The planning figure lies between the extremes of real tokenizers: 0.4 to 1.5 per Chinese character, 0.2 to 0.5 per Latin one."""
    assert 40 <= rough_tokens("价" * 100) <= 150
    assert 20 <= rough_tokens("a" * 100) <= 50
    assert rough_tokens("") == 0
