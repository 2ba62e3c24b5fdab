"""Form fields as typed values: one pydantic model is the parser, the check and the documentation.

Lists arrive as `name[]` repeated, as `name` repeated, or as one JSON array; objects as
`name[key]=value` or as one JSON object. An empty value means that the field was not given.
Fields that the model does not know are ignored.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable
from typing import Any, ClassVar, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo

from verbatim.domain.errors import BadRequestError


class FormModel(BaseModel):
    """What a form's fields mean; subclasses declare the fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    synonyms: ClassVar[dict[str, str]] = {}
    """Other names under which clients send a field, by the name they stand for."""

    @classmethod
    def read(cls, fields: Iterable[tuple[str, str]]) -> Self:
        """Read a form.

        Raises:
            BadRequestError: a value does not fit; `param` names the field.
        """
        try:
            return cls.model_validate(_gather(cls, fields))
        except ValidationError as error:
            problems = error.errors()
            lines = (f"{_place(p['loc'])}: {_plain(p['msg'])}" for p in problems)
            raise BadRequestError(
                "; ".join(lines), param=str(problems[0]["loc"][0]) if problems[0]["loc"] else None
            ) from error

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if not _is_empty(value)}


def _is_empty(value: object) -> bool:
    return not value.strip() if isinstance(value, str) else value in ([], {})


def _gather(model: type[FormModel], fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    gathered: dict[str, Any] = {}
    for full_name, value in fields:
        name, bracket, key = full_name.partition("[")
        name = model.synonyms.get(name, name)
        info = model.model_fields.get(name)
        if info is None or (bracket and not key.endswith("]")):
            continue
        shape = _shape(info)
        if shape is list:
            gathered.setdefault(name, []).extend(_items(value))
        elif shape is dict:
            _put(gathered, name, key.removesuffix("]"), value)
        else:
            gathered[name] = value.strip() if shape is not str else value
    return gathered


def _shape(info: FieldInfo) -> type:
    """`list`, `dict`, `str`, or `object` for any other scalar."""
    kinds = {_kind(part) for part in _alternatives(info.annotation)}
    for shape in (list, dict, str):
        if shape in kinds:
            return shape
    return object


def _alternatives(annotation: Any) -> Iterable[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _kind(annotation: Any) -> type:
    origin = get_origin(annotation) or annotation
    if origin in (list, tuple):
        return list
    if isinstance(origin, type) and issubclass(origin, BaseModel):
        return dict
    return str if origin is str else object


def _items(value: str) -> list[Any]:
    # A word may begin with a bracket, so what is no JSON array is taken as it is.
    parsed = _json(value) if value.lstrip().startswith("[") else None
    if isinstance(parsed, list):
        return parsed
    return [value] if value.strip() else []


def _put(gathered: dict[str, Any], name: str, key: str, value: str) -> None:
    """An object's value: one of its keys, the whole as JSON, or a bare word."""
    known = gathered.get(name)
    if key:
        gathered[name] = {**(known if isinstance(known, dict) else {}), key: value}
        return
    parsed = _json(value) if value.lstrip().startswith("{") else None
    gathered[name] = parsed if isinstance(parsed, dict) else value.strip()


def _json(value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "form"


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")


def form_schema(model: type[FormModel], file_help: str | None = None) -> dict[str, Any]:
    """The form's JSON schema, for an OpenAPI description: self-contained, the file included.

    Args:
        model: of the fields.
        file_help: what the field `file` is; None for a form without one.
    """
    schema = inlined_schema(model)
    if file_help is not None:
        file = {"type": "string", "format": "binary", "description": file_help}
        schema["properties"] = {"file": file, **schema["properties"]}
        schema["required"] = ["file", *schema.get("required", ())]
    return schema


def inlined_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema that refers to nothing outside itself."""
    return inlined(model.model_json_schema())


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema by pydantic, made to refer to nothing outside itself."""
    whole = _inline(
        {key: part for key, part in schema.items() if key != "$defs"}, schema.get("$defs", {})
    )
    if not isinstance(whole, dict):
        raise TypeError("a model's schema is an object")
    return whole


def _inline(schema: object, definitions: dict[str, Any]) -> object:
    if isinstance(schema, list):
        return [_inline(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: _inline(part, definitions) for key, part in schema.items() if key != "$ref"}
    if "$ref" in schema:
        target = _inline(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {**(target if isinstance(target, dict) else {}), **parts}
    return parts
