"""What model builders share: the arguments of torchvision before 0.13, checks, and models cut off at a layer."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from rushlight import nn
from rushlight.base.warn import warn_user
from rushlight.core.public import Tensor
from rushlight.vision.models._api import WeightsEnum

Builder = TypeVar("Builder", bound=Callable[..., Any])


def handle_legacy_interface(**weights: tuple[str, Any]) -> Callable[[Builder], Builder]:
    """Decorator: lets a builder take what torchvision took before 0.13, with torchvision's warnings.

    Each keyword names a weights parameter and gives `(old name, weights that True stands for)`; the weights may also
    be a function of the keyword arguments. Then `resnet18(True)`, `resnet18(pretrained=True)` and
    `resnet18(weights=True)` work.
    """

    def decorate(builder: Builder) -> Builder:
        names = tuple(inspect.signature(builder).parameters)
        kinds = [parameter.kind for parameter in inspect.signature(builder).parameters.values()]
        first = kinds.index(inspect.Parameter.KEYWORD_ONLY)

        @functools.wraps(builder)
        def build(*args: Any, **kwargs: Any) -> Any:
            if len(args) > first:
                late = dict(zip(names[first:], args[first:], strict=False))
                args = args[:first]
                kwargs.update(late)
                warn_user(_positional_message(list(late)))
            for parameter, (old, default) in weights.items():
                for message in _replace_old_value(builder.__name__, kwargs, parameter, old, default):
                    warn_user(message)
            return builder(*args, **kwargs)

        return build  # type: ignore[return-value]

    return decorate


def _positional_message(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    head = ", ".join(quoted[:-1])
    joined = f"{head}{',' if len(quoted) > 2 else ''} and {quoted[-1]}" if head else quoted[-1]
    return (
        f"Using {joined} as positional parameter(s) is deprecated since 0.13 and may be removed in the future. Please use "
        "keyword parameter(s) instead."
    )


def _replace_old_value(model: str, kwargs: dict[str, Any], parameter: str, old: str, default: Any) -> list[str]:
    """Turn an old-style value among `kwargs` into weights; returns the warnings that it deserves."""
    if parameter in kwargs:
        value = kwargs[parameter]
        if value is None or isinstance(value, WeightsEnum) or (isinstance(value, str) and value != "legacy"):
            return []
        # The function that picks weights finds the value under its old name.
        kwargs[old] = kwargs.pop(parameter)
        messages = []
    elif old in kwargs:
        value = kwargs[old]
        messages = [
            f"The parameter '{old}' is deprecated since 0.13 and may be removed in the future, please use "
            f"'{parameter}' instead."
        ]
    else:
        return []
    chosen = (default(kwargs) if callable(default) else default) if value else None
    if value and not isinstance(chosen, WeightsEnum):
        raise ValueError(f"No weights available for model {model}")
    message = (
        f"Arguments other than a weight enum or `None` for '{parameter}' are deprecated since 0.13 and may be removed in "
        f"the future. The current behavior is equivalent to passing `{parameter}={chosen}`."
    )
    if value:
        message += f" You can also use `{parameter}={type(chosen).__name__}.DEFAULT` to get the most up-to-date weights."
    del kwargs[old]
    kwargs[parameter] = chosen
    return [*messages, message]


def _ovewrite_named_param(kwargs: dict[str, Any], param: str, new_value: Any) -> None:
    """Set `kwargs[param]`, which must be absent or the same already (`ValueError`). The spelling is torchvision's."""
    if kwargs.setdefault(param, new_value) != new_value:
        raise ValueError(f"The parameter '{param}' expected value {new_value} but got {kwargs[param]} instead.")


def _ovewrite_value_param(param: str, actual: Any, expected: Any) -> Any:
    """`expected`, which `actual` must be unless it is None (`ValueError`)."""
    if actual is not None and actual != expected:
        raise ValueError(f"The parameter '{param}' expected value {expected} but got {actual} instead.")
    return expected


def _make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `v`, at least `min_value` and never more than 10 % below `v`."""
    nearest = max(divisor if min_value is None else min_value, int(v + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * v else nearest


def load_weights(model: nn.Module, weights: WeightsEnum | None, progress: bool) -> None:
    """Load official weights into `model`, if any were asked for."""
    if weights is not None:
        model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))


class IntermediateLayerGetter(nn.ModuleDict):
    """A model run up to the last of some layers; returns the outputs of those.

    model: its direct children must be registered in the order they run. return_layers: {child's name: name in the
    output}. `forward` returns an OrderedDict {name in the output: Tensor}.
    """

    _version = 2

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        children = dict(model.named_children())
        unknown = [name for name in return_layers if name not in children]
        if unknown:
            raise ValueError(f"return_layers are not present in model: {unknown}; it has {list(children)}")
        wanted = {str(name): str(output) for name, output in return_layers.items()}
        last = max((list(children).index(name) for name in wanted), default=-1)
        super().__init__(OrderedDict(list(children.items())[: last + 1]))
        self.return_layers = return_layers

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """The outputs of the layers asked for, for the batch `x`."""
        outputs = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                outputs[self.return_layers[name]] = x
        return outputs
