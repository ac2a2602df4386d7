"""A profile held against the Slurm cluster that it is for: what would not work, and what to do."""

import getpass
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gram.doctor import Finding
from gram.slurm import SlurmError, ask
from gram.tracking import ADDRESS_VARIABLE, default_address, without_password

FREE_NODE_SECONDS = 120
"""How long a job that looks around waits for a node."""

LEAST_MEMORY_SECONDS = 120
"""How long Slurm must know a finished job, for its state to be asked by squeue."""

DEFAULT = "default-resources"


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Nodes that take jobs under one name.

    Attributes:
        name: The name.
        is_default: Whether jobs that name none go there.
        minutes: Longest time limit; None: there is none.
        memory_mb: Memory of its largest node.
        gpus: GPUs of the node that has most.
    """

    name: str
    is_default: bool
    minutes: int | None
    memory_mb: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a rule asks for; 0 and None: nothing.

    Attributes:
        rule: The rule, or ``default-resources``.
        partition: Name of a partition.
        minutes: Time limit.
        memory_mb: Memory a node, at the first try.
        gpus: GPUs a node.
        nodes: Nodes, of which each gets a task that the rule starts by srun.
        has_tasks: Whether what several nodes need is there: ``mpi`` and ``tasks``.
    """

    rule: str
    partition: str | None
    minutes: int
    memory_mb: int
    gpus: int
    nodes: int
    has_tasks: bool


def read_profiles(names: Sequence[str]) -> dict[str, Any]:
    """Read profiles as Snakemake does: a later one replaces the entries that it has.

    Raises:
        ValueError: If there is none of a name.
    """
    merged: dict[str, Any] = {}
    for name in names:
        places = [Path(name), Path("profiles") / name]
        files = [place / "config.yaml" for place in places if (place / "config.yaml").is_file()]
        if not files:
            raise ValueError(
                f"there is no profile {name}: neither {places[0] / 'config.yaml'} nor "
                f"{places[1] / 'config.yaml'} is a file; start in the folder of the Snakefile"
            )
        merged |= yaml.safe_load(files[0].read_text(encoding="utf-8")) or {}
    return merged


def wishes_of(profile: Mapping[str, Any]) -> list[Wish]:
    """Give what the rules of a profile ask for, and what the others do."""
    default = profile.get(DEFAULT, {})
    of_rules = {DEFAULT: default, **profile.get("set-resources", {})}
    return [
        Wish(
            rule=rule,
            partition=asked.get("slurm_partition", default.get("slurm_partition")),
            minutes=_first_number(asked.get("runtime", default.get("runtime"))),
            memory_mb=_first_number(asked.get("mem_mb", default.get("mem_mb"))),
            gpus=_first_number(asked.get("gpu")) // max(1, _first_number(asked.get("nodes"))),
            nodes=_first_number(asked.get("nodes", 1)),
            has_tasks=asked.get("mpi") == "srun" and asked.get("tasks") == asked.get("nodes"),
        )
        for rule, asked in of_rules.items()
    ]


def examine_cluster(names: Sequence[str]) -> Iterator[Finding]:
    """Hold profiles against the cluster, the cheap looks first; the last one starts a job.

    Raises:
        ValueError: If there is no such profile.
    """
    profile = read_profiles(names)
    try:
        yield Finding(what="Slurm", found=ask("sinfo", "--version"))
        partitions = read_partitions()
        yield from _partitions(wishes_of(profile), partitions)
        yield _account(profile)
        yield _finished_jobs()
        yield from _seen_from_a_node(profile)
    except SlurmError as error:
        yield Finding(
            what="Slurm",
            found="none that answers",
            advice=f"{error}; go to a node from which jobs are submitted",
        )


def read_partitions() -> dict[str, Partition]:
    """Ask Slurm for all partitions.

    Raises:
        SlurmError: If it does not answer.
    """
    found: dict[str, Partition] = {}
    for line in ask("sinfo", "--noheader", "--format=%P|%l|%m|%G").splitlines():
        name, limit, memory, gres = line.split("|")
        one = Partition(
            name=name.removesuffix("*"),
            is_default=name.endswith("*"),
            minutes=_minutes(limit),
            memory_mb=int(memory.rstrip("+")),
            gpus=sum(int(count) for count in re.findall(r"gpu:(?:[^:,(]+:)?(\d+)", gres)),
        )
        before = found.get(one.name, one)
        found[one.name] = Partition(
            name=one.name,
            is_default=one.is_default,
            minutes=one.minutes,
            memory_mb=max(one.memory_mb, before.memory_mb),
            gpus=max(one.gpus, before.gpus),
        )
    return found


def _partitions(wishes: list[Wish], partitions: dict[str, Partition]) -> Iterator[Finding]:
    """Say of each partition what it offers, and of each rule what it does not get there."""
    default = next((one.name for one in partitions.values() if one.is_default), None)
    names = ", ".join(partitions)
    chosen = default or "none"
    yield Finding(what="partitions", found=f"{names}; jobs that name none go to {chosen}")
    for wish in wishes:
        where = wish.partition or default
        if where is None or where not in partitions:
            yield Finding(
                what=wish.rule,
                found=f"partition {where or 'not named'}",
                advice=f"there are {names}; set slurm_partition of {wish.rule} to one of them",
            )
        elif problems := _unmet(wish, partitions[where]):
            yield Finding(
                what=wish.rule,
                found=f"partition {where}",
                advice=f"{'; '.join(problems)}; change that, or slurm_partition, of {wish.rule}",
            )


def _unmet(wish: Wish, partition: Partition) -> list[str]:
    """Name what a rule asks for and a partition has not."""
    problems = []
    if partition.minutes is not None and wish.minutes > partition.minutes:
        problems.append(f"runtime is {wish.minutes} min, and {partition.minutes} are allowed")
    if wish.memory_mb > partition.memory_mb:
        problems.append(f"mem_mb is {wish.memory_mb}, and its nodes have {partition.memory_mb}")
    if wish.nodes > 1 and not wish.has_tasks:
        problems.append(f"nodes is {wish.nodes}, without `mpi: srun` and `tasks: {wish.nodes}`")
    if wish.gpus > partition.gpus:
        problems.append(f"{wish.gpus} GPUs a node are asked for, and there are {partition.gpus}")
    return problems


def _account(profile: Mapping[str, Any]) -> Finding:
    account = profile.get(DEFAULT, {}).get("slurm_account")
    try:
        list_them = ("sacctmgr", "--noheader", "--parsable2", "list", "associations")
        answer = ask(*list_them, f"user={getpass.getuser()}", "format=account")
    except SlurmError:
        advice = f"no accounting answers here to check {account}; leave slurm_account out"
        return Finding(
            what="account", found=account or "none named", advice=advice if account else ""
        )
    accounts = sorted(set(answer.split()))
    found = f"{account or 'none named'}; you have {', '.join(accounts) or 'none'}"
    advice = "" if account in {None, *accounts} else "set slurm_account to one of them"
    return Finding(what="account", found=found, advice=advice)


def _finished_jobs() -> Finding:
    """See whether squeue knows jobs long enough after their end."""
    age = re.search(r"MinJobAge\s*=\s*(\d+)", ask("scontrol", "show", "config"))
    seconds = int(age[1]) if age else 0
    advice = ""
    if seconds < LEAST_MEMORY_SECONDS:
        advice = (
            "the state of jobs cannot be asked by squeue; set slurm-status-command to sacct, or "
            f"slurm-init-seconds-before-status-checks to {seconds // 3}"
        )
    found = f"known for {seconds} s after their end (MinJobAge)"
    return Finding(what="finished jobs", found=found, advice=advice)


def _seen_from_a_node(profile: Mapping[str, Any]) -> Iterator[Finding]:
    """Start a job on one node, and have it look for this folder, this Python, and MLflow."""
    address = os.environ.get(ADDRESS_VARIABLE, default_address())
    token = secrets.token_hex(8)
    file = Path.cwd() / f".seen_from_a_node.{token}"
    file.write_text(token, encoding="utf-8")
    default = profile.get(DEFAULT, {})
    options = [
        f"--{option}={default[key]}"
        for option, key in (("partition", "slurm_partition"), ("account", "slurm_account"))
        if default.get(key)
    ]
    node = ["srun", "--quiet", "--nodes=1", "--ntasks=1", "--time=5", "--mem=1000", *options]
    look = [sys.executable, "-m", "gram.cluster_probe", str(file), address]
    try:
        seen = json.loads(
            ask(*node, f"--immediate={FREE_NODE_SECONDS}", *look, seconds=2 * FREE_NODE_SECONDS)
        )
    except (SlurmError, json.JSONDecodeError) as error:
        yield Finding(
            what="a compute node",
            found="none that ran our Python",
            advice=f"{error}; if no node was free, try later; else put .venv and this folder on a "
            "file system that all nodes see",
        )
        return
    finally:
        file.unlink()
    is_shared = seen["file"] == token
    yield Finding(
        what="a compute node",
        found=f"runs our Python, and sees {'' if is_shared else 'another '}{Path.cwd()}",
        advice="" if is_shared else "work in a folder on a file system that all nodes share",
    )
    yield _mlflow(address, problem=seen["mlflow"])


def _mlflow(address: str, *, problem: str) -> Finding:
    if not address:
        return Finding(what="MLflow", found=f"switched off ({ADDRESS_VARIABLE} is empty)")
    shown = without_password(address)
    if address.startswith("sqlite:"):
        advice = (
            "jobs on several nodes may damage a SQLite file on a shared disk; start `mlflow "
            f"server` on a node that the others reach, and set {ADDRESS_VARIABLE} to its address"
        )
        return Finding(what="MLflow", found=shown, advice=advice)
    found = f"{shown}, {'not ' if problem else ''}reached from a compute node"
    return Finding(what="MLflow", found=found, advice=problem)


def _first_number(value: object) -> int:
    """Read a resource at the first try: a number, or an expression that begins with one."""
    number = re.match(r"\d+", str(value))
    return int(number[0]) if number else 0


def _minutes(limit: str) -> int | None:
    """Read a time limit of sinfo: days-hours:minutes:seconds, or infinite."""
    number = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if number is None:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in number.groups())
    return (24 * days + hours) * 60 + minutes
