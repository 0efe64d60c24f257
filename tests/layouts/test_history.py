"""Hidden layouts and gradients: strides of gradients and optimizers' state, hooks, double backward, functions of the user's own."""

from __future__ import annotations

import copy
import io
import threading

import numpy as np
import pytest

import rushlight as rl


def network(lib, seed=0):
    """A small one with everything that keeps layouts; the same numbers in both libraries."""
    lib.manual_seed(seed)
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 20, 3, padding=1, groups=20), nn.Conv2d(20, 17, 1), nn.GELU(), nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(17, 5, 2, stride=2), nn.AdaptiveAvgPool2d(3),
        nn.Flatten(), nn.Linear(45, 4),
    )  # fmt: skip


def images(helpers, lib, grad=False):
    return helpers.given(lib, 2, 3, 8, 6, grad=grad)


def both(helpers, torch, run, rtol=2e-3):
    """`run(lib)` shows the same in both libraries."""
    helpers.assert_alike(*[helpers.seen(run(lib)) for lib in (rl, torch)], rtol=rtol)


def test_strides_of_gradients(helpers, torch):
    def run(lib):
        x, model = images(helpers, lib, grad=True), network(lib)
        model(x).square().sum().backward()
        first = [helpers.seen(p.grad) for p in model.parameters()]
        model(x).sum().backward()  # and once more on top
        return [first, x.grad, [p.grad for p in model.parameters()]]

    both(helpers, torch, run, rtol=1e-2)


def test_gradients_of_every_layer(helpers, torch):
    """What arrives between the layers, held by `retain_grad` and asked for with `autograd.grad`."""

    def run(lib):
        x, model, between = images(helpers, lib, grad=True), network(lib), []
        y = x
        for layer in model:
            y = layer(y)
            y.retain_grad()
            between.append(y)
        grads = lib.autograd.grad(y.square().sum(), between[:-1], retain_graph=True)
        y.square().sum().backward()
        return [[g for g in grads], [t.grad for t in between], [t.is_contiguous() for t in between]]

    both(helpers, torch, run, rtol=1e-2)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"])
def test_state_of_optimizers(helpers, torch, name):
    def run(lib):
        x, model = images(helpers, lib), network(lib)
        options = {"momentum": 0.9, "nesterov": True} if name == "SGD" else {}
        optimizer = getattr(lib.optim, name)(model.parameters(), lr=1e-3, **options)
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
        state = [[v for v in each.values() if lib.is_tensor(v) and v.dim()] for each in optimizer.state_dict()["state"].values()]
        return [[(tuple(v.shape), v.stride(), v.untyped_storage().nbytes()) for v in each] for each in state]

    both(helpers, torch, run)


def test_module_hooks_see_the_default_format(helpers, torch):
    def run(lib):
        x, model, shown = images(helpers, lib, grad=True), network(lib), []
        for layer in model:
            layer.register_forward_pre_hook(lambda m, args: shown.append(helpers.seen(args[0])))
            layer.register_forward_hook(lambda m, args, out: shown.append(helpers.seen(out)))
            layer.register_full_backward_pre_hook(lambda m, g: shown.append(helpers.seen(g[0])))
            layer.register_full_backward_hook(lambda m, gi, go: shown.append(helpers.seen([gi[0], go[0]])))
        out = model(x)
        out.register_hook(lambda g: shown.append(helpers.seen(g)))
        x.register_hook(lambda g: shown.append(helpers.seen(g)))
        (out * out.detach()).sum().backward()
        return [shown, x.grad]

    both(helpers, torch, run, rtol=1e-2)


def test_hooks_that_change_what_they_see(helpers, torch, made):
    def run(lib):
        x, y = made.with_leaf(lib)
        y.register_hook(lambda g: g.transpose(1, -1).contiguous().transpose(1, -1) * 2)
        z = y.view(-1) * 3
        z.register_hook(lambda g: g.mul_(2))
        z.square().sum().backward()
        return x.grad

    both(helpers, torch, run)


def test_saved_tensors_hooks(helpers, torch, made):
    """Everything that is saved goes through the user's hands, as NumPy arrays on the way."""

    def run(lib):
        packed = []

        def pack(t):
            packed.append(t.is_contiguous())
            return t.detach().numpy().copy()

        x = helpers.given(lib, *made.shape, grad=True)
        with lib.autograd.graph.saved_tensors_hooks(pack, lambda array: lib.from_numpy(array)):
            y = made.make(lib, x)
            (y * y).sum().backward()
        assert packed
        return x.grad

    both(helpers, torch, run)


def test_double_backward(helpers, torch, any_made):
    def run(lib):
        x, y = any_made.with_leaf(lib)
        if y.grad_fn is None:
            return None
        (g,) = lib.autograd.grad((y * y).sum(), x, create_graph=True)
        (h,) = lib.autograd.grad((g * g).sum(), x)
        return [g, h, g.requires_grad]

    both(helpers, torch, run, rtol=1e-2)


def test_gradient_penalty(helpers, torch):
    def run(lib):
        x, weight = images(helpers, lib, grad=True), helpers.given(lib, 20, 3, 3, 3, seed=1, grad=True)
        y = lib.nn.functional.gelu(lib.nn.functional.conv2d(x, weight / 8, padding=1))
        (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        ((g.flatten(1).norm(dim=1) - 1) ** 2).sum().backward()
        return [g, weight.grad, x.grad]

    both(helpers, torch, run)


def test_functions_of_the_user(helpers, torch, made):
    def run(lib):
        shown = []

        class Twice(lib.autograd.Function):
            @staticmethod
            def forward(ctx, t):
                ctx.save_for_backward(t)
                shown.append(helpers.seen(t))
                return t * 2

            @staticmethod
            def backward(ctx, g):
                (t,) = ctx.saved_tensors
                shown.extend([helpers.seen(t), g.is_contiguous()])
                return lib.relu(g) * 2

        class Same(lib.autograd.Function):
            @staticmethod
            def forward(ctx, t):
                return t.view_as(t)

            @staticmethod
            def backward(ctx, g):
                return g

        class Overwrites(lib.autograd.Function):
            @staticmethod
            def forward(ctx, t):
                ctx.mark_dirty(t)
                return t.mul_(3)

            @staticmethod
            def backward(ctx, g):
                return g * 3

        x, y = made.with_leaf(lib)
        z = Overwrites.apply(Same.apply(Twice.apply(y)) + 1)
        lib.relu(z).sum().backward()
        return [shown, z, x.grad]

    both(helpers, torch, run)


def test_subclasses(helpers, torch, made):
    def run(lib):
        seen = []

        class Mine(lib.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None):
                found = super().__torch_function__(function, types, args, kwargs or {})
                seen.append(getattr(function, "__name__", "?"))
                return found

        y = made(lib).as_subclass(Mine)
        z = lib.relu(lib.nn.functional.avg_pool2d(y, 1) if y.dim() == 4 else y + 1)
        assert type(z) is Mine
        return [z.as_subclass(lib.Tensor), z.stride(), z.view(-1).shape, z.transpose(1, 2).stride()]

    both(helpers, torch, run)


def test_states_and_copies_of_modules(helpers, torch):
    def run(lib):
        x, model = images(helpers, lib), network(lib)
        model(x).sum().backward()
        twin = copy.deepcopy(model)
        file = io.BytesIO()
        lib.save(model.state_dict(), file)
        file.seek(0)
        twin.load_state_dict(lib.load(file))
        model.eval(), twin.eval()
        return [list(model.state_dict().values()), [p.grad for p in twin.parameters()], twin(x), (model(x) - twin(x)).abs().max().item()]

    both(helpers, torch, run, rtol=1e-2)


def test_buffers_that_were_hidden_results(helpers, torch, made):
    """A result that becomes part of a module's state, a parameter, or a leaf of its own."""

    def run(lib):
        module, y = lib.nn.Module(), made(lib)
        module.register_buffer("kept", y)
        module.weight = lib.nn.Parameter(y)
        leaf = y.detach().requires_grad_()
        (lib.relu(leaf) * module.weight).sum().backward()
        state = module.state_dict()
        return [state, module.weight.grad, leaf.grad, state["weight"].data_ptr() == y.data_ptr(), state["kept"].data_ptr() == y.data_ptr()]

    both(helpers, torch, run)


def test_collating(helpers, torch, made):
    def run(lib):
        y = made(lib)
        dataset = [{"image": row, "label": i} for i, row in enumerate(lib.cat([y, y]))]
        return list(lib.utils.data.DataLoader(dataset, batch_size=3))

    import torch.utils.data  # noqa: F401

    both(helpers, torch, run)


def test_many_threads_look_at_once(made):
    """One hidden tensor, relaid by whoever comes first: all get the same memory and the same numbers."""
    for _ in range(20):
        y = made(rl)
        expected = y.tolist()
        start, found = threading.Barrier(8), []

        def look(i, y=y, start=start, found=found):
            start.wait()
            t = (y, y.detach(), y.view(-1), y.transpose(0, 1))[i % 4]
            found.append((t.data_ptr(), t.sum().item() if i % 2 else None, t.is_contiguous()))

        threads = [threading.Thread(target=look, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {pointer for pointer, _, _ in found} == {y.data_ptr()} and len(found) == 8
        assert y.tolist() == expected


def test_numbers_drawn_for_it_are_torchs(helpers, torch):
    """Dropout draws in the order of the reported format."""

    def run(lib):
        x = helpers.given(lib, 2, 3, 8, 6, grad=True)
        y = helpers.conv(lib, x)
        lib.manual_seed(7)
        drawn = [lib.nn.functional.dropout(y, 0.5) != 0, lib.nn.functional.dropout2d(y, 0.5) != 0, lib.rand_like(y)]
        drawn += [lib.bernoulli(y.sigmoid()), lib.randn_like(y), lib.nn.functional.rrelu(y, training=True)]
        drawn += [y.detach().clone().exponential_()]
        return [np.array(t.detach().numpy()) for t in drawn]

    both(helpers, torch, run)
