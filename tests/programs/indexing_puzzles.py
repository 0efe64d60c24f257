"""Broadcasting, advanced indexing, gather, scatter, masks, sorting, top-k metrics, type casts."""

import torch
import torch.nn.functional as F

torch.manual_seed(20)

x = torch.arange(24).reshape(2, 3, 4)
print(x[1, 2, 3], x[0], x[:, 1], x[..., 0], x[0, :, 1:3], x[-1, -1, -1], x[:, ::2, ::3])
print(x[[0, 1], [2, 0]], x[:, [0, 2]], x[x % 5 == 0], x[torch.tensor([1, 0])], x[None].shape, x[:, None, :, None].shape)
print(x[torch.arange(2)[:, None], torch.tensor([[0, 1], [1, 2]])])
print(x[:, torch.tensor([True, False, True])], x[0][torch.tensor([[0, 1], [2, 0]])].shape)
y = x.clone()
y[0, 1] = -1
y[1, :, 2] = torch.tensor([7, 8, 9])
y[y > 20] = 0
y[..., 0] += 100
y[[0, 1], [0, 1], [1, 2]] = 55
print(y)
z = torch.zeros(3, 4)
z[torch.arange(3), torch.tensor([0, 2, 1])] = 1.0
z[1:, -1] = 5
print(z, z.nonzero(), torch.nonzero(z, as_tuple=True), z.count_nonzero())
z.index_fill_(1, torch.tensor([0]), -1)
print(z.index_select(0, torch.tensor([2, 0])), torch.take(z, torch.tensor([0, 5, 11])), z.masked_select(z > 0))

scores = torch.randn(4, 5)
labels = torch.tensor([1, 0, 4, 2])
print(scores.gather(1, labels.view(-1, 1)), scores[torch.arange(4), labels])
print(torch.zeros(4, 5).scatter_(1, labels.unsqueeze(1), 1.0))
print(torch.zeros(5).scatter_add_(0, torch.tensor([0, 1, 0, 4]), torch.ones(4)))
print(torch.zeros(3, 2).index_add_(0, torch.tensor([0, 2, 0]), torch.arange(6.0).view(3, 2)))
print(torch.zeros(3).scatter_reduce(0, torch.tensor([0, 1, 1]), torch.tensor([3.0, 1.0, 5.0]), reduce="amax"))
values, indices = scores.topk(2, dim=1)
print(values, indices, scores.sort(dim=1, descending=True), scores.argsort()[0])


def accuracy(output, target, topk=(1,)):
    maxk = max(topk)
    _, pred = output.topk(maxk, 1, True, True)
    pred = pred.t()
    correct = pred.eq(target.view(1, -1).expand_as(pred))
    return [correct[:k].reshape(-1).float().sum(0, keepdim=True).mul_(100.0 / target.size(0)) for k in topk]


print(accuracy(scores, labels, topk=(1, 3)))
print(scores.max(), scores.max(dim=0), scores.min(1).indices, scores.argmax(), scores.argmax(1), scores.amax((0, 1)))
print(torch.kthvalue(scores[0], 2), scores.median(), scores.median(dim=1).values, torch.mode(torch.tensor([1, 2, 2, 3])))
print(torch.unique(torch.tensor([3, 1, 3, 2]), return_counts=True, return_inverse=True))
print(torch.bincount(torch.tensor([0, 1, 1, 3])), torch.histc(torch.tensor([1.0, 2, 1]), bins=4, min=0, max=3))
print(
    torch.cumsum(torch.arange(5), 0),
    torch.cumprod(torch.arange(1.0, 5), 0),
    scores.cummax(1).values[0],
    torch.diff(torch.tensor([1, 4, 9])),
)
print(torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([0, 3, 6])), torch.bucketize(torch.tensor([2.5]), torch.tensor([1.0, 2, 3])))

a, b = torch.arange(3).view(3, 1), torch.arange(4).view(1, 4)
print(a + b, (a * b).shape, torch.broadcast_tensors(a, b)[0].stride(), torch.outer(torch.arange(3), torch.arange(2)))
print(torch.cdist(torch.randn(3, 2), torch.randn(2, 2)).shape, a.expand(3, 4).sum(), a.repeat(1, 2), a.squeeze().repeat_interleave(2))
print(torch.clamp(scores, -0.5, 0.5)[0], scores.clip(min=0)[0], torch.where(scores > 0, scores, torch.zeros_like(scores))[0])
print(torch.where(scores > 0, 1.0, -1.0)[0], scores.masked_fill(scores < 0, float("-inf"))[0], (scores > 0).any(1), (scores > -9).all())
print(
    torch.flip(torch.arange(4), [0]),
    torch.roll(torch.arange(4), 1),
    torch.rot90(torch.arange(4).view(2, 2)),
    torch.tril(torch.ones(3, 3)),
)
print(torch.cat([a, a], 1).shape, torch.hstack([torch.arange(2), torch.arange(3)]), torch.vstack([torch.arange(2), torch.arange(2)]))
print(torch.meshgrid(torch.arange(2), torch.arange(3), indexing="xy"), torch.cartesian_prod(torch.arange(2), torch.arange(2)))
print(torch.combinations(torch.arange(4), r=2), torch.tril_indices(3, 3), torch.block_diag(torch.ones(1, 2), torch.ones(2, 1)))
print(scores.mean(1), scores.var(1), scores.std(), scores.var(unbiased=False), torch.var_mean(scores, dim=0), scores.sum((0, 1)))
print(scores.norm(), scores.norm(1, dim=1), torch.linalg.norm(scores, ord=2), F.normalize(scores, dim=1)[0], scores.logsumexp(1))
print(torch.quantile(scores, torch.tensor([0.25, 0.75])), torch.corrcoef(scores[:2]), torch.cov(scores[:2]))
print(
    torch.isnan(torch.tensor([1.0, float("nan")])),
    torch.nan_to_num(torch.tensor([float("inf"), float("nan")])),
    torch.isfinite(scores).all(),
)
print(
    scores.int()[0],
    scores.half()[0],
    scores.bfloat16()[0],
    scores.double()[0],
    scores.long().dtype,
    scores.bool()[0],
    scores.byte().shape,
)
print(
    torch.tensor([1, 2]) / 2,
    torch.tensor([7, -7]) // 2,
    torch.tensor([7, -7]) % 3,
    torch.tensor([1.5]) // 1,
    2 ** torch.arange(4),
    torch.fmod(torch.tensor(-7), 3),
)
print(
    torch.div(torch.tensor([7, -7]), 2, rounding_mode="trunc"),
    torch.floor(torch.tensor([-1.5])),
    torch.round(torch.tensor([0.5, 1.5, 2.5])),
    torch.trunc(torch.tensor([-1.7])),
)
print(
    True + torch.tensor([1]),
    torch.tensor([1]) + 1.5,
    torch.tensor([1], dtype=torch.int8) + 100,
    torch.tensor(1.0, dtype=torch.half) + torch.ones(1),
)
print(
    torch.tensor([3, 5]) & 6,
    torch.tensor([True]) | torch.tensor([False]),
    ~torch.tensor([True, False]),
    torch.tensor([1, 2]) << 2,
    torch.tensor(5) ^ 3,
)
print(
    torch.result_type(torch.tensor([1]), 1.0),
    torch.promote_types(torch.int32, torch.float16),
    torch.finfo(torch.float32).eps,
    torch.iinfo(torch.int8).max,
)
print(
    x.permute(2, 0, 1).shape,
    x.transpose(0, 2).contiguous().view(-1)[:5],
    x.flatten(1).shape,
    x.movedim(0, -1).shape,
    x.unflatten(2, (2, 2)).shape,
)
print(x.view(6, 4).unfold(1, 2, 1).shape, x.swapaxes(0, 1).shape, x.ravel()[:3], torch.atleast_2d(torch.tensor(1)), x.reshape(-1, 2).shape)
for row, label in zip(scores, labels, strict=True):
    print(f"{row[label]:.3f} {label.item():>3d} {row.max():8.4f}")
print(len(x), [t.shape for t in x], sum(scores[0]), max(scores[0]), list(torch.arange(3)), 3 in torch.arange(5), torch.arange(3).tolist())
print(scores.sum().item() == scores.sum(), bool(torch.tensor([1])), torch.tensor(3).__index__(), [10, 20, 30][torch.tensor(1)])
for attempt in (
    lambda: torch.ones(2, 3) + torch.ones(2, 4),
    lambda: torch.ones(2, 3) @ torch.ones(2, 3),
    lambda: x.view(5, 5),
    lambda: x[2],
    lambda: bool(torch.ones(2)),
    lambda: torch.ones(2).item(),
    lambda: torch.cat([torch.ones(2, 2), torch.ones(3)]),
    lambda: x.transpose(0, 1).view(-1),
    lambda: torch.tensor([[1], [1, 2]]),
    lambda: F.cross_entropy(scores, labels.float()),
    lambda: F.cross_entropy(scores, labels + 3),
    lambda: torch.nn.Linear(3, 2)(torch.ones(1, 4)),
    lambda: torch.zeros(3, dtype=torch.long).add_(0.5),
    lambda: torch.ones(2).backward(),
    lambda: torch.zeros(2, 3).squeeze(5),
    lambda: torch.nn.Embedding(3, 2)(torch.tensor([3])),
):
    try:
        print(attempt())
    except Exception as error:
        print(type(error).__name__)
