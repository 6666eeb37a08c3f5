"""Data classes that cost a command less to define: what :mod:`dataclasses` offers, as far as this program uses it.

The standard decorator compiles six methods for each class, half a millisecond; a command that defines fifty waits 25 to 40 ms
for them, a quarter of its time. Here one method is compiled, ``__init__``, and the others are shared by all classes. To a
reader, to a type checker and to the functions of :mod:`dataclasses` (``fields``, ``asdict``, ``replace``) the classes are
ordinary data classes; a test builds each of them both ways and compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass, field, fields, replace
else:
    from operator import attrgetter

    _MISSING = object()

    class _Field:
        """What is said of one field: its default or the function that makes it, and where it takes no part."""

        __slots__ = ("compare", "default", "factory", "name", "repr")

        def __init__(self, default, factory, compare, repr):
            self.default, self.factory, self.compare, self.repr = default, factory, compare, repr
            self.name = ""

    def field(*, default=_MISSING, default_factory=_MISSING, compare=True, repr=True):
        """Say more of a field than its default, as :func:`dataclasses.field` does."""
        return _Field(default, default_factory, compare, repr)

    def dataclass(cls=None, /, *, frozen=False, slots=False):
        """Give a class its ``__init__``, comparison and representation by its annotations, as :func:`dataclasses.dataclass` does."""
        if cls is None:
            return lambda cls: _built(cls, frozen, slots)
        return _built(cls, frozen, slots)

    def fields(of):
        """The fields of a data class or of one of its values, each with its ``name``, as :func:`dataclasses.fields`."""
        if hasattr(of, "__gittrack_fields__"):
            return of.__gittrack_fields__
        import dataclasses

        return dataclasses.fields(of)

    def replace(value, /, **changes):
        """Return the value with some fields changed, as :func:`dataclasses.replace`."""
        for one in value.__gittrack_fields__:
            if one.name not in changes:
                changes[one.name] = getattr(value, one.name)
        return value.__class__(**changes)

    class _Described:
        """The standard library's description of the fields, made when somebody asks for it."""

        __slots__ = ("annotations", "frozen", "home")

        def __init__(self, annotations, frozen):
            self.annotations, self.frozen = annotations, frozen
            self.home = None

        def __get__(self, value, owner):
            import dataclasses

            # Known from the start: another thread may have put the description in our place.
            home = self.home
            said = {"__annotations__": self.annotations, "__module__": home.__module__}
            for one in home.__gittrack_fields__:
                if one.factory is not _MISSING:
                    said[one.name] = dataclasses.field(default_factory=one.factory, compare=one.compare, repr=one.repr)
                elif one.default is not _MISSING:
                    said[one.name] = dataclasses.field(default=one.default, compare=one.compare, repr=one.repr)
                else:
                    said[one.name] = dataclasses.field(compare=one.compare, repr=one.repr)
            shadow = dataclasses.dataclass(frozen=self.frozen)(type(home.__name__, (), said))
            home.__dataclass_fields__ = shadow.__dataclass_fields__
            return home.__dataclass_fields__

    def _built(cls, frozen, slots):
        described = {}
        for base in reversed(cls.__mro__[1:]):
            described.update({one.name: one for one in base.__dict__.get("__gittrack_fields__", ())})
        annotations = dict(getattr(cls.__mro__[1], "__gittrack_annotations__", {}))
        own = [
            name
            for name, kind in cls.__annotations__.items()
            if not str(kind).startswith(("ClassVar", "typing.ClassVar"))
        ]
        annotations.update((name, cls.__annotations__[name]) for name in own)
        for name in own:
            said = cls.__dict__.get(name, _MISSING)
            one = said if isinstance(said, _Field) else _Field(said, _MISSING, True, True)
            one.name = name
            if one.default.__class__.__hash__ is None:
                raise ValueError(f"the default of {name} would be one value for all; give a default_factory")
            described[name] = one
        every = tuple(described.values())

        added = {
            "__init__": _init(every, frozen, hasattr(cls, "__post_init__")),
            "__gittrack_fields__": every,
            "__gittrack_annotations__": annotations,
            "__dataclass_fields__": (description := _Described(annotations, frozen)),
            "__match_args__": tuple(described),
        }
        if "__repr__" not in cls.__dict__:
            added["__repr__"] = _repr
        added["__gittrack_key__"] = staticmethod(_key(tuple(one.name for one in every if one.compare)))
        if "__eq__" not in cls.__dict__:
            added["__eq__"] = _eq
        # A class body that has an __eq__ alone is given a __hash__ of None, which nobody asked for.
        asked = cls.__dict__.get("__hash__") is not None or (
            "__hash__" in cls.__dict__ and "__eq__" not in cls.__dict__
        )
        if not asked:
            added["__hash__"] = _hash if frozen else None
        if frozen:
            added["__setattr__"], added["__delattr__"] = _refuse_set, _refuse_delete
        if not slots:
            for name in own:
                if isinstance(cls.__dict__.get(name), _Field):
                    if cls.__dict__[name].default is _MISSING:
                        delattr(cls, name)
                    else:
                        setattr(cls, name, cls.__dict__[name].default)
            for name, what in added.items():
                setattr(cls, name, what)
            description.home = cls
            return cls
        inherited = {name for base in cls.__mro__[1:] for name in base.__dict__.get("__slots__", ())}
        body = {
            name: what
            for name, what in cls.__dict__.items()
            if name not in described and name not in {"__dict__", "__weakref__"}
        }
        body |= added
        body["__slots__"] = tuple(name for name in described if name not in inherited)
        if frozen and "__getstate__" not in body:
            body["__getstate__"], body["__setstate__"] = _getstate, _setstate
        body["__qualname__"] = cls.__qualname__
        built = type(cls)(cls.__name__, cls.__bases__, body)
        description.home = built
        return built

    def _init(every, frozen, then):
        known = {"_set": object.__setattr__, "_missing": _MISSING}
        taken, lines = [], []
        for one in every:
            name, value = one.name, one.name
            if one.factory is not _MISSING:
                known[f"_make_{name}"] = one.factory
                taken.append(f"{name}=_missing")
                value = f"_make_{name}() if {name} is _missing else {name}"
            elif one.default is not _MISSING:
                known[f"_default_{name}"] = one.default
                taken.append(f"{name}=_default_{name}")
            else:
                taken.append(name)
            lines.append(f" _set(self, {name!r}, {value})" if frozen else f" self.{name} = {value}")
        if then:
            lines.append(" self.__post_init__()")
        exec(f"def __init__({', '.join(('self', *taken))}):\n" + ("\n".join(lines) or " pass"), known)
        return known["__init__"]

    def _key(names):
        if len(names) > 1:
            return attrgetter(*names)
        return (lambda value: (getattr(value, names[0]),)) if names else (lambda value: ())

    def _eq(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self.__gittrack_key__(self) == self.__gittrack_key__(other)

    def _hash(self):
        return hash(self.__gittrack_key__(self))

    def _repr(self):
        said = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in self.__gittrack_fields__ if one.repr)
        return f"{self.__class__.__qualname__}({said})"

    def _refuse_set(self, name, value):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_delete(self, name):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _getstate(self):
        return [getattr(self, one.name) for one in self.__gittrack_fields__]

    def _setstate(self, state):
        for one, value in zip(self.__gittrack_fields__, state, strict=True):
            object.__setattr__(self, one.name, value)


__all__ = ["dataclass", "field", "fields", "replace"]
