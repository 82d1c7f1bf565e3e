"""Where keys stand among others, and keys that are made when they are asked for."""

import pytest
import torch

from vestige.embeddings import TensorEmbeddings, all_keys
from vestige.embeddings.store import JoinedEmbeddings, ShardKeys
from vestige.keys import positions


def test_every_key_has_its_place_or_none():
    among = ["a", "é", "a/b.jpg", "", "ab"]
    assert positions(["ab", "nowhere", "", "é", "ab"], among).tolist() == [4, -1, 3, 1, 4]
    assert positions(among, among).tolist() == [0, 1, 2, 3, 4]
    assert positions([], among).tolist() == []
    assert positions(["a"], []).tolist() == [-1]


def test_the_keys_of_a_shard_are_made_when_they_are_asked_for():
    asked = []

    def keys(number: int) -> list[str]:
        asked.append(number)
        return [f"{number}.{row}" for row in range(2)]

    shards = ShardKeys(3, keys)
    assert len(shards) == 3
    assert asked == []
    assert shards[-1] == ["2.0", "2.1"]
    assert shards[1:] == [["1.0", "1.1"], ["2.0", "2.1"]]
    assert asked == [2, 1, 2]
    assert list(shards) == [["0.0", "0.1"], ["1.0", "1.1"], ["2.0", "2.1"]]
    with pytest.raises(IndexError):
        shards[3]


def test_joined_keys_are_led_by_the_prefix_of_their_part():
    parts = [TensorEmbeddings([key], {"image": torch.ones(1, 2) * number}) for number, key in enumerate("ab")]
    joined = JoinedEmbeddings((parts[0], ""), (parts[1], "heldout:"))
    assert all_keys(joined) == ["a", "heldout:b"]
    assert joined.shard(1)["image"].tolist() == [[1.0, 1.0]]
