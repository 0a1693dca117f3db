"""Replies that name their own model: masked on screen, kept as they are in the study."""

from __future__ import annotations

import re

_NAMES = (
    r"通义千问|通义|千问|qwen|文心一言|文心|ernie|讯飞星火|星火|spark ?desk|智谱清言|智谱|chatglm(?:-?\d\w*)?|glm-?\d[\w.]*|moss"
    r"|百川|baichuan|豆包|doubao|kimi|月之暗面|moonshot|deepseek|深度求索|腾讯混元|混元|hunyuan|minimax|天工|零一万物|盘古"
    r"|chatgpt|gpt-?\d[\w.]*|openai|claude|anthropic|gemini|bard|llama[\w.-]*|chatplug"
    r"|阿里云|阿里巴巴|达摩院|百度|科大讯飞|华为|复旦大学|清华大学"
)
_SPEAKS = re.compile(
    r"(?:我是|我叫|我的名字(?:是|叫)|作为(?:一个|一款)?(?:由)?|名为|i am|i'm|my name is|as)"
    r"[^，。！？；,.!?;\n]{0,24}?(" + _NAMES + ")",
    re.IGNORECASE,
)
_NEAR = r"[^，。！？；,.!?;\n]{0,12}?"
_MADE = re.compile(
    rf"(?:由|是|by){_NEAR}({_NAMES}){_NEAR}(?:开发|研发|训练|创造|打造|推出|公司|团队)"
    rf"|(?:developed|trained|created|made|built) by{_NEAR}({_NAMES})",
    re.IGNORECASE,
)
MASK = "▇▇"


def mask(text: str) -> tuple[str, bool]:
    """Returns a reply as a judge may see it, and whether anything was masked.

    Only a reply that speaks of itself ("我是…", "由…开发", "trained by …") is masked; the bare name of a company is not a leak.
    """
    spans = sorted(
        match.span(group)
        for pattern in (_SPEAKS, _MADE)
        for match in pattern.finditer(text)
        for group in range(1, pattern.groups + 1)
        if match[group] is not None
    )
    parts, place = [], 0
    for start, end in spans:
        if start < place:
            continue
        parts += [text[place:start], MASK]
        place = end
    return "".join([*parts, text[place:]]), bool(spans)
