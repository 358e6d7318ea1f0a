"""One registry class for every door: a mapping from a name to an object, filled lazily."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator, MutableMapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, overload

from blockzoo.core.discovery import declarations, first_sentence, source_of
from blockzoo.core.errors import UnknownNameError, UsageError
from blockzoo.core.plugins import load_object, own_code

Registered = TypeVar("Registered", bound=Callable[..., Any])
"""A class or a function; a name (a string) is no such thing, so the two forms of `register` do not meet."""
Entry = TypeVar("Entry")
"""What stands behind each name of a registry: what its door's contract says."""
Made = TypeVar("Made")
MOST_NAMED = 8
"""Known names that the message for a wrong one has."""


class _Named(Generic[Entry]):
    """A name that is known; its object may still be unimported."""

    def __init__(
        self,
        summary: str,
        load: Callable[[], Entry],
        origin: str,
        tags: tuple[str, ...] = (),
        source: str = "",
    ) -> None:
        self.summary, self.load, self.origin, self.tags, self.source = summary, load, origin, tags, source


class Registry(MutableMapping[str, Entry]):
    """Names of one kind and what they stand for.

    Three sources feed it, each looked at only when needed: the files of this package that say `@CONSTANT.register` (names are
    read from the source, so listing imports nothing), installed entry points of the group `blockzoo.constant`, in small
    letters, and `register` / item assignment in the running process, which win over the others.

    A name `NAME@variant` is a variant of `NAME`: found when asked for, left out of iteration.

    `path/to/file.py:Class` and `package.module:Class` are found at every door without being registered; where `methods` are
    given, only a class that has them, since what is found will be called. Not so with `files` False: behind that door such a
    text means something else.
    """

    def __init__(
        self,
        constant: str,
        kind: str,
        *,
        how_to_add: str = "",
        methods: tuple[str, ...] = (),
        files: bool = True,
    ) -> None:
        self.constant, self.kind, self.how_to_add = constant, kind, how_to_add
        self.methods, self.files = methods, files
        self._own: dict[str, _Named[Entry]] = {}
        self._aliases: dict[str, str] = {}
        self._discovered: dict[str, _Named[Entry]] | None = None

    # --- adding -----------------------------------------------------------------------------------

    @overload
    def register(self, target: Registered) -> Registered: ...
    @overload
    def register(
        self, target: str | None = None, *, aliases: tuple[str, ...] = (), tags: tuple[str, ...] = ()
    ) -> Callable[[Registered], Registered]: ...
    def register(
        self, target: Any = None, *, aliases: tuple[str, ...] = (), tags: tuple[str, ...] = ()
    ) -> Any:
        """Decorate a class or function: `@R.register`, `@R.register("name", aliases=("old",))`.

        Args:
            target: the name; the object's own where none is given.
            aliases: other spellings.
            tags: what is to be known of the entry without importing it, see `tagged`.
        """
        if target is None or isinstance(target, str):

            def decorate(obj: Any) -> Any:
                name = target or obj.__name__
                self[name] = obj
                self._own[name].tags = tags
                self._aliases.update(dict.fromkeys(aliases, name))
                return obj

            return decorate
        self[target.__name__] = target
        return target

    def __setitem__(self, name: str, obj: Entry) -> None:
        if not isinstance(name, str) or not name or set(name) & set("/:"):
            raise UsageError(f"{self.kind} name {name!r}: a name is a non-empty text without '/' and ':'")
        origin = getattr(obj, "__module__", "") or ""
        doc = inspect.getdoc(obj)
        self._own[name] = _Named(first_sentence(doc), lambda: obj, origin, source=source_of(doc))

    def __delitem__(self, name: str) -> None:
        if name not in self._own:
            raise UnknownNameError(f"{self.kind} {name!r} was not added in this process, so it stays")
        del self._own[name]

    # --- looking up -------------------------------------------------------------------------------

    def canonical(self, name: str) -> str:
        """The registered name behind `name`, which may be an alias (of a variant too); of `file.py:Class` the absolute path.

        Raises:
            UnknownNameError: with the nearest names and the ways to add one.
            UsageError: a file or class that is not there.
        """
        if code := self._code(name):
            self._own_object(*code)
            return ":".join(code)
        self._discover()
        base, at, variant = name.partition("@")
        full = self._aliases.get(base, base) + at + variant
        if full in self._entries:
            return full
        raise UnknownNameError(self._unknown(name))

    def __getitem__(self, name: str) -> Entry:
        if code := self._code(name):
            return self._own_object(*code)
        return self._entries[self.canonical(name)].load()

    def _code(self, name: object) -> tuple[str, str] | None:
        return own_code(name) if self.files else None

    def _own_object(self, origin: str, name: str) -> Entry:
        loaded: Entry = load_object(origin, name)
        if self.methods and not (
            isinstance(loaded, type) and all(callable(getattr(loaded, m, None)) for m in self.methods)
        ):
            raise UsageError(
                f"{self.kind} {origin}:{name}: {name} is no class with a method {' and '.join(self.methods)}"
            )
        return loaded

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self.canonical(name))
        except UsageError:
            return False

    def names(self, *, variants: bool = False) -> list[str]:
        """All names in alphabetical order, `NAME@variant` only on request."""
        return sorted(n for n in self._entries if variants or "@" not in n)

    def summary(self, name: str) -> str:
        """The first sentence of the entry's docstring."""
        if code := self._code(name):
            return first_sentence(inspect.getdoc(self._own_object(*code)))
        return self._entries[self.canonical(name)].summary

    def source(self, name: str) -> str:
        """What the entry's docstring gives as its source; of code that is not registered nothing, for it would have to run."""
        return "" if self._code(name) else self._entries[self.canonical(name)].source

    def tagged(self, tag: str) -> frozenset[str]:
        """The names that were registered with this tag."""
        return frozenset(name for name, entry in self._entries.items() if tag in entry.tags)

    def origin(self, name: str) -> str:
        """The module that registered the entry, or the file that holds it."""
        if code := self._code(name):
            return code[0]
        return self._entries[self.canonical(name)].origin

    def own_origin(self, name: str) -> str | None:
        """Where the user's own code lies that `name` (or `name:argument`) stands for; None for what comes with us."""
        self._discover()
        first, _, rest = name.strip().partition(":")
        base, at, variant = first.partition("@")
        if entry := self._entries.get(self._aliases.get(base, base) + at + variant):
            return None if entry.origin.startswith("blockzoo.") else entry.origin
        code = own_code(name) or own_code(f"{first}:{rest.partition(':')[0]}")
        return code[0] if code else None

    def name_of(self, obj: object) -> str | None:
        """The name an object is registered under, if it is."""
        module = getattr(obj, "__module__", None)
        return next((n for n, e in self._entries.items() if e.origin == module and e.load() is obj), None)

    def aliases(self) -> dict[str, str]:
        """Other spellings and the names they stand for."""
        self._discover()
        return dict(self._aliases)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __repr__(self) -> str:
        return f"<{self.constant}: {', '.join(self.names())}>"

    # --- finding ----------------------------------------------------------------------------------

    @property
    def _entries(self) -> dict[str, _Named[Entry]]:
        return {**self._discover(), **self._own}

    def _discover(self) -> dict[str, _Named[Entry]]:
        if self._discovered is None:
            self._discovered = {
                point.name: _Named(f"entry point {point.value}", point.load, point.value)
                for point in entry_points(group=f"blockzoo.{self.constant.lower()}")
            }
            for d in declarations(self.constant):
                self._discovered[d.name] = _Named(
                    d.summary, _importer(d.module, d.attribute), d.module, d.tags, d.source
                )
                self._aliases.update(dict.fromkeys(d.aliases, d.name))
        return self._discovered

    def _unknown(self, name: str) -> str:
        if self.files and name.endswith(".py"):
            return f"{name!r} is a file and no {self.kind}: name a class in it too, as in {name}:ClassName"
        known = self.names(variants="@" in name)
        lowered = {n.lower(): n for n in [*known, *self._aliases]}
        near = [lowered[n] for n in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
        parts = [f"unknown {self.kind} {name!r}."]
        if near:
            parts.append(f"Did you mean {' or '.join(near)}?")
        if self.how_to_add:
            parts.append(self.how_to_add)
        more = f", and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
        parts.append(f"Known: {', '.join(known[:MOST_NAMED]) or 'none yet'}{more}.")
        return "\n".join(parts)


class TextRegistry(Registry[Callable[[str], Made]]):
    """A registry whose entries are made from text: `name:argument`, where the argument is the entry's to read."""

    def make(self, text: str) -> Made:
        """What `name`, `name:argument` or `file.py:Class:argument` describes: the entry, made from the text behind its name.

        Raises:
            UsageError: no such name; or an argument that is a ValueError to it, answered with its summary.
        """
        name, _, argument = text.strip().partition(":")
        if self._code(first_two := ":".join([name, argument.partition(":")[0]])) and name not in self:
            name, argument = first_two, argument.partition(":")[2]
        maker = self[name]
        try:
            return maker(argument)
        except UsageError:
            raise
        except ValueError:
            raise UsageError(f"{self.kind} {text!r}: {self.summary(name)}") from None


def _importer(module: str, attribute: str) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(module), attribute)
