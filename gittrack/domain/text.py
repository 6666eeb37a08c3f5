"""Text and run tags as records hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gittrack.domain.names import check_key
from gittrack.errors import InvalidValue


def checked_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    checked = {}
    for key, value in tags.items():
        text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        checked[check_key("run tag", key)] = check_text(text)
    return checked


def check_text(text: str) -> str:
    if not isinstance(text, str):
        raise InvalidValue(f"text is expected, not {type(text).__name__} {text!r:.60}")
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
