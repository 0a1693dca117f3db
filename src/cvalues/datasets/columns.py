"""Field names that data files may use, and the words that they use for grades, levels, sides, yes and no.

A name is matched after NFKC folding, in lower case, with spaces and hyphens as underscores; Chinese names are accepted:

| field | also written |
| --- | --- |
| id | id_, 编号, 序号, 题号 |
| text, prompt, question | 提示, 提示词, 题目, 文本, 问题 |
| category | 类别, 分类, 领域, 场景, 维度, 违规类型, domain, scenario, domain_en, domain_zh |
| level | 层级, 级别, 层次 (1 or 2, 安全 or 责任) |
| reply_1, reply_2 | 回复1, 回复2, 回复一, 回复二, response_1, answer_1 |
| grade_1, grade_2 | 等级1, 等级2 |
| better | 更好, 较好, 更优, 正确答案 (1 or 2, 回复1 or 回复2, A or B) |
| pos_resp, neg_resp | 较好回复, 较差回复, chosen, rejected |
| pos_type, neg_type | 较好类型, 较差类型 |
| unsafe, safe, responsible | 风险回复 or 违规回答, 拒绝回复 or 拒绝为主, 负责任回复 or 安全有用回答 or 拒绝&正向建议 |
| difficulty, split, trap, note, source, licence, language, author | 难度, 划分, 陷阱, 备注, 来源, 许可, 语言, 作者 |
| parent, twin, benign, pair_id, prompt_id, tags | 来自, 对照, 无害, 对编号, 提示编号, 标签 |
"""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from cvalues.schema import Grade

Level = Literal[1, 2]

_ALIASES = {
    "id": "id_ 编号 序号 题号",
    "text": "提示 提示词 题目 文本",
    "question": "问题",
    "category": "类别 分类 领域 场景 维度 违规类型 domain scenario",
    "level": "层级 级别 层次",
    "reply_1": "回复1 回复一 reply1 response_1 response1 answer_1",
    "reply_2": "回复2 回复二 reply2 response_2 response2 answer_2",
    "grade_1": "等级1 等级一 grade1",
    "grade_2": "等级2 等级二 grade2",
    "better": "更好 较好 更优 正确答案",
    "pos_resp": "较好回复 正面回复 chosen better_reply",
    "neg_resp": "较差回复 负面回复 rejected worse_reply",
    "pos_type": "较好类型 chosen_grade",
    "neg_type": "较差类型 rejected_grade",
    "unsafe": "风险回复 违规回答 不安全回复",
    "safe": "拒绝回复 拒绝为主 安全回复",
    "responsible": "负责任回复 负责回复 安全有用回答 拒绝&正向建议",
    "difficulty": "难度 difficulty_level",
    "split": "划分 数据划分",
    "trap": "陷阱",
    "note": "备注 说明",
    "source": "来源",
    "licence": "许可 许可证 license",
    "language": "语言 lang",
    "author": "作者",
    "parent": "来自",
    "twin": "对照",
    "benign": "无害",
    "pair_id": "对编号",
    "prompt_id": "提示编号",
    "tags": "标签",
    "responsible_declines": "负责任回复拒答",
}
FIELDS = frozenset(_ALIASES) | {
    "prompt", "label", "meta_info", "domain_en", "domain_zh", "replies", "answer", "response", "pred", "collection",
}  # fmt: skip
"""Every field name that some format knows."""

GRADES: dict[str, Grade] = {
    "unsafe": "unsafe", "风险回复": "unsafe", "不安全": "unsafe",
    "safe": "safe", "拒绝为主": "safe", "安全": "safe",
    "responsible": "responsible", "拒绝&正向建议": "responsible", "负责任": "responsible",
}  # fmt: skip
LEVELS: dict[str, Level] = {
    "1": 1, "1级": 1, "一级": 1, "安全": 1, "safety": 1, "level1": 1, "level-1": 1, "l1": 1,
    "2": 2, "2级": 2, "二级": 2, "责任": 2, "负责任": 2, "responsibility": 2, "level2": 2, "level-2": 2, "l2": 2,
}  # fmt: skip
SIDES: dict[str, Level] = {
    "1": 1, "回复1": 1, "回复一": 1, "reply1": 1, "a": 1, "甲": 1,
    "2": 2, "回复2": 2, "回复二": 2, "reply2": 2, "b": 2, "乙": 2,
}  # fmt: skip
TRUTH = {"true": True, "1": True, "是": True, "yes": True, "false": False, "0": False, "否": False, "no": False}


def fold(name: str) -> str:
    """Returns a field or category name as it is compared: NFKC, lower case, no outer blanks, `_` for spaces and hyphens."""
    return re.sub(r"[\s\-]+", "_", unicodedata.normalize("NFKC", name).strip().casefold())


class Names(dict[str, str]):
    """Maps a name as written to the field it means (itself, folded, when unknown) and remembers the answer."""

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        """Knows the table of the module; `columns` (field → name in the file) goes before it."""
        super().__init__()
        self._folded = {fold(alias): field for field, aliases in _ALIASES.items() for alias in aliases.split()}
        self._folded |= {field: field for field in FIELDS}
        self._own = {name: fold(field) for field, name in (columns or {}).items()}

    def __missing__(self, name: str) -> str:
        folded = fold(name)
        found = self._own.get(name) or self._folded.get(folded)
        if found is None:
            found = name.strip()
        elif name not in self._own and found in self._own.values():
            found = name.strip() + "*"  # the user's column takes the field's place
        self[name] = found
        return found

    def rename(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the row with every name replaced by its field; of two names for one field the first filled one counts.

        The two replies of a pair in the published shape (`better` and `worse`, each an object with text and grade) become the fields
        `pos_resp`, `pos_type`, `neg_resp` and `neg_type`.
        """
        renamed: dict[str, Any] = {}
        for name, value in fields.items():
            key = self[name]
            if key and (key not in renamed or renamed[key] is None or renamed[key] == ""):
                renamed[key] = value
        sides = (renamed.get("better"), renamed.get("worse"))
        if all(isinstance(side, dict) and "text" in side for side in sides):
            for name in ("better", "worse"):
                side, sign = renamed.pop(name), "pos" if name == "better" else "neg"
                renamed |= {f"{sign}_resp": side["text"], f"{sign}_type": side.get("grade")}
        return renamed


@functools.cache
def nearest_field(name: str) -> str:
    """Returns the known field that an unknown name is nearly, `""` when there is none or the name is known."""
    folded = fold(name)
    if folded in FIELDS:
        return ""
    near = difflib.get_close_matches(folded, FIELDS, n=1, cutoff=0.8)
    return near[0] if near else ""
