"""torch's entries of the closed table: tensors and parameters out of storages, storage classes, dtypes, devices."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import Any, Final

import numpy as np

from rushlight.base.device import as_device, concrete, device
from rushlight.base.dtypes import ALL, dtype
from rushlight.base.size import Size
from rushlight.core.generator import Generator
from rushlight.core.public import Tensor
from rushlight.core.tensor import array_of
from rushlight.serialization import bridge
from rushlight.serialization.globals import (
    REBUILD_FROM_TYPE,
    Placeholder,
    define,
    define_builder,
    define_unsupported,
    entry_value,
    set_attributes,
)
from rushlight.serialization.storage_types import QUANTIZED_STORAGES, TYPED, UNTYPED, CheckpointStorage

_TORCH_DTYPES_NOT_HERE: Final = (
    "uint16",
    "uint32",
    "uint64",
    "complex32",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "qint8",
    "quint8",
    "qint32",
    "quint4x2",
    "quint2x4",
    "bits1x8",
    "bits2x4",
    "bits4x2",
    "bits8",
    "bits16",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in range(1, 8)),
)


def _integers(values: Any, what: str) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or not all(type(value) is int for value in values):
        raise UnpicklingError(f"a tensor in the file has a {what} that is no tuple of integers: the file is damaged")
    return tuple(values)


def _on_storage(storage: Any, element: dtype | None, offset: Any, size: Any, stride: Any) -> Any:
    if not isinstance(storage, CheckpointStorage) or type(offset) is not int:
        raise UnpicklingError("a tensor in the file has no storage: the file is damaged")
    if element is None:
        raise UnpicklingError("a tensor in the file does not say its dtype: the file is damaged")
    storage.settle_order(element)
    size, stride = _integers(size, "size"), _integers(stride, "stride")
    if storage.device.type == "meta":
        return bridge.make_meta_tensor(element, size)
    return bridge.make_tensor(storage.array, storage.record, element, offset, size, stride, storage.device)


def _finish(tensor: Any, requires_grad: Any, metadata: Any) -> Any:
    """Apply the lazy conjugation and negation bits, which we have no use for, then `requires_grad`."""
    if metadata and isinstance(metadata, dict):
        if metadata.get("conj"):
            tensor = bridge.tensor_from_array(
                np.conjugate(array_of(tensor), out=np.empty_like(array_of(tensor))), tensor.device
            )
        if metadata.get("neg"):
            tensor = bridge.tensor_from_array(
                np.negative(array_of(tensor), out=np.empty_like(array_of(tensor))), tensor.device
            )
    if requires_grad:
        tensor.requires_grad_(True)
    return tensor


def rebuild_tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Any:
    """`torch._utils._rebuild_tensor`, of files before torch 0.4."""
    return _on_storage(storage, getattr(storage, "dtype", None), storage_offset, size, stride)


def rebuild_tensor_v2(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    metadata: Any = None,
) -> Any:
    """`torch._utils._rebuild_tensor_v2`; hooks are code and are never in a file that we read."""
    return _finish(rebuild_tensor(storage, storage_offset, size, stride), requires_grad, metadata)


def rebuild_tensor_v3(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    element: Any,
    metadata: Any = None,
) -> Any:
    """`torch._utils._rebuild_tensor_v3`: the storage is untyped and the dtype stands beside it."""
    if not isinstance(element, dtype):
        raise UnpicklingError("a tensor in the file has something else in the place of its dtype: the file is damaged")
    return _finish(_on_storage(storage, element, storage_offset, size, stride), requires_grad, metadata)


def rebuild_meta_tensor(element: Any, size: Any, stride: Any, requires_grad: Any) -> Any:
    """`torch._utils._rebuild_meta_tensor_no_storage`."""
    if not isinstance(element, dtype):
        raise UnpicklingError(
            "a meta tensor in the file has something else in the place of its dtype: the file is damaged"
        )
    return _finish(bridge.make_meta_tensor(element, _integers(size, "size")), requires_grad, None)


def _require_tensor(value: Any) -> None:
    if not bridge.is_tensor(value):
        raise UnpicklingError(f"the file makes a parameter of a {type(value).__name__}: the file is damaged")


def rebuild_parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Any:
    """`torch._utils._rebuild_parameter`."""
    _require_tensor(data)
    return entry_value("torch.nn.parameter.Parameter")(data, bool(requires_grad))


def rebuild_parameter_with_state(data: Any, requires_grad: Any, backward_hooks: Any, state: Any) -> Any:
    """`torch._utils._rebuild_parameter_with_state`: a parameter with attributes of the user's own."""
    return _with_attributes(rebuild_parameter(data, requires_grad, backward_hooks), state)


def rebuild_from_type(function: Any, new_type: Any, args: Any, state: Any) -> Any:
    """`torch._tensor._rebuild_from_type_v2`: a tensor of a subclass, or with attributes of the user's own."""
    if isinstance(function, Placeholder) or any(isinstance(arg, Placeholder) for arg in args):
        return Placeholder("torch.Tensor", args)
    if (
        function not in (rebuild_tensor, rebuild_tensor_v2, rebuild_tensor_v3, rebuild_meta_tensor, rebuild_parameter)
        or type(args) is not tuple
    ):
        raise UnpicklingError("the file makes a tensor with an unknown function: the file is damaged")
    made = function(*args)
    if isinstance(new_type, type) and issubclass(new_type, Tensor) and not isinstance(made, new_type):
        made.__class__ = new_type
    return _with_attributes(made, state)


def _with_attributes(tensor: Any, state: Any) -> Any:
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    set_attributes(tensor, state)
    set_attributes(tensor, slots)
    return tensor


def rebuild_on_device(data: Any, element: Any, where: Any, requires_grad: Any) -> Any:
    """Tensors of devices without storages (XLA...), which torch saves by way of the CPU or NumPy."""
    array = array_of(data) if bridge.is_tensor(data) else data
    if not isinstance(array, np.ndarray) or not isinstance(element, dtype):
        raise UnpicklingError("a tensor in the file has no values: the file is damaged")
    return _finish(bridge.tensor_from_array(array.astype(element.np), concrete(as_device(where))), requires_grad, None)


def _parameter(data: Any, requires_grad: Any = True) -> Any:
    """`Parameter(data)`, as torch before 0.4 wrote it; its state follows."""
    return rebuild_parameter(data, requires_grad, None)


def build_parameter(parameter: Any, state: Any) -> Any:
    """Set a parameter's state as torch before 0.4 wrote it: (requires_grad, volatile, hooks)."""
    if isinstance(state, tuple) and len(state) == 3:
        parameter.requires_grad_(bool(state[0]))
    elif isinstance(state, dict):
        set_attributes(parameter, state)
    else:
        raise UnpicklingError("a parameter in the file has an unknown state: the file is damaged")
    return parameter


def _size(values: Any = ()) -> Size:
    return Size(_integers(values, "size"))


def _device(kind: Any, index: Any = None) -> device:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise UnpicklingError("the file names a device by something that is no text: the file is damaged")
    return device(kind, index)


def make_generator(where: Any = "cpu") -> Generator:
    """`torch._C.Generator(device)`; its state follows."""
    return Generator(as_device(where))


def build_generator(generator: Generator, state: Any) -> Generator:
    """Set a generator's state: (seed, offset, the 5056 bytes as a tensor), where the bytes say everything."""
    if not isinstance(state, tuple) or len(state) != 3 or not bridge.is_tensor(state[2]):
        raise UnpicklingError("a random generator in the file has an unknown state: the file is damaged")
    generator.set_state_bytes(array_of(state[2]))
    return generator


def get_layout(name: Any) -> Any:
    """`torch.serialization._get_layout("torch.strided")`."""
    if name not in ("torch.strided", "torch.sparse_coo", "torch.sparse_csr"):
        raise UnpicklingError("the file names an unknown layout")
    return entry_value(name)


def define_parameter_class(cls: type) -> None:
    """Make `cls` what parameters become; called once by nn."""
    define("torch.nn.parameter.Parameter", cls, call=_parameter, create=_parameter)
    define_builder(cls, build_parameter)


def _define_tensors() -> None:
    for name, function in (
        ("_rebuild_tensor", rebuild_tensor),
        ("_rebuild_tensor_v2", rebuild_tensor_v2),
        ("_rebuild_tensor_v3", rebuild_tensor_v3),
        ("_rebuild_meta_tensor_no_storage", rebuild_meta_tensor),
        ("_rebuild_parameter", rebuild_parameter),
        ("_rebuild_parameter_with_state", rebuild_parameter_with_state),
        ("_rebuild_device_tensor_from_numpy", rebuild_on_device),
        ("_rebuild_device_tensor_from_cpu_tensor", rebuild_on_device),
    ):
        define(f"torch._utils.{name}", function, call=function)
    define(REBUILD_FROM_TYPE, rebuild_from_type, call=rebuild_from_type)
    define("torch.Tensor", Tensor)
    define("torch.Size", Size, call=_size)
    define("torch.device", device, call=_device)
    define("torch._C.Generator", Generator, call=make_generator)
    define_builder(Generator, build_generator)
    define("torch.serialization._get_layout", get_layout, call=get_layout)


def _define_types() -> None:
    for element in ALL:
        define(f"torch.{element.name}", element)
    for storage_type in TYPED.values():
        for module in ("torch", "torch.cuda", "torch.storage"):
            define(f"{module}.{storage_type.name}", storage_type)
    for path in ("torch.storage.UntypedStorage", "torch.UntypedStorage", "torch.storage._UntypedStorage"):
        define(path, UNTYPED)
    here = {element.name for element in ALL}
    for name in _TORCH_DTYPES_NOT_HERE:
        if name not in here:
            define_unsupported(
                f"torch.{name}",
                f"tensors of dtype torch.{name} are not supported: convert them in torch before saving, or pass "
                'unknown="placeholder" to get at everything else',
            )


def _define_unsupported() -> None:
    cure = "in torch before saving"
    quantized = f"quantized tensors are not supported: call .dequantize() {cure}"
    for name in QUANTIZED_STORAGES:
        for module in ("torch", "torch.cuda", "torch.storage"):
            define_unsupported(f"{module}.{name}", quantized)
    define_unsupported("torch._utils._rebuild_qtensor", quantized)
    define_unsupported(
        "torch._utils._rebuild_sparse_tensor", f"sparse tensors are not supported: call .to_dense() {cure}"
    )
    define_unsupported(
        "torch._utils._rebuild_nested_tensor", f"nested tensors are not supported: call .to_padded_tensor() {cure}"
    )
    define_unsupported(
        "torch._utils._rebuild_wrapper_subclass", f"wrapper subclasses of Tensor are not supported: unwrap them {cure}"
    )
    define_unsupported("torch.jit._pickle.build_intlist", "TorchScript pickles are not read: save a state_dict instead")


_define_tensors()
_define_types()
_define_unsupported()
