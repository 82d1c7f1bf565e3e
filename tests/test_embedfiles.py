"""`vestige embed`, and what scoring makes of its folders and of transformers' models: from the command line."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import local_encoders
from clips import tone
from refusals import refused
from vestige import cli
from vestige.embeddings import EmbeddingConfig, EmbeddingStore
from vestige.embedfiles import EmbedConfig, embed_files
from vestige.errors import VestigeError
from vestige.files import read_table
from vestige.models import openclip
from vestige.models.architectures import architecture
from vestige.models.blueprint import load_encoder


@pytest.fixture
def models(small_model, tmp_path):
    """A folder as a run's, with two models."""
    description = architecture(str(small_model))
    for seed, name in enumerate("fg"):
        openclip.save(openclip.build(description, seed=seed), description, tmp_path / "run" / "models" / name)
    return tmp_path / "run"


def told(capsys, arguments):
    assert cli.main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_embeddings_of_a_run_and_of_its_models_alone_score_the_same(models, make_folder, tmp_path, capsys):
    data, heldout = (f"folder:{make_folder(*own)}" for own in ((12, "seen"), (25, "unseen", 12)))
    found = told(capsys, ["embed", models, "--data", data, "--out", tmp_path / "data", "--embedding.views", "2"])
    assert {name: own["samples"] for name, own in found["models"].items()} == {"f": 12, "g": 12}
    assert found["models"]["f"]["fingerprint"] == load_encoder(models / "models" / "f").fingerprint
    for name in "fg":
        alone = [
            "embed",
            "--checkpoint",
            models / "models" / name,
            "--data",
            heldout,
            "--out",
            tmp_path / f"away-{name}",
        ]
        assert told(capsys, [*alone, "--embedding.views", "2"])["models"][f"away-{name}"]["modalities"] == [
            "image",
            "text",
        ]
    stores = ["--f", tmp_path / "data" / "f", "--g", tmp_path / "data" / "g"]
    away = ["--heldout-f", tmp_path / "away-f", "--heldout-g", tmp_path / "away-g"]
    assert cli.main(list(map(str, ["score", *stores, *away, "--out", tmp_path / "one.parquet"]))) == 0
    weights = ["--f", models / "models" / "f", "--g", models / "models" / "g", "--data", data, "--heldout", heldout]
    more = ["--embedding.views", "2", "--out", tmp_path / "two.parquet"]
    assert cli.main(list(map(str, ["score", *weights, *more]))) == 0
    one, two = (read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one["key"].to_pylist() == two["key"].to_pylist()
    np.testing.assert_allclose(one["clipmem"].to_numpy(), two["clipmem"].to_numpy(), atol=1e-6)


def test_it_goes_on_and_never_mixes(models, make_folder, tmp_path):
    folder = make_folder(9)
    out = tmp_path / "out"
    config = EmbedConfig(
        checkpoint=models / "models" / "f", data=f"folder:{folder}", out=out, embedding=EmbeddingConfig(shard_size=3)
    )
    embed_files(config)
    whole = {path.name: path.read_bytes() for path in out.glob("*.*")}
    for path in out.glob("00002.*"):
        path.unlink()
    with pytest.raises(VestigeError, match="2 of 3 shards"):
        EmbeddingStore(out)
    before = (out / "00000.safetensors").stat().st_mtime_ns
    embed_files(config)
    assert {path.name: path.read_bytes() for path in out.glob("*.*")} == whole
    assert (out / "00000.safetensors").stat().st_mtime_ns == before
    # The same number of samples of the same keys, but other pictures.
    other = replace(config, data=f"folder:{shutil.copytree(folder, tmp_path / 'other')}")
    with pytest.raises(VestigeError, match="holds embeddings of other data"):
        embed_files(other)
    with pytest.raises(VestigeError, match="holds embeddings of another run"):
        embed_files(replace(config, checkpoint=models / "models" / "g"))
    (folder / "0000.png").unlink()
    (folder / "0000.txt").unlink()
    with pytest.raises(VestigeError, match="holds embeddings of another run"):
        embed_files(config)


def test_bad_input_is_one_line(models, make_folder, tmp_path, capsys):
    data, one = f"folder:{make_folder(3)}", models / "models" / "f"
    assert "name a run (vestige embed RUN --data ...), or a model" in refused(capsys, "embed", "--data", data)
    assert "name the samples with --data" in refused(capsys, "embed", models)
    assert "leave out --model" in refused(capsys, "embed", models, "--data", data, "--model", "nano")
    assert "no trained models lie there" in refused(capsys, "embed", tmp_path / "none", "--data", data)
    full = ["embed", "--checkpoint", one, "--data", data, "--out", models]
    assert "is not empty and holds no embeddings" in refused(capsys, *full)
    missing = ["embed", "--checkpoint", tmp_path / "no.pt", "--model", "nano", "--data", data]
    assert "no.pt: no such file" in refused(capsys, *missing, "--out", tmp_path / "out")
    # What was begun and embedded nothing does not stand in the way of other data.
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "source.json").write_text('{"data": "twemoji", "options": {}}')
    assert cli.main(["embed", "--checkpoint", str(one), "--data", data, "--out", str(tmp_path / "begun")]) == 0
    assert json.loads((tmp_path / "begun" / "source.json").read_text())["data"] == data


@pytest.fixture
def sounds(tmp_path):
    """A function that writes a folder of sounds with captions."""

    def write(name, first, count):
        folder = tmp_path / name
        folder.mkdir()
        for n in range(first, first + count):
            (folder / f"{n}.wav").write_bytes(tone(n, 0.3))
            (folder / f"{n}.txt").write_text(f"a {('red', 'green', 'blue')[n % 3]} disc")
        return f"folder:{folder}"

    return write


def test_two_models_of_transformers_are_scored(make_folder, tmp_path, capsys):
    f, g = local_encoders.clip(tmp_path / "f"), local_encoders.siglip(tmp_path / "g")
    data, heldout = (f"folder:{make_folder(*own)}" for own in ((6, "seen"), (25, "unseen", 6)))
    arguments = ["score", "--f", f, "--g", g, "--data", data, "--heldout", heldout, "--metric", "clipmem,unitmem"]
    assert cli.main(list(map(str, [*arguments, "--out", tmp_path / "s.parquet"]))) == 0
    assert "captions are longer than f reads" in capsys.readouterr().err
    table = read_table(tmp_path / "s.parquet")
    assert len(table) == 31
    assert np.isfinite(table["clipmem"].to_numpy()).all()
    assert sum(table["units_f"].to_pylist()[:6]) > 0


def test_two_models_of_sounds_are_scored_by_their_own_pair(sounds, tmp_path, capsys):
    f, g = local_encoders.clap(tmp_path / "f"), local_encoders.fused_clap(tmp_path / "g")
    pairs = ["--data", sounds("seen", 0, 5), "--heldout", sounds("unseen", 5, 22), "--out", tmp_path / "s.parquet"]
    assert cli.main(list(map(str, ["score", "--f", f, "--g", g, *pairs, "--metric", "multimem"]))) == 0
    assert np.isfinite(read_table(tmp_path / "s.parquet")["multimem_text_audio"].to_numpy()).all()
    assert "image" in refused(capsys, "score", "--f", f, "--g", g, *pairs)


def test_deja_vu_of_one_model(models, make_folder, tmp_path, capsys):
    rows = {}
    for name, first, count in (("seen", 0, 12), ("public", 40, 30)):
        folder = make_folder(count, name, first)
        lines = []
        for path in sorted(folder.glob("*.png")):
            caption = path.with_suffix(".txt").read_text().strip()
            lines.append(f"{path}\t{caption}\t{';'.join(caption.split()[1:3])}")
        rows[name] = tmp_path / f"{name}.csv"
        rows[name].write_text("\n".join(["filepath\ttitle\tobjects", *lines]) + "\n")
    sentences = local_encoders.sentences(tmp_path / "bert")
    base = [
        "score",
        "--f",
        models / "models" / "f",
        "--data",
        f"csv:{rows['seen']}",
        "--public",
        f"csv:{rows['public']}",
    ]
    base += ["--options", "objects_column", "objects", "--recovery.neighbours", "3"]
    recall = {}
    for reference in ("lexical", sentences):
        out = tmp_path / "s.parquet"
        arguments = [*base, "--reference", reference, "--metric", "dejavu", "--out", out]
        assert cli.main(list(map(str, arguments))) == 0
        recall[reference] = np.array(read_table(out)["align_g"].to_pylist(), dtype=float)
        assert json.loads(out.with_suffix(".dejavu.json").read_text())["population"]["candidate"]["n"] == 12
    # Captions name colour and shape, the objects: texts alone recover them, by their spellings to the last.
    assert recall["lexical"].mean() > 0.9
    assert ((recall[sentences] >= 0) & (recall[sentences] <= 1)).all()
    assert "serves dejavu: give --metric dejavu" in refused(capsys, *base, "--reference", "lexical")
    assert "not both" in refused(capsys, *base, "--reference", "lexical", "--g", models, "--metric", "dejavu")
    assert "there is no such folder" in refused(capsys, *base, "--reference", "bert", "--metric", "dejavu")
    assert "for the one-model test" in refused(capsys, "score", models, "--reference", "lexical", "--metric", "dejavu")
