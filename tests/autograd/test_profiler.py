"""Where time goes is visible: kernels, who served them, bytes, layouts, copies; schedules; the trace file."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import rushlight as rl
from rushlight.backends.hidden import HiddenArray
from rushlight.backends.native import NativeKernels
from rushlight.backends.registry import kernels_for
from rushlight.base.device import CPU
from rushlight.core.tensor import wrap_hidden

NATIVE = isinstance(kernels_for(CPU), NativeKernels)


def test_kernels_are_recorded_with_bytes_and_who_served_them():
    a = rl.ones(1000, requires_grad=True)
    with rl.autograd.profiler.profile() as prof:
        (a * 2).sum().backward()
    sums = {event.key: event for event in prof.key_averages()}
    assert sums["mul"].count == 2 and sums["sum"].count == 1
    assert sums["mul"].served_by == ("native" if NATIVE else "numpy")
    forward = prof.function_events[0]
    assert forward.key == "mul" and forward.bytes == 4000 + 4 + 4000 and forward.input_shapes == [[1000], []]
    assert 0 < prof.self_cpu_time_total <= prof.function_events.wall


def test_views_move_nothing():
    x = rl.ones(4, 5, 6)
    with rl.autograd.profiler.profile() as prof:
        x.permute(2, 0, 1), x.view(20, 6), x[1:], x.expand(2, 4, 5, 6), x.chunk(2)
        x.relu_()
        x.transpose(0, 1).contiguous()
    for event in prof.function_events:
        assert event.bytes == (2 * x.nbytes if event.key in ("relu", "contiguous") else 0), event.key


@pytest.mark.skipif(not NATIVE, reason="no native kernels were built (python tools/build_kernels.py)")
def test_a_network_shows_its_layouts_and_copies():
    """What a student asks: which kernels ran, in what layout, and where a copy brought it back."""
    model = rl.nn.Sequential(rl.nn.Conv2d(3, 20, 3), rl.nn.BatchNorm2d(20), rl.nn.ReLU(), rl.nn.Flatten(), rl.nn.Linear(20 * 36, 4))
    with rl.autograd.profiler.profile() as prof:
        model(rl.randn(2, 3, 8, 8)).sum().backward()
    sums = {event.key: event for event in prof.key_averages()}
    assert "hidden channels-last" in sums["convolution"].layouts and sums["relu"].layouts == ("hidden channels-last",)
    assert sums["copy to default layout"].count == 1, "flatten looks at memory; nothing else does"
    assert sums["convolution"].bytes == 4 * (2 * 3 * 64 + 20 * 27 + 20 + 2 * 20 * 36)
    assert {sums[name].served_by for name in ("convolution", "conv_grad_weight", "mm", "relu")} == {"native"}
    table = prof.key_averages().table(sort_by="self_cpu_time_total")
    for word in ("Served by", "GB/s", "Layouts", "conv_grad_weight", "hidden channels-last", "copy to default layout"):
        assert word in table


def test_nothing_is_recorded_outside():
    before = kernels_for(CPU)
    with rl.autograd.profiler.profile() as prof:
        assert kernels_for(CPU) is not before
    rl.ones(3) + 1
    assert kernels_for(CPU) is before and len(prof.function_events) == 0
    with rl.autograd.profiler.profile(enabled=False) as off:
        rl.ones(3) + 1
    assert kernels_for(CPU) is before and len(off.key_averages()) == 0


def test_the_tables_come_back_after_an_error():
    before, default = kernels_for(CPU), HiddenArray.default
    with pytest.raises(ZeroDivisionError), rl.autograd.profiler.profile():
        1 / 0  # noqa: B018
    assert kernels_for(CPU) is before and HiddenArray.default is default


def test_layouts_and_copies_between_them():
    values = np.arange(24, dtype=np.float32).reshape(1, 4, 2, 3)
    hidden = HiddenArray(np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    t = wrap_hidden(hidden, CPU)
    with rl.autograd.profiler.profile() as prof:
        t.tolist()
    copies = [event for event in prof.function_events if event.key == "copy to default layout"]
    assert len(copies) == 1 and copies[0].bytes == 2 * 96 and copies[0].layouts == ("hidden channels-last",)


def test_table():
    with rl.autograd.profiler.profile() as prof:
        rl.ones(64, 64) @ rl.ones(64, 64)
    text = prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=5, header="a product")
    lines = text.splitlines()
    assert lines[0] == "a product" and lines[2].split()[0] == "Name"
    assert any(line.split()[0] == "mm" for line in lines) and "row-major" in text
    assert lines[-1].startswith("Self CPU time total: ")
    assert "cuda_time_total" not in text and prof.key_averages().table(sort_by="cuda_time_total")
    with pytest.raises(ValueError, match="sort_by='speed' is not one of cpu_time"):
        prof.key_averages().table(sort_by="speed")


def test_grouping_by_shape():
    with rl.autograd.profiler.profile(record_shapes=True) as prof:
        for n in (2, 3, 3):
            rl.ones(n) * rl.ones(n)
    averages = prof.key_averages(group_by_input_shape=True)
    assert sorted((e.count, e.input_shapes) for e in averages if e.key == "mul") == [(1, [[2], [2]]), (2, [[3], [3]])]


def test_labels_and_trace(tmp_path):
    with rl.profiler.profile() as prof:
        with rl.profiler.record_function("whole"):
            rl.ones(3) + 1
    path = tmp_path / "trace.json"
    prof.export_chrome_trace(path)
    events = {event["name"]: event for event in json.loads(path.read_text())["traceEvents"]}
    inside, label = events["add"], events["whole"]
    assert label["cat"] == "label" and label["ts"] <= inside["ts"] and inside["ts"] + inside["dur"] <= label["ts"] + label["dur"]
    assert prof.events().self_cpu_time_total < label["dur"]


def test_kernels_of_other_threads_are_recorded():
    with rl.autograd.profiler.profile() as prof:
        thread = threading.Thread(target=lambda: rl.ones(3) * 2)
        thread.start()
        thread.join()
    assert {event.thread for event in prof.function_events if event.key == "mul"} - {threading.get_ident()}


def test_schedule():
    steps = rl.profiler.schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    names = [steps(i).name for i in range(11)]
    assert names == ["NONE"] + ["NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE"] * 2 + ["NONE", "NONE"]
    counts = []
    with rl.profiler.profile(schedule=steps, on_trace_ready=lambda p: counts.append(len(p.events()))) as prof:
        for _ in range(11):
            rl.ones(3) * 2
            prof.step()
    assert len(counts) == 2 and counts[0] == counts[1] > 0
    with pytest.raises(AssertionError, match="active must be positive"):
        rl.profiler.schedule(wait=0, warmup=0, active=0)


def test_misuse():
    with rl.autograd.profiler.profile() as prof:
        with pytest.raises(RuntimeError, match="cannot be nested"), rl.autograd.profiler.profile():
            pass
        with pytest.raises(RuntimeError, match="after the `with` block"):
            prof.key_averages()
    with pytest.raises(RuntimeError, match="cannot be entered twice"), prof:
        pass


@pytest.mark.skipif(not NATIVE, reason="no native kernels were built (python tools/build_kernels.py)")
def test_show_config_and_memory():
    assert "CPU kernels: native, " in rl.__config__.show()
    rl.cpu.empty_cache()
    before = rl.cpu.memory_stats()
    x = rl.ones(100_000) + 1
    assert rl.cpu.memory_stats()["used_bytes"] >= before["used_bytes"] + 400_000
    del x
    assert rl.cpu.memory_stats()["idle_bytes"] >= 400_000 and rl.cpu.empty_cache() >= 400_000
    limit = before["limit_bytes"]
    try:
        rl.cpu.set_memory_limit(0)
        rl.ones(100_000) + 1
        assert rl.cpu.memory_stats()["idle_bytes"] == 0
    finally:
        rl.cpu.set_memory_limit(limit)
    with pytest.raises(ValueError, match="zero or more, got -1"):
        rl.cpu.set_memory_limit(-1)
