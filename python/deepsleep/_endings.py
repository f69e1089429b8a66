"""What a module may end in that a network of the engine leaves out: a softmax, which hides gradients and changes no class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Probabilities below this have no gradient to compare.
_LEAST = 1e-20


@dataclass(frozen=True)
class Ending:
    """What comes after the logits; nothing, where it has no name."""

    name: str

    @property
    def hides_gradients(self) -> bool:
        """Whether gradients of the answers vanish where those of the logits do not."""
        return self.name == "softmax"

    def of(self, logits: NDArray[Any]) -> NDArray[Any]:
        """The answers of a module that ends so."""
        if not self.name:
            return logits
        exact = logits.astype(np.float64)
        with np.errstate(all="ignore"):
            exact -= exact.max(1, keepdims=True)
            exact -= np.log(np.exp(exact).sum(1, keepdims=True))
            return np.asarray(np.exp(exact) if self.name == "softmax" else exact).astype(np.float32)

    def weights(self, rng: np.random.Generator, answers: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Random weights of the logits, and those of the answers by which the weighted sum has the same gradient.

        Those of an image add up to zero, as in every loss: what is added to all its logits has no gradient. Then
        `sum(w * dlog p) = sum(w * dz)`, and `w * dlog p = (w / p) * dp`."""
        weights = rng.standard_normal(answers.shape)
        seen = answers > _LEAST if self.hides_gradients else np.ones(answers.shape, bool)
        weights = np.where(seen, weights, 0)
        weights = np.where(seen, weights - weights.sum(1, keepdims=True) / np.maximum(seen.sum(1, keepdims=True), 1), 0)
        of_answers = np.where(seen, weights / np.where(seen, answers, 1), 0) if self.hides_gradients else weights
        return weights.astype(np.float32), of_answers.astype(np.float32)


# The first that explains the answers counts.
ENDINGS = Ending(""), Ending("log-softmax"), Ending("softmax")
