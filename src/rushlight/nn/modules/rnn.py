"""Recurrent layers: RNN, LSTM, GRU over whole sequences, and their cells, one step at a time."""

from __future__ import annotations

import math
import numbers
from typing import Any

from rushlight.base.warn import warn_user
from rushlight.core.tensor import TensorBase
from rushlight.nn import init
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.nn.utils.rnn import PackedSequence
from rushlight.ops import recurrent
from rushlight.ops.creation import empty, zeros
from rushlight.ops.view import unsqueeze

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase"]

# The sums that a unit needs, by mode.
_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _check_sizes(input_size: Any, hidden_size: Any, num_layers: int, proj_size: int) -> None:
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int):
            raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero, but got {size}")
    if num_layers <= 0:
        raise ValueError(f"num_layers must be greater than zero, but got {num_layers}")
    if proj_size < 0:
        raise ValueError(f"proj_size should be a positive integer or zero to disable projections, but got {proj_size}")
    if proj_size >= hidden_size:
        raise ValueError(f"proj_size has to be smaller than hidden_size, but got {proj_size} and {hidden_size}")


def _check_dropout(dropout: Any, num_layers: int) -> None:
    if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:  # type: ignore[operator]
        raise ValueError(
            f"dropout should be a number in range [0, 1] representing the probability of an element being zeroed, but got {dropout!r}"
        )
    if dropout > 0 and num_layers == 1:  # type: ignore[operator]
        warn_user(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers greater than 1, "
            f"but got dropout={dropout} and num_layers={num_layers}",
        )


class RNNBase(Module):
    """What RNN, LSTM and GRU share: their parameters, and the checks and reordering around their operation.

    mode: "LSTM", "GRU", "RNN_TANH" or "RNN_RELU". The parameters of layer k are `weight_ih_l[k]` (gates, inputs), `weight_hh_l[k]`
    (gates, outputs), with `bias` also `bias_ih_l[k]` and `bias_hh_l[k]` (gates), and with `proj_size` `weight_hr_l[k]` (proj_size,
    hidden_size); those of the backward direction end in `_reverse`. All start uniform in ±1/√hidden_size.
    """

    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_dropout(dropout, num_layers)
        for name, flag in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
        _check_sizes(input_size, hidden_size, num_layers, proj_size)
        if mode not in _GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}. Select from {', '.join(_GATES)}")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights: list[list[str]] = []
        directions = ("", "_reverse") if bidirectional else ("",)
        width, gates = proj_size or hidden_size, _GATES[mode] * hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else width * len(directions)
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, inputs), "weight_hh": (gates, width)}
            if bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in directions:
                names = {f"{name}_l{layer}{suffix}": shape for name, shape in shapes.items()}
                for name, shape in names.items():
                    setattr(self, name, Parameter(empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(list(names))
        self.reset_parameters()

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters, one list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        """All parameters in the order of `recurrent.lstm`; looked up anew, for they may be replaced (parametrizations)."""
        return [getattr(self, name, None) for name in self._flat_weights_names]

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: torch arranges the parameters for cuDNN here."""

    def check_input(self, input: Any, batch_sizes: Any) -> None:
        """Raise for an input of another dtype, rank or width than the layer's."""
        dtype = getattr(self, self._all_weights[0][0])._dtype
        if input._dtype is not dtype:
            raise ValueError(
                f"RNN input dtype ({input._dtype!r}) does not match weight dtype ({dtype!r}). Convert input: input.to({dtype!r}), or "
                f"convert model: model.to({input._dtype!r})"
            )
        shape = input._shape
        rank = 3 if batch_sizes is None else 2
        if len(shape) != rank:
            raise RuntimeError(f"input must have {rank} dimensions, got {len(shape)} (shape {list(shape)})")
        if shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {shape[-1]} (shape {list(shape)})"
            )

    def get_expected_hidden_size(self, input: Any, batch_sizes: Any) -> tuple[int, int, int]:
        """The shape that h_0 must have for `input`."""
        batch = int(batch_sizes[0]) if batch_sizes is not None else input._shape[0 if self.batch_first else 1]
        return self.num_layers * (2 if self.bidirectional else 1), batch, self.proj_size or self.hidden_size

    def check_hidden_size(
        self, hx: Any, expected_hidden_size: tuple[int, int, int], msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """Raise `RuntimeError` for a state of another shape."""
        if hx._shape != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx._shape)))

    def check_forward_args(self, input: Any, hidden: Any, batch_sizes: Any) -> None:
        """Raise for an input or a state that does not fit this layer."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Any) -> Any:
        """The state with its sequences in the order of `permutation`; as it is for None."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def _states(self, hx: Any) -> tuple[Any, ...]:
        """What the user passed as hx, checked to be tensors, as a tuple of states."""
        if not isinstance(hx, TensorBase):
            raise TypeError(f"{type(self).__name__}: hx must be a Tensor h_0, not {type(hx).__name__}")
        return (hx,)

    def _widths(self) -> tuple[int, ...]:
        """The widths of the states."""
        return (self.hidden_size,)

    def _check_rank(self, hx: tuple[Any, ...], batched: bool) -> None:
        rank, kind = (3, "batched 3-D") if batched else (2, "unbatched 2-D")
        found = [f"{len(h._shape)}-D" for h in hx]
        if found != [f"{rank}-D"] * len(hx):
            what, number = (
                ("hx and cx", f"({', '.join(found)}) tensors") if len(hx) == 2 else ("hx", f"{found[0]} tensor")
            )
            raise RuntimeError(f"For {kind} input, {what} should also be {rank}-D but got {number}")

    def _zero_states(self, input: Any, batch: int) -> tuple[Any, ...]:
        places = self.num_layers * (2 if self.bidirectional else 1)
        return tuple(
            [zeros((places, batch, width), dtype=input.dtype, device=input.device) for width in self._widths()]
        )

    def _apply_layers(self, input: Any, hx: Any) -> tuple[Any, tuple[Any, ...]]:
        """Output and last states of `input`: a tensor [T, B, I], [B, T, I] or [T, I], or a PackedSequence."""
        if isinstance(input, PackedSequence):
            return self._apply_packed(input, hx)
        name = type(self).__name__
        if not isinstance(input, TensorBase):
            raise TypeError(f"{name}: input must be a Tensor or a PackedSequence, not {type(input).__name__}")
        rank = len(input._shape)
        if rank not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {rank}D instead (shape {list(input._shape)})")
        given = None if hx is None else self._states(hx)
        if given is not None:
            self._check_rank(given, rank == 3)
        batch_dim = 0 if self.batch_first else 1
        if rank == 2:
            input = unsqueeze(input, batch_dim)
            given = None if given is None else tuple([unsqueeze(h, 1) for h in given])
        states = self._zero_states(input, input._shape[batch_dim]) if given is None else given
        self.check_forward_args(input, states[0] if len(states) == 1 else states, None)
        output, *last = self._function()(
            input, states[0] if len(states) == 1 else states, self._flat_weights, self.bias, self.num_layers, self.dropout,
            self.training, self.bidirectional, self.batch_first,
        )  # fmt: skip
        if rank == 2:
            return output.squeeze(batch_dim), tuple([h.squeeze(1) for h in last])
        return output, tuple(last)

    def _apply_packed(self, input: PackedSequence, hx: Any) -> tuple[Any, tuple[Any, ...]]:
        data, batch_sizes, order, back = input
        if hx is None:
            states = self._zero_states(data, int(batch_sizes[0]))
        else:
            states = tuple([self.permute_hidden(h, order) for h in self._states(hx)])
        self.check_forward_args(data, states[0] if len(states) == 1 else states, batch_sizes)
        output, *last = self._function()(
            data, batch_sizes, states[0] if len(states) == 1 else states, self._flat_weights, self.bias, self.num_layers,
            self.dropout, self.training, self.bidirectional,
        )  # fmt: skip
        last_states = tuple([self.permute_hidden(h, back) for h in last])
        return PackedSequence(output, batch_sizes, order, back), last_states

    def _function(self) -> Any:
        """The operation that computes this layer."""
        return getattr(recurrent, self.mode.lower())

    def __getstate__(self) -> dict[str, Any]:
        names = self._flat_weights_names
        return {**self.__dict__, "_flat_weights_names": names, "_flat_weights": self._flat_weights}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Files of torch, and those written for it, hold the parameters a second time.
        kept = {key: value for key, value in state.items() if not key.startswith("_flat_weight")}
        super().__setstate__({"proj_size": 0, **kept})

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        usual = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        return text + "".join(
            f", {name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value
        )


class RNN(RNNBase):
    """A stack of plain recurrent layers: h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu of it.

    RNN(input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False, dropout=0.0, bidirectional=False,
    device=None, dtype=None)

    Shapes, with T steps, B sequences and D = 2 directions if `bidirectional`, else 1: input [T, B, input_size], with `batch_first` [B,
    T, input_size], one sequence [T, input_size], or a PackedSequence; output likewise with D * hidden_size; hx and the last state
    [D * num_layers, B, hidden_size]. `dropout` is applied between the layers while training.

    >>> output, h_n = RNN(10, 20, 2)(rushlight.ones(5, 3, 10))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        nonlinearity = args[3] if len(args) > 3 else kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", *args[:3], *args[4:], **kwargs)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        output, (last,) = self._apply_layers(input, hx)
        return output, last


class LSTM(RNNBase):
    """A stack of LSTM layers: i, f, o = σ(...), g = tanh(...), c_t = f c_(t-1) + i g, h_t = o tanh(c_t).

    LSTM(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, proj_size=0,
    device=None, dtype=None)

    Each gate's argument is W_ih x_t + b_ih + W_hh h_(t-1) + b_hh; the rows of the weights are those of i, f, g and o. `proj_size`
    makes h_t W_hr h_t, of that size. Shapes as in `RNN`; hx and the last state are pairs (h, c), c always of `hidden_size`.

    >>> output, (h_n, c_n) = LSTM(10, 20, 2)(rushlight.ones(5, 3, 10))
    >>> output.shape, c_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Any, batch_sizes: Any) -> tuple[int, int, int]:
        """The shape that c_0 must have for `input`."""
        return (*self.get_expected_hidden_size(input, batch_sizes)[:2], self.hidden_size)

    def check_forward_args(self, input: Any, hidden: Any, batch_sizes: Any) -> None:
        """Raise for an input or a pair of states that does not fit this layer."""
        self.check_input(input, batch_sizes)
        expected = self.get_expected_hidden_size(input, batch_sizes)
        self.check_hidden_size(hidden[0], expected, "Expected hidden[0] size {}, got {}")
        expected = self.get_expected_cell_size(input, batch_sizes)
        self.check_hidden_size(hidden[1], expected, "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx: Any, permutation: Any) -> Any:
        """The state, or the pair of states, with its sequences in the order of `permutation`; as it is for None."""
        if isinstance(hx, TensorBase):
            return super().permute_hidden(hx, permutation)
        return tuple([super(LSTM, self).permute_hidden(h, permutation) for h in hx])

    def _states(self, hx: Any) -> tuple[Any, ...]:
        if not isinstance(hx, (tuple, list)) or len(hx) != 2 or not all([isinstance(h, TensorBase) for h in hx]):
            found = type(hx).__name__ if not isinstance(hx, (tuple, list)) else [type(h).__name__ for h in hx]
            raise TypeError(f"LSTM: hx must be a pair of Tensors (h_0, c_0), not {found}")
        return tuple(hx)

    def _widths(self) -> tuple[int, ...]:
        return self.proj_size or self.hidden_size, self.hidden_size

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, tuple[Any, ...]]:
        return self._apply_layers(input, hx)


class GRU(RNNBase):
    """A stack of GRU layers: r, z = σ(...), n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn)), h_t = (1 - z) n + z h_(t-1).

    GRU(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False, device=None, dtype=None)

    The rows of the weights are those of r, z and n. Shapes as in `RNN`.

    >>> output, h_n = GRU(10, 20, 2)(rushlight.ones(5, 3, 10))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        output, (last,) = self._apply_layers(input, hx)
        return output, last


def _refuse_projection(kwargs: dict[str, Any]) -> None:
    if "proj_size" in kwargs:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNNCellBase(Module):
    """The parameters of a cell: `weight_ih` (gates, input_size), `weight_hh` (gates, hidden_size), `bias_ih` and `bias_hh` (gates).

    gates is `num_chunks` * hidden_size. All start uniform in ±1/√hidden_size.
    """

    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Any
    weight_hh: Any
    bias_ih: Any
    bias_hh: Any

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((gates, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((gates, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(gates, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"

    def _batched(self, input: Any, states: tuple[Any, ...] | None, count: int) -> tuple[Any, tuple[Any, ...]]:
        """`input` [B, I] and `count` states [B, H], from those of a batch or of one sequence, or zeros."""
        name = type(self).__name__
        for what, t in (("input", input), *[("hx", h) for h in states or ()]):
            if not isinstance(t, TensorBase):
                raise TypeError(f"{name}: {what} must be a Tensor, not {type(t).__name__}")
        if len(input._shape) not in (1, 2):
            raise ValueError(
                f"{name}: Expected input to be 1D or 2D, got {len(input._shape)}D instead (shape {list(input._shape)})"
            )
        for number, h in enumerate(states or ()):
            if len(h._shape) not in (1, 2):
                what = "hidden" if count == 1 else f"hx[{number}]"
                raise ValueError(
                    f"{name}: Expected {what} to be 1D or 2D, got {len(h._shape)}D instead (shape {list(h._shape)})"
                )
        single = len(input._shape) == 1
        for number, h in enumerate(states or ()):
            if single and len(h._shape) != 1:
                raise RuntimeError(
                    f"{name}: hidden{number} has inconsistent hidden_size: got shape {list(h._shape)} for an input of shape "
                    f"{list(input._shape)}, which is one sequence; expected [{self.hidden_size}]"
                )
        x = input.unsqueeze(0) if single else input
        if states is None:
            start = zeros((x._shape[0], self.hidden_size), dtype=x.dtype, device=x.device)
            return x, (start,) * count
        return x, tuple([h.unsqueeze(0) for h in states]) if single else states


class RNNCell(RNNCellBase):
    """One step of a plain recurrent layer: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it.

    Shapes: input [B, input_size] or [input_size], hx and the result [B, hidden_size] or [hidden_size]; hx defaults to zeros.

    >>> RNNCell(10, 20)(rushlight.ones(3, 10)).shape
    torch.Size([3, 20])
    """

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}. Select from 'tanh' or 'relu'.")
        x, (h,) = self._batched(input, None if hx is None else (hx,), 1)
        step = recurrent.rnn_tanh_cell if self.nonlinearity == "tanh" else recurrent.rnn_relu_cell
        found = step(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return found.squeeze(0) if len(input._shape) == 1 else found


class LSTMCell(RNNCellBase):
    """One step of an LSTM: (h', c') from an input and (h, c). See `LSTM`.

    Shapes: input [B, input_size] or [input_size], h and c [B, hidden_size] or [hidden_size]; they default to zeros.

    >>> h, c = LSTMCell(10, 20)(rushlight.ones(3, 10))
    >>> h.shape
    torch.Size([3, 20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            found = f"{len(hx)} of them" if isinstance(hx, (tuple, list)) else type(hx).__name__
            raise TypeError(f"LSTMCell: hx must be a pair of Tensors (h, c), not {found}")
        x, states = self._batched(input, None if hx is None else tuple(hx), 2)
        h, c = recurrent.lstm_cell(x, states, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (h.squeeze(0), c.squeeze(0)) if len(input._shape) == 1 else (h, c)


class GRUCell(RNNCellBase):
    """One step of a GRU. See `GRU`.

    Shapes: input [B, input_size] or [input_size], hx and the result [B, hidden_size] or [hidden_size]; hx defaults to zeros.

    >>> GRUCell(10, 20)(rushlight.ones(3, 10)).shape
    torch.Size([3, 20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        x, (h,) = self._batched(input, None if hx is None else (hx,), 1)
        found = recurrent.gru_cell(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return found.squeeze(0) if len(input._shape) == 1 else found
