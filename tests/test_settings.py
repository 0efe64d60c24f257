"""Switches that programs set: accepted without effect, questions answered honestly, each listed in docs/switches.md."""

from __future__ import annotations

import importlib
import re
import time
import warnings
from pathlib import Path

import pytest

import rushlight as rl
from rushlight.base.errors import DeviceUnavailableError
from rushlight.base.torch_version import TorchVersion

PAGE = Path(__file__).resolve().parents[1] / "docs" / "switches.md"


def resolve(path: str):
    """What `torch.a.b` names, in rushlight."""
    found = rl
    for part in path.split(".")[1:]:
        found = getattr(found, part)
    return found


def documented() -> list[str]:
    rows = [line.split("|")[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `torch")]
    return [name for row in rows for name in re.findall(r"`(torch[\w.]*)", row)]


def test_the_page_lists_switches():
    names = documented()
    assert len(names) > 100 and len(set(names)) == len(names)


@pytest.mark.parametrize("name", documented())
def test_what_the_page_lists_is_there(name):
    resolve(name)


@pytest.mark.parametrize("module", ["cuda", "mps", "xpu", "accelerator", "jit", "compiler", "distributed"])
def test_public_functions_are_on_the_page(module):
    """A new harmless switch of these modules must be documented; those spelled out for `cuda` need no second line."""
    known = {name.rpartition(".")[2] for name in documented()}
    found = importlib.import_module(f"rushlight.{module}")
    rare = {
        "reset_max_memory_allocated", "reset_max_memory_cached", "reset_accumulated_memory_stats", "memory_cached", "max_memory_cached",
        "utilization", "is_current_stream_capturing", "can_device_access_peer", "seed", "seed_all", "initial_seed", "is_initialized",
        "recommended_max_memory", "current_device_idx", "set_device_idx", "get_memory_info", "onednn_fusion_enabled", "is_gloo_available",
        "is_mpi_available", "get_backend", "memory_stats", "as_device",
    }  # fmt: skip
    functions = [
        name for name, value in vars(found).items()
        if not name.startswith("_") and callable(value) and not isinstance(value, type) and name not in known | rare
    ]
    functions = [name for name in functions if getattr(getattr(found, name), "__module__", "").startswith("rushlight")]
    assert not functions


# ---------------------------------------------------------------- honest answers


def test_nothing_claims_to_be_there():
    for path in (
        "cuda.is_available", "mps.is_available", "xpu.is_available", "accelerator.is_available", "backends.mps.is_available",
        "backends.mps.is_built", "backends.cuda.is_built", "backends.cudnn.is_available", "backends.mkl.is_available",
        "backends.mkldnn.is_available", "backends.openmp.is_available", "backends.opt_einsum.is_available", "distributed.is_available",
        "distributed.is_initialized", "cuda.is_initialized", "compiler.is_compiling", "jit.is_scripting", "jit.is_tracing",
    ):  # fmt: skip
        assert resolve("torch." + path)() is False, path
    for module in ("cuda", "mps", "xpu", "accelerator"):
        assert resolve(f"torch.{module}.device_count")() == 0
    assert rl.accelerator.current_accelerator() is None
    assert rl.cpu.is_available() and rl.cpu.device_count() == 1


def test_using_an_emulated_device_changes_no_answer(capfd):
    rl.zeros(1, device="cuda")
    assert not rl.cuda.is_available() and rl.cuda.device_count() == 0


def test_errors_where_an_answer_would_be_a_lie():
    with pytest.raises(DeviceUnavailableError, match="is_available"):
        rl.cuda.get_device_properties(0)
    with pytest.raises(DeviceUnavailableError):
        rl.cuda.init()
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        rl.distributed.get_rank()
    with pytest.raises(NotImplementedError, match="one process"):
        rl.distributed.init_process_group("gloo")
    with pytest.raises(NotImplementedError, match="state_dict"):
        rl.jit.save(object(), "model.pt")
    with pytest.raises(NotImplementedError, match="TorchScript"):
        rl.jit.load("model.pt")


# ---------------------------------------------------------------- settings that are remembered


@pytest.fixture
def settings():
    """Every setting as it was, afterwards."""
    from rushlight.backends import threads
    from rushlight.settings import _Settings

    before, count = {name: value for name, value in vars(_Settings).items() if not name.startswith("_")}, threads._set
    threads._set = None
    yield
    threads._set = count
    for name, value in before.items():
        setattr(_Settings, name, value)


def test_threads(settings):
    assert rl.get_num_threads() >= 1 and rl.get_num_interop_threads() >= 1
    rl.set_num_threads(3)
    rl.set_num_interop_threads(2)
    assert rl.get_num_threads() == 3 and rl.get_num_interop_threads() == 2
    for call in (rl.set_num_threads, rl.set_num_interop_threads):
        with pytest.raises(RuntimeError, match="positive integer"):
            call(0)
        with pytest.raises(RuntimeError, match="expects an int, but got str"):
            call("2")


def test_default_threads_follow_the_environment(monkeypatch, settings):
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert rl.get_num_threads() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert rl.get_num_threads() >= 1


def test_determinism(settings):
    rl.use_deterministic_algorithms(True, warn_only=True)
    assert rl.are_deterministic_algorithms_enabled() and rl.is_deterministic_algorithms_warn_only_enabled()
    assert rl.get_deterministic_debug_mode() == 1
    rl.set_deterministic_debug_mode("error")
    assert rl.get_deterministic_debug_mode() == 2 and not rl.is_deterministic_algorithms_warn_only_enabled()
    rl.set_deterministic_debug_mode(0)
    assert not rl.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="invalid value of debug_mode"):
        rl.set_deterministic_debug_mode(5)
    with pytest.raises(TypeError, match="must be bool, not int"):
        rl.use_deterministic_algorithms(1)


def test_matmul_precision(settings):
    assert rl.get_float32_matmul_precision() == "highest"
    rl.set_float32_matmul_precision("medium")
    with pytest.warns(UserWarning, match="has no effect"):
        rl.set_float32_matmul_precision("low")
    assert rl.get_float32_matmul_precision() == "medium"


def test_other_settings(settings):
    rl.set_warn_always(True)
    assert rl.is_warn_always_enabled()
    assert rl.set_flush_denormal(True) is False
    assert rl.compiled_with_cxx11_abi() is True


def test_backends_keep_what_is_assigned(monkeypatch):
    for path, value in {
        "cudnn.benchmark": True, "cudnn.deterministic": True, "cudnn.enabled": False, "cudnn.allow_tf32": False,
        "cuda.matmul.allow_tf32": True, "cudnn.conv.fp32_precision": "ieee", "mkldnn.enabled": False, "opt_einsum.strategy": "greedy",
    }.items():  # fmt: skip
        owner, _, name = path.rpartition(".")
        monkeypatch.setattr(resolve("torch.backends." + owner), name, value)
        assert resolve("torch.backends." + path) == value
    with rl.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=True), rl.backends.mkldnn.flags(enabled=False):
        assert rl.ones(2).sum().item() == 2
    with rl.backends.cuda.sdp_kernel(enable_flash=False):
        pass
    assert rl.backends.cudnn.version() is None
    assert "cudnn" in dir(rl.backends)
    with pytest.raises(AttributeError):
        rl.backends.nothing  # noqa: B018


# ---------------------------------------------------------------- compiling


def test_functions_come_back_as_they_are():
    def double(x):
        return x * 2

    assert rl.compile(double) is double and rl.compile(mode="max-autotune", fullgraph=True)(double) is double
    for wrap in (
        rl.jit.script, rl.jit.trace, rl.jit.unused, rl.jit.export, rl.jit.ignore, rl.jit.ignore(drop=True), rl.jit.script_if_tracing,
        rl.jit.freeze, rl.jit.optimize_for_inference, rl.compiler.disable, rl.compiler.disable(recursive=False),
        rl.compiler.allow_in_graph, rl.compiler.compile, rl.compiler.assume_constant_result, rl.compiler.set_stance("force_eager"),
        rl.compiler.substitute_in_graph(len),
    ):  # fmt: skip
        assert wrap(double) is double
    assert rl.jit.trace(double, (rl.ones(1),))(rl.ones(1)).item() == 2
    assert rl.jit.wait(rl.jit.fork(double, 2)) == 4
    assert rl.jit.isinstance([1], list) and rl.jit.annotate(int, 3) == 3
    assert not isinstance(double, rl.jit.ScriptFunction) and not isinstance(double, rl.jit.ScriptModule)


# ---------------------------------------------------------------- mixed precision


@pytest.mark.parametrize(
    "make", [lambda: rl.amp.autocast("cuda"), lambda: rl.cuda.amp.autocast(), lambda: rl.autocast("mps", dtype=rl.bfloat16)]
)
def test_autocast_without_the_device_warns_and_is_off(make):
    with pytest.warns(UserWarning, match="not available. Disabling"):
        mode = make()
    with mode:
        assert (rl.ones(2, 2) @ rl.ones(2, 2)).dtype is rl.float32


def test_autocast_that_is_off_is_silent():
    with rl.amp.autocast("cpu", enabled=False), rl.amp.autocast("cuda", enabled=False), rl.cuda.amp.autocast(enabled=False):
        assert not rl.amp.is_autocast_available("cpu")

    @rl.amp.autocast("cuda", enabled=False)
    def f(x):
        "Doc."
        return x + 1

    assert f(1) == 2 and f.__doc__ == "Doc."


def test_autocast_on_the_cpu_is_an_error_with_a_cure():
    with pytest.raises(NotImplementedError, match=r"enabled=False.*model.to\(torch.bfloat16\)"):
        rl.amp.autocast("cpu")
    with pytest.raises(ValueError, match="of type `str`"):
        rl.amp.autocast(rl.device("cpu"))
    with pytest.raises(RuntimeError, match="nowhere"):
        rl.amp.autocast("nowhere")


def test_gradient_scaler_lets_everything_pass():
    with pytest.warns(UserWarning, match="Disabling"):
        scaler = rl.amp.GradScaler("cuda")
    assert not scaler.is_enabled() and scaler.get_scale() == 1.0 and scaler.state_dict() == {}
    weight = rl.ones(1, requires_grad=True)
    optimizer = rl.optim.SGD([weight], lr=0.5)
    scaler.scale(weight * 2).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert weight.item() == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rl.cuda.amp.GradScaler(enabled=False).get_growth_interval() == 2000
    with pytest.raises(NotImplementedError, match="enabled=False"):
        rl.amp.GradScaler("cpu")


# ---------------------------------------------------------------- devices' harmless calls


def test_calls_that_do_nothing():
    for path in (
        "cuda.synchronize", "cuda.empty_cache", "cuda.ipc_collect", "cuda.reset_peak_memory_stats", "mps.synchronize", "mps.empty_cache",
        "xpu.synchronize", "xpu.empty_cache", "cpu.synchronize", "accelerator.synchronize", "accelerator.empty_cache", "compiler.reset",
        "accelerator.reset_peak_memory_stats", "distributed.destroy_process_group",
    ):  # fmt: skip
        assert resolve("torch." + path)() is None, path
    for path in ("cuda.memory_allocated", "cuda.max_memory_reserved", "mps.current_allocated_memory", "accelerator.memory_allocated"):
        assert resolve("torch." + path)() == 0
    rl.cuda.set_device(0)
    with rl.cuda.device(0), rl.cuda.device("cuda:1"), rl.cuda.device_of(rl.ones(1)), rl.accelerator.device_index(0):
        assert rl.cuda.current_device() == 0
    assert rl.cuda.mem_get_info() == (0, 0) and rl.cuda.get_device_capability() == (0, 0) and rl.cuda.get_arch_list() == []


@pytest.mark.parametrize("path", ["cuda.manual_seed_all", "cuda.manual_seed", "mps.manual_seed", "xpu.manual_seed_all"])
def test_seeds_reach_the_generator_of_emulated_devices(path):
    resolve("torch." + path)(11)
    first = rl.rand(3)
    rl.manual_seed(11)
    assert rl.equal(first, rl.rand(3))


def test_states_of_the_generator():
    state = rl.cuda.get_rng_state()
    first = rl.rand(2)
    rl.cuda.set_rng_state(state)
    assert rl.equal(first, rl.rand(2))
    state = rl.mps.get_rng_state()
    first = rl.rand(2)
    rl.mps.set_rng_state(state)
    assert rl.equal(first, rl.rand(2))
    rl.cuda.set_rng_state_all(rl.cuda.get_rng_state_all())


def test_events_measure_time():
    start, end = rl.cuda.Event(enable_timing=True), rl.cuda.Event(enable_timing=True)
    start.record()
    time.sleep(0.01)
    end.record()
    end.synchronize()
    assert 9 < start.elapsed_time(end) < 5000 and end.query()
    with pytest.raises(ValueError, match="recorded"):
        start.elapsed_time(rl.cuda.Event())


def test_streams():
    stream = rl.cuda.Stream()
    with rl.cuda.stream(stream), stream:
        stream.wait_stream(rl.cuda.current_stream())
        event = stream.record_event()
    assert event.query() and stream.query()


def test_device_modules():
    assert rl.get_device_module() is rl.cpu and rl.get_device_module("cuda:1") is rl.cuda
    assert rl.get_device_module(rl.device("mps")) is rl.mps
    with pytest.raises(RuntimeError, match="meta"):
        rl.get_device_module("meta")


# ---------------------------------------------------------------- versions


def test_version_compares_by_value():
    version = rl.__version__
    assert isinstance(version, str) and version.startswith("2.13.0+rushlight")
    assert version >= "2.4" and version > (1, 13) and version < "2.14" and version != "2.12.1" and not version <= "2.9.1"
    assert rl.version.cuda is None and rl.version.__version__ == version


@pytest.mark.parametrize(
    ("low", "high"),
    [("2.9", "2.13"), ("2.1.0.dev1", "2.1"), ("2.1.0a0", "2.1.0rc1"), ("2.1.0rc1", "2.1"), ("2.1", "2.1.post1"), ("2.13.0", "2.13.0+cpu")],
)
def test_version_order(low, high):
    assert TorchVersion(low) < high and TorchVersion(high) > low and TorchVersion(low) != high
    assert TorchVersion(low) <= TorchVersion(high) and hash(TorchVersion(low)) == hash(low)


def test_version_equality_and_foreign_types():
    assert TorchVersion("2.1.0") == "2.1" and TorchVersion("2.1") == (2, 1, 0)
    assert TorchVersion("2.1") != "main" and (TorchVersion("2.1") == 2) is False
    with pytest.raises(TypeError):
        TorchVersion("2.1") > 2  # noqa: B015


def test_config():
    text = rl.__config__.show()
    assert "NumPy" in text and "ml_dtypes" in text and rl.__version__ in text
    assert "OMP_NUM_THREADS" in rl.__config__.parallel_info()
