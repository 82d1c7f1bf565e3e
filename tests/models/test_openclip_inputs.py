"""The short ways of preparing pictures and texts against OpenCLIP's own."""

import html

import ftfy
import numpy as np
import open_clip
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from vestige.models.openclip_inputs import needs_no_repair, picture_transform, remember_texts, skip_repairs

some = settings(max_examples=100, deadline=None, derandomize=True)
side = st.integers(1, 90)


@some
@given(
    width=side,
    height=side,
    size=st.integers(1, 48),
    as_pair=st.booleans(),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    seed=st.integers(0, 1000),
)
@example(width=32, height=32, size=32, as_pair=False, interpolation="bicubic", seed=0)
@example(width=33, height=32, size=32, as_pair=True, interpolation="bicubic", seed=0)
def test_pictures_are_openclips_bit_for_bit(
    width: int, height: int, size: int, as_pair: bool, interpolation: str, seed: int
) -> None:
    """Larger and smaller pictures, upright, wide and square; of the size already; odd margins."""
    pixels = np.random.Generator(np.random.Philox(seed)).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    config = PreprocessCfg(size=(size, size) if as_pair else size, interpolation=interpolation)
    assert torch.equal(picture_transform(config)(picture), image_transform_v2(config, is_train=False)(picture))


@pytest.mark.parametrize(
    "config",
    [
        PreprocessCfg(size=(16, 24)),
        PreprocessCfg(size=16, resize_mode="longest"),
        PreprocessCfg(size=16, resize_mode="squash"),
    ],
)
def test_other_preprocessing_is_openclips_own(config: PreprocessCfg) -> None:
    """Rectangles, padding and squeezing."""
    picture = Image.fromarray(np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3))
    assert torch.equal(picture_transform(config)(picture), image_transform_v2(config, is_train=False)(picture))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_nothing_is_repaired_in_plain_text(text: str) -> None:
    """Where the repairs are skipped they would have changed nothing."""
    if needs_no_repair(text):
        assert html.unescape(html.unescape(ftfy.fix_text(text))) == text


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=3))
@example(["Tom &amp; Jerry", "cafÃ©", " two  spaces\tand a tab\n", "ﬁne “quotes”", "<end_of_text> A", "\x1b[31mred"])
def test_tokens_are_openclips(texts: list[str]) -> None:
    """Plain, broken and odd texts."""
    assert torch.equal(TOKENIZER(texts), UNTOUCHED(texts))


def test_a_tokenizer_that_cleans_otherwise_is_left_alone() -> None:
    """Punctuation is removed where the model was trained so."""
    own = open_clip.SimpleTokenizer(clean="canonicalize")
    assert skip_repairs(own)(["A dog, (brown)!"]).tolist() == own(["a dog brown"]).tolist()


def test_short_texts_are_remembered_and_the_longest_are_not() -> None:
    seen = []

    class Counting(open_clip.SimpleTokenizer):
        def encode(self, text):
            seen.append(text)
            return super().encode(text)

    tokenizer, whole = remember_texts(Counting()), "word " * 400
    first = tokenizer(["a dog", whole])
    # What is made of remembered tokens, here cut to four, leaves them as they were.
    tokenizer.encode("a dog").clear()
    assert tokenizer(["a dog", whole], context_length=4).shape == (2, 4)
    assert torch.equal(tokenizer(["a dog", whole]), first)
    assert torch.equal(first, UNTOUCHED(["a dog", whole]))
    assert seen == ["a dog", whole, whole, whole]


TOKENIZER, UNTOUCHED = skip_repairs(open_clip.SimpleTokenizer()), open_clip.SimpleTokenizer()
