"""The event parser of libyaml, without the rest of PyYAML.

`import yaml` also loads PyYAML's own scanner, emitter, constructors and their regular expressions, which takes
longer than loading a whole project. Its C extension needs little of that, so while the extension is loaded a
stand-in takes the place of the package. A later `import yaml`, by anyone, is the whole package as always: it
finds the extension and the modules loaded here, so both sides share one set of classes.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, cast

_USED = ("error", "tokens", "events", "nodes")
_ERRORS = {
    "reader": "ReaderError",
    "scanner": "ScannerError",
    "parser": "ParserError",
    "composer": "ComposerError",
    "constructor": "ConstructorError",
    "emitter": "EmitterError",
    "serializer": "SerializerError",
    "representer": "RepresenterError",
}


def _load() -> tuple[Any, Any, Any]:
    """The parser class (of the C extension when there is one), PyYAML's events and its errors."""
    if "yaml" not in sys.modules:
        _load_lean()
    events, error = import_module("yaml.events"), import_module("yaml.error")
    extension = sys.modules.get("yaml._yaml")
    parser = extension.CParser if extension else import_module("yaml").Loader
    return parser, events, error


def _load_lean() -> None:
    spec = cast("ModuleSpec", find_spec("yaml"))  # a declared dependency: it is there
    package = ModuleType("yaml")
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["yaml"] = package
    try:
        for name in _USED:
            setattr(package, name, import_module(f"yaml.{name}"))
        for name, error in _ERRORS.items():
            setattr(package, name, _module_of_error(name, error, package))
        import_module("yaml._yaml")
    except ImportError:  # no C extension on this machine: the whole package has a parser in Python
        sys.modules.pop("yaml._yaml", None)
    finally:
        del sys.modules["yaml"]
        sys.meta_path.insert(0, _WholePackageFinder())


class _WholePackageFinder:
    """Gives a later `import yaml` its submodules as attributes: being loaded already, they are not set again."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """The spec of the package, once."""
        if name != "yaml":
            return None
        sys.meta_path.remove(self)
        spec = cast("ModuleSpec", find_spec("yaml"))
        _with_submodules(spec.loader)
        return spec


def _with_submodules(loader: Any) -> None:
    execute = loader.exec_module

    def execute_whole(package: ModuleType) -> None:
        for name in _USED:
            setattr(package, name, sys.modules[f"yaml.{name}"])
        execute(package)

    loader.exec_module = execute_whole


def _module_of_error(name: str, error: str, package: ModuleType) -> ModuleType:
    module = ModuleType(f"yaml.{name}")
    base = package.error.MarkedYAMLError
    if name in ("reader", "emitter"):
        base = package.error.YAMLError
    setattr(module, error, type(error, (base,), {"__init__": _keep_position} if name == "reader" else {}))
    return module


def _keep_position(error: Any, name: str, position: int, character: int, encoding: str, reason: str) -> None:
    """What PyYAML's own ReaderError keeps."""
    error.name, error.position, error.character = name, position, character
    error.encoding, error.reason = encoding, reason


Parser, events, errors = _load()
