"""Names that have no place in a model: modules that run code, reach other code, touch the system.

The list is for the wording of a report and for the verdict "dangerous"; nothing rests on its being
complete, since what is in no list is "suspicious" at best. Sources: the advisories and rules of
``mmaitre314/picklescan`` (``scanner.py``), ``trailofbits/fickling`` (``fickle.py``,
``UNSAFE_IMPORTS``) and ``protectai/modelscan`` (``settings.py``), and the issues in which each was
led astray.
"""

from __future__ import annotations

DANGEROUS_MODULES: dict[str, str] = {
    module: why
    for why, modules in {
        "runs programs or touches the system":
            "os posix nt ntpath posixpath subprocess _posixsubprocess _winapi pty commands popen2 "
            "platform pexpect sh multiprocessing _multiprocessing concurrent.futures uuid "
            "_osx_support _aix_support _pyrepl signal _signal psutil plumbum fabric invoke "
            "distutils setuptools pkg_resources venv ensurepip pip virtualenv conda "
            "torch.utils.cpp_extension torch.utils.collect_env torch.utils.bottleneck "
            "torch.distributed.launch torch.distributed.run torch.distributed.elastic "
            "torch.multiprocessing triton cffi pyximport cython Cython numba pythran",
        "runs code that is given as text":
            "code codeop _pydev bdb pdb cProfile profile _lsprof timeit trace doctest runpy "
            "idlelib lib2to3 IPython ipykernel numpy.f2py numpy.testing numpy.distutils "
            "test unittest nose pytest _pytest _interpreters _xxsubinterpreters "
            "_interpchannels _testcapi _testinternalcapi rlcompleter pyclbr tkinter turtle "
            "antigravity sympy numexpr jinja2 mako "
            "torch._inductor torch._dynamo torch.fx torch.jit.unsupported_tensor_ops torch.package "
            "torch.utils._config_module torch.ao.ns torch.testing",
        "imports or makes other code":
            "importlib _frozen_importlib _frozen_importlib_external _imp imp ihooks pkgutil "
            "zipimport zipapp site sitecustomize usercustomize modulefinder marshal "
            "compileall py_compile dis opcode codegen ast symtable inspect gc weakref _weakref "
            "atexit sys _sys builtins.__dict__ "
            "operator _operator functools.partialmethod",
        "loads other pickles":
            "pickle cPickle _pickle pickle5 dill cloudpickle joblib shelve jsonpickle pandas.io "
            "pandas.compat torch.hub torch.utils.data torch.utils.model_zoo sklearn.externals "
            "anydbm dbm dbhash gdbm bsddb copyreg.__dict__ hickle klepto",
        "reads or writes files":
            "shutil tempfile fileinput linecache glob filecmp tarfile zipfile gzip bz2 lzma mmap "
            "sqlite3 _sqlite3 io _io _pyio logging syslog netrc pyodbc h5py pathlib.Path.open "
            "numpy.lib.npyio numpy.lib._npyio_impl numpy.lib.format numpy.ctypeslib "
            "configparser wave aifc sndhdr imghdr pydoc pydoc_data webbrowser cgi cgitb wsgiref",
        "uses the network":
            "socket _socket ssl _ssl socketserver SocketServer http httplib urllib urllib2 urllib3 "
            "requests aiohttp httpx ftplib smtplib poplib imaplib nntplib telnetlib xmlrpc "
            "xmlrpclib asyncio asyncore asynchat select selectors mailbox paramiko websocket "
            "websockets boto3 botocore huggingface_hub torch.distributed.rpc",
        "reaches into memory or foreign code":
            "ctypes _ctypes _cffi_backend readline _posixshmem",
        "starts threads": "threading _thread thread dummy_threading _dummy_thread queue sched",
        "would switch a scanner off": "picklescan fickling modelscan modelaudit modelhub",
    }.items()
    for module in modules.split()
}  # fmt: skip
"""Why, by module: the whole of it, with all modules below."""

DANGEROUS_NAMES: dict[str, tuple[str, frozenset[str]]] = {
    module: (why, frozenset(names.split()))
    for module, why, names in (
        ("builtins", "runs code, or reaches other code",
         "eval exec execfile compile apply open file __import__ getattr setattr delattr hasattr "
         "globals locals vars dir input raw_input breakpoint reload map filter reduce type super "
         "classmethod staticmethod property memoryview help exit quit __build_class__"),
        ("types", "makes functions or modules out of bytes",
         "FunctionType CodeType LambdaType ModuleType MethodType DynamicClassAttribute new_class "
         "BuiltinFunctionType MappingProxyType coroutine CellType GenericAlias"),
        ("functools", "calls what it is given",
         "partial reduce singledispatch cached_property wraps update_wrapper lru_cache "
         "_lru_cache_wrapper cmp_to_key"),
        ("itertools", "calls what it is given",
         "starmap accumulate takewhile dropwhile filterfalse groupby imap ifilter"),
        ("copyreg", "changes what later pickles run", "pickle constructor add_extension "
         "__newobj__ __newobj_ex__ dispatch_table _extension_registry"),
        ("_codecs", "changes how text is decoded", "register lookup register_error unregister"),
        ("codecs", "opens files, or changes how text is decoded",
         "open register lookup register_error EncodedFile"),
        ("collections", "makes a class out of text", "namedtuple"),
        ("dataclasses", "makes a class out of text", "make_dataclass"),
        ("enum", "makes a class out of text", "EnumMeta _EnumDict"),
        ("typing", "runs code that is given as text",
         "get_type_hints ForwardRef _eval_type NamedTuple TypedDict"),
        ("string", "reaches attributes by text", "Formatter"),
        ("torch", "loads files or code",
         "load save compile hub jit ops classes utils _utils serialization _C _ops "
         "_load_global_deps cuda import_ir_module"),
        ("torch.serialization", "loads other pickles",
         "load _load _legacy_load add_safe_globals pickle os sys set_default_load_endianness "
         "_open_file _open_zipfile_reader save"),
        ("torch.jit", "loads code", "load _load_for_lite_interpreter script trace CompilationUnit"),
        ("torch.storage", "loads other pickles", "pickle io torch"),
        ("torch._utils", "imports what it is given", "sys _import_dotted_name"),
        ("torch.nn.modules.module", "changes what later calls run",
         "register_module_forward_hook register_module_forward_pre_hook "
         "register_module_backward_hook"),
        ("numpy", "loads files or code",
         "load save savez fromfile memmap loadtxt genfromtxt savetxt vectorize frompyfunc "
         "apply_along_axis apply_over_axes piecewise fromfunction fromiter source info "
         "testing f2py distutils ctypeslib lib core _core os sys"),
        ("numpy.lib.utils", "runs code that is given as text", "safe_eval source"),
        ("pandas", "loads other pickles", "read_pickle eval read_csv read_hdf read_sql"),
        ("transformers.utils", "imports what it is given", "get_module_from_name"),
        ("transformers.dynamic_module_utils", "loads code",
         "get_class_from_dynamic_module get_class_in_module"),
        ("omegaconf", "changes how values are resolved", "OmegaConf"),
        ("yaml", "makes any object out of text",
         "load load_all unsafe_load unsafe_load_all full_load"),
        ("pytorch_lightning.utilities.cloud_io", "loads other pickles", "load _load"),
        ("random", "reaches the system", "SystemRandom _os _urandom"),
        ("pathlib", "reaches the system", "os io sys"),
        ("hydra.utils", "imports what it is given",
         "instantiate call get_class get_method get_object _locate"),
        ("hydra._internal.utils", "imports what it is given", "_locate"),
    )
}  # fmt: skip
"""Why, and which names, by module: what else the module has stays unknown."""

_REACHING = """
    system popen popen2 popen3 popen4 spawn Popen check_output check_call getoutput
    getstatusoutput execv execve execl execvp posix_spawn fork exec eval execfile compile
    import_module find_spec exec_module load_module __import__ getattr setattr attrgetter
    itemgetter methodcaller run_path run_module _run_code runcode runctx runstring resolve_name
    locate loads CDLL dlopen unlink rmtree remove urlopen create_connection modules f_globals
    f_locals gi_frame tb_frame func_globals im_func
"""
REACHING: frozenset[str] = frozenset(_REACHING.split())
"""Last parts of names that are dangerous in whatever module they are found: others import them."""
