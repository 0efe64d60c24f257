"""Containers: indexing, changing, printing. Programs run on torch too and must agree."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

import rushlight

try:
    import torch
except ImportError:
    torch = None


def run(program: str, library: Any) -> Any:
    nn = library.nn
    space: dict[str, Any] = {"torch": library, "nn": nn, "OrderedDict": OrderedDict}
    space["s"] = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    space["m"] = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.Sigmoid()])
    space["d"] = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    space["p"] = nn.ParameterList([torch_like(library, 1.0), torch_like(library, 2.0), "text"])
    space["q"] = nn.ParameterDict(OrderedDict(b=torch_like(library, 1.0), a=torch_like(library, 2.0), c=3))
    try:
        exec(program, space)
    except Exception as error:
        return type(error)
    found = space["found"]
    return [repr(f) for f in found] if isinstance(found, (list, tuple)) else repr(found)


def torch_like(library: Any, value: float) -> Any:
    return library.tensor([value])


PROGRAMS = [
    "found = s[0], s[-1], len(s), list(s), s[1:], s[:0]",
    "found = s[3]",
    "found = s[-4]",
    "found = s['a']",
    "s[1] = nn.ELU(); found = s",
    "s[-1] = nn.ELU(); found = s",
    "s[5] = nn.ELU(); found = s",
    "s[0] = 3; found = s",
    "del s[1]; found = s",
    "del s[-1]; found = s",
    "del s[1:]; found = s",
    "del s[7]; found = s",
    "found = s.pop(0), s",
    "found = s.pop(9)",
    "found = s.append(nn.ELU())",
    "found = s.append(3)",
    "found = s.insert(1, nn.ELU())",
    "found = s.insert(-1, nn.ELU())",
    "found = s.insert(3, nn.ELU())",
    "found = s.insert(4, nn.ELU())",
    "found = s.insert(-4, nn.ELU())",
    "found = s.insert(0, 3)",
    "found = s.extend([nn.ELU()])",
    "found = s + nn.Sequential(nn.ELU())",
    "found = s + nn.ELU()",
    "s += nn.Sequential(nn.ELU()); found = s",
    "found = s * 2",
    "found = 2 * s",
    "s *= 2; found = s",
    "found = s * 0",
    "found = s * 1.5",
    "found = nn.Sequential(OrderedDict(x=nn.ReLU(), y=nn.Tanh())), nn.Sequential(OrderedDict(x=nn.ReLU())).x",
    "found = [k for k in dir(s) if k.isdigit()]",
    "found = [n for n, _ in s.named_children()]",
    "found = m[0], m[-1], m[1:], len(m), list(m)",
    "found = m[3]",
    "m[1] = nn.ELU(); found = m",
    "m[3] = nn.ELU()",
    "del m[0]; found = m",
    "del m[:2]; found = m",
    "del m[-1]; found = m, list(m._modules)",
    "found = m.append(nn.ELU())",
    "m.insert(1, nn.ELU()); found = m",
    "found = m.pop(1), m",
    "found = m.extend([nn.ELU()])",
    "found = m.extend(3)",
    "m += [nn.ELU()]; found = m",
    "found = m + [nn.ELU()]",
    "found = m(1)",
    "found = nn.ModuleList(3)",
    "found = d, d['a'], len(d), list(d), 'a' in d, 'z' in d, list(d.keys()), list(d.values()), list(d.items())",
    "found = d['z']",
    "d['c'] = nn.ELU(); found = d",
    "d['c'] = 3",
    "del d['a']; found = d",
    "found = d.pop('a'), d",
    "found = d.pop('z')",
    "d.clear(); found = d",
    "d.update({'c': nn.ELU()}); found = d",
    "d.update([('c', nn.ELU())]); found = d",
    "d.update([('c',)])",
    "d.update(3)",
    "d.update([3])",
    "d.update(nn.ModuleDict({'z': nn.ELU(), 'y': nn.ELU()})); found = d",
    "d['keys'] = nn.ReLU()",
    "found = p, len(p), p[0], p[-1], p[1:], list(p)",
    "found = p[3]",
    "p[0] = torch.ones(2, 2); found = p, list(p.state_dict())",
    "p[2] = 'new'; found = p",
    "found = p.append(torch.ones(2))",
    "found = p.extend(torch.ones(2))",
    "found = p.extend(3)",
    "p += [torch.ones(2)]; found = p",
    "p(1)",
    "found = [n for n, _ in p.named_parameters()]",
    "found = nn.ParameterList()",
    "found = q, list(q), q['a'], len(q), 'a' in q, list(reversed(q)), list(q.keys()), list(q.values()), list(q.items())",
    "found = q['z']",
    "found = q.get('z'), q.get('z', 3), q.get('c')",
    "found = q.pop('a'), q",
    "found = q.popitem(), q",
    "found = q.setdefault('a', 3), q.setdefault('z', 4), q",
    "del q['b']; found = q",
    "del q['z']",
    "q.clear(); found = q",
    "found = q.copy(), q.copy()['a'] is q['a']",
    "found = q.fromkeys(['x', 'y'], 1)",
    "q['n'] = torch.ones(2, 3, dtype=torch.float16); found = q",
    "q[1] = 2",
    "found = q | nn.ParameterDict({'z': torch.ones(1)})",
    "q |= nn.ParameterDict({'z': torch.ones(1)}); found = q",
    "q(1)",
    "found = nn.ParameterDict({'b': torch.ones(1), 'a': torch.ones(1)}), nn.ParameterDict([('b', 1), ('a', 2)])",
    "nn.ParameterDict(3)",
    "nn.ParameterDict([(1, 2, 3)])",
    "found = [n for n, _ in q.named_parameters()]",
    "q['training'] = torch.ones(1); found = q",
]


@pytest.mark.skipif(torch is None, reason="parity tests need torch")
@pytest.mark.parametrize("program", PROGRAMS)
def test_like_torch(program: str) -> None:
    assert run(program, rushlight) == run(program, torch)


def test_sequential_runs_in_order() -> None:
    nn = rushlight.nn

    class Add(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.n = n

        def forward(self, x: list[int]) -> list[int]:
            return [*x, self.n]

    assert nn.Sequential(Add(1), nn.Sequential(Add(2), Add(3)))([]) == [1, 2, 3]
    assert nn.Sequential()(5) == 5
