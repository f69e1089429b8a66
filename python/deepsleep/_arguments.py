"""What users hand over, looked at in one place: every wrong use is an `Error` of one line, before anything is computed."""

from __future__ import annotations

import json
import operator
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from ._native import Error

Array = NDArray[Any]
StrPath = Union[str, "os.PathLike[str]"]

NORMS = ("linf", "l2", "l1", "l0")


def is_tensor(value: Any) -> bool:
    """Whether it is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_module(value: Any) -> bool:
    """Whether it is a torch module; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def kind(value: Any) -> str:
    """What it is, for a sentence."""
    return "None" if value is None else f"of type {type(value).__name__}"


def brief(value: Any) -> str:
    """A value for a sentence: on one line, and not all of a long one."""
    return " ".join(repr(value).split())[:100]


def shorter(problem: object) -> str:
    """The beginning of a message, on one line and without the colors of terminals; an exception without one by its type."""
    text = textwrap.shorten(re.sub(r"\x1b\[[0-9;]*m", "", str(problem)), 200, placeholder=" ...")
    return text or type(problem).__name__


@dataclass(frozen=True)
class Form:
    """What images came as, and so what is given back: numpy, or torch on a device."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    device: Any

    def give_back(self, array: Array) -> Any:
        """A copy of an array, as the images came. Images keep their dtype."""
        is_image = array.shape[1:] == self.shape
        copy = np.array(array, dtype=self.dtype if is_image else array.dtype)
        if self.device is None:
            return copy
        import torch

        return torch.from_numpy(copy).to(self.device)


class Images:
    """Images that were handed over, as the engine wants them, and the way back.

    Attributes
    ----------
    tensor : torch.Tensor or None
        The images, if they are a tensor.
    pixels : numpy.ndarray
        `[n, channels, height, width]`, float32, contiguous.
    exact : numpy.ndarray
        The same as they came: float32 or float64.
    form : Form
        What they came as.
    """

    tensor: Any
    pixels: NDArray[np.float32]
    exact: NDArray[Any]
    form: Form

    def __init__(self, images: Any, input_shape: tuple[int, int, int] | None = None) -> None:
        self.tensor = images if is_tensor(images) else None
        array = _array(images, "images")
        dtype = array.dtype.newbyteorder("=")
        if array.dtype == np.uint8:
            raise Error("images: uint8, from 0 to 255; give floats from 0 to 1: images.astype('float32') / 255, of a tensor images.float() / 255")
        if dtype not in (np.float32, np.float64):
            raise Error(f"images: their dtype is {array.dtype}; give float32, pixels from 0 to 1")
        if array.ndim == 3:
            raise Error(
                f"images: shape {array.shape} is of one image, or lacks the channels; expected n x channels x height x "
                "width: images[None] or images[:, None]"
            )
        if array.ndim != 4:
            raise Error(f"images: shape {array.shape}; expected n x channels x height x width")
        if len(array) == 0:
            raise Error(f"images: there are none, shape {array.shape}")
        if 0 in array.shape:
            raise Error(f"images: shape {array.shape} has no pixels")
        _check_shape(array.shape, input_shape)
        try:
            self.pixels = np.ascontiguousarray(array, dtype=np.float32)
            finite = bool(np.isfinite(self.pixels).all())
        except MemoryError:
            raise Error(f"images: shape {array.shape} takes more memory than there is; give fewer at a time") from None
        if not finite:
            raise Error("images: a pixel is not finite (NaN or infinite)")
        least, most = self.pixels.min(), self.pixels.max()
        if least < -1e-6 or most > 1 + 1e-6:
            raise Error(
                f"images: pixels from {least:.6g} to {most:.6g}, outside of 0..=1; give unnormalized images and let the model "
                "normalize them"
            )
        self.exact = array.astype(dtype, copy=False) if dtype == np.float64 else self.pixels
        self.form = Form(self.shape, dtype, None if self.tensor is None else self.tensor.device)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def give_back(self, array: Array) -> Any:
        """A copy of an array, as the images came."""
        return self.form.give_back(array)

    def some(self, which: Array) -> Any:
        """A copy of some of the images, as they came."""
        return self.give_back(self.exact[which])


def _check_shape(found: tuple[int, ...], wanted: tuple[int, int, int] | None) -> None:
    if wanted is None:
        if found[1] > 4 >= found[3]:
            raise Error(f"images: shape {found} has its channels last; {_CHANNELS}")
        return
    if found[1:] == tuple(wanted):
        return
    channels, height, width = wanted
    if found[1:] == (height, width, channels):
        raise Error(f"images: shape {found} has its channels last; {_CHANNELS}")
    raise Error(f"images: {_times(found[1:])}; the model takes {_times(wanted)}")


_CHANNELS = "expected n x channels x height x width: images.transpose(0, 3, 1, 2), of a tensor images.permute(0, 3, 1, 2)"


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _array(value: Any, name: str) -> Array:
    """A numpy array or torch tensor as a numpy array; lists are refused, for what is in them is anyone's guess."""
    if is_tensor(value):
        if value.is_sparse or value.layout is not __import__("torch").strided:
            raise Error(f"{name}: a sparse tensor; give a dense one: {name}.to_dense()")
        if value.device.type == "meta":
            raise Error(f"{name}: a tensor on the device meta, which holds no numbers")
        if str(value.dtype) == "torch.bfloat16":
            raise Error(f"{name}: their dtype is bfloat16; give float32: {name}.float()")
        try:
            array: Array = value.detach().cpu().resolve_conj().resolve_neg().numpy()
        except (TypeError, RuntimeError) as problem:  # quantized, nested, of 8 bits
            raise Error(f"{name}: a tensor that cannot become an array: {str(problem).splitlines()[0]}; give a dense one of float32") from None
        return array
    if isinstance(value, np.ma.MaskedArray):
        raise Error(f"{name}: a masked array; give a plain one: {name}.filled(0)")
    if not isinstance(value, np.ndarray):
        raise Error(f"{name}: {kind(value)}; give a numpy array or a torch tensor")
    return value


def labels_of(labels: Any, count: int, classes: int | None, name: str = "labels") -> NDArray[np.int64]:
    """Labels as int64, one an image, each a class of the model; `name` is where they come from."""
    array = _array(labels, name)
    # What a function returned has no name of its own.
    given = "labels" if name == "labels" else "its result"
    if array.ndim == 2 and array.shape[1] == 1:
        raise Error(f"{name}: shape {array.shape}; expected ({count},): {given}[:, 0]")
    if array.ndim == 2:
        raise Error(f"{name}: shape {array.shape} looks like one-hot rows; give classes: {given}.argmax(1)")
    if array.ndim != 1:
        raise Error(f"{name}: shape {array.shape}; expected ({count},)")
    # Whole numbers that numpy has no integers for.
    huge = [label for label in array if isinstance(label, int) and abs(label) > _INT64] if array.dtype.kind == "O" else []
    if huge:
        raise Error(f"{name}: label {brief(huge[0])} does not belong to any class")
    if array.dtype.kind not in "iu":
        raise Error(f"{name}: their dtype is {array.dtype}; give integers: {given}.astype('int64'), of a tensor {given}.long()")
    if len(array) != count:
        raise Error(f"{name}: {len(array)} of them for {count} images")
    if array.size and array.max() > _INT64:
        raise Error(f"{name}: label {array.max()} does not belong to any class")
    array = array.astype(np.int64)
    if array.size and array.min() < 0:
        raise Error(f"{name}: label {array.min()} is below 0")
    if classes is not None and array.size and array.max() >= classes:
        raise Error(f"{name}: label {array.max()} is not below the model's {classes} classes")
    return array


_INT64 = int(np.iinfo(np.int64).max)


def ids_of(ids: Any, count: int) -> NDArray[np.int64]:
    """Identities: what a sample's random numbers depend on; its place, unless said otherwise."""
    if ids is None:
        return np.arange(count, dtype=np.int64)
    try:
        array = _array(ids, "ids") if is_tensor(ids) else np.asarray(ids)
    except ValueError as problem:
        if isinstance(problem, Error):
            raise
        raise Error(f"ids: {kind(ids)}, of several lengths; expected {count} integers, none below 0") from None
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise Error(f"ids: {array.max()}; at most {np.iinfo(np.int64).max}")
    if array.shape != (count,) or array.dtype.kind not in "iu" or (array < 0).any():
        raise Error(f"ids: expected {count} integers, none below 0; found shape {array.shape}, dtype {array.dtype}")
    return array.astype(np.int64)


def norm_of(norm: Any) -> str:
    """The name of a norm, in any case."""
    if isinstance(norm, str) and norm.lower() in NORMS:
        return norm.lower()
    raise Error(f"norm: {brief(norm)}; expected one of {', '.join(NORMS)}")


def eps_of(eps: Any, norm: str) -> str:
    """A radius as the engine reads it. Whole numbers that may be meant in 1/255 are refused."""
    if isinstance(eps, str):
        if "," in eps:
            raise Error(f"eps: {brief(eps)}; one radius at a time")
        if not eps.isprintable():
            raise Error(f"eps: {brief(eps)}; expected a number such as 8/255")
        return eps
    if is_tensor(eps) or isinstance(eps, np.ndarray):
        if eps.ndim != 0:
            raise Error(f"eps: shape {tuple(eps.shape)}; expected one number")
        eps = eps.item()
    if isinstance(eps, bool) or not isinstance(eps, (int, float, np.integer, np.floating)):
        raise Error(f"eps: {brief(eps)}; expected a number such as 8/255")
    if isinstance(eps, int) and eps > 10**9:
        raise Error("eps: a radius beyond any image; expected a number such as 8/255")
    whole = isinstance(eps, (int, np.integer))
    if norm == "linf" and (whole and eps >= 1 or eps > 1):
        meant = f"did you mean {eps:g}/255?" if float(eps).is_integer() and eps <= 255 else "give it in pixels from 0 to 1"
        of_all = " (all of the range is 1.0)" if eps == 1 else ""
        raise Error(f"eps: {eps!r} in linf; pixels go from 0 to 1: {meant}{of_all}")
    return str(int(eps)) if norm == "l0" and float(eps).is_integer() else repr(float(eps))


def whole(value: Any, name: str, least: int, most: int = 2**63 - 1) -> int:
    """A whole number in a range."""
    if isinstance(value, bool):
        raise Error(f"{name}: {brief(value)}; expected a whole number")
    try:
        number = operator.index(value)
    except TypeError:
        raise Error(f"{name}: {brief(value)}; expected a whole number") from None
    if not least <= number <= most:
        bound = f"expected {least} to {most}" if most < 2**62 else f"at least {least}" if number < least else f"at most {most}"
        raise Error(f"{name}: {brief(number)}; {bound}")
    return number


# Words that are meant for a switch, and what to write instead.
_WORDS = {
    **dict.fromkeys(("no", "n", "false", "f", "off", "0", "never", "none", ""), False),
    **dict.fromkeys(("yes", "y", "true", "t", "on", "1", "always"), True),
}


def switch(value: Any, name: str) -> bool:
    """A switch: True or False, or 1 or 0, which are the same. Python takes every word for true, also 'no'."""
    if isinstance(value, (bool, np.bool_)) or isinstance(value, (int, np.integer)) and value in (0, 1):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else None
    meant = f": {name}={_WORDS[word]}" if word in _WORDS else ""
    raise Error(f"{name}: {brief(value)}; expected True or False{meant}")


def word_of(value: Any, name: str, words: Sequence[str]) -> str:
    """One of a few words."""
    if isinstance(value, str) and value in words:
        return value
    *others, last = words
    raise Error(f"{name}: {brief(value)}; expected {', '.join(others)} or {last}")


def list_of(values: Any, name: str, what: str) -> list[Any]:
    """Several of something; one alone, or a text, is none."""
    if not isinstance(values, (list, tuple, range)):
        raise Error(f"{name}: {kind(values)}; give a list of {what}")
    return list(values)


def seed_of(seed: Any) -> int:
    """A seed; None is 0, as results are to be the same every time."""
    return 0 if seed is None else whole(seed, "seed", 0)


def attack_of(attack: Any) -> str:
    """The description of an attack, `name:key=value,...`; the engine reads it."""
    if not isinstance(attack, str):
        raise Error(f"attack: {kind(attack)}; give a description such as 'pgd:steps=40', deepsleep.attacks() lists all")
    if not attack.isprintable():
        raise Error(f"attack: {brief(attack)}; give a description such as 'pgd:steps=40'")
    return attack.strip().lower()


def option_of(value: Any, name: str) -> str:
    """A number or a word as one option of an attack, and no more than one."""
    if isinstance(value, str) and re.fullmatch(r"[\w./+-]+", value):
        return value
    if not isinstance(value, (bool, str)):
        try:
            return str(operator.index(value))
        except TypeError:
            pass
        try:
            return repr(float(value))
        except (TypeError, ValueError, OverflowError):
            pass
    raise Error(f"{name}: {brief(value)}; expected a number or a word")


def json_of(value: Any, name: str) -> str:
    """A value as JSON, also with numpy's numbers and arrays in it."""

    def plain(part: Any) -> Any:
        if isinstance(part, (np.ndarray, np.generic)):
            return part.tolist()
        raise Error(f"{name}: {brief(part)}, {kind(part)}; expected numbers, words, lists and dictionaries")

    try:
        return json.dumps(value, default=plain)
    except TypeError:  # a key
        raise Error(f"{name}: {brief(value)} has a key that is no word; give words as keys") from None
    except (ValueError, RecursionError) as problem:
        if isinstance(problem, Error):
            raise
        raise Error(f"{name}: it contains itself; give plain lists and dictionaries") from None


def path_of(path: Any, name: str) -> str:
    """A path as text."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise Error(f"{name}: {brief(path)}; expected a path")
    text = os.fsdecode(path)
    # Messages that name it are of one line.
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise Error(f"{name}: {brief(text)}; expected a path without control characters")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise Error(f"{name}: {brief(text)}; expected a path, which half of a surrogate pair is no part of") from None
    return text


def text_of(text: str, name: str) -> str:
    """A text that can be written: half of a surrogate pair is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Error(f"{name}: {brief(text)}; expected a text, which half of a surrogate pair is no part of") from None
    return text
