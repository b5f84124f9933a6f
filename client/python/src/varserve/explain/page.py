"""The explain page: the files of client/explain, which hatch_build.py puts beside this one, around the data."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any


def report_page(data: dict[str, Any]) -> str:
    """One HTML file that needs nothing else. Nothing in `data` can break out of its place in the page."""
    parts = {
        "style": _file("report.css"),
        "script": _file("report.js") + _file("pictures.js") + _file("charts.js"),
        # Never contains "</script" or "<!--".
        "data": json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
    }
    # All at once: what is filled in is not searched again.
    return re.sub(r"\{\{(style|script|data)\}\}", lambda place: parts[place[1]], _file("report.html"))


def _file(name: str) -> str:
    return (resources.files("varserve.explain") / "page" / name).read_text(encoding="utf-8")
