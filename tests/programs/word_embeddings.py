"""The word-embeddings tutorial: an n-gram language model and CBOW."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

torch.manual_seed(1)

word_to_ix = {"hello": 0, "world": 1}
embeds = nn.Embedding(2, 5)
lookup_tensor = torch.tensor([word_to_ix["hello"]], dtype=torch.long)
hello_embed = embeds(lookup_tensor)
print(embeds, hello_embed)

CONTEXT_SIZE = 2
EMBEDDING_DIM = 10
text = """We are about to study the idea of a computational process. Computational processes are abstract beings that
inhabit computers. As they evolve, processes manipulate other abstract things called data. The evolution of a process
is directed by a pattern of rules called a program. People create programs to direct processes.""".split()
ngrams = [([text[i - j - 1] for j in range(CONTEXT_SIZE)], text[i]) for i in range(CONTEXT_SIZE, len(text))]
print(ngrams[:3])
vocab = sorted(set(text))
word_to_ix = {word: i for i, word in enumerate(vocab)}


class NGramLanguageModeler(nn.Module):
    def __init__(self, vocab_size, embedding_dim, context_size):
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.linear1 = nn.Linear(context_size * embedding_dim, 128)
        self.linear2 = nn.Linear(128, vocab_size)

    def forward(self, inputs):
        embeds = self.embeddings(inputs).view((1, -1))
        out = F.relu(self.linear1(embeds))
        out = self.linear2(out)
        return F.log_softmax(out, dim=1)


losses = []
loss_function = nn.NLLLoss()
model = NGramLanguageModeler(len(vocab), EMBEDDING_DIM, CONTEXT_SIZE)
optimizer = optim.SGD(model.parameters(), lr=0.01)
for _ in range(4):
    total_loss = 0
    for context, target in ngrams:
        context_idxs = torch.tensor([word_to_ix[w] for w in context], dtype=torch.long)
        model.zero_grad()
        log_probs = model(context_idxs)
        loss = loss_function(log_probs, torch.tensor([word_to_ix[target]], dtype=torch.long))
        loss.backward()
        optimizer.step()
        total_loss += loss.item()
    losses.append(total_loss)
print(losses)
print(model.embeddings.weight[word_to_ix["process"] if "process" in word_to_ix else 0])


class CBOW(nn.Module):
    def __init__(self, vocab_size, embedding_dim):
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, embedding_dim, padding_idx=0)
        self.linear = nn.Linear(embedding_dim, vocab_size)

    def forward(self, inputs):
        return self.linear(self.embeddings(inputs).sum(dim=1))


contexts = torch.tensor([[word_to_ix[text[j]] for j in (i - 2, i - 1, i + 1, i + 2)] for i in range(2, len(text) - 2)])
targets = torch.tensor([word_to_ix[text[i]] for i in range(2, len(text) - 2)])
model = CBOW(len(vocab), 8)
optimizer = optim.Adam(model.parameters(), lr=0.05)
for epoch in range(8):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(contexts), targets)
    loss.backward()
    optimizer.step()
    if epoch % 2 == 0:
        print(f"epoch {epoch} loss {loss.item():.4f} accuracy {(model(contexts).argmax(1) == targets).float().mean():.3f}")
print(model.embeddings, model.embeddings.weight[0], model.embeddings.weight.grad[0])
similarity = F.cosine_similarity(model.embeddings.weight[1:2], model.embeddings.weight[2:8])
values, indices = similarity.topk(3)
print(similarity, values, [vocab[i + 2] for i in indices])

bag = nn.EmbeddingBag(10, 3, mode="mean")
print(bag, bag(torch.tensor([1, 2, 4, 5, 4, 3, 2, 9]), torch.tensor([0, 4])).detach())
frozen = nn.Embedding.from_pretrained(torch.arange(6.0).view(3, 2))
print(frozen(torch.tensor([[2, 0]])), frozen.weight.requires_grad)
print(F.one_hot(torch.tensor([2, 0, 1]), num_classes=4))
