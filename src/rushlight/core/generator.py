"""The source of random bits: MT19937, seeded, advanced and saved exactly as PyTorch's CPU generator does it.

A `Generator` hands out raw 32- and 64-bit words and keeps the one normal number that the scalar Box-Muller method has
to spare. Which distribution eats how many words, and what it makes of them, stands in
`rushlight.backends.reference.random`.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import numpy as np

from rushlight.base.device import CPU, as_device, device
from rushlight.core.tensor import TensorBase, array_of, wrap

DEFAULT_SEED = 67280421310721  # a new Generator's seed, in torch as here
WORDS = 624  # length of the Mersenne Twister's state
CHUNK = 16384  # words drawn at a time: what NumPy returns (64 bits a word) stays in the cache

# The 5056 bytes of torch's saved state. `left` counts the words of the current block that remain, plus one; `next` is
# the position in the block. `normal_x` and `normal_rho` are unused relics, always 0.
STATE = np.dtype(
    {
        "names": [
            "seed", "left", "seeded", "next", "words", "normal_x", "normal_y", "normal_rho", "normal_is_valid",
            "float_normal", "float_normal_is_valid",
        ],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", WORDS), "<f8", "<f8", "<f8", "<i4", "<f4", "?"],
        "offsets": [0, 8, 12, 16, 24, 5016, 5024, 5032, 5040, 5048, 5052],
        "itemsize": 5056,
    }
)  # fmt: skip

_ALIVE: weakref.WeakSet[Generator] = weakref.WeakSet()
_default: Generator | None = None
_default_lock = threading.Lock()


class Generator:
    """A pseudo-random number generator with PyTorch's CPU stream.

    `Generator(s).manual_seed(n)` gives, word for word, what `torch.Generator().manual_seed(n)` gives. A generator may
    be shared between threads: every draw holds `lock`, which is re-entrant, so that a distribution can hold it over
    several draws.

    Attributes:
        device: the device whose tensors it fills; the numbers come from the CPU stream whatever it says.
        lock: held while the state is read or changed.
        next_normal: the second number of the last scalar Box-Muller pair (float64, mean 0, variance 1), or None.
        capsule: NumPy's handle of the state, through which native kernels draw (holding `lock`).
        spent_next: `next` as torch reports it while the block is spent: 0 after seeding, 624 after draws.

    >>> g = Generator().manual_seed(0)
    >>> g.raw32(2)
    array([2357136044, 2546248239], dtype=uint32)
    """

    def __init__(self, device: Any = "cpu") -> None:
        self._device = as_device(device)
        self.lock = threading.RLock()
        self.next_normal: float | None = None
        self._next_float_normal: float | None = None  # never drawn on a CPU; kept so that saved states round-trip
        self._bits = np.random.MT19937(0)
        self.capsule: Any = self._bits.capsule
        self._seeder = np.random.RandomState(self._bits)  # its `seed` is the public way to MT19937's own seeding
        self.spent_next = 0
        self._seed = 0
        _ALIVE.add(self)
        self._reseed(DEFAULT_SEED)

    @property
    def device(self) -> device:
        """The device whose tensors the generator fills."""
        return self._device

    def manual_seed(self, seed: int) -> Generator:
        """Set the seed (an integer in [-2**63, 2**64 - 1]; negative ones count modulo 2**64) and return the generator.

        As in torch, only the low 32 bits choose the stream. Raises RuntimeError for something that is not an integer
        and ValueError for one that is out of range.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise RuntimeError(
                f"manual_seed expected a long, but got {type(seed).__name__}: pass a Python int, as in manual_seed(0)"
            )
        value = int(seed)
        if not -(2**63) <= value < 2**64:
            raise ValueError(
                f"Overflow when unpacking long long: manual_seed got {value}, expected a seed in [-2**63, 2**64 - 1]"
            )
        self._reseed(value % 2**64)
        return self

    def seed(self) -> int:
        """Seed from the operating system's entropy and return the seed, an integer in [0, 2**64 - 1]."""
        value = int.from_bytes(os.urandom(8), "little")
        self._reseed(value)
        return value

    def initial_seed(self) -> int:
        """Return the seed the generator was last given, as an integer in [0, 2**64 - 1]."""
        return self._seed

    def raw32(self, n: int) -> np.ndarray:
        """Return the next `n` words as a uint32 array of shape (n,)."""
        words = np.empty(n, np.uint32)
        if n == 0:
            return words
        with self.lock:
            draw = self._bits.random_raw
            for start in range(0, n, CHUNK):
                words[start : start + CHUNK] = draw(min(CHUNK, n - start))
            self.spent_next = WORDS
        return words

    def raw64(self, n: int) -> np.ndarray:
        """Return the next `n` pairs of words as a uint64 array of shape (n,), the earlier word on top."""
        values = np.empty(n, np.uint64)
        if n == 0:
            return values
        half = CHUNK // 2
        with self.lock:
            draw = self._bits.random_raw
            for start in range(0, n, half):
                words = draw(2 * min(half, n - start))
                np.left_shift(words[0::2], 32, out=words[0::2])
                np.bitwise_or(words[0::2], words[1::2], out=values[start : start + half])
            self.spent_next = WORDS
        return values

    def get_state(self) -> Any:
        """Return the whole state as a uint8 tensor of 5056 elements, byte for byte torch's."""
        return wrap(self.get_state_bytes(), CPU)

    def set_state(self, new_state: Any) -> Generator:
        """Restore a state that `get_state` gave and return the generator.

        Raises TypeError unless it is a uint8 tensor and RuntimeError for another size, or for bytes that are no state.
        """
        if not isinstance(new_state, TensorBase):
            raise TypeError(
                f"expected a torch.ByteTensor, but got {type(new_state).__name__}: pass what get_state() gave"
            )
        self.set_state_bytes(array_of(new_state))
        return self

    def get_state_bytes(self) -> np.ndarray:
        """Return the whole state as a uint8 array of shape (5056,), the bytes of `torch.Generator.get_state()`."""
        record = np.zeros((), STATE)
        with self.lock:
            state: Any = self._bits.state["state"]
            position = int(state["pos"])
            record["seed"] = self._seed
            record["seeded"] = 1
            record["left"] = WORDS + 1 - position
            record["next"] = self.spent_next if position == WORDS else position
            record["words"] = state["key"]
            if self.next_normal is not None:
                record["normal_is_valid"] = 1
                record["normal_y"] = self.next_normal
            if self._next_float_normal is not None:
                record["float_normal_is_valid"] = True
                record["float_normal"] = self._next_float_normal
        return np.frombuffer(bytearray(record.tobytes()), np.uint8)

    def set_state_bytes(self, state: np.ndarray) -> None:
        """Restore a state saved by `get_state_bytes` or by torch.

        `state` is a uint8 array of 5056 elements. Raises TypeError for another type and RuntimeError for another size
        or for bytes that are no Mersenne Twister's; the generator is then as it was.
        """
        if not isinstance(state, np.ndarray):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(state).__name__}: pass what get_state() gave")
        if state.dtype != np.uint8:
            raise TypeError(f"RNG state must be a torch.ByteTensor (uint8), but its dtype is {state.dtype}")
        if state.size != STATE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE.itemsize} but found the input RNG state size to be "
                f"{state.size}: pass what get_state() of a CPU generator returned"
            )
        record = np.frombuffer(state.tobytes(), STATE)[0]
        left, following = int(record["left"]), int(record["next"])
        spent_or_matching = left == 1 or left + following == WORDS + 1
        if not (record["seeded"] and 0 < left <= WORDS and following <= WORDS and spent_or_matching):
            raise RuntimeError(
                f"Invalid mt19937 state: seeded={int(record['seeded'])}, left={left}, next={following} describe no "
                "Mersenne Twister; the bytes were changed after get_state()"
            )
        words = record["words"].astype(np.uint32)
        position = WORDS + 1 - left
        with self.lock:
            self._bits.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": position}}
            self.spent_next = following if left == 1 else WORDS
            self._seed = int(record["seed"])
            self.next_normal = float(record["normal_y"]) if record["normal_is_valid"] else None
            self._next_float_normal = float(record["float_normal"]) if record["float_normal_is_valid"] else None

    def clone_state(self) -> Generator:
        """Return a new generator of the same class and device that will draw the same numbers."""
        twin = type(self)(self.device)
        twin.set_state_bytes(self.get_state_bytes())
        return twin

    clone = clone_state

    def get_offset(self) -> int:
        """Raise RuntimeError: only generators of counter type, as CUDA's, have an offset."""
        raise RuntimeError("CPU Generator does not use offset: save it with get_state() instead")

    def set_offset(self, offset: int) -> None:
        """Raise RuntimeError: only generators of counter type, as CUDA's, have an offset."""
        raise RuntimeError("CPU Generator does not use offset: restore it with set_state() instead")

    def _reseed(self, seed: int) -> None:
        with self.lock:
            self._seeder.seed(seed & 0xFFFFFFFF)
            self._seed = seed
            self.spent_next = 0
            self.next_normal = None
            self._next_float_normal = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.device,), self.get_state_bytes()

    def __setstate__(self, state: np.ndarray) -> None:
        self.set_state_bytes(state)


def default_generator() -> Generator:
    """Return the process's own generator, made on first use and, as in torch, seeded from the system's entropy."""
    global _default
    if _default is None:
        with _default_lock:
            if _default is None:
                generator = Generator()
                generator.seed()
                _default = generator
    return _default


def _before_fork() -> None:
    """Hold every lock while the process forks, so that the child copies no half-changed state."""
    _default_lock.acquire()
    _held.extend(_ALIVE)
    for generator in _held:
        generator.lock.acquire()


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().lock.release()
    _default_lock.release()


def _after_fork_in_child() -> None:
    global _default_lock
    while _held:
        _held.pop().lock = threading.RLock()
    _default_lock = threading.Lock()


_held: list[Generator] = []
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
