"""Each rule hands over the settings that its script reads: no section more, none less."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import gram.jobs
from gram.config import Config, Section, merged
from gram.job_sections import job_settings

ROOT = Path(__file__).parents[2]
WILDCARDS = {
    "run": "volume_tva",
    "benchmark": "toys",
    "split": "test",
    "dataset": "toys",
    "table": "demo",
}
RULE = re.compile(r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def rules_with_settings() -> dict[str, list[str]]:
    """Name the sections that each rule hands over."""
    found = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for name, body in RULE.findall(path.read_text(encoding="utf-8")):
            if given := re.search(r"settings=settings\((.*?)\)", body, re.DOTALL):
                found[name] = re.findall(r'"(\w+)"', given[1])
    return found


def class_in_script(rule: str) -> type[Section]:
    """Give the class that a rule's script hands to ``job``."""
    path = ROOT / "workflow" / "scripts" / f"{rule}.py"
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "job"
    ]
    (call,) = calls
    found: type[Section] = getattr(gram.jobs, ast.unparse(call.args[1]))
    return found


FROM_FILES = {
    "weights": {"theirs": {"kind": "released", "checkpoint": "a.pt", "vocabulary": "vocab.txt"}},
    "runs": {WILDCARDS["run"]: {"start": None, "weights": "theirs"}},
}
"""The demo starts from no weights of others; so that a rule about them has settings."""


def demo() -> Config:
    settings: dict[str, Any] = {}
    for name in ("config.yaml", "demo.yaml"):
        content = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
        settings = merged(settings, content)
    return Config.model_validate(merged(settings, FROM_FILES))


RULES = rules_with_settings()


def test_rules_are_found() -> None:
    assert len(RULES) >= 15


@pytest.mark.parametrize("rule", RULES)
def test_a_script_reads_what_its_rule_hands_over(rule: str) -> None:
    text = job_settings(demo(), RULES[rule], WILDCARDS)
    read = class_in_script(rule).model_validate_json(text)
    assert read.model_dump(mode="json") == json.loads(text)
