"""What made a result: commit of the code and versions of packages."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path


def commit() -> str:
    """Name the commit of the code, with ``-changed`` when the tree differs from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=-changed", "--exclude=*"],
            cwd=Path(__file__).parent,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a git checkout"
    return done.stdout.strip()


def versions(*packages: str) -> dict[str, str]:
    """Give the versions of Python and of the named packages, where they are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
