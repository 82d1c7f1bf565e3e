"""Which samples belong together."""

from collections.abc import Sequence


def joined_groups(members: Sequence[tuple[str, str]]) -> list[str]:
    """One group for samples that share a declared group or the same bytes, directly or through others.

    Args:
        members: (declared group, content hash) of every sample.

    Returns:
        The group of every sample: the name of the first declared group among those joined.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for group, content in members:
        parent[root(("content", content))] = root(("group", group))
    names: dict[tuple[str, str], str] = {}
    for group, _ in members:
        names.setdefault(root(("group", group)), group)
    return [names[root(("group", group))] for group, _ in members]
