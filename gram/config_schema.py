"""Writes config/config.schema.json from the settings classes: ``python -m gram.config_schema``.

Editors and Snakemake read the schema; the checks across fields stay with the classes.
"""

import json
from pathlib import Path
from typing import Any

from gram.config import Config
from gram.files import write_text

SCHEMA = Path("config/config.schema.json")
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> str:
    """Give the schema as JSON text, ending in a newline."""
    schema: dict[str, Any] = {"$schema": DRAFT, **Config.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    write_text(SCHEMA, config_schema())
