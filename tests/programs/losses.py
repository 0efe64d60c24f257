"""Loss functions: values, reductions, gradients, weights, soft targets, ignored targets, and one's own."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(25)
logits = torch.randn(4, 3, requires_grad=True)
target = torch.tensor([0, 2, 1, 2])
regression = torch.randn(4, 3, requires_grad=True)
truth = torch.randn(4, 3)
binary = (torch.rand(4, 3) > 0.5).float()


def show(name, loss, *inputs):
    gradients = torch.autograd.grad(loss.sum(), inputs)
    print(name, loss, *[g[0] for g in gradients])


show("ce", nn.CrossEntropyLoss()(logits, target), logits)
show("ce none", nn.CrossEntropyLoss(reduction="none")(logits, target), logits)
show("ce weight", nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1)(logits, target), logits)
show("ce ignore", F.cross_entropy(logits, torch.tensor([0, -100, 1, -100])), logits)
show("ce soft", F.cross_entropy(logits, torch.softmax(truth, 1), reduction="none"), logits)
show("nll", F.nll_loss(F.log_softmax(logits, dim=1), target, reduction="sum"), logits)
show("bce", nn.BCELoss()(torch.sigmoid(logits), binary), logits)
show("bce logits", nn.BCEWithLogitsLoss(reduction="sum")(logits, binary), logits)
show("mse", nn.MSELoss()(regression, truth), regression)
show("l1", nn.L1Loss(reduction="sum")(regression, truth), regression)
show("smooth", nn.SmoothL1Loss(beta=0.5)(regression, truth), regression)
show("huber", nn.HuberLoss(delta=0.7)(regression, truth), regression)
show("kl", nn.KLDivLoss(reduction="batchmean")(F.log_softmax(logits, 1), F.softmax(truth, 1)), logits)
show("kl log", F.kl_div(F.log_softmax(logits, 1), F.log_softmax(truth, 1), log_target=True, reduction="sum"), logits)
show("poisson", nn.PoissonNLLLoss()(regression, truth.abs()), regression)
show("gaussian", nn.GaussianNLLLoss()(regression, truth, torch.ones(4, 3) * 0.5), regression)
show("hinge", nn.HingeEmbeddingLoss()(regression, binary * 2 - 1), regression)
show("cosine", nn.CosineEmbeddingLoss()(regression, truth, torch.tensor([1, -1, 1, -1])), regression)
show("margin", nn.MarginRankingLoss(0.1)(regression[:, 0], truth[:, 0], torch.tensor([1.0, -1, 1, -1])), regression)
show("triplet", nn.TripletMarginLoss()(regression, truth, truth.flip(0)), regression)
show("multi margin", nn.MultiMarginLoss()(logits, target), logits)
show("multilabel", nn.MultiLabelSoftMarginLoss()(logits, binary), logits)
show("soft margin", nn.SoftMarginLoss()(logits, binary * 2 - 1), logits)
show("2d", F.cross_entropy(logits.view(1, 3, 2, 2), torch.tensor([[[0, 1], [2, 0]]])), logits)


class FocalLoss(nn.Module):
    def __init__(self, alpha=0.25, gamma=2):
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def forward(self, inputs, targets):
        bce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
        pt = torch.exp(-bce)
        return (self.alpha * (1 - pt) ** self.gamma * bce).mean()


def dice_loss(inputs, targets, smooth=1.0):
    inputs = torch.sigmoid(inputs).view(-1)
    targets = targets.view(-1)
    intersection = (inputs * targets).sum()
    return 1 - (2.0 * intersection + smooth) / (inputs.sum() + targets.sum() + smooth)


def contrastive(z1, z2, temperature=0.5):
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    n = len(z1)
    return F.cross_entropy(similarity, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))


show("focal", FocalLoss()(logits, binary), logits)
show("dice", dice_loss(logits, binary), logits)
show("contrastive", contrastive(logits, regression), logits, regression)
temperature = 2.0
distill = F.kl_div(F.log_softmax(logits / temperature, 1), F.softmax(truth / temperature, 1), reduction="batchmean") * temperature**2
show("distillation", distill, logits)
show("gumbel", F.gumbel_softmax(logits, tau=1, hard=True) * torch.arange(3.0), logits)
show("rmse", torch.sqrt(F.mse_loss(regression, truth) + 1e-8), regression)
show("logsumexp", torch.logsumexp(logits, dim=1) - logits.gather(1, target[:, None]).squeeze(1), logits)
print(nn.CrossEntropyLoss(weight=torch.ones(3)).weight, nn.MSELoss(), list(nn.CrossEntropyLoss(weight=torch.ones(3)).state_dict()))
