"""Data sets: images, labels and classes as numpy arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arguments import Images, StrPath, brief, kind, labels_of, path_of, text_of, word_of
from ._native import Error


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels. It unpacks to the two, and `data[:1000]` is a data set again.

    Parameters
    ----------
    images : numpy.ndarray
        `[n, channels, height, width]`, float32, pixels from 0 to 1.
    labels : numpy.ndarray
        `[n]`, int64.
    classes : int
        The number of classes.
    name : str
        What the data set is called.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: int
    name: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Any]:
        """For `images, labels = dataset`."""
        return iter((self.images, self.labels))

    def __getitem__(self, which: Any) -> Dataset:
        """Some of them: a slice, indices or a mask."""
        if not isinstance(which, slice) and which is not Ellipsis:
            which = _indices(which)
        return Dataset(self.images[which], self.labels[which], self.classes, self.name)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.images.shape[1:]))
        return f"<deepsleep.Dataset {self.name}: {len(self)} images of {shape}, {self.classes} classes>"


def _indices(which: Any) -> NDArray[Any]:
    """Indices or a mask of images."""
    refused = TypeError(f"data set: index {brief(which)}; take a slice, indices of images, or a mask")
    if isinstance(which, tuple):
        raise refused
    try:
        array = np.asarray(which)
    except (ValueError, TypeError, RuntimeError):  # lists of several lengths, tensors that are no arrays
        raise refused from None
    if array.ndim == 0 and array.dtype.kind in "iu":
        end = "" if array == -1 else array + 1
        raise Error(f"data set: index {array}; take a slice, such as [{array}:{end}]")
    if array.ndim != 1 or array.size and array.dtype.kind not in "iub":
        raise refused
    return array if array.size else array.astype(np.int64)


def dataset(source: StrPath = "mnist", split: str = "test", *, folder: StrPath | None = None) -> Dataset:
    """One half of a data set.

    Parameters
    ----------
    source : str or path
        A known name (`datasets` lists them), a folder (IDX, CIFAR's binary files, npz, or PNG files in a folder a class) or
        an npz file.
    split : {"test", "train"}
        Which half.
    folder : path, optional
        Where the files of a known data set are; by default the usual places are searched.

    Returns
    -------
    Dataset
        It unpacks: `images, labels = deepsleep.dataset("mnist")`.

    Raises
    ------
    Error
        If there is no such data set, or if a file cannot be read.
    """
    split = word_of(split, "split", ("train", "test"))
    place, named = None if folder is None else path_of(folder, "folder"), path_of(source, "data set")
    if place is not None and (isinstance(source, os.PathLike) or named not in datasets() and os.path.exists(named)):
        raise Error(f"folder: {brief(place)}, of the data set {brief(named)}, which is a path itself; leave folder out")
    named = text_of(named, "data set")
    images, labels, classes, name = _native.read_dataset(named, split == "train", place)
    return Dataset(images, labels, classes, name)


def datasets() -> list[str]:
    """The names of known data sets.

    Returns
    -------
    list of str
        What `dataset` takes as a name.
    """
    return _native.datasets()


def data_of(given: Any, what: str, classes: int | None = None) -> tuple[_native.Data, Dataset]:
    """What users give as data, for the engine: a `Dataset`, a pair of arrays, or what `dataset` reads."""
    if isinstance(given, (str, os.PathLike)):
        given = dataset(given, "train" if what == "data" else "test")
    if not isinstance(given, Dataset):
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise Error(f"{what}: {kind(given)}; give a data set, a name, or a pair of images and labels")
        images = Images(given[0])
        labels = labels_of(given[1], len(images), None)
        given = Dataset(images.pixels, labels, classes or int(labels.max()) + 1, what)
    if len(given) == 0:
        raise Error(f"{what}: there are no images")
    labels_of(given.labels, len(given.images), given.classes)
    if given.labels.max() > 255:
        raise Error(f"{what}: label {given.labels.max()}; a training takes 256 classes at most")
    pixels = np.ascontiguousarray(given.images, dtype=np.float32)
    return _native.Data(pixels, given.labels.astype(np.uint8), given.classes), given
