"""Tensors out of data and constants: values, dtypes, strides and errors are torch's."""

import warnings

import numpy as np
import pytest

import rushlight as rl

DTYPES = "float64 float32 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128".split()

FROM_DATA = """
torch.tensor(3), torch.tensor(3.5), torch.tensor(True), torch.tensor(2j)
torch.tensor([1, 2.5, True]), torch.tensor([True, 2]), torch.tensor([1, 2j]), torch.tensor([])
torch.tensor([[], []]).shape
torch.tensor((1, 2)), torch.tensor(range(3)), torch.tensor([[1, 2], (3, 4)])
torch.tensor(np.float64(1)), torch.tensor([np.float64(1)]), torch.tensor([np.float32(1), 2.0])
torch.tensor([np.int32(1)])
torch.tensor(np.arange(6.).reshape(2, 3).T), torch.tensor(np.array(1.5)), torch.tensor(np.arange(3)[::2]).stride()
torch.tensor([torch.tensor(1.), torch.tensor(2)]), torch.tensor([torch.tensor(1), 2])
torch.tensor([torch.ones(1), torch.ones(1)])
torch.tensor([torch.ones(2), torch.ones(2)])
torch.tensor([np.ones(2), np.ones(2)])
torch.tensor(bytearray(b"ab")), torch.tensor(memoryview(b"ab"))
torch.tensor([300], dtype=torch.uint8)
torch.tensor(300, dtype=torch.uint8)
torch.tensor([-1], dtype=torch.uint8), torch.tensor(-1, dtype=torch.uint8)
torch.tensor([1.7, -1.7], dtype=torch.int32), torch.tensor([2, 0, .5], dtype=torch.bool)
torch.tensor(float("nan"), dtype=torch.int64)
torch.tensor([float("inf")], dtype=torch.int32)
torch.tensor(1e300), torch.tensor(1e6, dtype=torch.float16), torch.tensor([2 ** 63, 1.])
torch.tensor(1j, dtype=torch.float32)
torch.tensor(2 ** 63)
torch.tensor([2 ** 70])
torch.tensor(None)
torch.tensor("abc")
torch.tensor(b"abc")
torch.tensor(["abc"])
torch.tensor({1})
torch.tensor({1: 2})
torch.tensor([[1, 2], [3]])
torch.tensor([[1, 2], 3])
torch.tensor([1, [3]])
torch.tensor([1], torch.float32)
torch.tensor([1], requires_grad=True)
torch.tensor([1.], requires_grad=True)
torch.tensor([1], dtype=float), torch.tensor([1.], dtype=int)
torch.tensor(np.array(["a"]))
torch.tensor(np.array([1], ">i4"))
torch.tensor(np.arange(3)[::-1])
torch.tensor(np.array([1.5, 2.5]), dtype=torch.int32), torch.tensor(np.array([1, 0]), dtype=torch.bool)
torch.from_numpy([1])
torch.from_numpy(np.array([None]))
torch.from_numpy(np.arange(3)[::-1])
torch.from_numpy(np.arange(9)[2::2]).storage_offset(), torch.from_numpy(np.arange(9)[2::2]).stride()
torch.from_numpy(np.asfortranarray(np.ones((2, 3)))).stride(), torch.from_numpy(np.array(3.))
a = np.ones(2); t = torch.from_numpy(a); t += 1; a
q = torch.ones(2); torch.as_tensor(q) is q, torch.asarray(q) is q
q = torch.ones(2); torch.asarray(q, copy=True).data_ptr() == q.data_ptr()
torch.as_tensor([1, 2], dtype=torch.float64), torch.as_tensor(torch.ones(2), dtype=torch.int32)
torch.as_tensor(np.float32(1))
a = np.ones(2); torch.as_tensor(a).data_ptr() == a.ctypes.data, torch.as_tensor(a, dtype=torch.float32).dtype
torch.asarray([1, 2.]), torch.asarray(np.float32(2))
torch.asarray([1, 2.], copy=False)
torch.asarray(np.ones(2), dtype=torch.float32, copy=False)
torch.frombuffer(bytearray(b"abcdefgh"), dtype=torch.int16, count=2, offset=2)
torch.frombuffer(bytearray(b"abc"), dtype=torch.int16)
torch.frombuffer(bytearray(b""), dtype=torch.int16)
torch.frombuffer(bytearray(b"abcd"), dtype=torch.int16, count=5)
torch.frombuffer(bytearray(b"abcd"), dtype=torch.int16, offset=5)
b = bytearray(b"ab"); t = torch.frombuffer(b, dtype=torch.uint8); t += 1; b
""".strip().splitlines()

CONSTANTS = """
torch.zeros(2, 3), torch.zeros((2, 3)), torch.zeros([torch.tensor(2), 3]).shape, torch.zeros(torch.tensor(2))
torch.zeros(()), torch.zeros(size=(2,))
torch.zeros(2, dtype=float), torch.zeros(2, dtype=int), torch.ones(2, dtype=bool)
torch.zeros(2, dtype="float32")
torch.zeros(-1)
torch.empty((2, -1))
torch.rand(-2)
torch.zeros(2.)
torch.zeros()
torch.zeros(2, dtype=torch.int32, requires_grad=True)
torch.zeros(2, layout=torch.strided, pin_memory=False, requires_grad=True)
t = torch.empty(0); torch.zeros(2, 3, out=t) is t, t
torch.full((2,), 1), torch.full((2,), True), torch.full((2,), 1j), torch.full((2,), torch.tensor(3))
torch.full((), 2.)
torch.full(2, 1)
torch.full((1,), 300, dtype=torch.uint8)
torch.full((1,), 1e300)
torch.full((1,), 1e6, dtype=torch.float16), torch.full((1,), -1, dtype=torch.uint8)
torch.full((2,), None)
torch.full((2,))
torch.full_like(torch.ones(2), 1.5, dtype=torch.int32), torch.scalar_tensor(3)
torch.zeros_like(5)
torch.zeros_like(torch.ones(4, 6).t()).stride(), torch.empty_like(torch.ones(2, 3, 4).permute(2, 0, 1)).stride()
torch.empty_like(torch.ones(4, 6)[::2, ::2].t()).stride(), torch.empty_like(torch.ones(4, 1).expand(4, 5)).stride()
torch.ones_like(torch.ones(1, 5).expand(4, 5)).stride()
torch.zeros_like(torch.ones(1, 2, 2, 2), memory_format=torch.channels_last).stride()
torch.empty(1, 2, 3, 4, memory_format=torch.channels_last).stride()
torch.empty_like(torch.ones(1, 2, 3, 4).to(memory_format=torch.channels_last)).stride()
torch.empty(2, memory_format=torch.channels_last)
torch.zeros_like(torch.ones(2, requires_grad=True)).requires_grad, torch.ones_like(torch.ones(2), requires_grad=True)
torch.empty_strided((2, 3), (0, 2)).stride(), torch.empty_strided((2, 3), (1, 2)).is_contiguous()
torch.empty_strided((2, 3), (1,))
x = torch.ones(2, dtype=torch.int64); x.new_zeros(2, 3), x.new_ones((2,)), x.new_full((2,), 3), x.new_tensor([1.5, 2])
x = torch.ones(2, dtype=torch.int64); x.new([2.5, 3]), x.new_empty(2, 3).shape, x.new(2, 3).shape
torch.ones(2).new_empty_strided((2, 3), (1, 2)).stride(), torch.ones(2).new_tensor(torch.tensor([1]))
torch.ones(2).new_ones(2, requires_grad=True)
torch.arange(5), torch.arange(5.), torch.arange(1, 2, .3), torch.arange(5, 1, -2), torch.arange(torch.tensor(5))
torch.arange(True), torch.arange(start=1, end=3)
torch.arange(0, 2.5, .5, dtype=torch.int32), torch.arange(3, dtype=torch.float16)
torch.arange(torch.tensor(5., dtype=torch.float64)), torch.arange(3, out=torch.empty(0))
torch.arange(5, 1)
torch.arange(0, 5, 0)
torch.arange(0, float("inf"))
torch.arange(float("nan"))
torch.arange()
torch.arange("a")
torch.arange(2, dtype=torch.bool)
torch.linspace(0, 1, 5), torch.linspace(0, 10, 4, dtype=torch.int64)
torch.linspace(torch.tensor(0), torch.tensor(10.), 3), torch.linspace(0, 10j, 3), torch.linspace(0, 1, 1)
torch.linspace(0, 10, -1)
torch.linspace(0, 1)
torch.logspace(0, 3, 4, base=2), torch.logspace(0, 3, 4, dtype=torch.int64), torch.range(0, 3), torch.range(1, 2, .5)
torch.eye(2, 3, dtype=torch.bool), torch.eye(2), torch.eye(0)
torch.eye(-1)
torch.eye(2.5)
""".strip().splitlines()

GRIDS = """
torch.tril_indices(3, 3, offset=1), torch.triu_indices(2, 3, -1, dtype=torch.int32)
torch.tril_indices(-1, 2)
torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
torch.meshgrid([torch.arange(2), torch.tensor(3)], indexing="xy")
[g.stride() for g in torch.meshgrid(torch.arange(2), torch.arange(3), indexing="xy")]
torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(4), indexing="xy")[0].shape
torch.meshgrid(torch.ones(2, 2), torch.ones(3), indexing="ij")
torch.meshgrid(torch.arange(2), torch.ones(2), indexing="ij")
torch.meshgrid(torch.arange(2), indexing="zz")
torch.meshgrid()
torch.cartesian_prod(torch.arange(2), torch.arange(3)), torch.cartesian_prod(torch.arange(3))
torch.cartesian_prod(torch.ones(2, 2))
torch.combinations(torch.arange(4)), torch.combinations(torch.arange(3), with_replacement=True)
torch.combinations(torch.arange(4), 3), torch.combinations(torch.arange(3), 0)
torch.combinations(torch.arange(3), -1)
torch.combinations(torch.ones(2, 2))
torch.complex(torch.ones(2), torch.arange(2.)), torch.polar(torch.ones(2), torch.ones(2))
torch.complex(torch.ones(2, 1), torch.arange(2.)).shape
torch.complex(torch.ones(2), torch.ones(2).double())
torch.complex(torch.ones(2).int(), torch.ones(2).int())
""".strip().splitlines()

LEGACY = """
torch.Tensor(), torch.Tensor(2).shape, torch.Tensor([2]), torch.Tensor(2, 3).shape
torch.Tensor(torch.Size([2])).shape, torch.Tensor(np.array([2.5])), torch.Tensor((1, 2))
torch.Tensor(torch.ones(2, dtype=torch.int64))
torch.Tensor(2.5)
torch.Tensor(torch.ones(2, requires_grad=True))
torch.FloatTensor([1, 2]), torch.LongTensor([1.5, 2]), torch.BoolTensor([1, 0]), torch.FloatTensor(2, 3).shape
torch.FloatTensor()
torch.FloatTensor(torch.ones(2, dtype=torch.int64))
torch.FloatTensor, torch.FloatTensor.__name__, torch.FloatTensor.__module__, torch.FloatTensor.dtype
torch.FloatTensor.is_cuda, torch.FloatTensor.layout
[isinstance(torch.ones(2), kind) for kind in (torch.FloatTensor, torch.LongTensor, torch.Tensor)]
x = torch.ones(2); x.type(), x.bfloat16().type(), x.cfloat().type(), x.type(torch.LongTensor)
x = torch.ones(2); x.type("torch.DoubleTensor"), x.type(torch.int32), x.type(dtype=torch.int8)
x = torch.ones(2); torch.ones(2, device="meta").type()
torch.ones(2).type("torch.FooTensor")
S = type("S", (torch.Tensor,), {}); s = torch.ones(2).as_subclass(S); type(s + 1).__name__, type(s.detach()).__name__
S = type("S", (torch.Tensor,), {}); s = torch.ones(2).as_subclass(S); type(torch.zeros_like(s)).__name__
S = type("S", (torch.Tensor,), {}); s = torch.ones(2).as_subclass(S); type(s[0]).__name__, type(s.numpy()).__name__, s
S = type("S", (torch.Tensor,), {}); torch.ones(2, requires_grad=True).as_subclass(S)
S = type("S", (torch.Tensor,), {}); S([2.]), type(S(2)).__name__, torch.Tensor._make_subclass(S, torch.ones(2), True)
torch.is_tensor(1), torch.is_tensor(torch.ones(1))
""".strip().splitlines()


@pytest.mark.parametrize("program", FROM_DATA + CONSTANTS + GRIDS + LEGACY)
def test_torch(program, same_program):
    same_program(program)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize(
    "program",
    [
        "torch.ones(2, dtype={})",
        "torch.zeros(2, dtype={})",
        "torch.full((2,), 3, dtype={})",
        "torch.eye(2, dtype={})",
        "torch.tensor([1, 0, 2.9], dtype={})",
        "torch.tensor([1, 0], dtype={}).tolist()",
    ],
)
def test_every_dtype(program, name, same_program):
    same_program(program.format(f"torch.{name}"))


def test_default_dtype_and_device_are_honoured():
    rl.set_default_dtype(rl.float64)
    try:
        assert rl.zeros(1).dtype is rl.tensor(1.0).dtype is rl.rand(1).dtype is rl.arange(2.0).dtype is rl.float64
        assert rl.tensor(1j).dtype is rl.complex128
    finally:
        rl.set_default_dtype(rl.float32)
    with rl.device("meta"):
        made = [
            rl.zeros(2),
            rl.tensor([1, 2]),
            rl.rand(2),
            rl.arange(2),
            rl.randperm(3),
            rl.full((2,), 1),
            rl.as_tensor([1]),
        ]
    assert all(t.device.type == "meta" for t in made)
    assert rl.zeros(1).device.type == "cpu"


def test_factories_tell_function_modes_and_subclasses():
    seen = []

    class Subclass(rl.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append(func)
            return "handled"

    t = rl.ones(2).as_subclass(Subclass)
    assert rl.zeros_like(t) == rl.rand_like(t) == "handled"
    assert seen == [rl.zeros_like, rl.rand_like]


def test_tensor_copies_and_from_numpy_shares():
    array = np.arange(3.0)
    copied, shared = rl.tensor(array), rl.from_numpy(array)
    array[0] = 7
    assert copied.tolist() == [0, 1, 2] and shared.tolist() == [7, 1, 2]


def test_read_only_memory_warns_and_stays_unwritten():
    array = np.arange(3.0)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable") as caught:
        t = rl.from_numpy(array)
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match="read-only"):
        t.zero_()
    with pytest.warns(UserWarning, match="not writable"):
        rl.frombuffer(b"abcd", dtype=rl.uint8)


def test_bfloat16_arrays_are_taken_over():
    import ml_dtypes

    array = np.arange(3).astype(ml_dtypes.bfloat16)
    shared = rl.from_numpy(array)
    shared += 1
    assert shared.dtype is rl.bfloat16 and array.tolist() == [1, 2, 3]


def test_warnings_of_tensor():
    with pytest.warns(UserWarning, match="clone") as caught:
        rl.tensor(rl.ones(2))
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="numpy.array"):
        rl.tensor([np.ones(2), np.ones(2)])
    with pytest.warns(UserWarning, match="imaginary"):
        rl.tensor(np.array([1j]), dtype=rl.float32)
    with pytest.warns(UserWarning, match="indexing"):
        rl.meshgrid(rl.arange(2), rl.arange(2))
    with pytest.warns(UserWarning, match="history"):
        rl.tensor([rl.ones(1, requires_grad=True)])


def test_mps_turns_float64_into_float32_with_one_warning():
    from rushlight.ops import factory

    factory._warned_about.clear()
    with pytest.warns(UserWarning, match="float64"):
        assert rl.zeros(2, dtype=rl.float64, device="mps").dtype is rl.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rl.ones(2, dtype=rl.float64).to("mps").dtype is rl.float32


def test_errors_say_what_to_do():
    with pytest.raises(TypeError, match=r"full\(\(2,\)"):
        rl.full(2, 1)
    with pytest.raises(TypeError, match="torch.float32"):
        rl.zeros(2, dtype="float32")
    with pytest.raises(ValueError, match="equally long"):
        rl.tensor([[1, 2], [3]])
    with pytest.raises(NotImplementedError, match="strided"):
        from rushlight.base.layout import sparse_coo

        rl.zeros(2, layout=sparse_coo)


def test_cycles_in_lists_end_in_an_error():
    cycle = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="too many dimensions"):
        rl.tensor(cycle)
