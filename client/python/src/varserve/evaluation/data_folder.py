"""The folder with a benchmark's official files. What is missing is named, with where it was looked for."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from varserve.evaluation.errors import EvaluationError

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


class DataFolder:
    """`subsets`: those that are asked for; empty: all."""

    def __init__(self, folder: Path, benchmark: str, files: str, subsets: Sequence[str] = ()) -> None:
        if not folder.is_dir():
            raise EvaluationError(f"{folder} is not a folder; {benchmark} reads {files}")
        self._folder = folder
        self._wanted = f"{benchmark} reads {files}"
        self._subsets = subsets
        self._images: dict[str, list[Path]] | None = None  # by name

    def wants(self, subset: str) -> bool:
        """Whether the files of this subset have to be there."""
        return not self._subsets or subset in self._subsets

    def find(self, *names: str) -> Path:
        """The first of these files, in the folder or anywhere below."""
        for name in names:
            if (path := self._folder / name).exists():
                return path
        for name in names:
            if found := sorted(self._folder.rglob(name)):
                return found[0]
        raise EvaluationError(f"{' or '.join(names)} is missing in {self._folder}; {self._wanted}")

    def has(self, name: str) -> bool:
        return next(self._folder.rglob(name), None) is not None

    def json(self, *names: str) -> Any:  # noqa: ANN401
        path = self.find(*names)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise EvaluationError(f"{path} is not JSON: {error}") from None

    def json_lines(self, *names: str) -> list[Any]:
        """Of a file with one object a line, or with one list."""
        path = self.find(*names)
        text = path.read_text(encoding="utf-8").strip()
        try:
            return list(json.loads(text)) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        except ValueError as error:
            raise EvaluationError(f"{path} is not JSON, one object a line: {error}") from None

    def rows(self, *names: str) -> Iterator[dict[str, str]]:
        with self.find(*names).open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)

    def image(self, name: str) -> Path:
        """A picture by its path as the benchmark writes it, wherever in the folder that begins; or by its mere name, if
        only one picture has it."""
        if (path := self._folder / name).is_file():
            return path
        if self._images is None:
            self._images = defaultdict(list)
            for path in sorted(self._folder.rglob("*")):
                if path.suffix.lower() in PICTURES:
                    self._images[path.name].append(path)
        parts = PurePosixPath(name).parts
        named = self._images.get(parts[-1], [])
        fitting = [path for path in named if path.parts[-len(parts) :] == parts]
        if fitting:
            return fitting[0]
        if len(named) == 1:
            return named[0]
        raise EvaluationError(f"the picture {name} is missing in {self._folder}; {self._wanted}")
