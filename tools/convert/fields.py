"""Fields of a JSON file, whose errors name the file and the field."""

from __future__ import annotations

import json
import pathlib


class Refused(Exception):
    """What cannot be converted: one line that names the file and the field, token or tensor."""


class Fields:
    def __init__(self, values: dict, file: str, path: str = "") -> None:
        self._values, self._file, self._path = values, file, path

    @classmethod
    def read(cls, file: pathlib.Path, name: str = "") -> Fields:
        """`name`: what errors call the file, if not by its own name."""
        name = name or file.name
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            json.dumps(values, ensure_ascii=False).encode()  # no half of a surrogate pair
        except FileNotFoundError:
            raise Refused(f"{name}: is missing in {file.parent}") from None
        except RecursionError:
            raise Refused(f"{name}: is nested too deeply") from None
        except ValueError as error:
            raise Refused(f"{name}: {error}") from None
        if not isinstance(values, dict):
            raise Refused(f"{name}: is not an object")
        return cls(values, name)

    def refused(self, name: str, why: str) -> Refused:
        return Refused(f"{self._file}: {self._path}{name} {why}")

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def object(self, name: str) -> Fields:
        return Fields(self.need(name, dict), self._file, f"{self._path}{name}.")

    def need(self, name: str, *types: type) -> object:
        """The value, of one of `types`; a boolean is not an integer, and an integer is a float."""
        if not self.has(name):
            raise self.refused(name, "is missing")
        value = self._values[name]
        if float in types and type(value) is int:
            return float(value)
        if type(value) not in types:
            raise self.refused(name, f"is {value!r}, not of type {' or '.join(t.__name__ for t in types)}")
        return value

    def count(self, name: str) -> int:
        value = self.need(name, int)
        if value < 1:
            raise self.refused(name, f"is {value}, not above 0")
        return value

    def heads(self) -> None:
        """Checks that hidden_size is divided among num_attention_heads."""
        width, heads = self.count("hidden_size"), self.count("num_attention_heads")
        if width % heads:
            raise self.refused("hidden_size", f"is {width}, not a multiple of {heads} heads")

    def optional(self, name: str, *types: type) -> object:
        return self.need(name, *types) if self.has(name) else None

    def only(self, name: str, *accepted: object, missing: object = None) -> object:
        """One of `accepted`; `missing` where the file does not say."""
        value = self._values.get(name, missing)
        if value not in accepted:
            raise self.refused(name, f"is {value!r}; supported: {', '.join(map(repr, accepted))}")
        return value

    def copy(self, *names: str) -> dict:
        """Of these fields those that the file has."""
        return {name: self._values[name] for name in names if self.has(name)}
