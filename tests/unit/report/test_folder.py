import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gram.config import EvaluationConfig, ProtocolConfig, ReportConfig, TableConfig, TableRow
from gram.evaluation.embeddings import BenchmarkEmbeddings, save_embeddings
from gram.evaluation.scoring import score_retrieval
from gram.evaluation.tables import make_table
from gram.jobs import ClipUse, PageSettings, ReportSettings, ScoreSettings
from gram.report.folder import ReportInputs, make_report
from gram.report.retrieval import show_retrieval
from gram.rule_graph import RuleGraph, write_graph
from gram.tracking import Tracker
from gram.types import Modality
from tests.browser import CHROMIUM, browser
from tests.unit.report.pages import Page

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]
RUNS = {
    "volume_tv": (Modality.VIDEO,),
    "volume_tva": (Modality.VIDEO, Modality.AUDIO),
}
USES = tuple(
    ClipUse(
        run=run,
        purpose="evaluation",
        dataset="toys",
        split="test",
        modalities=modalities,
        missing="drop",
    )
    for run, modalities in RUNS.items()
)
NASTY = '<script>alert("x")</script> & <b>'


class Inputs:
    """Files of a small workflow, and the report made of them."""

    def __init__(self, folder: Path, make_embeddings: MakeEmbeddings, index: Path) -> None:
        """Embed, score and tabulate two runs."""
        self.folder, self.index = folder, index
        self.row = TableRow(run="volume_tva", benchmark="toys", label=f"mine {NASTY}")
        rows = (TableRow(run="volume_tv", benchmark="toys"), self.row)
        self.table = TableConfig(title=f"Toys {NASTY}", rows=rows, note="A note.")
        for run, modalities in {**RUNS, "in_no_table": RUNS["volume_tva"]}.items():
            trained_on = {"volume_tv": 5, "in_no_table": 3}.get(run, 0)
            made = make_embeddings(run=run, modalities=modalities, trained_on=trained_on)
            save_embeddings(made, self._path("embeddings", run, "toys"))
        self.scores = [self.score(run, recall_at=(1, 5)) for run in RUNS]
        self.csv = self.tabulate("demo", self.table, scores=self.scores)
        self.histories = [self._history("pretrained", run) for run in RUNS]
        self.histories.append(self._history("finetuned", "volume_tv", "toys"))
        self.descriptions = [self._description("pretrained", run) for run in RUNS]
        self.pages = [self._page(run, scores=self.scores[i]) for i, run in enumerate(RUNS)]
        self.rules = self._path("rules.json")
        write_graph(RuleGraph(jobs={"a": 1, "b": 2}, edges=[("a", "b")]), self.rules)

    def score(self, run: str, *, recall_at: tuple[int, ...], folder: str = "scores") -> Path:
        """Score the embeddings of a run."""
        output = self._path(folder, run, "toys.json")
        score_retrieval(
            self._path("embeddings", run, "toys"),
            fit_folder=None,
            matches=None,
            settings=ScoreSettings(
                benchmark="toys",
                protocol=ProtocolConfig(),
                evaluation=EvaluationConfig(scores=("volume",), recall_at=recall_at),
            ),
            scores=output,
            places=output.with_suffix(".parquet"),
            tracker=Tracker(),
        )
        return output

    def tabulate(self, name: str, table: TableConfig, *, scores: list[Path]) -> Path:
        """Make a table and give its CSV file."""
        csv = self._path("tables", f"{name}.csv")
        make_table(table, scores=scores, references={}, csv=csv, tracker=Tracker())
        return csv

    def report(
        self,
        *,
        showcase: TableRow | None = None,
        tables: dict[str, TableConfig] | None = None,
        scores: list[Path] | None = None,
        figures: Sequence[Path] = (),
    ) -> str:
        """Make the report and read it."""
        output = self.folder / "report" / "index.html"
        row, configs = showcase or self.row, tables or {"demo": self.table}
        make_report(
            ReportSettings(
                report=ReportConfig(),
                tables=configs,
                showcase=row,
                uses=USES,
                resolved={"runs": {"volume_tv": {"seed": 0}}, "note": f"mine {NASTY}"},
            ),
            ReportInputs(
                tables=[self._path("tables", f"{name}.csv") for name in configs],
                histories=self.histories,
                descriptions=self.descriptions,
                scores=scores or self.scores,
                indexes=[self.index],
                pages=self.pages,
                figures=figures,
                rules=self.rules,
            ),
            output=output,
        )
        return output.read_text(encoding="utf-8")

    def _path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)

    def _page(self, run: str, *, scores: Path) -> Path:
        page = self._path("report", "retrieval", run, "toys.html")
        show_retrieval(
            PageSettings(
                report=ReportConfig(), protocol=ProtocolConfig(), shown_scores=("volume",)
            ),
            scores=scores,
            embeddings=self._path("embeddings", run, "toys"),
            fit_folder=None,
            matches=None,
            index=self.index,
            output=page,
        )
        return page

    def _description(self, *parts: str) -> Path:
        path = self._path(*parts, "last.json")
        path.write_text(json.dumps({"commit": "c0ffee", "versions": {"torch": "2.11.0"}}))
        return path

    def _history(self, *parts: str) -> Path:
        path = self._path(*parts, "history.csv")
        path.parent.mkdir(parents=True)
        pd.DataFrame({"step": np.arange(1, 6), "loss": np.ones(5)}).to_csv(path, index=False)
        return path


@pytest.fixture(scope="module")
def inputs(
    make_embeddings: MakeEmbeddings,
    pack_clips: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Inputs:
    folder = tmp_path_factory.mktemp("report")
    captions = [f"{NASTY} clip {clip}" for clip in range(12)]
    index = pack_clips(folder / "toys", captions=captions)
    return Inputs(folder / "results", make_embeddings, index)


@pytest.fixture(scope="module")
def html(inputs: Inputs) -> str:
    return inputs.report()


def test_every_address_is_in_the_folder(inputs: Inputs, html: str) -> None:
    folder = inputs.folder / "report"
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        read = Page(page.read_text(encoding="utf-8"))
        assert read.addresses
        for address in read.addresses:
            name, _, fragment = address.partition("#")
            target = (page.parent / unquote(name)).resolve() if name else page
            assert target.is_file(), address
            assert target.is_relative_to(folder.resolve()), address
            if fragment:
                assert fragment in Page(target.read_text(encoding="utf-8")).ids


def test_the_style_names_nothing_outside(html: str) -> None:
    assert not re.search(r"@import|url\((?!#)", html)


def test_every_tag_is_closed(html: str) -> None:
    assert Page(html).open == []


def test_links_inside_the_page_lead_somewhere(html: str) -> None:
    page = Page(html)
    inside = [address[1:] for address in page.addresses if address.startswith("#")]
    assert inside
    assert set(inside) <= set(page.ids)


def test_captions_labels_and_titles_are_text(html: str) -> None:
    page = Page(html)
    assert "script" not in page.tags
    assert "b" not in page.tags
    shown = "".join(page.text)
    assert f"Toys {NASTY}" in shown
    assert f"mine {NASTY}" in shown


def test_made_twice_the_page_has_the_same_bytes(inputs: Inputs, html: str) -> None:
    assert inputs.report() == html


def test_the_numbers_are_those_of_the_table(inputs: Inputs, html: str) -> None:
    shown = " ".join("".join(Page(html).text).split())
    table = pd.read_csv(inputs.csv)
    for name in ("text_to_item_R@1", "item_to_text_R@5"):
        for recall in table[name]:
            assert f"{recall:.1f}" in shown


def test_training_on_the_gallery_is_warned_of(html: str) -> None:
    assert "5 of the 12 gallery clips of toys were trained on by volume_tv." in html


def test_clips_that_were_set_aside_are_told_with_their_reason(html: str) -> None:
    assert "3 of 8 time bins have a frame" in html
    assert "rows 13, unusable 1, used 12" in html


def test_a_line_says_how_its_vectors_came_about(html: str) -> None:
    shown = "".join(Page(html).text)
    assert "volume_tva ← aligned" in shown
    assert "a" * 16 + "…" in shown


def test_each_step_of_the_way_of_the_clips_is_told(html: str) -> None:
    shown = " ".join("".join(Page(html).text).split())
    assert "readable 12 1 truncated (extract) 1" in shown
    assert "used in evaluation, TVA drop volume_tva 12 1 unusable 1" in shown


def test_the_account_stands_beside_the_page(inputs: Inputs, html: str) -> None:
    account = pd.read_csv(inputs.folder / "report" / "account.csv", keep_default_na=False)
    used = account[account["step"] == "used in evaluation"]
    assert used[["run", "modalities", "missing"]].to_numpy().tolist() == [
        ["volume_tv", "TV", "drop"],
        ["volume_tva", "TVA", "drop"],
    ]
    assert used["clips"].tolist() == [12, 12]


def test_a_data_set_s_name_and_reasons_are_text(inputs: Inputs) -> None:
    rows = pq.read_table(inputs.index)
    manifest = inputs.index.with_name("manifest.json")
    kept = inputs.index.read_bytes(), manifest.read_bytes()
    splits = pa.array([NASTY] + ["test"] * (len(rows) - 1))
    pq.write_table(rows.set_column(rows.schema.names.index("split"), "split", splits), inputs.index)
    manifest.write_text(manifest.read_text().replace("truncated", NASTY.replace('"', "'")))
    try:
        page = Page(inputs.report())
    finally:
        inputs.index.write_bytes(kept[0])
        manifest.write_bytes(kept[1])
    assert "script" not in page.tags
    assert NASTY in "".join(page.text)


def test_the_settings_are_those_that_were_resolved(inputs: Inputs, html: str) -> None:
    written = (inputs.folder / "report/config.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(written) == {
        "runs": {"volume_tv": {"seed": 0}},
        "note": f"mine {NASTY}",
    }


def test_the_packages_are_told(inputs: Inputs, html: str) -> None:
    lines = (inputs.folder / "report/versions.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# gram at commit ")
    assert f"numpy=={np.__version__}" in lines


def test_what_made_each_checkpoint_is_told(html: str) -> None:
    shown = " ".join("".join(Page(html).text).split())
    assert "pretrained/volume_tv c0ffee torch 2.11.0" in shown


def test_the_files_of_a_table_are_those_that_were_made(inputs: Inputs, html: str) -> None:
    for kind in ("csv", "md", "tex"):
        copied = inputs.folder / f"report/tables/demo.{kind}"
        assert copied.read_bytes() == inputs.csv.with_suffix(f".{kind}").read_bytes()


def test_a_figure_s_files_are_shown_and_linked(inputs: Inputs) -> None:
    files = [inputs.folder / f"drawn/by length.{kind}" for kind in ("pdf", "svg", "csv")]
    files[0].parent.mkdir(exist_ok=True)
    told = "<title>By length</title><desc>Short ones &lt;b&gt;.</desc>"
    for file in files:
        file.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{told}</svg>', encoding="utf-8")
    page = Page(inputs.report(figures=files))
    assert page.addresses.count("figures/by%20length.svg") == 2
    assert "figures/by%20length.csv" in page.addresses
    assert "By length" in page.text
    assert "Short ones <b>." in page.text
    assert (inputs.folder / "report/figures/by length.pdf").read_bytes() == files[0].read_bytes()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_opened_from_disk_the_page_shows_its_figures_and_asks_for_nothing_else(
    inputs: Inputs,
) -> None:
    figure = inputs.folder / "drawn/lengths.svg"
    figure.parent.mkdir(exist_ok=True)
    size = 'width="40" height="20" viewBox="0 0 40 20"'
    figure.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}/>', encoding="utf-8")
    inputs.report(figures=[figure])
    with browser() as seen:
        seen.look(width=1000)
        seen.open(inputs.folder / "report/index.html")
        assert seen.run("[...document.images].map(one => one.naturalWidth)") == [40]
        assert f"Toys {NASTY}" in seen.run("document.body.innerText")
        assert seen.run("document.title") == "GRAM: retrieval report"
        folder = (inputs.folder / "report").as_uri()
        assert [one for one in seen.requests if not one.startswith(folder)] == []
        assert seen.said == []


def test_the_rules_are_drawn(inputs: Inputs, html: str) -> None:
    drawing = (inputs.folder / "report/rules.svg").read_text(encoding="utf-8")
    assert drawing.count("<rect") == 2
    assert drawing in html


def test_rules_that_were_not_written_down_are_told(inputs: Inputs) -> None:
    kept = inputs.rules.read_bytes()
    inputs.rules.unlink()
    try:
        with pytest.raises(ValueError, match=r"no rules at .*; the workflow writes them when it"):
            inputs.report()
    finally:
        inputs.rules.write_bytes(kept)


@pytest.mark.parametrize(
    "title",
    ["Pretraining", "Finetuning for toys"],
)
def test_the_figures_are_in_the_page(html: str, title: str) -> None:
    assert f"<h3>{title}" in html


# --- a line in detail that stands in no table -------------------------------------------------


ELSEWHERE = TableRow(run="in_no_table", benchmark="toys")


def test_the_line_in_detail_may_stand_in_no_table(inputs: Inputs) -> None:
    scores = [*inputs.scores, inputs.score("in_no_table", recall_at=(1, 5))]
    shown = "".join(Page(inputs.report(showcase=ELSEWHERE, scores=scores)).text)
    assert "In detail: in_no_table" in shown


def test_the_line_in_detail_is_warned_of_too(inputs: Inputs) -> None:
    scores = [*inputs.scores, inputs.score("in_no_table", recall_at=(1, 5))]
    html = inputs.report(showcase=ELSEWHERE, scores=scores)
    assert "3 of the 12 gallery clips of toys were trained on by in_no_table." in html


def test_a_line_in_detail_without_scores_is_named(inputs: Inputs) -> None:
    with pytest.raises(ValueError, match="in_no_table"):
        inputs.report(showcase=ELSEWHERE)
