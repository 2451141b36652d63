"""Types of the configuration in words, for errors and for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from msgspec import NODEFAULT, Struct, inspect

__all__ = ["allowed", "bare", "default", "description", "fields", "struct_of"]


@cache
def struct_of(struct: type[Struct]) -> inspect.StructType:
    """Return msgspec's description of a configuration type."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return described


def fields(struct: inspect.StructType) -> Mapping[str, inspect.Field]:
    """Return the keys of a mapping, by the name they have in the file."""
    return {field.encode_name: field for field in struct.fields}


def bare(kind: inspect.Type) -> inspect.Type:
    """Return `kind` without its description, and without None where that only means "not given"."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        given = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        if len(given) == 1:
            return bare(given[0])
    return kind


def description(kind: inspect.Type) -> str:
    """Return the sentence that `config.py` gives for a key."""
    if isinstance(kind, inspect.Metadata) and kind.extra_json_schema:
        return str(kind.extra_json_schema.get("description", ""))
    return ""


def default(field: inspect.Field) -> object:
    """Return a key's default, NODEFAULT where it must be given."""
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default


def allowed(kind: inspect.Type) -> str:
    """Say in words what a value of this type may be."""
    match bare(kind):
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=least, le=most) | inspect.FloatType(ge=least, le=most) as figure:
            return f"a {'whole ' * isinstance(figure, inspect.IntType)}number from {least} to {most}"
        case inspect.StrType(min_length=shortest, max_length=longest, pattern=pattern):
            return (
                "text of the form name=glob"
                if pattern
                else f"text of {'1 to' if shortest else 'at most'} {longest} characters"
            )
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values)
        case inspect.VarTupleType(item_type=item, min_length=fewest, max_length=most):
            number = f"{fewest} to {most}" if fewest else f"at most {most}"
            return f"a list of {number} items, each {allowed(item)}"
        case inspect.StructType() as struct:
            return "a mapping with the keys " + ", ".join(fields(struct))
        case other:
            raise AssertionError(f"config.py uses a type that has no words: {other}")
