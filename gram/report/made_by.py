"""By which code and packages the report and the checkpoints behind it were made."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from gram.versions import commit


@dataclass(frozen=True, kw_only=True)
class Training:
    """What made a checkpoint.

    Attributes:
        checkpoint: The checkpoint's folder: ``pretrained/<run>`` and so on.
        commit: Commit of the code.
        versions: Versions of packages, in words; empty where weights of others were imported.
    """

    checkpoint: str
    commit: str
    versions: str


def read_trainings(descriptions: Sequence[Path]) -> list[Training]:
    """Read what made some checkpoints, from the ``last.json`` beside each.

    Raises:
        ValueError: If a file is not of this form.
    """
    found = []
    for path in descriptions:
        try:
            described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            versions: dict[str, str] = described.get("versions", {})
            made = Training(
                checkpoint="/".join(path.parent.parts[-3:]).removeprefix("results/"),
                commit=described["commit"],
                versions=", ".join(f"{name} {version}" for name, version in versions.items()),
            )
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path} describes no checkpoint ({error}); delete it and train again"
            ) from error
        found.append(made)
    return found


def versions_text() -> str:
    """Write commit, Python and all installed packages, as pip reads them (``pip install -r``)."""
    installed = {
        one.metadata["Name"]: one.version for one in metadata.distributions() if one.metadata
    }
    ours = f"# gram at commit {commit()}\n# Python {platform.python_version()}\n"
    packages = sorted(installed.items(), key=lambda item: item[0].lower())
    return ours + "".join(f"{name}=={version}\n" for name, version in packages if name != "gram")
