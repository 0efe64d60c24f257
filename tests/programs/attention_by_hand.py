"""Attention with matmul, softmax and masks; a small transformer block; positional encoding; einsum."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(17)


def attention(query, key, value, mask=None, dropout=None):
    d_k = query.size(-1)
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if mask is not None:
        scores = scores.masked_fill(mask == 0, -1e9)
    p_attn = scores.softmax(dim=-1)
    if dropout is not None:
        p_attn = dropout(p_attn)
    return torch.matmul(p_attn, value), p_attn


def subsequent_mask(size):
    return torch.triu(torch.ones((1, size, size)), diagonal=1).type(torch.uint8) == 0


print(subsequent_mask(4))
q, k, v = torch.randn(3, 2, 4, 8).unbind(0)
out, weights = attention(q, k, v, subsequent_mask(4))
print(out.shape, weights[0], (weights.sum(-1) - 1).abs().max() < 1e-6)
print(torch.allclose(out, F.scaled_dot_product_attention(q, k, v, is_causal=True), atol=1e-6))


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len=50):
        super().__init__()
        pe = torch.zeros(max_len, d_model)
        position = torch.arange(0, max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * -(math.log(10000.0) / d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe.unsqueeze(0))

    def forward(self, x):
        return x + self.pe[:, : x.size(1)].requires_grad_(False)


print(PositionalEncoding(6).pe[0, :3])


class MultiHeadAttention(nn.Module):
    def __init__(self, h, d_model, dropout=0.1):
        super().__init__()
        assert d_model % h == 0
        self.d_k, self.h = d_model // h, h
        self.linears = nn.ModuleList([nn.Linear(d_model, d_model) for _ in range(4)])
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, query, key, value, mask=None):
        if mask is not None:
            mask = mask.unsqueeze(1)
        nbatches = query.size(0)
        query, key, value = (
            lin(x).view(nbatches, -1, self.h, self.d_k).transpose(1, 2)
            for lin, x in zip(self.linears, (query, key, value), strict=False)
        )
        x, self.attn = attention(query, key, value, mask=mask, dropout=self.dropout)
        x = x.transpose(1, 2).contiguous().view(nbatches, -1, self.h * self.d_k)
        return self.linears[-1](x)


class LayerNorm(nn.Module):
    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(features))
        self.b_2 = nn.Parameter(torch.zeros(features))
        self.eps = eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        std = x.std(-1, keepdim=True)
        return self.a_2 * (x - mean) / (std + self.eps) + self.b_2


class Block(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.attn = MultiHeadAttention(h, d)
        self.norm1, self.norm2 = LayerNorm(d), nn.LayerNorm(d)
        self.ff = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d), nn.Dropout(0.1))

    def forward(self, x, mask):
        y = self.norm1(x)
        x = x + self.attn(y, y, y, mask)
        return x + self.ff(self.norm2(x))


class TinyTransformer(nn.Module):
    def __init__(self, vocab, d=16, layers=2):
        super().__init__()
        self.embed = nn.Embedding(vocab, d)
        self.position = PositionalEncoding(d)
        self.blocks = nn.ModuleList(Block(d, 2) for _ in range(layers))
        self.head = nn.Linear(d, vocab, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        mask = subsequent_mask(tokens.size(-1))
        x = self.position(self.embed(tokens) * math.sqrt(16))
        for block in self.blocks:
            x = block(x, mask)
        return self.head(x)


model = TinyTransformer(11)
print(model)
print(sum(p.numel() for p in model.parameters()), len(list(model.parameters())), len(model.state_dict()))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.98), eps=1e-9)
data = torch.randint(1, 11, (8, 6))
data = torch.cat([data, data], dim=1)
for step in range(10):
    logits = model(data[:, :-1])
    loss = F.cross_entropy(logits.reshape(-1, 11), data[:, 1:].reshape(-1), ignore_index=0)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 3 == 0:
        print(step, loss.item())
model.eval()
tokens = data[:1, :7]
for _ in range(4):
    tokens = torch.cat([tokens, model(tokens)[:, -1].argmax(-1, keepdim=True)], dim=1)
print(tokens, data[0])
print(model.blocks[0].attn.attn[0, 0, :3, :3])

# Averages over the past, three ways.
B, T, C = 1, 4, 2
x = torch.randn(B, T, C)
xbow = torch.zeros((B, T, C))
for t in range(T):
    xbow[:, t] = torch.mean(x[:, : t + 1], 1)
tril = torch.tril(torch.ones(T, T))
wei = tril / tril.sum(1, keepdim=True)
wei3 = torch.zeros((T, T)).masked_fill(tril == 0, float("-inf"))
wei3 = F.softmax(wei3, dim=-1)
print(wei, wei3, torch.allclose(wei @ x, xbow), xbow)

A, Bm = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
print(torch.einsum("bij,bjk->bik", A, Bm).sub(torch.bmm(A, Bm)).abs().max() < 1e-5)
print(torch.einsum("bhqd,bhkd->bhqk", torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4)).shape)
print(torch.einsum("ii->i", torch.arange(9.0).view(3, 3)), torch.einsum("i,j->ij", torch.arange(3.0), torch.arange(2.0)))
print(torch.einsum("...ij->...", A), torch.einsum("bij->", A), torch.tensordot(A, Bm, dims=([2], [1])).shape)
