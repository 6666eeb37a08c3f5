"""What goes into a model and what comes out of it: names, types and shapes, read off an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gittrack.errors import InvalidValue

_MOST_COLUMNS = 1_000
_ROWS = 3


def signature_of(inputs: Any = None, outputs: Any = None) -> dict[str, Any]:
    """The signature that examples show; a part of which there is none is left out."""
    found = {"inputs": fields_of(inputs), "outputs": fields_of(outputs)}
    return {key: value for key, value in found.items() if value}


def fields_of(example: Any) -> list[dict[str, Any]]:
    """One entry a column or array: `name`, `dtype`, and `shape` with None for the length of a batch.

    Takes a data frame, an array or tensor, a mapping of such, or a list of mappings. Raises InvalidValue for what is none of these.
    """
    if example is None:
        return []
    if hasattr(example, "columns") and hasattr(example, "dtypes"):
        names = list(example.columns)[:_MOST_COLUMNS]
        return [{"name": str(name), "dtype": str(dtype)} for name, dtype in zip(names, example.dtypes, strict=False)]
    if isinstance(example, Mapping):
        return [{"name": str(name), **_one(value)} for name, value in list(example.items())[:_MOST_COLUMNS]]
    if isinstance(example, Sequence) and example and all(isinstance(one, Mapping) for one in example):
        return [{"name": str(name), "dtype": type(value).__name__} for name, value in example[0].items()]
    return [_one(example)]


def _one(value: Any) -> dict[str, Any]:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        shape = [int(one) for one in value.shape]
        plain: dict[str, Any] = {"dtype": str(value.dtype), "shape": [None, *shape[1:]] if shape else []}
        name = getattr(value, "name", None)
        return {"name": str(name), **plain} if isinstance(name, str) else plain
    if isinstance(value, (bool, int, float, str)):
        return {"dtype": type(value).__name__, "shape": []}
    if isinstance(value, Sequence) and value:
        inner = _one(value[0])
        return {"dtype": inner["dtype"], "shape": [None, *inner.get("shape", [])]}
    raise InvalidValue(
        f"a signature is read off a data frame, an array, or a mapping of such, not off {type(value).__name__}; pass one as it "
        "goes into the model"
    )


def read_signature(text: bytes, what: str) -> dict[str, Any]:
    """A signature that somebody wrote, as JSON or YAML: `inputs` and `outputs`, each a list of `name`, `dtype` and `shape`.

    `what` names the file in an error; raises InvalidValue for what is no signature.
    """
    import yaml

    try:
        said = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise InvalidValue(f"{what} is neither JSON nor YAML ({first})") from None
    if not isinstance(said, dict) or not said or not said.keys() <= {"inputs", "outputs"}:
        raise InvalidValue(
            f"{what} must hold `inputs`, `outputs` or both, each a list like [{{name: age, dtype: int64}}]"
        )
    return {part: [_written(one, f"{what}: {part}") for one in _list(said[part], f"{what}: {part}")] for part in said}


def _list(said: object, what: str) -> list[object]:
    if not isinstance(said, list) or not said or len(said) > _MOST_COLUMNS:
        raise InvalidValue(
            f"{what} must be a list of one to {_MOST_COLUMNS:,} entries, each like {{name: age, dtype: int64}}"
        )
    return said


def _written(one: object, what: str) -> dict[str, Any]:
    known = isinstance(one, dict) and one.keys() <= {"name", "dtype", "shape"} and isinstance(one.get("dtype"), str)
    if not isinstance(one, dict) or not known or not isinstance(one.get("name", ""), str):
        raise InvalidValue(f"{what} has {one!r:.80}, which is not like {{name: age, dtype: int64}}")
    shape = one.get("shape", [])
    if not isinstance(shape, list) or not all(size is None or (type(size) is int and size >= 0) for size in shape):
        raise InvalidValue(f"{what} has the shape {shape!r:.80}; it is a list of lengths, null for that of a batch")
    return one


def example_of(inputs: Any) -> Any:
    """The first rows of an example as JSON has them; None where they cannot be had, or are long."""
    import orjson

    try:
        if hasattr(inputs, "head") and hasattr(inputs, "to_dict"):
            plain = inputs.head(_ROWS).to_dict(orient="list")
        else:
            rows = inputs[:_ROWS] if not isinstance(inputs, Mapping) else inputs
            plain = rows.tolist() if hasattr(rows, "tolist") else rows
        data = orjson.dumps(plain, default=_plain)
    except Exception:
        # Whatever a library raises over its own data: an example is only an example.
        return None
    return orjson.loads(data) if len(data) <= 4_000 else None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
