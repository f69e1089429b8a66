"""Exports alone, and models asked together: an export sets what holds for the whole process, and a model would notice."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator


# Seconds that an export waits for answers: a model that waits for it in its turn, in another thread, is not to hang for ever.
_PATIENCE = 60.0


class _Turns:
    """Who waits for whom. A thread that asks a model waits while another one exports, and who exports until nobody asks."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._turn = threading.Condition()
        # By thread, how many answers within one another it waits for.
        self._asking: dict[int, int] = {}
        self._exporting: int | None = None
        self._waiting = 0

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """A model may answer; no other thread exports."""
        thread = threading.get_ident()
        with self._turn:
            if thread not in self._asking and thread != self._exporting:
                self._turn.wait_for(lambda: self._exporting is None and not self._waiting)
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
                self._turn.wait_for(lambda: self._exporting is None and not self._asking, self._patience)
                self._turn.wait_for(lambda: self._exporting is None)
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
