"""k-means, PCA, a Gaussian mixture by EM, gradient descent on a mixture, t-SNE-like affinities, k nearest neighbours."""

import math

import torch

torch.manual_seed(29)
centres = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
labels = torch.randint(3, (90,))
points = centres[labels] + torch.randn(90, 2) * 0.5

means = points[torch.randperm(len(points))[:3]].clone()
for step in range(5):
    distance = torch.cdist(points, means)
    assigned = distance.argmin(dim=1)
    for k in range(3):
        if (assigned == k).any():
            means[k] = points[assigned == k].mean(dim=0)
    print(step, means, distance.min(1).values.sum())
sums = torch.zeros(3, 2).index_add(0, assigned, points)
counts = torch.zeros(3).index_add(0, assigned, torch.ones(90))
print(torch.allclose(sums / counts[:, None], means, atol=1e-5), assigned.bincount())

centred = points - points.mean(0)
U, S, V = torch.svd(centred)
print(S, V.abs(), (S**2 / (S**2).sum()))
covariance = centred.T @ centred / (len(points) - 1)
values, vectors = torch.linalg.eigh(covariance)
print(values.flip(0), vectors.abs(), torch.cov(points.T))

weights, mus, sigmas = torch.full((3,), 1 / 3), means + 0.5, torch.ones(3)
for step in range(6):
    log_p = -((points[:, None] - mus) ** 2).sum(-1) / (2 * sigmas**2) - 2 * sigmas.log() - math.log(2 * math.pi) + weights.log()
    log_likelihood = torch.logsumexp(log_p, dim=1)
    responsibility = (log_p - log_likelihood[:, None]).exp()
    total = responsibility.sum(0)
    mus = responsibility.T @ points / total[:, None]
    sigmas = ((responsibility * ((points[:, None] - mus) ** 2).sum(-1)).sum(0) / (2 * total)).sqrt()
    weights = total / len(points)
    print(step, log_likelihood.mean())
print(mus, sigmas, weights)

nearest = torch.cdist(points, points).fill_diagonal_(float("inf")).topk(5, largest=False).indices
vote = labels[nearest].mode(dim=1).values
print((vote == labels).float().mean(), nearest[0])
affinity = torch.exp(-torch.cdist(points[:6], points[:6]) ** 2)
affinity.fill_diagonal_(0)
P = affinity / affinity.sum()
embedded = torch.randn(6, 1, requires_grad=True)
optimizer = torch.optim.SGD([embedded], lr=2.0)
for step in range(10):
    Q = 1 / (1 + torch.cdist(embedded, embedded) ** 2)
    Q = Q * (1 - torch.eye(6))
    Q = Q / Q.sum()
    loss = torch.sum(P * torch.log((P + 1e-8) / (Q + 1e-8)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 3 == 0:
        print(step, loss)
