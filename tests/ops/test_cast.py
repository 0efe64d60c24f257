"""Copies, casts, moves, memory layouts, detach, .data and .grad."""

import numpy as np
import pytest

import rushlight as rl

DTYPES = "float64 float32 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128".split()

PROGRAMS = """
x = torch.ones(2); x.to(torch.float32) is x, x.to("cpu") is x, x.to(x) is x, x.to() is x, x.to(None) is x
x = torch.ones(2); x.float() is x, x.cpu() is x
torch.ones(2).to("cpu", torch.float64, copy=True), torch.ones(2).to(torch.ones(1).int())
torch.ones(2).to(torch.float64, False, True)
torch.ones(2).to(device="cpu", dtype=torch.int8)
torch.ones(2).to(dtype=torch.half, memory_format=torch.preserve_format)
x = torch.ones(2); x.to(x, copy=True) is x, x.to(torch.float32, copy=True) is x
torch.ones(2).to("foo")
torch.ones(2).to([1])
torch.ones(2).to(memory_format=torch.channels_last)
torch.ones(2, requires_grad=True).to(torch.float64), torch.ones(2, requires_grad=True).to(torch.int32)
torch.ones(2, requires_grad=True).to("meta")
x = torch.tensor([1.5, 0, -2]); x.double(), x.half(), x.bfloat16(), x.int(), x.long(), x.short(), x.char(), x.bool()
x = torch.tensor([1.5, 0, -2]); x.cfloat(), x.cdouble(), x.float()
torch.ones(2).type_as(torch.ones(1).int())
torch.ones(4, 6).t().double().stride(), torch.ones(4, 6)[::2, ::2].t().double().stride()
torch.ones(4, 1).expand(4, 5).double().stride()
torch.ones(4, 6).t().clone().stride(), torch.ones(4, 6)[::2, ::2].t().clone().stride()
torch.ones(4, 1).expand(4, 5).clone().stride(), torch.ones(1, 5).expand(4, 5).clone().stride()
torch.ones(4, 6).t().clone(memory_format=torch.contiguous_format).stride()
torch.clone(torch.ones(2), memory_format=torch.contiguous_format)
x = torch.ones(2, 2, 3, 4); x.to(memory_format=torch.channels_last).stride()
x = torch.ones(2, 2, 3, 4); x.contiguous(memory_format=torch.channels_last).stride()
x = torch.ones(2, 2, 3, 4); x.clone(memory_format=torch.channels_last).stride()
torch.ones(1, 2, 3, 4, 5).clone(memory_format=torch.channels_last_3d).stride()
x = torch.ones(2, 2, 3, 4).to(memory_format=torch.channels_last); x.is_contiguous()
x = torch.ones(2, 2, 3, 4).to(memory_format=torch.channels_last); x.is_contiguous(memory_format=torch.channels_last)
x = torch.ones(2, 2, 3, 4).to(memory_format=torch.channels_last); x.contiguous().stride(), x.clone().stride()
x = torch.ones(2, 2, 3, 4).to(memory_format=torch.channels_last); (x * 2).shape
[torch.ones(s).is_contiguous(memory_format=torch.channels_last) for s in [(1, 2, 3, 4), (1, 1, 3, 4), (2, 3)]]
x = torch.ones(2, 3); x.contiguous() is x, x.t().contiguous().stride(), x.t().is_contiguous()
x = torch.ones(2, 3); x[:, :1].is_contiguous()
torch.ones(2, 3).t().contiguous(memory_format=torch.preserve_format)
torch.ones(2).clone(memory_format=3)
x = torch.ones(2, 3, requires_grad=True); x.clone(), x.t().contiguous(), x.contiguous().grad_fn
torch.ones(2, 3).stride(-1), torch.ones(2, 3).stride(dim=0), torch.ones(0, 3).stride(), torch.ones(2, 0, 3).stride()
torch.tensor(1).stride(), torch.ones(2, 3)[:, :0].stride()
torch.ones(2, 3).stride(2)
x = torch.ones(2, 3); x[1:].storage_offset(), x[1:].untyped_storage().nbytes(), x.t()[1].storage_offset()
x = torch.ones(2, 3); x.unsqueeze(0)[:, 1].storage_offset(), len(x.untyped_storage())
x = torch.ones(2, 3); x[1:].untyped_storage().data_ptr() == x.data_ptr()
x = torch.arange(3); x[1:].data_ptr() - x.data_ptr(), torch.empty(0).data_ptr(), x.element_size(), x.is_same_size(x)
torch.ones(1).untyped_storage()
torch.ones(1).untyped_storage().tolist(), torch.ones(1).untyped_storage()[2], torch.ones(1).is_shared()
torch.ones(1).is_pinned()
torch.channels_last, torch.strided, type(torch.channels_last), type(torch.strided), str(torch.preserve_format)
torch.contiguous_format
pickle.loads(pickle.dumps(torch.channels_last)) is torch.channels_last
x = torch.ones(2, requires_grad=True); d = x.detach(); d.add_(1); x, x._version, d.requires_grad, d._base
x = torch.ones(2); x.data.add_(1); x, x._version
x = torch.ones(2, requires_grad=True); y = x * x; x.data.mul_(2); y.backward(torch.ones(2)); x.grad
x = torch.ones(2, requires_grad=True); y = x * x; x.detach().mul_(2); y.backward(torch.ones(2)); x.grad
y = (torch.ones(2, requires_grad=True) * 2); y.detach_(); y.requires_grad, y.grad_fn
(torch.ones(2, requires_grad=True) * 2)[0].detach_()
x = torch.ones(2, requires_grad=True); x.data = torch.ones(5); x
x = torch.ones(2, requires_grad=True); x.data = torch.ones(2).long()
x = torch.ones(2, requires_grad=True); x.data = torch.ones(2).double(); x
x = torch.ones(2); x.data = 1
x = torch.ones(2); x.data = torch.ones(2, device="meta")
x = torch.ones(2); x.grad = torch.ones(2); x.grad
x = torch.ones(2); x.grad = torch.ones(2); x.grad = None; x.grad
x = torch.ones(2); x.grad = torch.ones(2); del x.grad; x.grad
x = torch.ones(2); x.grad = torch.ones(3)
x = torch.ones(2); x.grad = torch.ones(2).double()
x = torch.ones(2); x.grad = x
x = torch.ones(2); x.grad = 1
x = torch.ones(2); x.grad = torch.ones(2, device="meta")
""".strip().splitlines()

GRADIENTS = """
y = x.clone()
y = x.to(torch.float64)
y = x.half()
y = x.bfloat16().double()
y = x.t().contiguous()
y = x.view(1, 1, 2, 2).to(memory_format=torch.channels_last)
y = x.to(torch.complex64) * (1 + 2j); y = torch.view_as_real(y)
y = torch.complex(x, x * 2); y = torch.view_as_real(y)
y = torch.polar(x, x * 2); y = torch.view_as_real(y)
y = x[...]
""".strip().splitlines()


@pytest.mark.parametrize("program", PROGRAMS)
def test_torch(program, same_program):
    same_program(program)


@pytest.mark.parametrize("line", GRADIENTS)
def test_gradients(line, same_program):
    start = "x = torch.arange(1., 5.).view(2, 2).requires_grad_()"
    backward = "y.backward(torch.arange(1., 1 + y.numel()).view(y.shape).to(y.dtype))"
    same_program(f"{start}; {line}; {backward}; [[round(v, 3) for v in row] for row in x.grad.tolist()], x.grad.dtype")


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("source", DTYPES)
def test_every_cast(source, target, same_program):
    same_program(f"torch.tensor([1, 0, 2.9, -3]).abs().to(torch.{source}).to(torch.{target})")


def test_emulated_devices_copy_and_label():
    x = rl.arange(4.0, requires_grad=True)
    y = x.cuda()
    assert str(y.device) == "cuda:0" and y.is_cuda and y.grad_fn.name() == "ToCopyBackward0"
    assert repr(y.detach()) == "tensor([0., 1., 2., 3.], device='cuda:0')"
    y.backward(rl.ones(4, device="cuda"))
    assert x.grad.device.type == "cpu" and x.grad.tolist() == [1, 1, 1, 1]
    moved = x.detach().to("mps")
    moved.zero_()
    assert x.tolist() == [0, 1, 2, 3]
    assert y.to("cuda") is y and y.cuda(0) is y
    with pytest.raises(TypeError, match="cuda"):
        y.detach().numpy()
    with pytest.raises(RuntimeError, match="same device"):
        y + rl.ones(4)
    assert y.detach().cpu().numpy().tolist() == [0, 1, 2, 3]


def test_copy_between_devices():
    target = rl.zeros(3, device="cuda")
    target.copy_(rl.arange(3))
    assert target.cpu().tolist() == [0, 1, 2]


def test_grad_of_computed_tensors_warns():
    y = rl.ones(2, requires_grad=True) * 2
    with pytest.warns(UserWarning, match="retain_grad") as caught:
        assert y.grad is None
    assert caught[0].filename == __file__
    y.retain_grad()
    y.backward(rl.ones(2))
    assert y.grad.tolist() == [1, 1]


def test_lost_imaginary_parts_warn():
    z = rl.tensor([1 + 2j])
    with pytest.warns(UserWarning, match="imaginary") as caught:
        z.to(rl.float32)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="imaginary"):
        rl.zeros(1).copy_(z)


def test_gradients_of_permuted_leaves_keep_their_strides():
    leaf = rl.ones(2, 3).t().requires_grad_()
    (leaf * rl.ones(3, 2)).backward(rl.ones(3, 2))
    assert leaf.grad.stride() == leaf.stride() == (1, 3)


def test_channels_last_memory_really_is():
    x = rl.arange(24.0).view(1, 2, 3, 4).to(memory_format=rl.channels_last)
    memory = np.frombuffer(bytes(x.untyped_storage().tolist()), np.float32)
    assert memory[:4].tolist() == [0, 12, 1, 13]
