"""Python's values as fields of messages: one that does not fit is named."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from varserve.errors import InvalidArgumentError

M = TypeVar("M", bound=Message)
_KINDS = {
    FieldDescriptor.CPPTYPE_BOOL: "True or False",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_STRING: "a text",
}  # the others are integers, or enumerations, whose names are checked before


def fill(kind: type[M], values: Mapping[str, Any], name: str) -> M:
    """A message with these values. `name`: what errors call the message."""
    for field, value in values.items():
        _check(kind, field, value, name)
    return kind(**values)


def _check(kind: type[Message], field: str, value: object, name: str) -> None:
    try:
        kind(**{field: value})
    except TypeError:
        raise must_be(f"{name}.{field}", _wanted(kind.DESCRIPTOR.fields_by_name[field]), value) from None
    except ValueError as error:
        raise InvalidArgumentError(f"{name}.{field}: {error}") from None


def must_be(field: str, wanted: str, value: object) -> InvalidArgumentError:
    return InvalidArgumentError(f"{field}: must be {wanted}, not {reprlib.repr(value)}")


def text(field: str, value: object) -> str:
    """The value, which must be one."""
    if not isinstance(value, str):
        raise must_be(field, "a text", value)
    return value


def _wanted(field: Any) -> str:  # noqa: ANN401 (descriptors of several implementations)
    kind = _KINDS.get(field.cpp_type, "a whole number")
    return f"a list, each {kind}" if field.is_repeated else kind
