"""What every metric asks of its inputs; each refusal names the argument and what was found."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

Name = TypeVar("Name", bound=str)

# How far from 1 a norm may lie. float16 and bfloat16: four units of rounding. float32 and float64: 1e-3, because
# embeddings that were stored in float16 and read back keep a norm error of up to 5e-4.
NORM_TOLERANCE = {torch.float16: 4e-3, torch.bfloat16: 3e-2, torch.float32: 1e-3, torch.float64: 1e-3}


def working_dtype(*tensors: Tensor | None) -> torch.dtype:
    """The type to compute in: float64 where any input has it, float32 otherwise."""
    return torch.float64 if any(t is not None and t.dtype == torch.float64 for t in tensors) else torch.float32


def choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """`value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, found {value!r}")


def count(name: str, value: int, *, least: int = 1, most: int | None = None) -> None:
    """`value` is a whole number in [least, most]."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name}: expected a whole number {bounds}, found {value!r}")


def fraction(name: str, value: float) -> None:
    """`value` lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name}: expected a number between 0 and 1, both excluded, found {value!r}")


def shape(name: str, tensor: Tensor, pattern: str, sizes: Sequence[int | None]) -> None:
    """`tensor` has the dimensions `sizes`; None stands for any length. `pattern` says it in letters: "[N, d]"."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name}: expected a tensor {pattern}, found {type(tensor).__name__}")
    found = tuple(tensor.shape)
    if len(found) != len(sizes) or any(e is not None and e != f for e, f in zip(sizes, found, strict=True)):
        known = any(e is not None for e in sizes)
        wanted = f"{pattern} = [{', '.join('*' if e is None else str(e) for e in sizes)}]" if known else pattern
        raise ValueError(f"{name}: expected {wanted}, found {list(found)}")


def device(name: str, tensor: Tensor, like: Tensor) -> None:
    """`tensor` lies where `like` lies."""
    if tensor.device != like.device:
        raise ValueError(f"{name}: expected device {like.device}, found {tensor.device}")


def floating(name: str, tensor: Tensor) -> None:
    """`tensor` is of a floating type the metrics know."""
    if tensor.dtype not in NORM_TOLERANCE:
        raise ValueError(f"{name}: expected float16, bfloat16, float32 or float64, found {_dtype(tensor)}")


def no_nan(name: str, tensor: Tensor) -> None:
    """`tensor` holds no NaN and no infinity."""
    # One sum, without a copy, tells in nearly all cases; where finite values overflow it, each one is looked at.
    if not bool(tensor.sum().isfinite()) and not bool(tensor.isfinite().all()):
        nan, rest = int(tensor.isnan().sum()), int(tensor.isinf().sum())
        raise ValueError(f"{name}: expected finite values, found {nan} NaN and {rest} infinite")


def boolean(name: str, tensor: Tensor, pattern: str, sizes: Sequence[int | None], like: Tensor) -> None:
    """`tensor` is a mask of the given shape on the device of `like`."""
    shape(name, tensor, pattern, sizes)
    if tensor.dtype != torch.bool:
        raise ValueError(f"{name}: expected bool, found {_dtype(tensor)}")
    device(name, tensor, like)


def integers(
    name: str, tensor: Tensor, pattern: str, sizes: Sequence[int | None], *, low: int, high: int | None = None
) -> None:
    """`tensor` holds long integers in [low, high), of the given shape."""
    shape(name, tensor, pattern, sizes)
    if tensor.dtype != torch.long:
        raise ValueError(f"{name}: expected int64, found {_dtype(tensor)}")
    if tensor.numel():
        found = tuple(map(int, tensor.aminmax()))
        if found[0] < low or (high is not None and found[1] >= high):
            top = "" if high is None else f" and at most {high - 1}"
            raise ValueError(f"{name}: expected values of at least {low}{top}, found {found[0]} to {found[1]}")


def numbers(
    name: str,
    tensor: Tensor,
    pattern: str,
    sizes: Sequence[int | None],
    *,
    like: Tensor | None = None,
    nan: bool = False,
) -> None:
    """`tensor` holds finite floating numbers of the given shape; with `nan`, NaN may stand for a missing value."""
    shape(name, tensor, pattern, sizes)
    floating(name, tensor)
    if like is not None:
        device(name, tensor, like)
    if not nan:
        no_nan(name, tensor)
    elif bool(tensor.isinf().any()):
        raise ValueError(f"{name}: expected finite values or NaN, found {int(tensor.isinf().sum())} infinite")


def embeddings(name: str, tensor: Tensor, pattern: str, sizes: Sequence[int | None], like: Tensor | None) -> None:
    """`tensor` has the shape, the type and the device of embeddings; their norms are another matter."""
    shape(name, tensor, pattern, sizes)
    floating(name, tensor)
    if like is not None:
        device(name, tensor, like)


def norms(tensor: Tensor) -> Tensor:
    """Of the rows of `tensor`, along its last dimension; NaN where a row holds NaN."""
    return torch.linalg.vector_norm(tensor, dim=-1, dtype=working_dtype(tensor))


def unit(
    name: str,
    tensor: Tensor,
    pattern: str,
    sizes: Sequence[int | None],
    *,
    like: Tensor | None = None,
    present: Tensor | None = None,
) -> None:
    """`tensor` holds embeddings of unit norm along its last dimension; rows that are not `present` [N] are not read."""
    embeddings(name, tensor, pattern, sizes, like)
    unit_norms(name, norms(tensor), tensor.dtype, present)


def unit_norms(name: str, norm: Tensor, dtype: torch.dtype, present: Tensor | None = None) -> None:
    """`norm` [N, ...] is 1, as far as embeddings of type `dtype` can tell."""
    # NaN fails the comparisons too: one pass over the embeddings serves both checks.
    norm, tolerance = norm.detach(), NORM_TOLERANCE[dtype]
    if norm.numel():
        low, high = map(float, norm.aminmax())
        if 1 - tolerance <= low and high <= 1 + tolerance:
            return
    wrong = ~((norm - 1).abs() <= tolerance)
    if present is not None:
        wrong &= present.reshape(-1, *[1] * (wrong.ndim - 1))
    if bool(wrong.any()):
        if bool(norm[wrong].isnan().any()):
            raise ValueError(f"{name}: expected unit norm, found NaN in {int(norm[wrong].isnan().sum())} embeddings")
        worst = float(norm[wrong][(norm[wrong] - 1).abs().argmax()])
        raise ValueError(f"{name}: expected unit norm, found {worst:.4g} (wrong in {int(wrong.sum())} embeddings)")


def mean_norms(
    name: str, norm: Tensor, dtype: torch.dtype, *, present: Tensor | None = None, nan: bool = False
) -> None:
    """`norm` [N] may be that of means of unit embeddings: not above 1; with `nan`, NaN stands for a missing mean."""
    norm = norm.detach()
    wrong = ~(norm <= 1 + NORM_TOLERANCE[dtype])
    if nan:
        wrong &= ~norm.isnan()
    if present is not None:
        wrong &= present
    if bool(wrong.any()):
        if bool(norm[wrong].isnan().any()):
            raise ValueError(f"{name}: expected a mean of unit embeddings, found NaN")
        raise ValueError(
            f"{name}: expected a mean of unit embeddings (norm at most 1), found {float(norm[wrong].max()):.4g}"
        )


def modalities(name: str, group: Mapping[Any, Tensor], *, like: Iterable[str] | None = None, least: int = 1) -> None:
    """`group` holds at least `least` modalities, and those of `like` and no others."""
    if not isinstance(group, Mapping):
        raise ValueError(f"{name}: expected tensors by modality, found {type(group).__name__}")
    if len(group) < least:
        raise ValueError(f"{name}: expected at least {least} modalities, found {len(group)}")
    if like is not None and set(group) != set(like):
        raise ValueError(f"{name}: expected the modalities {_names(like)}, found {_names(group)}")


def masks(
    name: str, group: Mapping[Name, Tensor] | None, known: Iterable[Name], pattern: str, length: int, like: Tensor
) -> Mapping[Name, Tensor]:
    """`group` holds masks of some of the `known` modalities; none where it is None."""
    found = some_of(name, group, known)
    for j, mask in found.items():
        boolean(f"{name}[{j}]", mask, pattern, (length,), like)
    return found


def some_of(name: str, group: Mapping[Name, Tensor] | None, known: Iterable[Name]) -> Mapping[Name, Tensor]:
    """`group` holds nothing but `known` modalities; nothing where it is None."""
    if group is None:
        return {}
    if not isinstance(group, Mapping):
        raise ValueError(f"{name}: expected tensors by modality, found {type(group).__name__}")
    if not set(group) <= set(known):
        raise ValueError(f"{name}: expected some of the modalities {_names(known)}, found {_names(group)}")
    return group


def _names(group: Iterable[str]) -> str:
    return ", ".join(map(str, group))


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
