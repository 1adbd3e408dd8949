"""Modules imported ahead of time and put out of sight, so that a program's own `import` finds them ready.

After `fill`, sys.modules holds what a fresh interpreter's does. The first import of a shelved module takes it down
together with everything that it imports itself, and is otherwise an ordinary import: a file of the program's own that
hides a standard module still wins, what was not imported is not there, and what nobody takes down is never torn
down either (finalising preloaded modules costs 3 ms, more than all the rest of `print(1)`).
"""

import _frozen_importlib
import _frozen_importlib_external
import builtins
import os
import sys

TYPE_CHECKING = False  # typing is on the shelf
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_BuiltinImporter = _frozen_importlib.BuiltinImporter
_PathFinder = _frozen_importlib_external.PathFinder
_STDLIB = os.__file__.rpartition("/")[0]

_modules: "dict[str, ModuleType]" = {}  # what is on the shelf, in the order of a fresh interpreter's sys.modules
_needs: "dict[str | None, set[str]]" = {}  # name → names of the modules that it imports itself
_finders: "list[object]" = []  # sys.meta_path as it was: a finder that a program adds may have its own idea of any name


def fill(names: "Iterable[str]", warm: "Callable[[], None]") -> "dict[str, ModuleType]":
    """Import `names`, those that exist, call `warm`, and hide what came into sys.modules. Returns what is hidden."""
    fresh = set(sys.modules)
    plain_import = builtins.__import__
    under_way = [""]

    def noting_import(
        name: str,
        globals: "Mapping[str, Any] | None" = None,
        locals: "Mapping[str, Any] | None" = None,
        fromlist: "Sequence[str] | None" = (),
        level: int = 0,
    ) -> "ModuleType":
        full = name
        if level and globals:
            package = globals["__package__"].rsplit(".", level - 1)[0]
            full = f"{package}.{name}" if name else package
        importer = globals.get("__name__") if globals else None
        if importer in (None, "importlib._bootstrap"):
            importer = under_way[-1]  # an extension module's C code imports from within Python's import
        _needs.setdefault(importer, set()).update((full, *(f"{full}.{item}" for item in fromlist or ())))
        under_way.append(full)
        try:
            return plain_import(name, globals, locals, fromlist, level)
        finally:
            under_way.pop()

    builtins.__import__ = noting_import
    try:
        for name in names:
            try:
                plain_import(name)
            except ImportError:
                continue  # another Python version's
            # Aliases that the module put there by hand, such as collections.abc (3.11) and typing.io.
            _needs.setdefault(name, set()).update(
                alias
                for alias, module in sys.modules.items()
                if alias.rpartition(".")[0] == name and getattr(getattr(module, "__spec__", None), "name", "") != alias
            )
    finally:
        builtins.__import__ = plain_import
    warm()
    for name in [name for name in sys.modules if name not in fresh]:
        _modules[name] = sys.modules.pop(name)
    for name, module in _modules.items():
        parent, _, child = name.rpartition(".")
        if parent and name not in _needed_by(parent):
            owner = _modules.get(parent) or sys.modules[parent]
            if getattr(owner, child, None) is module:
                delattr(owner, child)  # bound again when it is taken down
    _finders[:] = sys.meta_path
    _BuiltinImporter.find_spec = staticmethod(_find_spec)  # type: ignore[method-assign, assignment]
    return _modules


def _needed_by(name: str) -> "set[str]":
    """`name` and every shelved module that importing it brings along."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        name = ahead.pop()
        if name in _modules and name not in found:
            found.add(name)
            ahead += _needs.get(name, ())
            ahead.append(name.rpartition(".")[0])
    return found


_ask_builtin = _BuiltinImporter.find_spec


def _find_spec(
    name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
) -> "ModuleSpec | None":
    """Stands in for the finder that Python asks first."""
    module = _modules.get(name)
    if module is not None and target is None:
        wanted = _needed_by(name)
        if not _hidden_by_the_program(wanted):
            return _frozen_importlib.ModuleSpec(name, _FromShelf(module, wanted))  # type: ignore[arg-type]
        # From here on all imports are ordinary. What was taken down so far is complete in itself.
        _modules.clear()
    return _ask_builtin(name, path, target)


def _hidden_by_the_program(names: "set[str]") -> bool:
    """Whether an ordinary import of one of `names` would end anywhere but in the standard library."""
    if sys.meta_path != _finders or _STDLIB not in sys.path:
        return True
    before_stdlib = sys.path[: sys.path.index(_STDLIB)]
    return any(
        "." not in name and name not in sys.builtin_module_names and _PathFinder.find_spec(name, before_stdlib)
        for name in names
    )


class _FromShelf:
    """A loader whose module has been run already."""

    def __init__(self, module: "ModuleType", wanted: "set[str]") -> None:
        self._module = module
        self._wanted = wanted

    def create_module(self, spec: "ModuleSpec") -> None:
        return None

    def exec_module(self, placeholder: "ModuleType") -> None:
        # An import may leave another module in sys.modules than the one it was given: Python takes that one.
        sys.modules[placeholder.__name__] = self._module
        taken = {name: _modules.pop(name) for name in list(_modules) if name in self._wanted}
        sys.modules.update(taken)
        for name, module in taken.items():
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, module)
