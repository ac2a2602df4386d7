"""The whole of the settings: runs start from defaults, names exist, tables can be made."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from gram.config import Config, merged
from tests.unit.config.small import SMALL, config

ROOT = Path(__file__).parents[3]


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return loaded


# --- files of the project ---------------------------------------------------------------------


def test_the_paper_s_settings_are_valid() -> None:
    assert Config.model_validate(read("config.yaml")).targets


def test_the_demo_is_valid_over_the_paper_s_settings() -> None:
    assert Config.model_validate(merged(read("config.yaml"), read("demo.yaml"))).targets == (
        "demo",
    )


def test_the_losses_have_equal_budgets_and_three_seeds_each() -> None:
    overlay = merged(read("demo.yaml"), read("losses.yaml"))
    whole = Config.model_validate(merged(read("config.yaml"), overlay))
    runs = [whole.runs[run] for row in whole.tables["losses"].rows for run in row.runs]
    assert {run.loss.kind for run in runs} == {"volume", "cosine", "area", "eigenvalue", "product"}
    assert {(run.pretrain, run.model, run.inputs, run.start) for run in runs} == {
        (runs[0].pretrain, runs[0].model, runs[0].inputs, None)
    }
    assert {len(row.runs) for row in whole.tables["losses"].rows} == {3}


def test_the_losses_leave_what_the_demo_makes_as_it_is() -> None:
    demo = Config.model_validate(merged(read("config.yaml"), read("demo.yaml")))
    both = merged(merged(read("config.yaml"), read("demo.yaml")), read("losses.yaml"))
    losses = Config.model_validate(both)
    assert losses.datasets == demo.datasets
    assert {name: losses.runs[name] for name in demo.runs} == demo.runs


def test_the_example_of_own_clips_shares_no_run_with_the_demo() -> None:
    demo = merged(read("config.yaml"), read("demo.yaml"))
    own = Config.model_validate(merged(demo, read("examples/own_clips.yaml")))
    trained = {run for row in own.tables["own"].rows for run in own.lineage(row.run)}
    assert trained
    assert trained & set(demo["runs"]) == set()


def test_the_example_of_variants_names_a_run_for_each() -> None:
    variants = read("examples/pretraining_variants.yaml")
    whole = Config.model_validate(merged(read("config.yaml"), variants))
    rates = {name: whole.runs[name].pretrain.learning_rate for name in variants["runs"]}
    assert rates == {
        "gram_tvas_paper": 1e-4,
        "gram_tvas_released": 2e-5,
        "gram_tvas_logs": 2e-5,
    }


def test_the_example_of_sounds_and_pictures_asks_each_data_set_for_what_it_has() -> None:
    example = read("examples/sounds_and_pictures.yaml")
    whole = Config.model_validate(merged(read("config.yaml"), example))
    asked = {
        (whole.benchmarks[row.benchmark].dataset, *whole.runs[row.run].model.modalities)
        for name in whole.targets
        for row in whole.tables[name].rows
    }
    assert asked == {
        ("clotho", "audio"),
        ("audiocaps", "audio"),
        ("flickr30k", "video"),
        ("mscoco", "video"),
    }


def test_the_readme_shows_the_example_of_own_clips() -> None:
    example = (ROOT / "config/examples/own_clips.yaml").read_text(encoding="utf-8")
    assert f"```yaml\n{example}```" in (ROOT / "README.md").read_text(encoding="utf-8")


# --- defaults ---------------------------------------------------------------------------------


def test_a_run_starts_from_the_defaults() -> None:
    assert config().runs["one"].pretrain.learning_rate == 1e-3


def test_a_run_changes_one_value_of_a_section() -> None:
    run = config({"runs": {"one": {"pretrain": {"learning_rate": 2e-3}}}}).runs["one"]
    assert (run.pretrain.learning_rate, run.pretrain.steps) == (2e-3, 10)


def test_a_run_that_changes_nothing_may_be_empty() -> None:
    assert config({"runs": {"two": None}}).runs["two"] == config().runs["one"]


def test_the_defaults_of_the_classes_come_last() -> None:
    assert config().runs["one"].loss.label_smoothing == 0.1


def test_a_list_replaces_the_one_of_the_defaults() -> None:
    run = config({"runs": {"one": {"model": {"modalities": ["video"]}}}}).runs["one"]
    assert run.model.modalities == ("video",)


def test_null_takes_a_value_of_the_defaults_away() -> None:
    overlay = {
        "defaults": {"pretrain": {"vision_learning_rate": 1e-5}},
        "runs": {"one": {"pretrain": {"vision_learning_rate": None}}},
    }
    assert config(overlay).runs["one"].pretrain.vision_learning_rate is None


def test_null_in_an_overlay_takes_a_value_away() -> None:
    overlay = {"defaults": {"pretrain": {"steps": None, "epochs": 2}}}
    assert config(overlay).runs["one"].pretrain.epochs == 2


def test_a_run_with_steps_over_defaults_with_epochs_is_told_to_choose() -> None:
    overlay = {"runs": {"one": {"pretrain": {"epochs": 1}}}}
    with pytest.raises(ValidationError, match=r"runs\.one\.pretrain\s+.*give steps or epochs"):
        config(overlay)


def test_the_settings_given_are_not_changed() -> None:
    given = deepcopy(SMALL)
    Config.model_validate(given)
    assert given == SMALL


@pytest.mark.parametrize("name", ["defaults", "runs"])
def test_a_section_of_another_form_is_named(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Config.model_validate({**SMALL, name: ["one"]})


def test_a_run_of_another_form_is_named() -> None:
    for form in ("fast", "", []):
        with pytest.raises(ValidationError, match="runs"):
            config({"runs": {"one": form}})


def test_settings_of_another_form_are_refused() -> None:
    with pytest.raises(ValidationError, match="valid dictionary"):
        Config.model_validate(["targets"])


@pytest.mark.parametrize(
    ("overlay", "place"),
    [
        ({"los": {}}, "los"),
        ({"defaults": {"los": {}}}, r"defaults\.los"),
        ({"runs": {"one": {"loss": {"temprature": 1}}}}, r"runs\.one\.loss\.temprature"),
        ({"benchmarks": {"toys": {"spilt": "test"}}}, r"benchmarks\.toys\.spilt"),
        ({"datasets": {"toys": {"seconnds": 1}}}, r"datasets\.toys\.generated\.seconnds"),
    ],
    ids=["top", "defaults", "run", "benchmark", "data_set"],
)
def test_an_unknown_key_is_named_with_its_place(overlay: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError, match=place + r"\s+Extra inputs are not permitted"):
        config(overlay)


@pytest.mark.parametrize("section", ["runs", "benchmarks", "datasets", "tables"])
def test_names_are_values_of_wildcards(section: str) -> None:
    (content,) = deepcopy(SMALL[section]).values()
    with pytest.raises(ValidationError, match=rf"{section}\.My-Name\.\[key\]"):
        config({section: {"My-Name": content}})


# --- names that refer to others ---------------------------------------------------------------


def test_a_target_that_is_no_table_is_named_with_the_tables() -> None:
    with pytest.raises(ValidationError, match=r"targets names the table 'other'.*found: main"):
        config({"targets": ["other"]})


def test_there_is_a_target() -> None:
    with pytest.raises(ValidationError, match="targets"):
        config({"targets": []})


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        (
            {"runs": {"one": {"pretrain_dataset": "other"}}},
            "runs.one names the data set 'other', which is not there; found: toys",
        ),
        (
            {"runs": {"one": {"pretrain": {"split": "val"}}}},
            "runs.one names the split of toys 'val', which is not there; found: test, train",
        ),
        (
            {"benchmarks": {"toys": {"dataset": "other"}}},
            "benchmarks.toys names the data set 'other', which is not there; found: toys",
        ),
        (
            {"benchmarks": {"toys": {"protocol": {"split": "val"}}}},
            "benchmarks.toys names the split of toys 'val', which is not there",
        ),
        (
            {"benchmarks": {"toys": {"finetune": {"steps": 1, "split": "val"}}}},
            "benchmarks.toys names the split of toys 'val', which is not there",
        ),
        (
            {"tables": {"main": {"rows": [{"run": "two", "benchmark": "toys"}]}}},
            "tables.main names the run 'two', which is not there; found: one",
        ),
        (
            {"tables": {"main": {"rows": [{"run": "one", "benchmark": "films"}]}}},
            "tables.main names the benchmark 'films', which is not there; found: toys",
        ),
        (
            {"report": {"showcase": {"run": "two", "benchmark": "toys"}}},
            "report.showcase names the run 'two', which is not there; found: one",
        ),
        (
            {"report": {"showcase": {"run": "one", "benchmark": "films"}}},
            "report.showcase names the benchmark 'films', which is not there; found: toys",
        ),
    ],
    ids=[
        "data_set_of_a_run",
        "split_of_a_run",
        "data_set_of_a_benchmark",
        "split_of_a_benchmark",
        "split_of_a_finetuning",
        "run_of_a_table",
        "benchmark_of_a_table",
        "run_of_the_showcase",
        "benchmark_of_the_showcase",
    ],
)
def test_a_name_that_is_not_there_is_named_with_those_that_are(
    overlay: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as error:
        config(overlay)
    assert message in str(error.value)


def test_splits_of_a_folder_are_those_of_its_annotations() -> None:
    films = {"kind": "folder", "media": "films", "annotations": {"dev": "a.json", "eval": "b.csv"}}
    assert config({"datasets": {"films": films}}).splits("films") == {"dev", "eval"}


# --- tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["all", "report", "make_table", "pretrain_model"])
def test_a_table_is_not_named_as_a_target_of_its_own(name: str) -> None:
    with pytest.raises(ValidationError, match=f"a table cannot be named '{name}'"):
        config({"tables": {name: SMALL["tables"]["main"]}})


def test_a_run_of_a_table_needs_a_data_set_to_be_trained_on() -> None:
    with pytest.raises(
        ValidationError, match=r"runs\.one has no pretrain_dataset; name one of: to"
    ):
        config({"runs": {"one": {"pretrain_dataset": None}}})


@pytest.mark.parametrize(
    "overlay",
    [
        {"tables": {"main": {"rows": [{"run": "one", "benchmark": "toys", "score": "residual"}]}}},
        {"report": {"showcase": {"run": "one", "benchmark": "toys", "score": "residual"}}},
    ],
    ids=["table", "showcase"],
)
def test_a_score_that_the_run_does_not_compute_is_named(overlay: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        config(overlay)
    message = "asks for the score 'residual' of run 'one', whose evaluation.scores are volume, cos"
    assert message in str(error.value)


def test_a_score_of_a_modality_that_the_run_has_not_is_named() -> None:
    overlay = {"runs": {"one": {"evaluation": {"scores": ["volume", "cosine_depth"]}}}}
    with pytest.raises(ValidationError) as error:
        config(overlay)
    assert (
        "runs.one.evaluation.scores: the score 'cosine_depth' needs the modality 'depth'; there are"
        in (str(error.value))
    )


@pytest.mark.parametrize("score", ["volume", "residual", "cosine_mean", "cosine_video"])
def test_scores_of_what_the_run_has_are_taken(score: str) -> None:
    overlay = {"runs": {"two": {"evaluation": {"scores": [score]}}}}
    assert config(overlay).runs["two"].evaluation.scores == (score,)


def test_the_report_shows_the_last_line_of_the_first_table() -> None:
    rows = [{"run": "one", "benchmark": "toys"}, {"run": "two", "benchmark": "toys"}]
    overlay = {"runs": {"two": {}}, "tables": {"main": {"rows": rows}}}
    assert config(overlay).showcase.run == "two"


def test_the_report_shows_the_line_that_is_asked_for() -> None:
    chosen = {"run": "one", "benchmark": "toys", "score": "cosine_video"}
    assert config({"report": {"showcase": chosen}}).showcase.score == "cosine_video"


# --- what extraction keeps --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "kept"),
    [
        ("inputs.train_frames is 9", "extraction.frames_per_clip keeps 8: frames of"),
        ("embedding.frames is 9", "extraction.frames_per_clip keeps 8: frames of"),
        ("inputs.image_pixels is 266", "extraction.short_side keeps 256: frames of"),
    ],
    ids=["train", "test", "pixels"],
)
@pytest.mark.parametrize("modality", ["video", "depth"])
def test_a_run_asks_for_no_more_than_extraction_keeps(
    setting: str, kept: str, modality: str
) -> None:
    key, value = setting.split(" is ")
    section, field = key.split(".")
    run = {
        section: {field: int(value)},
        "model": {"modalities": [modality]},
        "loss": {"matching_on": "all"},
        "evaluation": {"scores": ["volume"]},
    }
    with pytest.raises(ValidationError) as error:
        config({"extraction": {"frames_per_clip": 8}, "runs": {"one": run}})
    assert f"runs.one.{setting}, but {kept}" in str(error.value)
    assert "lower the one or raise the other" in str(error.value)


def test_a_run_may_ask_for_all_that_extraction_keeps() -> None:
    kept = {"frames_per_clip": 8, "short_side": 224}
    assert config({"extraction": kept}).extraction.frames_per_clip == 8


def test_a_run_without_pictures_may_ask_for_any() -> None:
    run = {"model": {"modalities": ["audio"]}, "evaluation": {"scores": ["volume"]}}
    overlay = {"extraction": {"frames_per_clip": 1}, "runs": {"one": run}}
    assert config(overlay).runs["one"].inputs.train_frames == 8


# --- where subtitles and depth come from ------------------------------------------------------


@pytest.mark.parametrize(
    ("modality", "section"), [("subtitle", "subtitles"), ("depth", "depth")], ids=str
)
def test_a_run_needs_a_source_of_its_modalities(modality: str, section: str) -> None:
    run = {"model": {"modalities": ["video", modality]}, "loss": {"matching_on": "all"}}
    with pytest.raises(ValidationError) as error:
        config({section: {"source": "none"}, "runs": {"one": run}})
    assert f"runs.one has the modality '{modality}', but {section}.source is 'none'" in (
        str(error.value)
    )


def test_a_run_that_no_target_needs_may_lack_a_source() -> None:
    run = {"model": {"modalities": ["video", "depth"]}, "loss": {"matching_on": "all"}}
    assert config({"depth": {"source": "none"}, "runs": {"other": run}}).depth.source == "none"
