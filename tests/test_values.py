"""Our data classes behave as the standard library's: each of the project is built both ways and compared."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

import gittrack
from gittrack.values import dataclass, field, fields, replace


def _modules() -> Iterator[Any]:
    for one in pkgutil.walk_packages(gittrack.__path__, "gittrack."):
        if not one.name.endswith("__main__"):
            yield importlib.import_module(one.name)


def _ours() -> list[type]:
    found = {
        thing
        for module in _modules()
        for thing in vars(module).values()
        if isinstance(thing, type) and thing.__module__ == module.__name__ and "__gittrack_fields__" in thing.__dict__
    }
    return sorted(found, key=lambda one: (one.__module__, one.__qualname__))


def test_every_data_class_takes_what_the_standard_librarys_would() -> None:
    classes = _ours()
    assert len(classes) > 100
    for one in classes:
        standard = list(dataclasses.fields(one))
        assert [this.name for this in fields(one)] == [this.name for this in standard], one
        ours = inspect.signature(one).parameters
        assert list(ours) == [this.name for this in standard], one
        for this in standard:
            given = this.default is not dataclasses.MISSING or this.default_factory is not dataclasses.MISSING
            assert (ours[this.name].default is not inspect.Parameter.empty) == given, (one, this.name)
            if this.default is not dataclasses.MISSING:
                assert ours[this.name].default is this.default, (one, this.name)


def _pair(decorate: Any, slots: bool, frozen: bool, special: Any) -> tuple[type, type]:
    @decorate(frozen=frozen, slots=slots)
    class Base:
        """A base."""

        constant: ClassVar[int] = 3
        a: int
        b: str = "b"

        def twice(self) -> int:
            return self.a * 2

    @decorate(frozen=frozen, slots=slots)
    class Derived(Base):
        c: dict[str, int] = special(default_factory=dict)
        d: float = special(default=0.5, compare=False)
        e: str = special(default="hidden", repr=False)

    return Base, Derived


@pytest.mark.parametrize("slots", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_values_compare_show_and_change_as_the_standard_librarys(slots: bool, frozen: bool) -> None:
    ours, theirs = (
        _pair(dataclass, slots, frozen, field),
        _pair(dataclasses.dataclass, slots, frozen, dataclasses.field),
    )
    for mine, standard in zip(ours, theirs, strict=True):
        many = [{"a": 1}, {"a": 1, "b": "x"}, {"a": 2}] + (
            [{"a": 1, "d": 2.5}, {"a": 1, "c": {"k": 1}}] if mine is ours[1] else []
        )
        made = [(mine(**one), standard(**one)) for one in many]
        for first, first_there in made:
            assert repr(first) == repr(first_there)
            assert dataclasses.asdict(first) == dataclasses.asdict(first_there)
            assert dataclasses.is_dataclass(first)
            assert (
                repr(replace(first, a=7))
                == repr(dataclasses.replace(first, a=7))
                == repr(dataclasses.replace(first_there, a=7))
            )
            assert copy.copy(first) == first == copy.deepcopy(first)
            assert first.twice() == first_there.twice()
            assert first != "another thing"
            for second, second_there in made:
                assert (first == second) == (first_there == second_there)
            for change in (
                lambda it: setattr(it, "a", 9),
                lambda it: setattr(it, "unknown", 9),
                lambda it: delattr(it, "b"),
            ):
                assert _what_happens(change, copy.copy(first)) == _what_happens(change, copy.copy(first_there))
        assert mine.__match_args__ == standard.__match_args__
        assert (mine.__hash__ is None) == (standard.__hash__ is None)
        assert hasattr(mine(a=1), "__dict__") == hasattr(standard(a=1), "__dict__")
        assert (mine.__doc__ or "").startswith("A base") == (standard.__doc__ or "").startswith("A base")


def _what_happens(change: Any, value: Any) -> Any:
    try:
        change(value)
    except (AttributeError, TypeError):  # with slots the standard library refuses an unknown name by a TypeError
        return "refused"
    return "done"


@dataclass(frozen=True, slots=True)
class Kept:
    """One that can be pickled: it has a module to be found in."""

    a: int
    b: tuple[str, ...] = ()
    more: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError("a is not negative")


def test_a_value_survives_pickle_has_a_hash_and_is_checked() -> None:
    assert pickle.loads(pickle.dumps(Kept(1, ("x",)))) == Kept(1, ("x",))
    with pytest.raises(TypeError, match="unhashable"):
        hash(Kept(1))
    with pytest.raises(ValueError, match="negative"):
        Kept(-1)
    with pytest.raises(ValueError, match="negative"):
        replace(Kept(1), a=-1)
    with pytest.raises(TypeError, match="a"):
        Kept()  # type: ignore[call-arg]
    assert Kept(1).more is not Kept(1).more
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'a'"):
        Kept(1).a = 2  # type: ignore[misc]


def test_one_field_is_a_hash_of_its_own() -> None:
    @dataclass(frozen=True, slots=True)
    class One:
        a: int

    @dataclass(frozen=True)
    class Nothing:
        pass

    assert {One(1), One(1), One(2)} == {One(2), One(1)}
    assert One((1, 2)) != One((1, 3))  # type: ignore[arg-type]
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
