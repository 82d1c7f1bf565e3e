"""The removal curve: what is removed, what stays as it is, what is done once, and what the numbers are."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drawings import COLOURS, draw
from refusals import refused
from vestige import cli, evaluation, runs
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig, load_config
from vestige.curation import curve as module
from vestige.curation.curve import CurveConfig, curve
from vestige.curation.curvemeasures import CurveTask, Measures, tasks_named
from vestige.curation.ranking import rank
from vestige.data import open_source
from vestige.data.plant import Planted
from vestige.data.subset import Subset
from vestige.designs import Design
from vestige.embeddings import EmbeddingConfig
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.metrics import mean_interval
from vestige.models.blueprint import load_encoder
from vestige.openrun import open_run
from vestige.runs import execute
from vestige.training.loop import TrainingConfig
from vestige.utility import embedded
from vestige.utility.evaluate import evaluate_encoder
from vestige.utility.job import Found, Job


def labelled(path: Path, numbers: Iterable[int], label: Callable[[int], str | None] = lambda n: COLOURS[n % 6]) -> Path:
    path.mkdir()
    for number in numbers:
        draw(number)[0].save(path / f"{number:04d}.png")
        (path / f"{number:04d}.txt").write_text("a picture\n", encoding="utf-8")
        if label(number) is not None:
            (path / f"{number:04d}.json").write_text(json.dumps({"label": label(number)}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_model) -> Path:
    """A run with planted captions, and a curve of two seeds over it."""
    place = tmp_path_factory.mktemp("curve")
    (place / "pictures").mkdir()
    for number in range(60):
        picture, caption = draw(number)
        picture.save(place / "pictures" / f"{number:04d}.png")
        (place / "pictures" / f"{number:04d}.txt").write_text(caption + "\n", encoding="utf-8")
    labelled(place / "labelled", [*range(60), *range(200, 230)])
    config = RunConfig(
        data=DataConfig(source=f"folder:{place / 'pictures'}"),
        design=DesignConfig(candidates=8, external=20),
        plant=PlantConfig(captions=4, copies=2),
        model=str(small_model),
        training=TrainingConfig(epochs=1, batch_size=8, warmup_epochs=0),
        embedding=EmbeddingConfig(shard_size=64),
    )
    with pytest.MonkeyPatch.context() as patch:
        # Reports have tests of their own, and take half of the time of a run as small as this.
        patch.setattr(runs, "write_page", lambda run, out, samples: out.write_text("", encoding="utf-8"))
        execute(config, place / "run")
        curve(CurveConfig(place / "run", removed="0,3", by="memorization,random", seeds=2))
    return place / "run"


def test_the_top_of_the_ranking_goes_and_nothing_else_changes(trained):
    scores, whole = read_table(trained / "scores.parquet"), Design.load(trained / "membership.parquet")
    saw = dict(zip(whole.keys, whole.member[0].tolist(), strict=True))
    order = [key for key in rank(scores).keys if saw[key]]
    for seed in (0, 1):
        left = Design.load(trained / "curve" / f"memorization-3-{seed}" / "membership.parquet")
        assert left.keys == whole.without(set(order[:3])).keys
        kept = [whole.keys.index(key) for key in left.keys]
        assert np.array_equal(left.member, whole.member[:, kept])
        table = read_table(trained / "curve" / f"memorization-3-{seed}" / "scores.parquet")
        assert set(table["key"].to_pylist()) == set(left.keys)
    gone = [
        set(whole.keys) - set(Design.load(trained / "curve" / f"random-3-{seed}" / "membership.parquet").keys)
        for seed in (0, 1)
    ]
    assert gone[0] != gone[1]
    assert all(len(keys) == 3 and all(saw[key] for key in keys) for keys in gone)


def test_a_point_is_a_run_with_the_faults_of_the_run(trained):
    point = trained / "curve" / "memorization-3-1"
    config = load_config(point / "config.yaml")
    assert (config.design.name, config.seed) == ("file", 1)
    for name in ("planted.parquet", "copies.parquet"):
        assert Planted.load(point / name) == Planted.load(trained / name)
    planted = Planted.load(trained / "planted.parquet").captions
    captions = read_table(point / "scores.parquet", ["key", "caption"]).to_pylist()
    found = {row["key"]: row["caption"] for row in captions if row["key"] in planted}
    assert found
    assert all(planted[key][0] == caption for key, caption in found.items())


def test_a_point_is_repeated_from_its_configuration(trained, tmp_path):
    point = trained / "curve" / "random-3-0"
    again = execute(load_config(point / "config.yaml"), tmp_path / "again")
    assert again.scores.equals(read_table(point / "scores.parquet"))


def test_the_table(trained):
    rows = read_table(trained / "curve.parquet").to_pylist()
    summary = json.loads((trained / "summary.json").read_text())

    def values(ranking: str, removed: int, measure: str) -> list[dict]:
        place = {"ranking": ranking, "removed": removed, "measure": measure}
        return [row for row in rows if place.items() <= row.items()]

    # Nothing removed, with the run's own seed, is the run; all rankings share it.
    for ranking in ("memorization", "random"):
        first = next(row for row in values(ranking, 0, "T@5 image->text") if row["seed"] == 0)
        assert first["value"] == summary["retrieval"]["models"]["f"]["T@5"]
    assert not (trained / "curve" / "all-0-0").exists()
    assert (trained / "curve" / "all-0-1" / "summary.json").exists()
    assert not (trained / "curve" / "memorization-0-1").exists()
    one, two, mean = values("memorization", 3, "memorization")
    assert [row["seed"] for row in (one, two, mean)] == [0, 1, None]
    expected = mean_interval(torch.tensor([one["value"], two["value"]], dtype=torch.float64))
    assert (mean["value"], mean["low"], mean["high"]) == pytest.approx((expected.mean, expected.low, expected.high))
    assert (one["low"], one["high"]) == (None, None)
    table = read_table(trained / "curve" / "memorization-3-0" / "scores.parquet")
    saw = Design.load(trained / "curve" / "memorization-3-0" / "membership.parquet")
    seen = dict(zip(saw.keys, saw.member[0].tolist(), strict=True))
    own = [row["memorization"] for row in table.to_pylist() if seen[row["key"]] and row["memorization"] is not None]
    assert len(own) == 5
    assert one["value"] == pytest.approx(np.mean(own))


def test_finished_points_are_not_trained_again_and_a_stopped_curve_goes_on(trained, monkeypatch, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained, run, symlinks=True)
    trainings = []
    monkeypatch.setattr(module, "execute", lambda config, folder: trainings.append(folder.name))
    before = (run / "curve.parquet").read_bytes()
    # Designs name their place: what is moved is another run's, so the curve is taken up where it was.
    config = CurveConfig(trained, removed="0,3", by="memorization,random", seeds=2)
    curve(config)
    assert trainings == []
    assert (trained / "curve.parquet").read_bytes() == before
    (trained / "curve" / "random-3-1" / "summary.json").rename(tmp_path / "away.json")
    try:
        with pytest.raises(FileNotFoundError):
            curve(config)
        assert trainings == ["random-3-1"]
        said = capsys.readouterr().err
        assert "1 point x 2 models to train: about" in said
    finally:
        (tmp_path / "away.json").rename(trained / "curve" / "random-3-1" / "summary.json")


def test_tasks_on_sources(trained, monkeypatch, capsys):
    """Stopped at the third point, then on again; all points are tested on what no model of the run saw."""
    source, first = f"folder:{trained.parent / 'labelled'}", ("memorization", 0, 0)
    config = CurveConfig(
        trained, removed="0,3", by="memorization", seeds=2, task=f"probe:{source}, zero-shot:{source},probe:{source}"
    )
    runners, done = dict(evaluation.RUNNERS), []

    def stopping(task: str, after: int) -> Callable[[Mapping[str, object], Job], Found]:
        def run(encoders, job):
            if len(done) == after:
                raise KeyboardInterrupt
            done.append((task, *encoders, job.embedder.directory.parent.parent.name))
            return runners[task](encoders, job)

        return run

    monkeypatch.setattr(module, "execute", None)
    for after in (4, 100):
        monkeypatch.setattr(evaluation, "RUNNERS", {task: stopping(task, after) for task in runners})
        if after == 4:
            before = (trained / "curve.parquet").read_bytes()
            with pytest.raises(KeyboardInterrupt):
                curve(config)
            assert (trained / "curve.parquet").read_bytes() == before
        else:
            rows = curve(config).to_pylist()
    folders = {first: trained, ("memorization", 0, 1): trained / "curve" / "all-0-1"}
    folders |= {("memorization", 3, seed): trained / "curve" / f"memorization-3-{seed}" for seed in (0, 1)}
    assert done == [(task, "f", folder.name) for folder in folders.values() for task in ("probe", "zero-shot")]
    measures = {name for name in (row["measure"] for row in rows) if name != "memorization"}
    kinds = {"probe": ["accuracy projector", "mean class accuracy projector"]}
    kinds["zero-shot"] = ["accuracy", "top-5 accuracy", "mean class accuracy"]
    assert measures == {f"{task} {source} {measure}" for task, own in kinds.items() for measure in own}
    # What was taken out of a point was seen by the run all the same.
    design = Design.load(trained / "membership.parquet")
    seen = {key for key, saw in zip(design.keys, design.member.any(axis=0).tolist(), strict=True) if saw}
    opened = open_source(source)
    unseen = Subset(opened, [key for key in opened.keys() if key not in seen])
    left = Design.load(folders["memorization", 3, 0] / "membership.parquet").keys
    assert {key.partition("~")[0] for key in set(design.keys) - set(left)} & set(opened.keys())
    assert len(unseen) < len(opened)
    for (ranking, removed, seed), folder in folders.items():
        encoder = load_encoder(folder / "models" / "f")
        place = {"ranking": ranking, "removed": removed, "seed": seed}
        own = {row["measure"]: row["value"] for row in rows if place.items() <= row.items()}
        for task in kinds:
            for figure in evaluate_encoder(encoder, unseen, task):
                assert own[f"{task} {source} {figure.measure}"] == pytest.approx(figure.value)
    # All is kept: nothing is embedded or evaluated again.
    monkeypatch.setattr(evaluation, "RUNNERS", dict.fromkeys(runners))
    monkeypatch.setattr(embedded, "embed", None)
    assert curve(config).to_pylist() == rows
    capsys.readouterr()
    words = ["curve", trained, "--removed", "0,3", "--by", "memorization", "--seeds", 2, "--task", config.task]
    assert cli.main([str(word) for word in words]) == 0
    # At either point the accuracies and the memorization; neither top-5 nor class means.
    assert capsys.readouterr().out.count("±") == 2 * 3
    curve(CurveConfig(trained, removed="0,3", by="memorization,random", seeds=2))


def test_a_source_that_the_run_was_trained_on(trained):
    own = f"folder:{trained.parent / 'pictures'}"
    run = open_run(trained)
    ((test, train),) = Measures.of([CurveTask("probe", own)], run, trained).parts.values()
    held = {key for key, saw in zip(run.design.keys, run.design.member.any(axis=0).tolist(), strict=True) if not saw}
    assert set(test.facts.keys) == held
    assert len(held) == 20
    assert train is not None
    assert not held & set(train.facts.keys)


def test_names_of_tasks():
    assert tasks_named("retrieval") == [CurveTask("retrieval")]
    named = tasks_named("probe:fashion-mnist, zero-shot:webdataset:a.tar,b.tar,retrieval,probe:fashion-mnist")
    assert named == [
        CurveTask("probe", "fashion-mnist"),
        CurveTask("zero-shot", "webdataset:a.tar,b.tar"),
        CurveTask("retrieval"),
    ]


def test_tasks_that_cannot_be_done(trained, tmp_path, monkeypatch, capsys):
    """One line, and nothing was trained."""
    monkeypatch.setattr(module, "execute", None)

    def said(task: str) -> str:
        words = ["curve", str(trained), "--removed", "2", "--by", "random", "--seeds", "1", "--task", task]
        return refused(capsys, *words)

    known = "--task is retrieval, probe:SOURCE or zero-shot:SOURCE, joined by commas, not"
    assert f"{known} 'cooking'" in said("cooking")
    assert f"{known} 'cooking'" in said("probe:fashion-mnist,cooking")
    assert f"{known} 'retrieval:fashion-mnist'" in said("retrieval:fashion-mnist")
    assert f"{known} ''" in said("")
    assert "--task probe: name the source it is done on, as probe:fashion-mnist" in said("probe")
    assert "--task zero-shot: name the source" in said("retrieval,zero-shot:")
    assert "unknown data source 'nosuch'" in said("probe:nosuch")
    nameless = labelled(tmp_path / "nameless", range(300, 306), lambda _: None)
    assert str(nameless) in said(f"probe:folder:{nameless}")
    design = Design.load(trained / "membership.parquet")
    seen = [int(key) for key, saw in zip(design.keys, design.member[0].tolist(), strict=True) if saw and "~" not in key]
    assert "all of its 3 samples are among the training data" in said(
        f"zero-shot:folder:{labelled(tmp_path / 'seen', seen[:3])}"
    )
    assert not list((trained / "curve").glob("random-2-0"))


def test_fine_tuning_begins_with_the_models_of_the_run(trained, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(trained, run, ignore=shutil.ignore_patterns("curve", "curve.parquet"))
    begun = []
    monkeypatch.setattr(module, "execute", lambda config, folder: begun.append((config, folder.name)))
    with pytest.raises(FileNotFoundError):
        curve(CurveConfig(run, removed="0", by="memorization", seeds=1, fine_tune=2))
    (config, name), *others = begun
    assert (name, others) == ("all-0-0", [])
    assert (config.training.epochs, config.training.init_from) == (2, str(run.resolve()))
    # With a rate of next to nothing the models stay where they began.
    still = replace(config.training, epochs=1, learning_rate=1e-30)
    execute(replace(config, training=still), tmp_path / "still")
    for model in ("f", "g"):
        one, other = (load_encoder(place / "models" / model) for place in (run, tmp_path / "still"))
        assert one.fingerprint == other.fingerprint


def test_refusals(trained, tmp_path, capsys):
    def said(*arguments: object) -> str:
        return refused(capsys, "curve", trained, *arguments)

    assert "the first model saw 8 samples that have a score by memorization" in said("--removed", 9)
    assert "--removed holds whole numbers" in said("--removed", "3,x")
    assert "--removed holds whole numbers" in said("--removed=-3")
    assert "'nosuch' is not in the table" in said("--removed", 3, "--by", "nosuch")
    assert "--seeds and --fine-tune are 1 or more" in said("--removed", 3, "--seeds", 0)
    with pytest.raises(VestigeError, match="no run lies there"):
        curve(CurveConfig(tmp_path))


def test_what_is_printed(trained, capsys):
    assert cli.main(["curve", str(trained), "--removed", "0,3", "--by", "memorization", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "T@1 image->text" in printed
    assert "I@5" not in printed
    assert printed.count("±") == 6
    assert str(trained / "curve.parquet") in printed
    curve(CurveConfig(trained, removed="0,3", by="memorization,random", seeds=2))


def test_a_design_from_a_file(make_folder, small_model, tmp_path):
    base = RunConfig(
        data=DataConfig(source=f"folder:{make_folder(30)}"),
        model=str(small_model),
        training=TrainingConfig(epochs=1, batch_size=8, warmup_epochs=0),
    )
    with pytest.raises(VestigeError, match=r"design\.file: none is named"):
        execute(replace(base, design=DesignConfig(name="file")), tmp_path / "a")
    other = Design("x", ("0000", "nosuch"), ("0000", "nosuch"), ("f", "g"), np.ones((2, 2), bool), (0, 0), 0)
    other.save(tmp_path / "m.parquet")
    with pytest.raises(VestigeError, match="1 of its 2 samples are not in the data, the first is 'nosuch'"):
        execute(replace(base, design=DesignConfig(name="file", file=str(tmp_path / "m.parquet"))), tmp_path / "b")
