"""The alias: one module object under two names, kind errors for what is missing, inherited by child processes."""

from __future__ import annotations

import sys

import pytest


def test_both_names_are_one_module(fake):
    fake.run_code("""
        import importlib, importlib.metadata, importlib.util, pickle, sys
        import rushlight, rushlight.compat
        own_spec = rushlight.__spec__
        assert "torch" not in sys.modules
        rushlight.compat.install()
        rushlight.compat.install()
        assert sum(type(finder).__name__ == "AliasFinder" for finder in sys.meta_path) == 1
        import torch
        assert torch is rushlight is sys.modules["torch"]
        assert torch.__name__ == "rushlight" and torch.__spec__ is own_spec and torch.__spec__.name == "rushlight"
        import torch.nn.functional as F
        assert F is rushlight.nn.functional is sys.modules["torch.nn.functional"]
        assert F.__name__ == "rushlight.nn.functional"
        assert torch.nn is rushlight.nn
        from torch.nn.modules.conv import Conv2d
        assert Conv2d is rushlight.nn.Conv2d and Conv2d.__module__ == "rushlight.nn.modules.conv"
        import torch.nn.utils.rnn as rnn
        assert rnn.__spec__.name == "rushlight.nn.utils.rnn"
        assert importlib.import_module("rushlight.nn.utils.rnn") is rnn
        assert importlib.reload(rnn) is rnn
        names = {}
        exec("from torch import *", names)
        assert names["relu"] is F.relu and names["float32"] == "float32"
        assert importlib.util.find_spec("torch").name == "rushlight"
        assert torch.__version__ == importlib.metadata.version("torch") == "2.13.0+rushlight.9.9"
        assert pickle.loads(b"ctorch.nn.modules.conv\\nConv2d\\n.") is Conv2d
    """)


def test_vision_is_torchvision_and_stays_unloaded_until_used(fake):
    fake.run_code("""
        import importlib.metadata, importlib.util, sys
        from rushlight.compat import install
        install()
        assert importlib.util.find_spec("torchvision").origin.endswith("__init__.py")
        assert "rushlight.vision" not in sys.modules
        import torchvision.models
        import rushlight.vision
        assert torchvision is rushlight.vision and torchvision.models.resnet18() == "resnet18"
        assert torchvision.__version__ == importlib.metadata.version("torchvision") == "0.28.0+rushlight.9.9"
    """)


def test_lazy_attributes_and_submodules_work_through_the_alias(fake):
    fake.run_code("""
        import rushlight.compat
        rushlight.compat.install()
        import torch
        assert torch.lazy.value == 42
        import torch.namespace                               # a module object without a file
        assert torch.namespace is rushlight.namespace and torch.namespace.value == 11
        try:
            import torch.os                                  # what a module has imported is no submodule of it
        except ModuleNotFoundError:
            pass
        else:
            raise AssertionError
        assert torch.nn.utils.rnn.pad_sequence(3) == 3       # never imported by name
        import sys
        assert sys.modules["torch.nn.utils.rnn"] is sys.modules["rushlight.nn.utils.rnn"]
        try:
            torch.broken                                     # its own failure is shown, not "no attribute 'broken'"
        except AttributeError as error:
            assert "not_there_at_all" in str(error), error
        else:
            raise AssertionError
    """)


def test_missing_modules(fake):
    fake.run_code("""
        import importlib.util
        from rushlight.compat import MissingModuleError, install
        install()
        import torch
        def text(statement):
            try:
                exec(statement)
            except ModuleNotFoundError as error:
                assert type(error) is MissingModuleError
                return error.name, str(error)
            raise AssertionError(statement)
        name, message = text("import torch.nn.functionals")
        assert name == "torch.nn.functionals"
        assert message.startswith("No module named 'torch.nn.functionals'. ")
        assert "torch.nn.functional" in message.split(". ")[1]
        name, message = text("import torch.distributions")
        assert "PyTorch 2.13 has it; rushlight has not got it yet" in message
        assert text("import torch.distributions.normal")[0] == "torch.distributions"
        assert text("from torch.nn.attention import sdpa_kernel")[0] == "torch.nn.attention"
        assert text("import torchvision.ops")[1].count("torchvision") >= 2
        assert text("import torch.core")[0] == "torch.core"          # the engine's parts are not torch's
        assert importlib.util.find_spec("torch.distributions") is None
        assert importlib.util.find_spec("torch.nn.functional") is not None
        try:
            import torch.distributed
        except ImportError:
            pass
    """)


def test_missing_names(fake):
    fake.run_code("""
        import pickle
        from rushlight.compat import MissingImportError, MissingNameError, install
        install()
        import torch
        def text(expression):
            try:
                eval(expression)
            except AttributeError as error:
                assert type(error) is MissingNameError and error.name == expression.rpartition(".")[2]
                assert str(pickle.loads(pickle.dumps(error))) == str(error)
                return str(error)
            raise AssertionError(expression)
        assert text("torch.nn.functional.conv2D") == (
            "module 'torch.nn.functional' has no attribute 'conv2D'. "
            "The nearest rushlight has: torch.nn.functional.conv2d")
        assert "PyTorch 2.13 has it; rushlight has not got it yet" in text("torch.vmap")
        assert "PyTorch" not in text("torch.entirely_unheard_of")
        assert "There is torch.nn.Conv2d" in text("torch.Conv2d")
        assert not hasattr(torch, "vmap") and not hasattr(torch.nn, "Foo") and getattr(torch, "x", 7) == 7
        assert not hasattr(torch, "__wrapped__")
        try:
            from torch.nn import Conv9d
        except ImportError as error:
            assert type(error) is MissingImportError and error.name == "torch.nn"
            assert "cannot import name 'Conv9d' from 'torch.nn'" in str(error) and "torch.nn.Conv2d" in str(error)
        else:
            raise AssertionError
        from torch.nn import utils, functional                        # submodules still import by `from`
    """)


def test_uninstall_and_the_context_manager(fake):
    fake.run_code("""
        import os, sys
        import rushlight.compat
        before = list(sys.path), os.environ["PYTHONPATH"], rushlight.__getattr__
        rushlight.compat.uninstall()
        with rushlight.compat.aliased():
            import torch.nn
            assert rushlight.compat.is_installed()
            with rushlight.compat.aliased():
                pass
            assert rushlight.compat.is_installed()                    # was active before the inner block
            assert (sys.path, os.environ["PYTHONPATH"]) != before[:2]
        assert not rushlight.compat.is_installed()
        assert not [name for name in sys.modules if name.split(".")[0] in ("torch", "torchvision")]
        assert (sys.path, os.environ["PYTHONPATH"], rushlight.__getattr__) == before
        assert rushlight.nn.functional.relu(1) == 1
        rushlight.compat.install(children=False)
        assert (sys.path, os.environ["PYTHONPATH"]) == before[:2]
        import torch
        assert torch is rushlight
    """)


def test_another_torch_in_the_process_is_refused(fake):
    fake.run_code("""
        import sys, types
        import rushlight.compat
        sys.modules["torch"] = types.ModuleType("torch")
        sys.modules["torch"].__file__ = "/somewhere/torch/__init__.py"
        try:
            rushlight.compat.install()
        except rushlight.compat.AlreadyImportedError as error:
            assert "/somewhere/torch" in str(error) and "python -m rushlight run" in str(error)
        else:
            raise AssertionError
        assert not rushlight.compat.is_installed()
        sys.modules["torch"] = None                                   # an import that was blocked is no other torch
        rushlight.compat.install()
        import torch
        assert torch is rushlight
    """)


def test_goes_before_an_installed_torch(fake, tmp_path):
    for name in ("torch", "torchvision"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the installed one')")
        (tmp_path / name / "distributed.py").write_text("raise RuntimeError('the installed one')")
    fake.run_code("""
        import sys
        sys.path.insert(0, "")
        from rushlight.compat import install
        install()
        import torch, torchvision
        try:
            import torch.distributed
        except ModuleNotFoundError:
            pass
    """, cwd=tmp_path)


@pytest.mark.parametrize("method", ["spawn", "forkserver"] if sys.platform != "win32" else ["spawn"])
def test_multiprocessing_children_inherit_it(fake, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, torch\n"
        "from torch.nn import Conv2d\n"
        "def work(given):\n"
        "    return torch.__name__, type(given) is Conv2d, __name__\n"
        "if __name__ == '__main__':\n"
        f"    with multiprocessing.get_context('{method}').Pool(1) as pool:\n"
        "        print(*pool.apply(work, (Conv2d(),)))\n"
    )
    done = fake.run("-c", (
        "import sys; from rushlight.compat import install, script; install(); "
        f"sys.exit(script.run_script({str(program)!r}, []))"))
    assert (done.stdout.split(), done.returncode) == (["rushlight", "True", "__mp_main__"], 0), done.stderr


def test_started_interpreters_inherit_it_even_where_rushlight_is_not_installed(fake):
    output = fake.run_code("""
        import os, subprocess, sys
        from rushlight.compat import alias, install
        install()
        os.environ["PYTHONPATH"] = alias.SHIM                         # not the folder that holds rushlight
        code = "import torchvision.models, torch.nn; print(torch.__name__, torchvision.__name__, torch.nn.__name__)"
        subprocess.run([sys.executable, "-c", code], check=True)
        subprocess.run([sys.executable, "-c", "import sys; print('rushlight' in sys.modules)"], check=True)
    """)
    assert output.splitlines() == ["rushlight rushlight.vision rushlight.nn", "False"]
