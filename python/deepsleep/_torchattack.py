"""What the attacks of `deepsleep.torchattacks` have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ._arguments import Images, brief, is_module, is_tensor, option_of, seed_of, switch, word_of
from ._attack import attack
from ._bytes import to_type
from ._devices import check_device
from ._models import Model, answer_of, load
from ._native import Error
from ._normalized import Normalization
from ._report import Report
from ._saving import Saving
from ._targets import Targeting, at_targets


@dataclass(slots=True, eq=False, repr=False)
class Attack(Targeting, Saving):
    """An attack on a model. Subclasses say which, in `_form`.

    What is set on an object counts from its next call on. What is no attribute of it cannot be set: a typo would go
    unnoticed.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps : float
        The radius.

    Attributes
    ----------
    norm : {"Linf", "L2", "L1"}
        How the change of an image is measured.
    report : Report or None
        What the last call found. None if it went for several classes: `reports` has a report for each.
    reports : dict of Report
        What the last call found, by the class that it went for, of images that the model did not take for it already. They count as
        classified correctly what is as the model classified it.
    """

    # The attack as `deepsleep.attack` takes it, with the names of attributes.
    _form: ClassVar[str] = ""
    # Parameters of torchattacks that have one value here.
    _fixed: ClassVar[Mapping[str, Any]] = {}

    model: Any
    norm: str = field(default="Linf", init=False)
    eps: float = 8 / 255
    report: Report | None = field(default=None, init=False)
    reports: dict[int, Report] = field(default_factory=dict, init=False)
    _normalization: Normalization | None = field(default=None, init=False)
    _return_type: str = field(default="float", init=False)

    def __post_init__(self) -> None:
        self._description()

    def _description(self) -> str:
        """The attack with the values of now."""
        word_of(self.norm, "norm", ("Linf", "L2", "L1"))
        for name, value in self._fixed.items():
            given = getattr(self, name)
            if np.ndim(given) != 0 or given != value:
                raise Error(f"{name}: {brief(given)}; here it is always {value}")
        names = re.findall(r"{(\w+)}", self._form)
        return self._form.format(**{name: _text(name, getattr(self, name)) for name in names})

    @property
    def attack(self) -> str:
        """The attack's name."""
        return type(self).__name__

    @property
    def model_name(self) -> str:
        """The name of the model's class."""
        return type(self.model).__name__

    @property
    def device(self) -> Any:
        """Where a torch module computes; None of any other model."""
        if not is_module(self.model):
            return None
        from ._torch import device_of

        return device_of(self.model, None)

    @property
    def normalization_used(self) -> dict[str, Any] | None:
        """`mean` and `std` of the images that are given, if they are normalized."""
        used = self._normalization
        return None if used is None else {"mean": used.mean.copy(), "std": used.std.copy()}

    def set_model(self, model: Any) -> None:
        """Attack another model from now on.

        Parameters
        ----------
        model : Model, Classifier, torch.nn.Module, callable or path
            What is attacked.
        """
        self.model = model

    def set_device(self, device: Any) -> None:
        """Say where the model computes, which is where its parameters are; images come from anywhere.

        Parameters
        ----------
        device : torch.device or str
            The device of a torch module.
        """
        check_device(device, self.model)
        if device is None or not is_module(self.model):
            return
        import torch

        try:
            wanted = torch.device(device)
        except (RuntimeError, TypeError) as problem:
            raise Error(f"device: {brief(device)}: {str(problem).splitlines()[0]}") from None
        # A processor without a number is the first.
        is_there = self.device.type == wanted.type and wanted.index in (None, self.device.index or 0)
        if not is_there:
            raise Error(f"device: {brief(str(wanted))}, and the model is on '{self.device}'; move it first: model.to('{wanted}')")

    def set_normalization_used(self, mean: Any, std: Any) -> None:
        """Take and return normalized images, as the model does: (pixels - mean) / std. The radius is of pixels from 0 to 1.

        Parameters
        ----------
        mean, std : sequence of float
            One a channel.
        """
        self._normalization = Normalization(mean, std)

    def set_return_type(self, type: str) -> None:
        """Say what images are returned as.

        Parameters
        ----------
        type : {"float", "int"}
            `int`: uint8 from 0 to 255, rounded down.
        """
        self._return_type = word_of(type, "type", ("float", "int"))

    def set_model_training_mode(
        self, model_training: bool = False, batchnorm_training: bool = False, dropout_training: bool = False
    ) -> None:
        """Say which parts of the model train during an attack: none.

        Parameters
        ----------
        model_training, batchnorm_training, dropout_training : bool
            Always False: answers that depend on the batch are no model's.
        """
        given = {"model_training": model_training, "batchnorm_training": batchnorm_training, "dropout_training": dropout_training}
        for name, value in given.items():
            if switch(value, name):
                raise Error(
                    f"{name}: True; models are attacked in evaluation mode: leave it out, or give a model that draws random numbers as "
                    "deepsleep.Classifier(model, random=True)"
                )

    def normalize(self, inputs: Any) -> Any:
        """Pixels from 0 to 1 normalized, as `set_normalization_used` said.

        Parameters
        ----------
        inputs : torch.Tensor or numpy.ndarray
            `[n, channels, height, width]`.

        Returns
        -------
        torch.Tensor or numpy.ndarray
            `(inputs - mean) / std`.
        """
        return self._known_normalization().apply(inputs)

    def inverse_normalize(self, inputs: Any) -> Any:
        """Normalized images with pixels from 0 to 1 again, as `set_normalization_used` said.

        Parameters
        ----------
        inputs : torch.Tensor or numpy.ndarray
            `[n, channels, height, width]`.

        Returns
        -------
        torch.Tensor or numpy.ndarray
            `inputs * std + mean`.
        """
        return self._known_normalization().undo(inputs)

    def _known_normalization(self) -> Normalization:
        if self._normalization is None:
            raise Error("normalization: none is used; call set_normalization_used(mean, std) first")
        return self._normalization

    @staticmethod
    def to_type(inputs: Any, type: str) -> Any:
        """Images as floats from 0 to 1, or as bytes, rounded down. What is of this kind already is returned as it is.

        Parameters
        ----------
        inputs : torch.Tensor or numpy.ndarray
            Floats or bytes.
        type : {"float", "int"}
            `int`: uint8 from 0 to 255.

        Returns
        -------
        torch.Tensor or numpy.ndarray
            float32 of bytes, uint8 of floats.
        """
        return to_type(inputs, type)

    def forward(self, images: Any, labels: Any) -> Any:
        """The same as a call of the attack.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`, as the attack takes them.
        labels : numpy.ndarray or torch.Tensor
            `[n]`, the classes as integers.

        Returns
        -------
        numpy.ndarray or torch.Tensor
            The attack's last point for each image.
        """
        return self(images, labels)

    def get_logits(self, images: Any, labels: Any = None) -> Any:
        """The model's answer to images, normalized if that is used.

        Parameters
        ----------
        images : torch.Tensor or numpy.ndarray
            `[n, channels, height, width]`, as the attack takes them.
        labels : optional
            Not looked at, as in torchattacks.

        Returns
        -------
        array or tensor
            `[n, classes]`: what a module or a function answers, with its gradient graph, or the logits of any other model.
        """
        return answer_of(self.model, images)

    def get_output_with_eval_nograd(self, images: Any) -> Any:
        """The model's answer to images in evaluation mode, without a gradient.

        Parameters
        ----------
        images : torch.Tensor or numpy.ndarray
            `[n, channels, height, width]`, as the attack takes them.

        Returns
        -------
        array or tensor
            `[n, classes]`.
        """
        if not is_module(self.model):
            answer = self.get_logits(images)
            return answer.detach() if is_tensor(answer) else answer
        import torch

        from ._modes import evaluating

        with evaluating(self.model), torch.no_grad():
            return self.get_logits(images)

    def __call__(self, images: Any, labels: Any) -> Any:
        """Attack images. A module is put into evaluation mode meanwhile, so that an attack can be part of a training.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`, pixels from 0 to 1, normalized if that is used.
        labels : numpy.ndarray or torch.Tensor
            `[n]`, the classes as integers; in the mode `targeted(label)` those to go for.

        Returns
        -------
        numpy.ndarray or torch.Tensor
            The attack's last point for each image, as what the images came as. With a target, images that the model takes for it already
            stay as they are.
        """
        used, as_int = self._normalization, self._attacked_as_int()
        if used is not None and as_int:
            raise Error("type: 'int' of normalized images, which have no such form; call set_return_type('float')")
        targets = self.get_target_label(images, labels) if self.targeted else None
        pixels = images if used is None else used.undo(images)
        if is_module(self.model):
            from ._modes import evaluating

            with evaluating(self.model):
                found = self._attack(self._current(pixels), pixels, labels, targets)
        else:
            model = self.model if used is None else used.before(self.model)
            found = self._attack(load(model) if isinstance(model, (str, Path)) else model, pixels, labels, targets)
        if as_int:
            return to_type(found, "int")
        return found if used is None else used.apply(found)

    def _attacked_as_int(self) -> bool:
        return self._return_type == "int"

    def _attack(self, model: Any, images: Any, labels: Any, targets: Any) -> Any:
        attacked, seed = self._description(), self._seed(model)
        verbose = switch(getattr(self, "verbose", False), "verbose")

        def run(images: Any, labels: Any, attacked: str, ids: Any = None) -> Report:
            return attack(model, images, labels, attacked, norm=self.norm, eps=self.eps, seed=seed, ids=ids, progress=verbose)

        self.reports = {}
        if targets is None:
            self.report = run(images, labels, attacked)
            return self.report.adversarial
        name = "target_map_function" if self._mode == "targeted(custom)" else "labels"
        found, self.reports = at_targets(
            model, images, (targets, name), seed, lambda some, own, target, ids: run(some, own, f"{attacked},target={target}", ids)
        )
        self.report = next(iter(self.reports.values())) if len(self.reports) == 1 else None
        return found

    def _draws(self) -> bool:
        """Whether it draws random numbers of its own."""
        return True

    def _seed(self, model: Any) -> int:
        """The seed; one without effect is refused."""
        seed = seed_of(getattr(self, "seed", 0))
        random = isinstance(model, Model) and model._network.is_random
        if seed and not random and not self.targeted and not self._draws():
            raise Error(f"seed: {seed} of an attack that draws no random numbers with these options; leave it out")
        return seed

    def _current(self, images: Any) -> Any:
        """The module as it is now, exported anew for each call: it may be in training, or changed in any other way."""
        used = self._normalization
        module = self.model if used is None else used.before(self.model)
        return load(module, input_shape=Images(images).shape)

    def __repr__(self) -> str:
        mode = f", {self._mode}" if self.targeted else ""
        return f"{type(self).__name__}({self._description()}, {self.norm}, eps={self.eps}{mode})"


def _text(name: str, value: Any) -> str:
    """A parameter as attacks read it; numpy's numbers are numbers too."""
    if name == "random_start":
        return "random" if switch(value, name) else "clean"
    if name == "resc_schedule":
        return "yes" if switch(value, name) else "no"
    return value if name in ("_name", "_start") else option_of(value, name)
