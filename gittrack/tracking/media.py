"""Figures, images, tables and mappings as the bytes of a file whose name says the format."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gittrack.errors import InvalidValue, MissingExtra


def _suffix(name: str, default: str) -> str:
    return os.path.splitext(name)[1].lower().lstrip(".") or default


def figure_bytes(figure: Any, name: str) -> bytes:
    """A matplotlib figure (or anything with `savefig`) or a plotly figure."""
    suffix = _suffix(name, "png")
    saver = getattr(figure, "savefig", None) or getattr(getattr(figure, "figure", None), "savefig", None)
    if callable(saver):
        out = io.BytesIO()
        saver(out, format=suffix, bbox_inches="tight")
        return out.getvalue()
    if suffix in {"html", "htm"} and hasattr(figure, "to_html"):
        return str(figure.to_html()).encode("utf-8")
    if suffix == "json" and hasattr(figure, "to_json"):
        return str(figure.to_json()).encode("utf-8")
    if hasattr(figure, "to_image"):
        return bytes(figure.to_image(format=suffix))
    raise InvalidValue(f"{name!r}: a {type(figure).__name__} is no figure; pass one of matplotlib or plotly")


def image_bytes(image: Any, name: str) -> bytes:
    """A PIL image, an array of height × width (× 1, 3 or 4 channels; floats in 0..1 or bytes), encoded bytes, or a path."""
    if isinstance(image, (bytes, bytearray)):
        return bytes(image)
    if isinstance(image, (str, os.PathLike)):
        return Path(image).read_bytes()
    out = io.BytesIO()
    if hasattr(image, "save") and hasattr(image, "mode"):
        image.save(out, format=_image_format(name))
        return out.getvalue()
    if hasattr(image, "detach"):  # torch; channels come first there
        image = image.detach().cpu().numpy()
        if image.ndim == 3 and image.shape[0] in (1, 3, 4):
            image = image.transpose(1, 2, 0)
    if not hasattr(image, "__array_interface__"):
        raise InvalidValue(
            f"{name!r}: a {type(image).__name__} is no image; pass an array, a PIL image, bytes or a path"
        )
    try:
        import numpy as np
        from PIL import Image
    except ImportError:
        raise MissingExtra("turning an array into an image needs Pillow: pip install Pillow") from None
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InvalidValue(f"{name!r}: an array of shape {array.shape} is no image; height × width (× channels) is")
    if array.dtype != np.uint8:
        array = np.nan_to_num(array.astype("float64"))
        array = (array if array.max(initial=0) > 1 else array * 255).clip(0, 255).astype("uint8")
    Image.fromarray(array).save(out, format=_image_format(name))
    return out.getvalue()


def _image_format(name: str) -> str:
    suffix = _suffix(name, "png")
    return {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())


def mapping_bytes(values: Any, name: str) -> bytes:
    """JSON, or YAML when the name ends so."""
    if _suffix(name, "json") in {"yaml", "yml"}:
        import yaml

        return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True)).encode("utf-8")
    import json

    try:
        return (json.dumps(values, indent=2, ensure_ascii=False, default=_plain) + "\n").encode("utf-8")
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"{name!r} cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    for method in ("tolist", "item", "isoformat"):
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    raise TypeError(f"a {type(value).__name__} has no plain form")


def table_bytes(table: Any, name: str) -> bytes:
    """A data frame, a list of mappings or a mapping of columns, as CSV, TSV or JSON by the name's ending."""
    suffix = _suffix(name, "csv")
    if hasattr(table, "to_pandas"):
        table = table.to_pandas()
    if hasattr(table, "to_csv"):
        if suffix == "json":
            return str(table.to_json(orient="records", indent=2)).encode("utf-8")
        return str(table.to_csv(index=False, sep="\t" if suffix == "tsv" else ",")).encode("utf-8")
    if isinstance(table, Mapping):
        columns = list(table)
        lengths = {len(table[column]) for column in columns}
        if len(lengths) > 1:
            raise InvalidValue(f"{name!r}: the columns of a table must be equally long, not {sorted(lengths)}")
        rows: Sequence[Mapping[str, Any]] = [
            dict(zip(columns, row, strict=True)) for row in zip(*table.values(), strict=True)
        ]
    elif isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table):
        rows = table
        columns = list(dict.fromkeys(key for row in rows for key in row))
    else:
        raise InvalidValue(f"{name!r}: a {type(table).__name__} is no table; pass a data frame, mappings, or columns")
    if suffix == "json":
        return mapping_bytes(list(rows), name)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, delimiter="\t" if suffix == "tsv" else ",", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8")
