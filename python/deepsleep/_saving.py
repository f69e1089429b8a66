"""Files of adversarial images, as the package torchattacks writes and reads them. They are torch's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ._arguments import StrPath, brief, kind, path_of, shorter, switch, whole, word_of
from ._bytes import to_type
from ._native import Error
from ._normalized import Normalization


class Saving:
    """Attacks on all images of a loader, kept in a file."""

    __slots__ = ()

    _normalization: Normalization | None

    def save(
        self,
        data_loader: Any,
        save_path: StrPath | None = None,
        verbose: bool = True,
        return_verbose: bool = False,
        save_predictions: bool = False,
        save_clean_inputs: bool = False,
        save_type: str = "float",
    ) -> tuple[float, float, float] | None:
        """Attack all images of a loader, and save the adversarial ones.

        Parameters
        ----------
        data_loader : torch.utils.data.DataLoader
            Pairs of images and labels, as the attack takes them.
        save_path : path, optional
            The file, which is written again after every batch.
        verbose : bool
            Whether to print how far it is.
        return_verbose : bool
            Whether to return what is printed.
        save_predictions, save_clean_inputs : bool
            Whether the file has `preds`, the classes that the model gives, and `clean_inputs` too.
        save_type : {"float", "int"}
            Pixels from 0 to 1, or bytes.

        Returns
        -------
        tuple of float, or None
            If `return_verbose`: the robust accuracy in percent, the mean length in L2 of what was added to images that are misclassified
            (NaN, if there are none), and the seconds of the last batch.
        """
        verbose, return_verbose = switch(verbose, "verbose"), switch(return_verbose, "return_verbose")
        save_predictions, save_clean_inputs = switch(save_predictions, "save_predictions"), switch(save_clean_inputs, "save_clean_inputs")
        save_type = word_of(save_type, "save_type", ("float", "int"))
        place = None if save_path is None else path_of(save_path, "save_path")
        try:
            import torch
        except ImportError:
            raise Error("save: torch is not installed, whose files these are; deepsleep.attack(...).save(path) writes npz files") from None
        if self._attacked_as_int():
            raise Error("type: 'int' is how images are returned; for a file give save_type='int', and call set_return_type('float')")
        try:
            batches = len(data_loader)
        except TypeError:
            raise Error(f"data_loader: {kind(data_loader)}; give a torch.utils.data.DataLoader of images and labels") from None
        kept: dict[str, list[Any]] = {}
        right, total, lengths, line = 0, 0, [], (float("nan"), float("nan"), 0.0)
        for step, batch in enumerate(data_loader, 1):
            start = time.time()
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                raise Error(f"data_loader: a batch is {kind(batch)}; expected a pair of images and labels")
            inputs, labels = (torch.as_tensor(part).detach() for part in batch)
            found = self(inputs, labels).cpu()
            predictions = torch.as_tensor(self.get_output_with_eval_nograd(found)).argmax(1).cpu()
            correct = predictions == labels.cpu()
            right, total = right + int(correct.sum()), total + len(labels)
            lengths.append((found - inputs.cpu()).reshape(len(found), -1)[~correct].norm(dim=1))
            line = (100 * right / total, float(torch.cat(lengths).mean()), time.time() - start)
            if verbose:
                end = "\n" if step == batches else "\r"
                print("- Save progress: %2.2f %% / Robust accuracy: %2.2f %% / L2: %1.5f (%2.3f it/s) \t" % (100 * step / batches, *line), end=end)
            parts = {"adv_inputs": found, "labels": labels.cpu()}
            parts |= {"preds": predictions} if save_predictions else {}
            parts |= {"clean_inputs": inputs.cpu()} if save_clean_inputs else {}
            for name, part in parts.items():
                kept.setdefault(name, []).append(self._saved(part, save_type) if name.endswith("inputs") else part)
            if place is not None:
                content = {**{name: torch.cat(all_parts) for name, all_parts in kept.items()}, "save_type": save_type}
                try:
                    torch.save(content, place)
                except (OSError, RuntimeError) as problem:
                    raise Error(f"save_path: cannot write {brief(place)}: {shorter(problem)}") from None
        if not total:
            raise Error("data_loader: no batch; give one of images and labels")
        return line if return_verbose else None

    def _saved(self, images: Any, save_type: str) -> Any:
        """Images as a file holds them: pixels from 0 to 1, or bytes, rounded down as torchattacks does."""
        return to_type(images if self._normalization is None else self._normalization.undo(images), save_type)

    @staticmethod
    def load(
        load_path: StrPath,
        batch_size: int = 128,
        shuffle: bool = False,
        normalize: Mapping[str, Any] | None = None,
        load_predictions: bool = False,
        load_clean_inputs: bool = False,
    ) -> Any:
        """Read a file that `save` wrote, here or in torchattacks.

        Parameters
        ----------
        load_path : path
            The file.
        batch_size : int
            Images in a batch.
        shuffle : bool
            Whether to shuffle them.
        normalize : dict, optional
            `mean` and `std`, a number a channel, to normalize images by.
        load_predictions, load_clean_inputs : bool
            Whether batches have these too, behind images and labels.

        Returns
        -------
        torch.utils.data.DataLoader
            Of images and labels.
        """
        place, batch_size, shuffle = path_of(load_path, "load_path"), whole(batch_size, "batch_size", 1), switch(shuffle, "shuffle")
        wanted = {"preds": switch(load_predictions, "load_predictions"), "clean_inputs": switch(load_clean_inputs, "load_clean_inputs")}
        keys = ["adv_inputs", "labels", *(name for name, is_wanted in wanted.items() if is_wanted)]
        if normalize is not None and not (isinstance(normalize, Mapping) and {"mean", "std"} <= set(normalize)):
            raise Error(f"normalize: {brief(normalize)}; expected a dictionary with mean and std")
        try:
            import torch
            from torch.utils.data import DataLoader, TensorDataset
        except ImportError:
            raise Error("load: torch is not installed, whose files these are") from None
        try:
            content = torch.load(place, weights_only=True)
        except Exception as problem:  # whatever torch raises of what is no file of its own
            raise Error(f"load_path: cannot read {brief(place)}: {shorter(problem)}") from None
        if not isinstance(content, dict) or (missing := [key for key in keys if not isinstance(content.get(key), torch.Tensor)]):
            missing = keys if not isinstance(content, dict) else missing
            raise Error(f"load_path: {brief(place)} holds no {' and no '.join(missing)}; give a file that save wrote with them")
        for key in keys:
            shape, rank = tuple(content[key].shape), 4 if key.endswith("inputs") else 1
            if len(shape) != rank:
                form = "n x channels x height x width" if rank == 4 else "(n,)"
                raise Error(f"load_path: {brief(place)} holds {key} of shape {shape}; expected {form}")
        sizes = {key: len(content[key]) for key in keys}
        if not sizes["labels"]:
            raise Error(f"load_path: {brief(place)} holds no images")
        shapes = {key: " x ".join(map(str, content[key].shape[1:])) for key in keys if key.endswith("inputs")}
        if len(set(shapes.values())) > 1:
            found = ", ".join(f"{key} of {shape}" for key, shape in shapes.items())
            raise Error(f"load_path: {brief(place)} holds {found}; expected images of one shape")
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{size} {key}" for key, size in sizes.items())
            raise Error(f"load_path: {brief(place)} holds {found}; expected as many of each")
        for key in keys:
            if key.endswith("inputs") and content[key].dtype == torch.uint8:
                content[key] = content[key].float() / 255
            if key.endswith("inputs") and normalize is not None:
                content[key] = Normalization(normalize["mean"], normalize["std"]).apply(content[key])
        print(f"Data is loaded in the following order: [{', '.join(keys)}]")
        return DataLoader(TensorDataset(*(content[key] for key in keys)), batch_size=batch_size, shuffle=shuffle)

    def _attacked_as_int(self) -> bool:
        raise NotImplementedError

    def get_output_with_eval_nograd(self, images: Any) -> Any:
        raise NotImplementedError

    def __call__(self, images: Any, labels: Any) -> Any:
        raise NotImplementedError
