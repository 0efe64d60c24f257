"""The tensors tutorial: making tensors, attributes, operations, in-place, the bridge with NumPy."""

import numpy as np
import torch

torch.manual_seed(0)

data = [[1, 2], [3, 4]]
x_data = torch.tensor(data)
np_array = np.array(data)
x_np = torch.from_numpy(np_array)
print(x_data, x_np, x_np.dtype)

x_ones = torch.ones_like(x_data)
print(f"Ones Tensor: \n {x_ones} \n")
x_rand = torch.rand_like(x_data, dtype=torch.float)
print(f"Random Tensor: \n {x_rand} \n")

shape = (2, 3)
rand_tensor, ones_tensor, zeros_tensor = torch.rand(shape), torch.ones(shape), torch.zeros(shape)
print(f"Random Tensor: \n {rand_tensor} \n")
print(f"Ones Tensor: \n {ones_tensor} \n")
print(f"Zeros Tensor: \n {zeros_tensor}")

tensor = torch.rand(3, 4)
print(f"Shape of tensor: {tensor.shape}")
print(f"Datatype of tensor: {tensor.dtype}")
print(f"Device tensor is stored on: {tensor.device}")
if torch.cuda.is_available():
    tensor = tensor.to("cuda")
if torch.accelerator.is_available():
    tensor = tensor.to(torch.accelerator.current_accelerator())

tensor = torch.ones(4, 4)
print(f"First row: {tensor[0]}")
print(f"First column: {tensor[:, 0]}")
print(f"Last column: {tensor[..., -1]}")
tensor[:, 1] = 0
print(tensor)
print(torch.cat([tensor, tensor, tensor], dim=1))

y1 = tensor @ tensor.T
y2 = tensor.matmul(tensor.T)
y3 = torch.rand_like(y1)
print(torch.matmul(tensor, tensor.T, out=y3))
print((y1 == y2).all(), torch.equal(y2, y3))
z1 = tensor * tensor
z3 = torch.rand_like(tensor)
torch.mul(tensor, tensor, out=z3)
print(z1, z3)

agg = tensor.sum()
agg_item = agg.item()
print(agg_item, type(agg_item))
print(f"{tensor} \n")
tensor.add_(5)
print(tensor)

t = torch.ones(5)
n = t.numpy()
print(f"t: {t}", f"n: {n}")
t.add_(1)
print(f"t: {t}", f"n: {n}")
n = np.ones(5)
t = torch.from_numpy(n)
np.add(n, 1, out=n)
print(f"t: {t}", f"n: {n}")

x = torch.empty(5, 3)
print(x.size(), x.numel(), x.dim(), len(x))
x = torch.zeros(5, 3, dtype=torch.long)
print(x)
x = torch.tensor([5.5, 3])
print(x)
x = x.new_ones(5, 3, dtype=torch.double)
print(x)
x = torch.randn_like(x, dtype=torch.float)
print(x)
y = torch.rand(5, 3)
result = torch.empty(5, 3)
torch.add(x, y, out=result)
print(result)
y.add_(x)
print(y[:, 1])
x = torch.randn(4, 4)
y = x.view(16)
z = x.view(-1, 8)
print(x.size(), y.size(), z.size())
x = torch.randn(1)
print(x, x.item())

print(torch.arange(10), torch.arange(1, 2, 0.25), torch.linspace(0, 1, 5), torch.logspace(0, 2, 3), torch.eye(3))
print(torch.full((2, 2), 7), torch.full((2,), 0.5), torch.tensor(True), torch.tensor(3), torch.tensor([]))
print(torch.tensor([1 + 2j, 3 - 1j]), torch.tensor([1.0, float("inf"), float("nan")]), torch.tensor([True, False]))
print(torch.tensor([1, 2, 3]).float(), torch.tensor([1.7, -2.2]).int(), torch.tensor([0, 1, 2]).bool())
print(x_data.to(torch.float64).dtype, x_data.type(), torch.tensor([1.0]).type(torch.IntTensor).dtype)
print((torch.ones(2, dtype=torch.int32) + torch.ones(2)).dtype, (torch.tensor(2) / torch.tensor(3)), 7 // torch.tensor(2))
print(tensor.T.shape, tensor.t().shape, tensor.stride(), tensor.is_contiguous(), tensor.t().is_contiguous())
print(torch.stack([torch.zeros(2), torch.ones(2)]), torch.chunk(torch.arange(6), 3), torch.arange(5).split([2, 3]))
print(torch.unsqueeze(torch.arange(3), 0).shape, torch.zeros(1, 3, 1).squeeze().shape, torch.zeros(2, 3, 4).permute(2, 0, 1).shape)
print(torch.is_tensor(x), torch.numel(tensor), torch.Size([2, 3]) == (2, 3), tuple(tensor.shape), tensor.shape[-1])
print(torch.tensor([[1.0, 2], [3, 4]]).tolist(), torch.tensor(2.5).item(), float(torch.tensor(1.5)), int(torch.tensor(3)))
a = torch.Tensor([1, 2, 3])
b = torch.FloatTensor(2, 3).zero_()
c = torch.LongTensor([1, 2])
print(a, b, c, a.type(), c.type())
