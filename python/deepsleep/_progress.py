"""Progress of long work, through tqdm if it is there."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Optional

from ._arguments import switch

Progress = Optional[Callable[[int, int, str], None]]

# What writing to a stream raises that was closed, or that has no reader any more.
_LOST = (OSError, ValueError)


def _bar() -> Any:
    """tqdm's bar for where we are, if it is installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm


def shown(progress: bool | None, unit: str = "image") -> contextlib.AbstractContextManager[Progress]:
    """A function to call with what is done, all there is, and a word; None where nothing is to be shown.

    Parameters
    ----------
    progress : bool or None
        Whether to show it. None: on a terminal and in a notebook.
    """
    return _displayed(None if progress is None else switch(progress, "progress"), unit)


def _is_open() -> bool:
    return sys.stderr is not None and not getattr(sys.stderr, "closed", False)


def _is_watched() -> bool:
    """Whether somebody may be looking. What stands for stderr need not be a file."""
    is_terminal = getattr(sys.stderr, "isatty", None)
    return _is_open() and is_terminal is not None and is_terminal() or "ipykernel" in sys.modules


@contextlib.contextmanager
def _displayed(progress: bool | None, unit: str) -> Iterator[Progress]:
    bar = _bar() if (_is_watched() if progress is None else progress) and _is_open() else None
    if bar is None:
        yield None
        return
    display = None
    with contextlib.suppress(*_LOST):
        display = bar(total=None, unit=unit, leave=False)

    def advance(done: int, total: int, what: str) -> None:
        nonlocal display
        if display is None:
            return
        try:
            display.total = total
            display.set_description_str(what, refresh=False)
            display.n = done
            display.refresh()
        except _LOST:  # the work goes on without it
            display = None

    try:
        yield advance
    finally:
        with contextlib.suppress(*_LOST):
            if display is not None:
                display.close()
