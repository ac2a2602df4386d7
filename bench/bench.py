"""`make bench`: what takes time or memory is measured on this machine, into a page.

Each section says on what it was measured, so that one can be measured anew without the others.
"""

import argparse
import os
import platform
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from bench.extraction import extraction_section, many_section
from bench.loader import loader_section
from bench.planning import planning_section
from bench.ranks import ranks_section
from bench.rerank import rerank_section
from bench.shards import shards_section
from bench.training import training_section
from bench.volume import TURNS, volume_section
from gram.files import write_text

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

TITLE = "# Benchmarks\n\nWritten by `make bench`, or section by section as each one says."

Tell = Callable[[str], None]


def _volume(_: Path, tell: Tell) -> str:
    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    return "\n\n".join(volume_section(device, tell=tell) for device in devices)


SECTIONS: dict[str, Callable[[Path, Tell], str]] = {
    "volume": _volume,
    "extraction": lambda folder, _: extraction_section(folder),
    "many": lambda folder, _: many_section(folder),
    "shards": lambda folder, _: shards_section(folder),
    "loader": lambda folder, _: loader_section(folder),
    "training": training_section,
    "ranks": lambda folder, _: ranks_section(),
    "rerank": lambda _, __: rerank_section(),
    "planning": planning_section,
}
"""What is measured, by name: the section's text, from a temporary folder."""


def main() -> None:
    """Measure, print each section, and put it on the page."""
    parser = argparse.ArgumentParser(description="Measure on this machine and write a page.")
    parser.add_argument("--only", choices=SECTIONS, help="measure this alone")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--output", type=Path, default=PAGE)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    console = Console()

    def print_plainly(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    for name in [arguments.only] if arguments.only else SECTIONS:
        console.print(f"Measuring: {name} (minutes) ...")
        machine = describe_machine(name)
        with tempfile.TemporaryDirectory(prefix="gram-bench-") as folder:
            text = SECTIONS[name](Path(folder), print_plainly)
        section = f"<!-- {name} -->\n{text}\n\n{machine}\n<!-- end of {name} -->"
        print_plainly(text)
        old = arguments.output.read_text(encoding="utf-8") if arguments.output.exists() else ""
        write_text(arguments.output, with_section(old, name, section))


def with_section(page: str, name: str, section: str) -> str:
    """Put a section on a page, in place of the one of its name if there is one."""
    found = {
        one: text
        for text, one in re.findall(
            r"(^<!-- (\w+) -->\n.*?^<!-- end of \2 -->$)", page, re.MULTILINE | re.DOTALL
        )
    }
    found[name] = section
    return "\n\n".join([TITLE, *(found[one] for one in SECTIONS if one in found)]) + "\n"


def describe_machine(name: str) -> str:
    """Say by what, where and how a section was made."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    turns = ", ".join(f"{count} turns at {size}" for size, count in TURNS.items())
    how = f"; medians of runs that take turns ({turns})" if name == "volume" else ""
    return (
        f"Made by `python -m bench.bench --only {name}` on {processor()}, {os.cpu_count()} "
        f"cores{gpu}; {platform.system()}, torch {torch.__version__} with "
        f"{torch.get_num_threads()} threads, Python {platform.python_version()}; load of the "
        f"machine at the start (1, 5, 15 minutes): {load}{how}."
    )


def processor() -> str:
    """Name the processor as well as the system knows it."""
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
