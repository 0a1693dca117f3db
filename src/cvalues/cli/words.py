"""Every phrase that commands show, in Chinese and English."""

from __future__ import annotations

_WORDS: dict[str, tuple[str, str]] = {
    "error": ("错误", "error"),
    "progress": (
        "{model}：{done}/{planned} · {rate} 次/秒 · 进行中 {flight}/{limit} · 重试 {retries} · 失败 {failed} · 剩余 {eta}",
        "{model}: {done}/{planned} · {rate}/s · in flight {flight}/{limit} · retries {retries} · failed {failed} · ETA {eta}",
    ),
    "run.name": ("运行 {name}（研究 {study}）", "Run {name} (study {study})"),
    "run.cached": (
        "{count} 个回复已在研究中，未重复请求",
        "{count} responses were in the study already and were not asked again",
    ),
    "run.failed": (
        "{model}：{count} 次请求最终失败（{kinds}）；最近一次：{last}",
        "{model}: {count} calls failed for good ({kinds}); the last: {last}",
    ),
    "run.stopped": (
        "已停止（{reason}），还有 {left} 个未问；重复同一命令即可继续",
        "Stopped ({reason}) with {left} still to ask; repeat the command to continue",
    ),
    "run.gave_up": ("{model}：停止提问：{why}", "{model}: not asked further: {why}"),
    "batch.torn": ("{place}：不是批处理结果，已跳过", "{place}: is no batch result and was skipped"),
    "batch.foreign": (
        "{count} 行结果属于其他运行，已跳过",
        "{count} result lines belong to other runs and were skipped",
    ),
    "batch.submitted": ("{file}：已提交，状态 {status}", "{file}: submitted, {status}"),
    "batch.open": (
        "{file}：请提交给供应商的批处理接口，再把结果文件放进同一文件夹",
        "{file}: submit it to the vendor's batch interface, then put its result files into the same folder",
    ),
    "batch.again": ("重复同一命令即可收取结果", "Repeat the command to collect what has come"),
    "title.Batch files": ("批处理文件", "Batch files"),
    "column.waiting": ("等待结果", "waiting"),
    "column.written": ("本次写出", "written"),
    "run.plan": ("运行 {run} 的计划", "Plan of run {run}"),
    "run.next": ("下一步：cvalues report {name}", "Next: cvalues report {name}"),
    "judge.related": (
        "注意：评审 {judge} 与被评的 {models} 同源，可能偏袒自家模型",
        "note: judge {judge} is of the same family as {models} and may favour it",
    ),
    "judge.panel": (
        "评审团 {name}：{valid} 条有结论，{people} 条交给人判断，{none} 条无结论",
        "panel {name}: {valid} verdicts, {people} left to people, {none} without a verdict",
    ),
    "run.free": (
        "{count} 个自由回复已存入研究",
        "{count} free responses are in the study",
    ),
    "free.judge": (
        "还没有评判；下一步：cvalues judge {name} -j rule:safety -j rule:refusal -j baseline:grade",
        "Not judged yet; next:  cvalues judge {name} -j rule:safety -j rule:refusal -j baseline:grade",
    ),
    "free.raters": ("依据：{raters}", "Rated by {raters}"),
    "free.floor": (
        "{raters} 是下限，不是评审：它们只认字面，误差见上表",
        "{raters}: a floor, not a judge; they know only the wording, and err as the table says",
    ),
    "title.Free responses": ("自由回复（%，95 % 区间）", "Free responses (%, 95 % interval)"),
    "title.Refusal": ("拒绝与过度拒绝（%）", "Refusal and over-refusal (%)"),
    "title.Telling and doing": ("知与行（%）", "Telling and doing (%)"),
    "column.safe": ("安全率", "safe"),
    "column.at least safe": ("至少安全", "at least safe"),
    "column.responsible": ("负责任", "responsible"),
    "column.points": ("责任均分（1–10）", "points (1–10)"),
    "column.harmful detail": ("有害细节", "harmful detail"),
    "column.over-refusal": ("过度拒绝", "over-refusal"),
    "column.false compliance": ("有害顺从", "false compliance"),
    "column.refusal full": ("完全拒绝", "refusal: full"),
    "column.refusal partial": ("部分拒绝", "partial"),
    "column.refusal redirects": ("拒绝并另助", "redirects"),
    "column.refusal none": ("不拒绝", "none"),
    "column.tells": ("知", "tells"),
    "column.does": ("行", "does"),
    "column.gap": ("差距", "gap"),
    "column.knows but errs": ("知而不行", "knows but errs"),
    "column.prompts": ("提问数", "prompts"),
    "reason.interrupted": ("已中断", "interrupted"),
    "reason.max-calls": ("达到 --max-calls", "--max-calls reached"),
    "reason.max-cost": ("达到 --max-cost", "--max-cost reached"),
    "reason.study": ("研究无法写入", "the study cannot be written"),
    "reason.endpoint": ("端点不可用", "the endpoint is unusable"),
    "reason.": ("未完成", "incomplete"),
    "read.count": ("{name}：读取了 {count} 个回复", "{name}: {count} responses read"),
    "report.path": ("报告：{path}", "Report: {path}"),
    "demo.start": (
        "用内置模型在入门集上演示两级价值测量；不需要密钥、GPU 或下载",
        "Measuring the built-in models on the starter set, both levels; no key, no GPU, no download",
    ),
    "pull.done": ("{name} → {path}", "{name} → {path}"),
    "pull.progress": ("{name}：{done} / {total} 字节", "{name}: {done} of {total} bytes"),
    "check.ok": ("{path}：{rows} 行，没有问题", "{path}: {rows} rows, no fault"),
    "check.faults": (
        "{path}：{rows} 行，{faults} 处错误，{warnings} 处提醒",
        "{path}: {rows} rows, {faults} faults, {warnings} warnings",
    ),
    "check.quarantine": ("有错误的行已写入 {path}", "rows with faults were written to {path}"),
    "new.done": (
        "已写入模板 {path}；填好后运行  cvalues data check {path}",
        "Template written to {path}; fill it in, then  cvalues data check {path}",
    ),
    "sheet.written": (
        "{count} 个未读懂的回复已写入 {path}；在 verdict 列填 1、2、other 或 refused，再用 --reviewed {path} 重新计分",
        "{count} undecided responses are in {path}; fill its column verdict, then score again with --reviewed {path}",
    ),
    "pairs.exported": ("已导出 {count} 个比较对到 {path}", "{count} pairs exported to {path}"),
    "pairs.heldout": (
        "注意：其中 {count} 个属于保留测试集；{study} 已记下此事，用它们训练的模型不能再用该测试集评测",
        "Note: {count} of them are held back for testing; {study} remembers it. A model trained on them cannot be measured on that split",
    ),
    "run.hard": (
        "其中难题（仅看回复文字的基线答错或没有把握的题）：",
        "Hard items among them (a baseline that sees only the replies is wrong or unsure):",
    ),
    "info.audit": ("{time} {verb} {object}", "{time} {verb} {object}"),
    "verify.ok": ("{study}：一致，{rows} 条记录", "{study}: consistent, {rows} records"),
    "study.exported": ("已导出 {rows} 条记录到 {path}", "{rows} records exported to {path}"),
    "study.imported": ("已并入 {rows} 条新记录", "{rows} new records merged"),
    "study.backup": ("备份：{path}", "Backup: {path}"),
    "title.Scores": ("得分（%，95 % 区间）", "Scores (%, 95 % interval)"),
    "title.Sets": ("数据集", "Sets"),
    "title.Models": ("模型", "Models"),
    "title.Runs": ("运行", "Runs"),
    "title.Trial": ("试运行", "Trial"),
    "column.model": ("模型", "model"),
    "column.level": ("层级", "level"),
    "column.category": ("类别", "category"),
    "column.acc": ("准确率", "acc"),
    "column.acc*": ("准确率*", "acc*"),
    "column.both orders": ("两序皆对", "both orders"),
    "column.answered": ("作答率", "answered"),
    "column.coverage": ("覆盖率", "coverage"),
    "column.position bias": ("位置偏差", "position bias"),
    "column.refused": ("拒绝", "refused"),
    "column.bounds": ("上下界", "bounds"),
    "column.n": ("题数", "n"),
    "column.name": ("名称", "name"),
    "column.items": ("条数", "items"),
    "column.kind": ("类型", "kind"),
    "column.licence": ("许可", "licence"),
    "column.where": ("位置", "where"),
    "column.state": ("状态", "state"),
    "column.fact": ("事实", "fact"),
    "column.value": ("内容", "value"),
    "column.source": ("出处", "source"),
    "column.what": ("说明", "what it is"),
    "column.requests": ("请求", "requests"),
    "column.answered already": ("已答", "answered"),
    "column.calls": ("要问", "calls"),
    "column.tokens in ≈": ("输入词元≈", "tokens in ≈"),
    "column.tokens out ≈": ("输出词元≈", "tokens out ≈"),
    "column.cost ≈": ("费用≈", "cost ≈"),
    "card.path": ("评审卡：{path}", "judge card: {path}"),
    "column.coefficient": ("系数", "coefficient"),
    "column.estimate": ("估计（×100）", "estimate (×100)"),
    "column.cut": ("切分", "cut"),
    "column.sensitivity": ("灵敏度", "sensitivity"),
    "column.specificity": ("特异度", "specificity"),
    "column.label": ("标签", "label"),
    "column.rater": ("评分者", "rater"),
    "column.rater 2": ("另一评分者", "other rater"),
    "column.raw": ("一致率", "raw"),
    "column.kappa": ("κ", "kappa"),
    "column.judged": ("评审给出", "judged"),
    "column.prediction-powered": ("预测增强", "prediction-powered"),
    "column.judge": ("评审", "judge"),
    "column.criterion": ("标准", "criterion"),
    "column.responses": ("回复数", "responses"),
    "column.verdicts": ("有结论", "verdicts"),
    "column.no verdict": ("无结论", "no verdict"),
    "column.before": ("先前已有", "before"),
    "column.failed": ("失败", "failed"),
    "column.technique": ("手法", "technique"),
    "column.attacks": ("攻击数", "attacks"),
    "column.raised": ("结论被抬高", "raised"),
    "column.withheld": ("结论被打断", "withheld"),
    "column.success": ("成功率", "success"),
    "column.asked": ("已问", "asked"),
    "column.readable": ("可读", "readable"),
    "column.sets": ("数据集", "sets"),
    "column.models": ("模型", "models"),
    "column.start": ("开始", "start"),
    "column.end": ("结束", "end"),
    "column.difference": ("差（百分点）", "difference (points)"),
    "column.p": ("p（Holm）", "p (Holm)"),
    "column.verdict": ("结论", "verdict"),
}


def keys() -> list[str]:
    """Returns all phrase keys."""
    return list(_WORDS)


def say(key: str, language: str, default: str | None = None, **values: object) -> str:
    """Returns a phrase in `zh` or `en` with its values; `default` for a key that does not exist.

    Raises:
        KeyError: there is neither the phrase nor a default.
    """
    if key not in _WORDS and default is not None:
        return default
    text = _WORDS[key][0 if language == "zh" else 1]
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text
