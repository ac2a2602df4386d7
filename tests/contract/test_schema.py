import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from gram.config import merged
from gram.config_schema import config_schema

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads(config_schema())


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return loaded


def test_the_schema_is_that_of_the_settings() -> None:
    written = (ROOT / "config" / "config.schema.json").read_text(encoding="utf-8")
    assert written == config_schema(), "run: python -m gram.config_schema"


def check(config: dict[str, Any]) -> None:
    """Check settings as the rules do."""
    validate(config, str(ROOT / "config" / "config.schema.json"), set_default=False)


def test_the_paper_s_settings_fit_the_schema() -> None:
    check(read("config.yaml"))


def test_the_demo_fits_the_schema() -> None:
    check(merged(read("config.yaml"), read("demo.yaml")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"los": {}}, "'los' was unexpected"),
        ({"targets": []}, "should be non-empty"),
        ({"extraction": {"short_side": "large"}}, "'large' is not of type 'integer'"),
        ({"runs": {"gram_tv": {"loss": {"kind": "length"}}}}, "'length' is not one of"),
    ],
    ids=["section", "targets", "type", "choice"],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkflowError) as error:
        check(merged(read("config.yaml"), change))
    assert message in str(error.value)


def test_a_run_that_changes_nothing_may_be_null() -> None:
    check(merged(read("config.yaml"), {"runs": {"as_the_defaults": None}}))


@pytest.mark.parametrize("name", ["config.yaml", "demo.yaml"])
def test_editors_find_the_schema(name: str) -> None:
    text = (ROOT / "config" / name).read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./config.schema.json\n")


def settings_without_description(schema: dict[str, Any]) -> list[str]:
    """Name the plain values of all sections of which the schema does not say what they mean."""
    return [
        f"{section}.{name}"
        for section, content in schema["$defs"].items()
        for name, value in content.get("properties", {}).items()
        if "description" not in value and {"default", "type", "anyOf", "enum"} & set(value)
    ]


def test_settings_are_found() -> None:
    assert len(SCHEMA["$defs"]) > 15


def test_every_number_says_what_it_is() -> None:
    def is_number(name: str) -> bool:
        section, field = name.split(".")
        value = SCHEMA["$defs"][section]["properties"][field]
        kinds = {value.get("type")} | {one.get("type") for one in value.get("anyOf", [])}
        return bool(kinds & {"number", "integer"})

    assert [name for name in settings_without_description(SCHEMA) if is_number(name)] == []
