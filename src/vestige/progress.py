"""Progress bars: what is done, how fast, how long it will take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vestige.printed import printable

# Progress goes to stderr: stdout belongs to what was asked for (a table, --json).
console = Console(stderr=True)


def say(message: str) -> None:
    """A line on stderr. File names and captions in it are no markup and no commands; paths are copied, not wrapped."""
    console.print(Text(printable(message, None)), highlight=False, soft_wrap=True)


class Advance(Protocol):
    def __call__(self, amount: int = 1, /) -> None: ...


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


@contextmanager
def progress(label: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show a bar with rate and time left while the block runs; it calls the yielded function after each piece.

    On something that is not a terminal (a log file) a bar would be noise: one line says what was done.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total, completed=done)

        def advance(amount: int = 1, /) -> None:
            bar.advance(task, amount)

        yield advance
    if not console.is_terminal:
        say(f"{label}: {total:,} done")
