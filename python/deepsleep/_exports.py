"""Exports alone, and models asked together: an export sets what holds for the whole process, and a model would notice."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

from ._native import Error

# Seconds that an export waits for answers, and that it and answers wait for another export. Who waits may be slow, or may wait for
# this thread in its turn, which nobody can tell: the export is then given up, and the answer given beside it.
_PATIENCE, _LONG = 60.0, 600.0


class Stuck(Error):
    """An export had no turn."""


class _Turns:
    """Who waits for whom. A thread that asks a model waits while another one exports, and who exports until nobody asks."""

    def __init__(self, patience: float = _PATIENCE, long: float = _LONG) -> None:
        self._patience, self._long = patience, long
        self._turn = threading.Condition()
        # By thread, how many answers within one another it waits for.
        self._asking: dict[int, int] = {}
        self._exporting: int | None = None
        self._waiting = 0

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """A model may answer; no other thread exports, but for one that does not end."""
        thread = threading.get_ident()
        with self._turn:
            if thread not in self._asking and thread != self._exporting:
                self._turn.wait_for(lambda: self._exporting is None and not self._waiting, self._long)
            self._asking[thread] = self._asking.get(thread, 0) + 1
        try:
            yield
        finally:
            with self._turn:
                self._asking[thread] -= 1
                if not self._asking[thread]:
                    del self._asking[thread]
                self._turn.notify_all()

    @contextlib.contextmanager
    def exporting(self) -> Iterator[None]:
        """An export may run; no other thread exports, or asks a model."""
        thread = threading.get_ident()
        if thread == self._exporting:
            yield
            return
        with self._turn:
            # A model that exports another one while it answers: those who also do must not wait for one another.
            own, self._waiting = self._asking.pop(thread, 0), self._waiting + 1
            try:
                free = lambda: self._exporting is None and not self._asking
                # Other exports end sooner or later, one after the other.
                if not (self._turn.wait_for(free, self._patience) or self._exporting and self._turn.wait_for(free, self._long)):
                    raise Stuck(
                        f"its export waited {self._patience:g} seconds for a model that answers in another thread, which is slow or waits for "
                        "this one; deepsleep.load(module) before exports it beforehand"
                    )
                self._exporting = thread
            except BaseException:
                self._resume(thread, own)
                raise
            finally:
                self._waiting -= 1
        try:
            yield
        finally:
            with self._turn:
                self._exporting = None
                self._resume(thread, own)

    def _resume(self, thread: int, answers: int) -> None:
        if answers:
            self._asking[thread] = answers
        self._turn.notify_all()


TURNS = _Turns()


def warn(text: str, stacklevel: int) -> None:
    """A warning, not in the middle of an export, which silences those of all threads."""
    with TURNS.asking():
        warnings.warn(text, stacklevel=stacklevel + 1)
