"""Official weights as enums, and models by name: `get_model("resnet50", weights="DEFAULT")`."""

from __future__ import annotations

import copyreg
import fnmatch
import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import ModuleType
from typing import Any, TypeVar, get_args

from rushlight import nn
from rushlight.hub import load_state_dict_from_url
from rushlight.serialization.globals import entry_value, register_global, written_path

__all__ = ["Weights", "WeightsEnum", "get_model", "get_model_builder", "get_model_weights", "get_weight", "list_models"]

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])
Class = TypeVar("Class", bound=type)

BUILTIN_MODELS: dict[str, Callable[..., nn.Module]] = {}


@dataclass
class Weights:
    """One set of trained weights.

    url: where the checkpoint is published. transforms: makes the preprocessing that the weights were trained for.
    meta: facts about them: `categories` (class names in the order of the outputs), `num_params`, `min_size` of an
    image in pixels, `recipe`, `_metrics` (accuracies in percent), `_ops` (GFLOPs per image), `_file_size` (MB)...
    """

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        # Two partial objects are never equal, though they may stand for the same function and arguments.
        if not isinstance(other, Weights):
            return NotImplemented
        return (self.url, self.meta) == (other.url, other.meta) and _parts(self.transforms) == _parts(other.transforms)


def _parts(function: Callable[..., Any]) -> Any:
    if isinstance(function, partial):
        return function.func, function.args, function.keywords
    return function


class WeightsEnum(Enum):
    """Base of the weights of each model: its members are the trained weights there are, `DEFAULT` the best of them.

    >>> from rushlight.vision.models import ResNet50_Weights
    >>> ResNet50_Weights.DEFAULT
    ResNet50_Weights.IMAGENET1K_V2
    >>> ResNet50_Weights.IMAGENET1K_V1.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    76.13
    """

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The member that `obj` stands for: a member, its name ("DEFAULT", "ResNet50_Weights.DEFAULT") or None.

        Raises `KeyError` for an unknown name and `TypeError` for anything else, such as another model's weights.
        """
        if obj is None or isinstance(obj, cls):
            return obj
        if type(obj) is str:
            return cls._named(obj.replace(cls.__name__ + ".", ""))
        raise TypeError(f"Invalid Weight class provided; expected {cls.__name__} but received {obj.__class__.__name__}.")

    @classmethod
    def _named(cls, name: str) -> Any:
        if name not in cls.__members__:
            raise KeyError(f"{name}: {cls.__name__} has {', '.join(cls.__members__)}")
        return cls[name]

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The weights as a state dict, from the cache folder that is shared with torch or downloaded into it.

        The arguments (`progress`, `check_hash`, `model_dir`...) are those of `hub.load_state_dict_from_url`.
        """
        return load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}.{self._name_}"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # By name: a value with an unknown accuracy, a NaN, would not be found again.
        return getattr, (self.__class__, self._name_)

    @property
    def url(self) -> str:
        """Where the checkpoint is published."""
        return self.value.url

    @property
    def transforms(self) -> Callable[..., Any]:
        """Makes the preprocessing: `weights.transforms()(image)`."""
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        """Facts about the weights; see `Weights`."""
        return self.value.meta


def get_weight(name: str) -> WeightsEnum:
    """Weights by their full name, `"ResNet50_Weights.IMAGENET1K_V1"`; `ValueError` when there are none."""
    enum_name, dot, member = name.partition(".")
    if not dot or "." in member:
        raise ValueError(f"Invalid weight name provided: '{name}'. Expected e.g. 'ResNet50_Weights.IMAGENET1K_V1'")
    for found in WeightsEnum.__subclasses__():
        if found.__name__ == enum_name:
            return found._named(member)
    raise ValueError(f"The weight enum '{enum_name}' for the specific method couldn't be retrieved.")


def get_model_weights(name: Callable[..., nn.Module] | str) -> type[WeightsEnum]:
    """The weights enum of a model, given by its builder function or name."""
    builder = get_model_builder(name) if isinstance(name, str) else name
    parameter = inspect.signature(builder, eval_str=True).parameters.get("weights")
    if parameter is None:
        raise ValueError("The method is missing the 'weights' argument.")
    for kind in (parameter.annotation, *get_args(parameter.annotation)):
        if isinstance(kind, type) and issubclass(kind, WeightsEnum):
            return kind
    raise ValueError(
        "The WeightsEnum class for the specific method couldn't be retrieved. Make sure the typing info is correct."
    )


def register_model(name: str | None = None) -> Callable[[Builder], Builder]:
    """Decorator: makes a builder known to `get_model` and `list_models` under `name`, its own by default."""

    def enter(builder: Builder) -> Builder:
        key = name if name is not None else builder.__name__
        if key in BUILTIN_MODELS:
            raise ValueError(f"An entry is already registered under the name '{key}'.")
        BUILTIN_MODELS[key] = builder
        return builder

    return enter


def list_models(
    module: ModuleType | None = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """The names of the models there are, in alphabetical order.

    module: only those of this module. include, exclude: shell-style patterns; a name must match one of the first and
    none of the second.

    >>> list_models(include="resnet*", exclude=["*1*", "resnet50"])
    ['resnet34']
    """
    names = {
        name
        for name, builder in BUILTIN_MODELS.items()
        if module is None or builder.__module__.rpartition(".")[0] == module.__name__
    }
    if include:
        names = _matching(names, include)
    if exclude:
        names -= _matching(names, exclude)
    return sorted(names)


def _matching(names: set[str], patterns: Iterable[str] | str) -> set[str]:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return {name for pattern in patterns for name in fnmatch.filter(names, pattern)}


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The builder function of a model; `ValueError` for an unknown name."""
    builder = BUILTIN_MODELS.get(name.lower())
    if builder is None:
        raise ValueError(f"Unknown model {name.lower()}. There are: {', '.join(list_models())}")
    return builder


def get_model(name: str, **config: Any) -> nn.Module:
    """A model by name; `config` goes to its builder, as in `get_model("resnet18", weights="DEFAULT")`."""
    return get_model_builder(name)(**config)


def torchvision_class(cls: Class) -> Class:
    """Decorator of model classes: they print as torchvision's, and checkpoints of whole models hold that path.

    Python's own pickle finds classes by their path too, but there need be no `torchvision` to import: it is told to
    use our path.
    """
    ours = cls.__module__
    cls.__module__ = ours.replace("rushlight.vision", "torchvision", 1)
    register_global(cls.__module__, cls.__qualname__, cls)
    copyreg.pickle(cls, partial(_reduce, ours))  # type: ignore[arg-type]
    return cls


def _reduce(module: str, model: nn.Module) -> tuple[Any, ...]:
    attributes: Any = model.__getstate__()
    state = {name: _ByPath(value) if _has_path(value) else value for name, value in attributes.items()}
    return _new, (module, type(model).__qualname__), state


def _new(module: str, name: str) -> nn.Module:
    cls = getattr(importlib.import_module(module), name)
    return cls.__new__(cls)


def _has_path(value: Any) -> bool:
    return isinstance(value, type) and written_path(value) is not None


class _ByPath:
    """Pickles as the class it is given, such as a ResNet's kind of normalisation, by the path files know that by."""

    def __init__(self, cls: type) -> None:
        self.path = ".".join(written_path(cls) or ())

    def __reduce__(self) -> tuple[Any, ...]:
        return entry_value, (self.path,)
