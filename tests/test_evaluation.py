"""Evaluation from files to files, through the command line: a run, two checkpoints, what is done again, bad input."""

import json

import pytest

from drawings import COLOURS, draw
from refusals import refused
from vestige import cli, evaluation
from vestige.config import DataConfig, DesignConfig, RunConfig
from vestige.data.memory import SampleList
from vestige.designs import Design
from vestige.evaluated import sources_named
from vestige.files import read_json, read_table
from vestige.leakage import Seen
from vestige.runs import execute
from vestige.samples import Modality, Sample
from vestige.training.config import TrainingConfig
from vestige.utility import embedded
from vestige.utility.facts import facts_of
from vestige.utility.figures import SCHEMA


def folder(path, numbers, label=lambda n: COLOURS[n % 6]):
    path.mkdir(parents=True)
    for number in numbers:
        picture, caption = draw(number)
        picture.save(path / f"{number:04d}.png")
        (path / f"{number:04d}.txt").write_text(caption + "\n", encoding="utf-8")
        if label(number) is not None:
            (path / f"{number:04d}.json").write_text(json.dumps({"label": label(number)}))
    return f"folder:{path}"


@pytest.fixture(scope="module")
def place(small_model, tmp_path_factory):
    """A finished run on 90 labelled pictures, and other sources beside it."""
    root = tmp_path_factory.mktemp("evaluation")
    config = RunConfig(
        data=DataConfig(source=folder(root / "own", range(90))),
        design=DesignConfig(candidates=12, external=30),
        model=str(small_model),
        training=TrainingConfig(epochs=1, batch_size=16, warmup_epochs=0),
    )
    execute(config, root / "run")
    # Forty of these the models have not seen, ten they may have.
    folder(root / "new", [*range(10), *range(200, 240)])
    folder(root / "nameless", range(300, 310), label=lambda _: None)
    folder(root / "alike", range(300, 310), label=lambda _: "same")
    folder(root / "lonely", range(300, 303), label=lambda n: f"class {n}")
    return root


def vestige(*arguments) -> int:
    return cli.main(["evaluate", *map(str, arguments)])


def by_measure(rows, model="f"):
    return {(row["task"], row["measure"]): row for row in rows if row["model"] == model}


def test_a_run_on_its_own_samples_is_tested_on_those_no_model_saw(place, capsys):
    run, own = place / "run", f"folder:{place / 'own'}"
    assert vestige(run, "--on", own, "--layers", "projector,backbone", "--k", "1,3", "--json") == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["out"] == str(run)
    rows = found["figures"]
    assert {row["model"] for row in rows} == {"f", "g"}
    assert all(row["n"] == 30 and row["data"] == own for row in rows)
    assert "the 30 of 90 samples that no model saw are tested on" in " ".join(printed.err.split())
    assert {measure for _, measure in by_measure(rows)} == {
        *("accuracy projector", "mean class accuracy projector", "accuracy backbone", "mean class accuracy backbone"),
        *("accuracy", "top-5 accuracy", "mean class accuracy"),
        *("T@1 image->text", "T@3 image->text", "I@1 text->image", "I@3 text->image"),
    }
    assert read_json(run / "evaluation.json") == rows
    table = read_table(run / "evaluation.parquet")
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == rows
    # The same numbers as the summary of the run, which retrieves among the same samples.
    rates = read_json(run / "summary.json")["retrieval"]["models"]["g"]
    assert by_measure(rows, "g")["retrieval", "T@1 image->text"]["value"] == pytest.approx(rates["T@1"])
    assert by_measure(rows, "g")["retrieval", "I@1 text->image"]["value"] == pytest.approx(rates["I@1"])


def test_samples_among_the_training_data_are_left_out_of_other_sources(place, capsys):
    assert vestige(place / "run", "--on", f"folder:{place / 'new'}", "--task", "zero-shot", "--json") == 0
    printed = capsys.readouterr()
    design = Design.load(place / "run" / "membership.parquet")
    seen = Seen.by(place / "run", design)
    saw = [key for key in (f"{n:04d}" for n in range(10)) if key in seen.keys]
    assert 0 < len(saw) <= 10
    rows = json.loads(printed.out)["figures"]
    assert all(row["n"] == 50 - len(saw) for row in rows)
    assert f"{len(saw)} of 50 samples are left out: the run was trained on them" in " ".join(printed.err.split())


def test_seen_samples_are_known_by_key_group_and_content(place):
    seen = Seen.by(place / "run", Design.load(place / "run" / "membership.parquet"))
    facts = facts_of(cli_source(place / "own"), contents=True)
    by_content = seen.unseen(facts, same_source=False)
    assert sorted(facts.keys[row] for row in by_content) == sorted(seen.external)
    blind = facts_of(cli_source(place / "own"))
    assert len(seen.unseen(blind, same_source=False)) == 90
    assert seen.unseen(blind, same_source=True) == by_content


def cli_source(path):
    from vestige.data import open_source

    return open_source(f"folder:{path}")


def test_what_is_done_is_not_done_again_and_earlier_figures_stay(place, tmp_path, monkeypatch, capsys):
    """Killed between two models; then on again; then once more with all done."""
    arguments = ["--f", place / "run/models/f", "--g", place / "run/models/g", "--out", tmp_path / "out"]
    arguments += ["--on", f"folder:{place / 'new'}"]
    assert vestige(*arguments, "--task", "zero-shot") == 0
    assert "zero-shot" in capsys.readouterr().out
    runner, done = evaluation.RUNNERS["retrieval"], []

    def interrupted(encoders, job):
        for name, figures in runner(encoders, job):
            done.append(name)
            yield name, figures
            raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "RUNNERS", {"retrieval": interrupted})
    assert vestige(*arguments, "--task", "retrieval") == 130
    assert done == ["f"]
    monkeypatch.setattr(evaluation, "RUNNERS", {"retrieval": lambda e, j: done.extend(e) or runner(e, j)})
    assert vestige(*arguments, "--task", "retrieval", "--json") == 0
    assert done == ["f", "g"]
    first = json.loads(capsys.readouterr().out)["figures"]
    monkeypatch.setattr(embedded, "embed", None)
    monkeypatch.setattr(evaluation, "RUNNERS", {"retrieval": None})
    assert vestige(*arguments, "--task", "retrieval", "--json") == 0
    assert json.loads(capsys.readouterr().out)["figures"] == first
    kept = read_json(tmp_path / "out" / "evaluation.json")
    assert [row for row in kept if row["task"] == "retrieval"] == first
    assert {row["task"] for row in kept} == {"zero-shot", "retrieval"}
    # Other settings are other figures.
    monkeypatch.undo()
    assert vestige(*arguments, "--task", "retrieval", "--k", "2", "--json") == 0
    assert {row["measure"][:3] for row in json.loads(capsys.readouterr().out)["figures"]} == {"T@2", "I@2"}
    # And those of a task that does not read the setting stay.
    monkeypatch.setattr(evaluation, "RUNNERS", {"zero-shot": None})
    assert vestige(*arguments, "--task", "zero-shot", "--k", "2") == 0


def test_prompts_and_a_training_part_of_ones_own(place, tmp_path, capsys):
    (tmp_path / "t.txt").write_text("a {} thing\n")
    (tmp_path / "n.json").write_text(json.dumps({"red": "reddish"}))
    arguments = ["--f", place / "run/models/f", "--out", tmp_path / "out", "--on", f"folder:{place / 'new'}"]
    arguments += ["--templates", tmp_path / "t.txt", "--class-names", tmp_path / "n.json"]
    arguments += ["--train-on", f"folder:{place / 'own'}", "--task", "probe,zero-shot"]
    assert vestige(*arguments) == 0
    printed = capsys.readouterr()
    assert "nothing is known of what these models were trained on" in " ".join(printed.err.split())
    rows = by_measure(read_json(tmp_path / "out" / "evaluation.json"))
    assert rows["probe", "accuracy projector"]["n"] == rows["zero-shot", "accuracy"]["n"] == 50
    for words in ("accuracy", "projector", "chance", "written: "):
        assert words in printed.out


def test_a_probe_is_not_trained_on_what_it_is_tested_on(place, tmp_path, capsys):
    """Other keys, the same pictures; the same source, a part of which is tested on; the whole of it."""
    trained_on = folder(tmp_path / "training", [*range(220, 260)])
    for path in sorted((tmp_path / "training").iterdir()):
        path.rename(path.with_name(f"other-{path.name}"))
    arguments = ["--f", place / "run/models/f", "--out", tmp_path / "out", "--task", "probe"]
    new = f"folder:{place / 'new'}"
    assert vestige(*arguments, "--on", new, "--train-on", trained_on) == 0
    assert f"--train-on {trained_on}: 20 of 40 samples are left out: they are tested on" in said_in(capsys)
    own = f"folder:{place / 'own'}"
    assert vestige(place / "run", "--on", own, "--train-on", own, "--task", "probe", "--out", tmp_path / "own") == 0
    assert f"--train-on {own}: 30 of 90 samples are left out: they are tested on" in said_in(capsys)
    assert vestige(*arguments, "--on", new, "--train-on", new) == 2
    assert f"--train-on {new}: all of its 50 samples are tested on" in said_in(capsys)


def said_in(capsys) -> str:
    """What was said, however its lines are broken."""
    return capsys.readouterr().err.replace("\n", " ")


def test_samples_are_known_by_each_medium_that_can_be_read(tmp_path):
    """A sound that is not there does not hide a picture that was seen."""
    picture = draw(1)[0]
    lost = Sample("a", "a", {Modality.AUDIO: tmp_path / "none.wav", Modality.IMAGE: picture})
    seen = Seen.of(facts_of(SampleList([Sample("b", "b", {Modality.IMAGE: picture})]), contents=True))
    assert seen.unseen(facts_of(SampleList([lost]), contents=True), same_source=False) == []


def test_tasks_that_samples_do_not_allow_are_left_out(place, tmp_path, capsys):
    arguments = ["--f", place / "run/models/f", "--out", tmp_path / "out", "--on", f"folder:{place / 'nameless'}"]
    assert vestige(*arguments, "--json") == 0
    printed = capsys.readouterr()
    assert {row["task"] for row in json.loads(printed.out)["figures"]} == {"retrieval"}
    assert "left out: probe: " in printed.err


def test_names_of_sources():
    assert sources_named("fashion-mnist, emoji-google") == ["fashion-mnist", "emoji-google"]
    assert sources_named("webdataset:a.tar,b.tar,csv:x,y.csv,twemoji") == [
        "webdataset:a.tar,b.tar",
        "csv:x,y.csv",
        "twemoji",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["RUN/run"], "name the sources to evaluate on: --on"),
        (["--on", "twemoji"], "name a run"),
        (["RUN/own", "--on", "twemoji"], "no run lies there"),
        (["RUN/bare", "--on", "twemoji"], "the run has no models yet"),
        (["RUN/run", "--on", "twemojis"], "unknown data source 'twemojis'"),
        (
            ["RUN/run", "--on", "folder:RUN/new", "--task", "probes"],
            "unknown task 'probes': known are probe",
        ),
        (["RUN/run", "--on", "folder:RUN/new", "--k", "1,x"], "k: expected whole numbers"),
        (["RUN/run", "--on", "folder:RUN/new", "--k", "0"], "k: expected whole numbers from 1"),
        (["RUN/run", "--on", "folder:RUN/new", "--layers", "top"], "layers: expected projector or backbone"),
        (["RUN/run", "--on", "folder:RUN/new", "--f", "x"], "a run brings its own models: leave out --f"),
        (["RUN/run", "--on", "folder:RUN/nameless", "--task", "probe"], "neither labels nor objects"),
        (["RUN/run", "--on", "folder:RUN/alike", "--task", "zero-shot"], "have the same, 'same'"),
        (["RUN/run", "--on", "folder:RUN/lonely", "--task", "probe"], "two groups or more"),
        (["RUN/run", "--on", "folder:RUN/new", "--templates", "RUN/none.txt"], "cannot be read"),
        (["--f", "RUN/none.pt", "--model", "nano", "--on", "folder:RUN/new"], "no such file"),
        (["--f", "RUN/run/models/f", "--on", "folder:RUN/new", "--out", "RUN/run/config.yaml"], "is a file"),
    ],
)
def test_what_does_not_go_together_is_one_line(place, capsys, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    (place / "bare").mkdir(exist_ok=True)
    (place / "bare" / "config.yaml").write_text("{}\n")
    words = [argument.replace("RUN", str(place)) for argument in arguments]
    assert said in refused(capsys, "evaluate", *words)
