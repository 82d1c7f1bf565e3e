"""Work done ahead, as far as memory allows: the next results are made while this one is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


HANDFUL = 8
"""Small pieces of work that a thread is given at once: handing one over takes as long as doing it."""


def handfuls(count: int) -> list[slice]:
    """`count` pieces of work in order, by up to `HANDFUL`: fewer at once where there are processors for more shares.

    Every processor gets four shares or more, if there is work for so many.
    """
    step = max(1, min(HANDFUL, count // (4 * (cpu_count() or 1))))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def ahead(make: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map(make, items)`, in order, the next result being made in a thread while the caller uses the last one."""
    with ThreadPoolExecutor(1) as thread:
        waiting = None
        for item in items:
            made, waiting = waiting, thread.submit(make, item)
            if made is not None:
                yield made.result()
        if waiting is not None:
            yield waiting.result()


def few_ahead(
    pool: ThreadPoolExecutor, make: Callable[[Item], Result], items: Iterable[Item], *, most: int
) -> Iterator[Result]:
    """`pool.map(make, items)`, with at most `most` items taken and not yet given back.

    `pool.map` takes all items at once, and items that hold films would not fit.
    """
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(make, item))
        # The future alone holds the item until it is done.
        del item
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
