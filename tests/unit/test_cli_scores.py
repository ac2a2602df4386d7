"""`gram scores` and `gram table`: recalls of files of others, comparisons, partial tables."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize
from typer.testing import CliRunner, Result

from gram.cli import app
from tests.unit.config.small import SMALL


def unit(*shape: int, seed: int) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def write_snapshot(path: Path, *, clips: int = 24, **changes: Tensor | None) -> Path:
    """Write vectors of clips that resemble their texts; the second is equal to the first."""
    meaning_nd = unit(clips, 16, seed=0)
    meaning_nd[1] = meaning_nd[0]
    tensors: dict[str, Tensor | None] = {
        "text": meaning_nd,
        "video": normalize(meaning_nd + 0.8 * unit(clips, 16, seed=1), dim=-1),
        "audio": normalize(meaning_nd + 2 * unit(clips, 16, seed=2), dim=-1),
        "subtitles": unit(clips, 16, seed=3),
        **changes,
    }
    save_file({name: one.contiguous() for name, one in tensors.items() if one is not None}, path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_snapshot_of_a_folder_is_ranked_by_the_usual_scores(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_snapshot(tmp_path / f"{name}.safetensors")
    done = run("scores", "rank", tmp_path, "--csv", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "out.csv")
    assert [row["embeddings"] for row in rows] == ["one"] * 7 + ["two"] * 7
    assert [row["score"] for row in rows[:7]] == [
        *("cosine_video", "cosine_audio", "cosine_subtitle"),
        *("volume:tva", "volume:tvas", "residual:tva", "residual:tvas"),
    ]


def test_recalls_are_those_of_a_loop(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "one.safetensors", clips=40)
    done = run("scores", "rank", path, "--score", "cosine_video", "--csv", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    tensors = load_file(path)
    cosine_nm = tensors["text"] @ tensors["video"].mT
    found = sum(int(row.argmax()) == number for number, row in enumerate(cosine_nm))
    # The two equal texts ask alike, so that one of them at the most finds its clip.
    assert float(rows_of(tmp_path / "out.csv")[0]["t2i R@1"]) == pytest.approx(
        100 * found / 40, abs=0.06
    )


def test_ties_may_be_counted_as_won(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "one.safetensors")
    recalls = []
    for ties in ("shared", "won"):
        options = ["--score", "cosine_video", "--ties", ties, "--csv", tmp_path / "out.csv"]
        assert run("scores", "rank", path, *options).exit_code == 0
        recalls.append(float(rows_of(tmp_path / "out.csv")[0]["i2t R@1"]))
    assert recalls[1] >= recalls[0]


def test_fitted_scores_are_ranked_on_halves(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "one.safetensors")
    scores = ["--score", "cosine_video", "--score", "trusted_residual+bank"]
    options = ["--halves", 2, "--csv", tmp_path / "out.csv"]
    done = run("scores", "cross-fit", path, *scores, *options)
    assert done.exit_code == 0, done.output
    assert [row["gallery"] for row in rows_of(tmp_path / "out.csv")] == ["12", "12"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "needs tensors text and video, audio, subtitle, depth or some of them"),
        ({"video": unit(23, 16, seed=1)}, "needs tensors of one shape (clips, width), got"),
        ({"audio": 2 * unit(24, 16, seed=1)}, "24 of 24 rows of audio are not of length 1, row 0"),
        ({"audio": torch.full((24, 16), torch.nan)}, "24 of 24 rows of audio are not of length 1"),
    ],
    ids=["no text", "shapes", "long", "not a number"],
)
def test_a_snapshot_that_cannot_be_ranked_is_told(
    tmp_path: Path, changes: dict[str, Tensor | None], message: str
) -> None:
    path = write_snapshot(tmp_path / "one.safetensors", **changes)
    done = run("scores", "rank", path)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_cut_off_snapshot_is_told(tmp_path: Path) -> None:
    path = write_snapshot(tmp_path / "one.safetensors")
    path.write_bytes(path.read_bytes()[:-9])
    assert "is not a whole safetensors file" in run("scores", "rank", path).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--score", "volum"], "'volum' is no score; write a kind"),
        (["--score", "volume+bank"], "has numbers that are fitted on other clips; fit it first"),
        (["--score", "cosine_depth"], "needs the modality 'depth'; there are video, audio"),
        (["--ties", "mine"], "ties are shared or won, got 'mine'"),
        (["--captions", "mine"], "Input should be 'first', 'all' or 'best'"),
    ],
)
def test_a_wrong_option_is_told(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = write_snapshot(tmp_path / "one.safetensors")
    done = run("scores", "rank", path, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    assert "no vectors at" in run("scores", "rank", tmp_path / "none").stderr
    assert "holds no *.safetensors" in run("scores", "rank", tmp_path).stderr


def test_a_partial_table_is_printed(
    tmp_path: Path, make_small_settings: Callable[[Path], Path]
) -> None:
    config = make_small_settings(tmp_path)
    done = run("table", "main", "--config", config, "--results", tmp_path)
    assert done.exit_code == 2
    assert "has scores yet; snakemake results/scores/one/toys.json makes" in done.stderr


def test_a_table_that_is_not_in_the_settings_is_told(
    tmp_path: Path, make_small_settings: Callable[[Path], Path]
) -> None:
    done = run("table", "other", "--config", make_small_settings(tmp_path))
    assert done.exit_code == 2
    assert "no table is named 'other' in the settings; there are main" in done.stderr


@pytest.fixture
def make_small_settings() -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
        return path

    return make
