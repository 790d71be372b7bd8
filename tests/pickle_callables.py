"""Functions that run code, reach files or the network, and that some list once forgot."""

from __future__ import annotations

from collections.abc import Callable

from tests.pickle_aims import Aim, Trick
from tests.pickle_opcodes import (
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_TUPLE,
    NEWOBJ,
    NONE,
    STACK_GLOBAL,
    called,
    calls,
    list_of,
    number,
    pickled,
    text,
    tuple_of,
)

_Arguments = Callable[[Aim], tuple[bytes, ...]]


def _code(aim: Aim) -> tuple[bytes, ...]:
    return (text(aim.code),)


def _command(aim: Aim) -> tuple[bytes, ...]:
    return (text(aim.command),)


def _words(aim: Aim) -> tuple[bytes, ...]:
    return (list_of(text("touch"), text(aim.canary)),)


def _file(aim: Aim) -> tuple[bytes, ...]:
    return (text(aim.canary), text("w"))


def _address(aim: Aim) -> tuple[bytes, ...]:
    return (tuple_of(text("127.0.0.1"), number(aim.port)),)


def _url(aim: Aim) -> tuple[bytes, ...]:
    return (text(f"http://127.0.0.1:{aim.port}/"),)


_FUNCTIONS: tuple[tuple[str, str, _Arguments, bool], ...] = (
    ("builtins", "exec", _code, True),
    ("builtins", "open", _file, True),
    ("posix", "system", _command, True),
    ("os", "popen", _command, False),
    ("subprocess", "getoutput", _command, True),
    ("subprocess", "check_call", _words, True),
    ("_io", "FileIO", _file, True),
    ("io", "open", _file, True),
    ("codecs", "open", _file, True),
    ("timeit", "timeit", lambda aim: (text(aim.code), text("pass"), NONE, number(1)), False),
    ("timeit", "repeat", _code, False),
    ("cProfile", "run", lambda aim: (text(aim.code), text(aim.canary)), False),
    ("profile", "run", lambda aim: (text(aim.code), text(aim.canary)), False),
    ("pty", "spawn", _words, False),
    ("runpy", "run_path", lambda aim: (text(aim.canary),), False),
    ("doctest", "debug_script", _code, False),
    ("ctypes", "CDLL", lambda aim: (text("libc.so.6"),), False),
    ("webbrowser", "open", _url, False),
    ("pip", "main", lambda aim: (list_of(text("download"), text(aim.canary)),), False),
    ("pip._internal.cli.main", "main", lambda aim: (EMPTY_LIST,), False),
    ("ensurepip", "_run_pip", lambda aim: (EMPTY_LIST,), False),
    ("venv", "create", lambda aim: (text(aim.canary),), False),
    ("uuid", "_get_command_stdout", lambda aim: (text("touch"), text(aim.canary)), False),
    ("_osx_support", "_read_output", _command, False),
    ("imaplib", "IMAP4_stream", _command, False),
    ("numpy.f2py.crackfortran", "getlincoef", lambda aim: (text(aim.code), EMPTY_DICT), False),
    ("numpy.testing._private.utils", "runstring", lambda aim: (text(aim.code), EMPTY_DICT), False),
    ("distutils.file_util", "write_file", lambda aim: (text(aim.canary), EMPTY_LIST), False),
    ("logging", "FileHandler", _file, True),
    ("shutil", "copyfile", lambda aim: (text("/dev/null"), text(aim.canary)), True),
    ("tempfile", "mkdtemp", lambda aim: (), False),
    ("sqlite3", "connect", lambda aim: (text(aim.canary),), True),
    ("socket", "create_connection", _address, False),
    ("asyncio.unix_events", "_UnixSubprocessTransport", _words, False),
    ("urllib.request", "urlopen", _url, False),
    ("urllib.request", "urlretrieve", _url, False),
    ("http.client", "HTTPConnection", _address, False),
    ("ssl", "get_server_certificate", _address, False),
    ("smtplib", "SMTP", _address, False),
    ("idlelib.pyshell", "ModifiedInterpreter.runcommand", _code, False),
    ("lib2to3.pgen2.grammar", "Grammar.loads", _code, False),
    ("code", "InteractiveInterpreter.runcode", _code, False),
    ("trace", "Trace.run", _code, False),
    ("gc", "get_objects", lambda aim: (), False),
    ("inspect", "currentframe", lambda aim: (), False),
    ("signal", "raise_signal", lambda aim: (number(15),), False),
    ("_interpreters", "create", lambda aim: (), False),
    ("threading", "Thread", lambda aim: (NONE,), False),
    ("multiprocessing", "Process", lambda aim: (NONE,), False),
    ("torch", "load", lambda aim: (text(aim.canary),), False),
    ("torch.hub", "load", lambda aim: (text("owner/name"), text("model")), False),
    ("torch._inductor.codecache", "compile_file", _words, False),
    ("torch.utils.collect_env", "run", _command, False),
    ("torch.jit.unsupported_tensor_ops", "execWrapper", _code, False),
    ("torch.utils._config_module", "ConfigModule.load_config", _code, False),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression", _code, False),
    ("torch.serialization", "os.system", _command, False),
    ("numpy", "load", lambda aim: (text(aim.canary),), False),
    ("numpy.core._internal", "sys.modules", lambda aim: (), False),
    ("joblib", "load", lambda aim: (text(aim.canary),), False),
    ("dill", "loads", _code, False),
    ("cloudpickle.cloudpickle", "subimport", lambda aim: (text("os"),), False),
    ("pandas", "read_pickle", lambda aim: (text(aim.canary),), False),
    ("yaml", "unsafe_load", _code, False),
    ("hydra.utils", "instantiate", lambda aim: (EMPTY_DICT,), False),
    ("transformers.dynamic_module_utils", "get_class_in_module", _code, False),
    ("picklescan.scanner", "scan_file_path", _code, False),
)
"""Module, name, arguments, and whether unpickling it here leaves the canary behind."""


def _named(module: str, name: str) -> bytes:
    return text(module) + text(name) + STACK_GLOBAL


def _call(module: str, name: str, arguments: _Arguments) -> Callable[[Aim], bytes]:
    return lambda aim: pickled(called(_named(module, name), *arguments(aim)))


def callable_tricks() -> list[Trick]:
    """One file per function."""
    found = [
        Trick(f"calls {module}.{name}", _call(module, name, arguments), runs=runs)
        for module, name, arguments, runs in _FUNCTIONS
    ]
    found.append(
        Trick(
            "debugger by its class",
            lambda aim: pickled(
                called(
                    _named("bdb", "Bdb.run"),
                    _named("bdb", "Bdb") + EMPTY_TUPLE + NEWOBJ,
                    calls("builtins", "str", text(aim.code)),
                )
            ),
        )
    )
    return found
