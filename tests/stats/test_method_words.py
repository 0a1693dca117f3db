"""The Chinese of methods: every method and reason that the source can write has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cvalues.stats.wording import method_text

SOURCE = Path(__file__).parents[2] / "src/cvalues/stats"


def said() -> set[str]:
    """Every text that the statistics give as a method, or as why there is none."""
    found = set()
    for path in SOURCE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "undefined":
                first = node.args[0]
                text = first.value if isinstance(first, ast.Constant) else constants.get(getattr(first, "id", ""))
                if isinstance(text, str):
                    found.add(f"undefined: {text}")
            if isinstance(node, ast.keyword) and node.arg == "method":
                for inner in ast.walk(node.value):
                    if (
                        isinstance(inner, ast.Constant)
                        and isinstance(inner.value, str)
                        and inner.value not in {"", "undefined: "}
                    ):
                        found.add(inner.value)
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node.value.startswith("no interval: ")
            ):
                found.add(node.value)
    return found


def test_every_method_has_a_chinese_name() -> None:
    """Methods and reasons in the source all have Chinese words, and enough of them are found."""
    methods = {text for text in said() if text not in {"-share", "prediction-powered"}}
    assert len(methods) > 15
    assert [text for text in methods if method_text(text, "en") != text] == []
    assert [text for text in methods if not re.search("[\u4e00-\u9fff]|[A-Z]", method_text(text, "zh"))] == []


@pytest.mark.parametrize(
    ("method", "chinese"),
    [
        ("undefined: all labels equal", "无定义：所有标签都相同"),
        ("no interval: one unit", "没有区间：只有一个单位"),
        ("bootstrap-bca, 3.0% of draws without a value", "BCa 自助法区间（3.0% 的重抽样没有取值）"),
        ("prediction-powered-share", "预测辅助推断（PPI++，比例）"),
        ("undefined: something new", "无定义：something new"),
        ("a method of tomorrow", "a method of tomorrow"),
    ],
)
def test_methods_in_chinese(method: str, chinese: str) -> None:
    """A known method is translated, an unknown one stays as it is."""
    assert method_text(method, "zh") == chinese
