"""Tasks on sources whose embeddings are known, against literal definitions; what they leave out and refuse."""

from dataclasses import replace

import pytest
import torch

from drawings import draw
from oracles import utility as oracle
from oracles.clipmem import mean
from utility.stand_in import StandIn, vector
from vestige.data.memory import SampleList
from vestige.errors import VestigeError
from vestige.samples import Modality, Sample
from vestige.utility import Prompts, UtilityConfig, evaluate_encoder, exact_probe, split_groups, top_hits
from vestige.utility.prompts import TEMPLATES

IMAGE, TEXT, AUDIO = Modality.IMAGE, Modality.TEXT, Modality.AUDIO
COUNT = 24


def sample(n: int) -> Sample:
    """Groups of two, three classes; some lack a caption, some a sound; some captions are of two samples."""
    captions = () if n % 7 == 3 else (f"caption {n - n % 4}", f"other {n}", f"caption {n - n % 4}")
    media = {IMAGE: draw(n, 8)[0]} | ({} if n % 5 == 2 else {AUDIO: f"sound {n}".encode()})
    return Sample(f"{n:02d}", f"group {n // 2}", media, captions, "abc"[n // 2 % 3], objects=("x", "yz"[n % 2]))


SAMPLES = [sample(n) for n in range(COUNT)]
SOURCE = SampleList(SAMPLES)
CONFIG = UtilityConfig(k=(1, 3))


def figures(task, source=SOURCE, encoder=None, **options):
    found = evaluate_encoder(encoder or StandIn(), source, task, **{"config": CONFIG} | options)
    return {figure.measure: figure for figure in found}


def image(one: Sample) -> torch.Tensor:
    return vector(one.media[IMAGE].tobytes()).double()


def sound(one: Sample) -> torch.Tensor:
    return vector(one.media[AUDIO]).double()


def text(words: str) -> torch.Tensor:
    return vector(words.encode()).double()


def summed(*parts: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.stack(parts).sum(0), dim=0)


@pytest.mark.parametrize("captions", ["first", "all"])
def test_retrieval_of_captions_and_pictures(captions):
    found = figures("retrieval", encoder=StandIn((IMAGE, TEXT)), config=UtilityConfig(k=(1, 3), captions=captions))
    used = {s.key: tuple(dict.fromkeys(s.captions if captions == "all" else s.captions[:1])) for s in SAMPLES}
    having = [s for s in SAMPLES if s.captions]
    texts = [(s, words) for s in having for words in used[s.key]]
    pictures, words_of = torch.stack([image(s) for s in having]), torch.stack([text(words) for _, words in texts])
    of_texts = [[words in used[s.key] for _, words in texts] for s in having]
    of_pictures = [[words in used[s.key] for s in having] for _, words in texts]
    for k in (1, 3):
        there = found[f"T@{k} image->text"]
        assert there.value == pytest.approx(oracle.recall(pictures, words_of, of_texts, k), abs=1e-6)
        back = found[f"I@{k} text->image"]
        assert back.value == pytest.approx(oracle.recall(words_of, pictures, of_pictures, k), abs=1e-6)
        assert (there.n, back.n) == (len(having), len(texts))
        assert back.low < back.value < back.high
    guess = mean([sum(row) / len(texts) for row in of_texts])
    assert found["T@1 image->text"].chance == pytest.approx(guess, abs=1e-9)
    assert len(found) == 4


@pytest.mark.parametrize(("captions", "texts"), [("first", 2), ("all", 3)])
def test_captions_that_differ_in_case_and_spaces_are_one_text(captions, texts):
    """Their embeddings are equal in this model: as different texts they would tie, and the rate would be 0."""

    class Lower(StandIn):
        def prepare(self, sample, view):
            read = tuple(" ".join(words.lower().split()) for words in sample.captions)
            return super().prepare(replace(sample, captions=read), view)

    written = [("A cat.", "a  CAT.", "it sleeps"), ("a cat.",)]
    source = SampleList([Sample(f"{n}", f"{n}", {IMAGE: draw(n, 8)[0]}, own) for n, own in enumerate(written)])
    options = {"encoder": Lower((IMAGE, TEXT)), "config": UtilityConfig(k=(1,), captions=captions)}
    found = figures("retrieval", source, **options)
    assert found["I@1 text->image"].n == texts
    assert found["T@1 image->text"].chance == pytest.approx(1 if captions == "first" else (1 + 2 / 3) / 2)
    if captions == "first":
        assert found["T@1 image->text"].value == 1


def test_fused_queries_are_normalised_sums():
    found = figures("retrieval")
    whole = [s for s in SAMPLES if s.captions and AUDIO in s.media]
    same = [[s.captions[0] == t.captions[0] for t in whole] for s in whole]
    fused = torch.stack([summed(image(s), sound(s)) for s in whole])
    target = torch.stack([text(s.captions[0]) for s in whole])
    assert found["T@3 image+audio->text"].value == pytest.approx(oracle.recall(fused, target, same, 3), abs=1e-6)
    asked = torch.stack([summed(image(s), text(s.captions[0])) for s in whole])
    sounds = torch.stack([sound(s) for s in whole])
    assert found["A@1 image+text->audio"].value == pytest.approx(oracle.recall(asked, sounds, same, 1), abs=1e-6)
    assert found["T@1 image+audio->text"].n == len(whole)
    assert {measure.partition(" ")[2] for measure in found} == {
        *("image->text", "text->image", "audio->text", "text->audio", "image->audio", "audio->image"),
        *("image+audio->text", "image+text->audio", "text+audio->image"),
    }


def test_a_pair_without_texts_uses_all_samples_that_have_it():
    found = figures("retrieval", encoder=StandIn((IMAGE, AUDIO)))
    both = [s for s in SAMPLES if AUDIO in s.media]
    name = [s.captions[0] if s.captions else s.key for s in both]
    same = [[one == other for other in name] for one in name]
    pictures, sounds = torch.stack([image(s) for s in both]), torch.stack([sound(s) for s in both])
    assert found["A@1 image->audio"].value == pytest.approx(oracle.recall(pictures, sounds, same, 1), abs=1e-6)
    assert found["A@1 image->audio"].n == len(both)


def test_one_of_each_group_is_searched():
    """The first that has what is searched: of some groups that is the second sample."""
    found = figures("retrieval", config=UtilityConfig(k=(1, 3), one_per_group=True))
    for measure, has in (
        ("T@3 image->text", lambda s: bool(s.captions)),
        ("A@1 image->audio", lambda s: AUDIO in s.media),
    ):
        first = list({s.group: s for s in reversed(SAMPLES) if has(s)}.values())
        assert {int(s.key) % 2 for s in first} == {0, 1}
        alone = figures("retrieval", SampleList(first))[measure]
        assert (found[measure].value, found[measure].n) == (alone.value, len(first))
        assert found[measure].chance == alone.chance


def test_zero_shot_is_its_definition():
    names = {"a": ("first thing",), "b": ("second", "B")}
    found = figures("zero-shot", prompts=Prompts(names=names))
    assert {"accuracy image", "accuracy audio", "mean class accuracy image"} <= set(found)
    prompts = [
        (c, template.replace("{}", name))
        for c, label in enumerate("abc")
        for name in names.get(label, (label,))
        for template in TEMPLATES[IMAGE]
    ]
    classes = torch.tensor(
        oracle.class_embeddings(
            torch.stack([text(words) for _, words in prompts]), torch.tensor([c for c, _ in prompts]), 3
        ),
        dtype=torch.float64,
    )
    hits = [oracle.top_hit((classes @ image(s)).tolist(), "abc".index(s.label or ""), 1) for s in SAMPLES]
    assert found["accuracy image"].value == pytest.approx(mean([float(hit) for hit in hits]), abs=1e-9)
    assert (found["accuracy image"].n, found["accuracy image"].chance) == (COUNT, pytest.approx(1 / 3))
    assert found["accuracy audio"].n == sum(AUDIO in s.media for s in SAMPLES)
    other = figures("zero-shot", prompts=Prompts(("so: {}",), names))
    assert other["accuracy image"].value != found["accuracy image"].value


def test_the_probe_divides_by_groups_and_scores_the_test_part():
    found = figures("probe", encoder=StandIn((IMAGE, TEXT)), config=UtilityConfig(test_share=0.25, seed=4))
    labels = torch.tensor(["abc".index(s.label or "") for s in SAMPLES])
    group = torch.tensor([int(s.key) // 2 for s in SAMPLES])
    held = split_groups(labels, group, share=0.25, seed=4)
    features = torch.stack([image(s) for s in SAMPLES]).float()
    fit = exact_probe(features[~held], labels[~held], features[held], 3, group=group[~held], seed=4)
    hits = top_hits(fit.scores, labels[held])
    assert found["accuracy projector"].value == pytest.approx(float(hits.double().mean()), abs=1e-9)
    assert found["accuracy projector"].n == int(held.sum()) == 6
    assert found["accuracy projector"].chance == pytest.approx(1 / 3)


def test_the_probe_of_two_sources_and_of_several_seeds():
    train = SampleList([Sample(f"t{n}", f"t{n}", {IMAGE: draw(n, 8)[0]}, (), "abd"[n % 3]) for n in range(30, 60)])
    found = figures("probe", encoder=StandIn((IMAGE, TEXT)), train=train, config=UtilityConfig(seeds=2))
    # c is not in the training part, d not in the test part.
    assert found["accuracy projector"].n == sum(s.label in {"a", "b"} for s in SAMPLES)
    assert found["accuracy projector"].seeds == 2
    lars = figures("probe", encoder=StandIn((IMAGE, TEXT)), train=train, config=UtilityConfig(probe="lars"))
    assert set(lars) == {"accuracy projector (LARS)", "mean class accuracy projector (LARS)"}


def test_sets_of_objects_are_classes_where_there_are_no_labels():
    bare = SampleList([Sample(s.key, s.group, s.media, s.captions, objects=s.objects) for s in SAMPLES])
    found = figures("zero-shot", bare, StandIn((IMAGE, TEXT)))
    assert found["mAP"].n == COUNT
    assert found["mAP"].chance == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert figures("probe", bare, StandIn((IMAGE, TEXT)))["mAP projector"].n > 0


def test_what_is_left_out_is_said(capsys):
    some = [
        *SAMPLES[:12],
        Sample("n", "n", {IMAGE: draw(40, 8)[0]}),
        Sample("z", "z", {IMAGE: draw(41, 8)[0]}, (), "z"),
    ]
    figures("probe", SampleList(some), StandIn((IMAGE, TEXT)))
    figures("retrieval", SampleList(some), StandIn((IMAGE, TEXT)))
    said = " ".join(capsys.readouterr().err.split())
    assert "1 samples without a class are left out" in said
    assert "1 of 4 classes are not in both parts" in said
    assert "4 of 14 samples lack one of image, text" in said


def labelled(*labels):
    return SampleList([Sample(f"{n}", f"{n}", {IMAGE: draw(n, 8)[0]}, (), label) for n, label in enumerate(labels)])


@pytest.mark.parametrize(
    ("task", "source", "modalities", "said"),
    [
        ("prob", SOURCE, (IMAGE, TEXT), "unknown task 'prob': known are probe, zero-shot, retrieval"),
        ("probe", labelled(None, None), (IMAGE, TEXT), "neither labels nor objects"),
        ("zero-shot", labelled("a", "a", None), (IMAGE, TEXT), "have the same, 'a': two classes are needed"),
        ("probe", labelled("a", "b", "c"), (IMAGE, TEXT), "0 of 3 classes have samples of two groups or more"),
        ("zero-shot", SOURCE, (IMAGE, AUDIO), "zero-shot reads the names of classes"),
        ("probe", SOURCE, (Modality.VIDEO, TEXT), "the models read video"),
        ("retrieval", labelled("a", "b"), (IMAGE, TEXT), "retrieval needs two modalities of a sample"),
        ("retrieval", SOURCE, (IMAGE,), "the models read image"),
    ],
)
def test_refusals(task, source, modalities, said):
    with pytest.raises(VestigeError, match=said):
        figures(task, source, StandIn(modalities))


def test_settings_that_are_refused():
    for settings in ({"k": (0,)}, {"k": ()}, {"layers": ()}, {"seeds": 0}, {"test_share": 1.0}):
        with pytest.raises(VestigeError, match=next(iter(settings))):
            UtilityConfig(**settings)
    with pytest.raises(VestigeError, match="features before the projection of model are not to be had"):
        figures("probe", encoder=StandIn((IMAGE, TEXT)), config=UtilityConfig(layers=("backbone",)))
