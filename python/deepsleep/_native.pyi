"""The native module: what it is given was looked at before, in `deepsleep._arguments`."""

from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__version__: str

Progress = Callable[[int, int, str], Any] | None

class Error(ValueError):
    """What deepsleep cannot do, in one line: what was wrong, with both values, where, and what to do."""

@final
class Network:
    """A network that was loaded or trained."""

    @staticmethod
    def load(path: str, architecture: str | None, spiking: bool, draws: int | None) -> Network: ...
    @staticmethod
    def of_onnx(content: bytes, name: str, spiking: bool) -> Network: ...
    @staticmethod
    def of_bytes(
        content: bytes, architecture: str, spiking: bool, draws: int, notes: list[str]
    ) -> Network: ...
    def spiking(self, draws: int | None) -> Network: ...
    def to_bytes(self) -> bytes: ...
    def save(self, path: str) -> None: ...
    @property
    def input_shape(self) -> tuple[int, int, int]: ...
    @property
    def classes(self) -> int: ...
    @property
    def is_random(self) -> bool: ...
    @property
    def draws(self) -> int: ...
    @property
    def is_spiking(self) -> bool: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def architecture(self) -> str: ...

@final
class Callback:
    """A model of Python's: `forward(images, differentiable)` gives the logits and a function from weights to a gradient."""

    def __new__(
        cls,
        forward: Callable[[NDArray[np.float32], bool], tuple[NDArray[np.float32], Callable[..., Any] | None]],
        shape: tuple[int, int, int],
        classes: int,
        batch: int,
        random: bool,
        draws: int | None,
        surrogate: bool,
    ) -> Callback: ...
    @property
    def forward(self) -> Callable[[NDArray[np.float32], bool], tuple[NDArray[np.float32], Callable[..., Any] | None]]: ...
    @property
    def classes(self) -> int: ...
    @property
    def random(self) -> bool: ...
    @property
    def draws(self) -> int: ...

@final
class OutputRange:
    """What rows of outputs look like."""

    def __new__(cls) -> OutputRange: ...
    def see(self, rows: NDArray[np.float64]) -> None: ...
    def doubt(self) -> str | None: ...

@final
class Samples:
    """Images, labels and identities."""

    def __new__(cls, images: NDArray[np.float32], labels: NDArray[np.int64], ids: NDArray[np.int64]) -> Samples: ...

@final
class AttackResult:
    """What became of every sample: the arrays of a file of it, and the numbers about all of it, as JSON."""

    def columns(self) -> dict[str, NDArray[Any] | list[str]]: ...
    @property
    def summary(self) -> str: ...
    def to_bytes(self) -> bytes: ...

def save_set(content: bytes, path: str) -> None: ...
def grid(clean: NDArray[np.float32], adversarial: NDArray[np.float32], captions: list[str]) -> bytes: ...

def run_one(
    model: Network | Callback,
    samples: Samples,
    attack: str,
    norm: str,
    eps: str,
    seed: int,
    threads: int,
    source: Network | Callback | None = None,
    progress: Progress = None,
) -> AttackResult: ...
def logits(model: Network | Callback, samples: Samples, seed: int, threads: int) -> NDArray[np.float32]: ...
def gradients(
    model: Network | Callback, samples: Samples, weights: NDArray[np.float32]
) -> NDArray[np.float32]: ...
def clean_accuracy(model: Network | Callback, samples: Samples, seed: int, threads: int) -> tuple[float, list[str]]: ...
def attacks() -> list[tuple[str, str, list[tuple[str, str, str]]]]: ...
def named(name: str, input: tuple[int, int, int] | None, classes: int) -> str: ...
def of_file(path: str) -> str: ...
def checked(text: str) -> str: ...
def described(text: str) -> str: ...
def architectures() -> list[tuple[str, str]]: ...
@final
class Data:
    """Images and labels to train with or to measure on."""

    def __new__(cls, images: NDArray[np.float32], labels: NDArray[np.uint8], classes: int) -> Data: ...

def read_dataset(
    source: str, train: bool, folder: str | None
) -> tuple[NDArray[np.float32], NDArray[np.int64], int, str]: ...
def datasets() -> list[str]: ...
def run_many(
    model: Network | Callback,
    samples: Samples,
    attacks: list[str],
    norm: str,
    radii: list[str],
    seed: int,
    threads: int,
    portion: int,
    about: dict[str, str],
    checkpoint: str | None,
    source: Network | Callback | None = None,
    progress: Progress = None,
) -> str: ...
def run_audit(
    model: Network | Callback,
    samples: Samples,
    norm: str,
    eps: str,
    seed: int,
    images: int,
    claim: float | None,
    search: int,
    fast: bool,
    attack: str | None,
    twins: list[Any],
    threads: int,
    about: dict[str, str],
    checkpoint: str | None,
    progress: Progress = None,
) -> str: ...
def page_of_audit(model: str, dataset: str, report: str) -> str: ...
def all_settings(profile: str) -> list[tuple[str, str]]: ...
def defenses() -> list[tuple[str, str]]: ...
def run_training(
    train: Data,
    test: Data,
    defense: str | None,
    start: Network | None,
    architecture: str | None,
    profile: str,
    seed: int,
    changes: list[tuple[str, str]],
    out: str | None,
    resume: bool,
    threads: int,
    progress: Progress = None,
) -> tuple[Network, str]: ...
def run_reproduction(
    train: Data,
    test: Data,
    name: str,
    out: str,
    quick: bool,
    tables: list[int],
    figures: list[int],
    architecture: str,
    profile: str,
    changes: list[tuple[str, str]],
    seeds: int,
    transfer: bool,
    white_box: bool,
    images: int | None,
    white_box_images: int | None,
    jobs: int,
    threads: int,
    progress: Progress = None,
) -> tuple[str, str]: ...
