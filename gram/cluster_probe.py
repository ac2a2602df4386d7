"""What a compute node sees: `python -m gram.cluster_probe FILE ADDRESS`, run there by srun.

It writes one line of JSON: the content of the file, and what is wrong with MLflow's address.
"""

import json
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ANSWER_SECONDS = 20


def main(file: Path, address: str) -> None:
    """Say what is seen from here."""
    seen = file.read_text(encoding="utf-8") if file.is_file() else None
    sys.stdout.write(json.dumps({"file": seen, "mlflow": problem_of(address)}) + "\n")


def problem_of(address: str) -> str:
    """Ask an MLflow server whether it is there; empty: it is, or there is none to ask."""
    if not address.startswith(("http://", "https://")):
        return ""
    try:
        with urlopen(f"{address.rstrip('/')}/health", timeout=ANSWER_SECONDS):  # noqa: S310
            return ""
    except (URLError, OSError, ValueError) as error:
        return str(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
