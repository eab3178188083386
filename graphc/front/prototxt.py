"""Parse protobuf text: counted first, read by field name, errors with line and near names."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import text_format

from graphc.errors import GraphError, Loc
from graphc.front.merge import PACKAGE
from graphc.front.scan import Scan, scan
from graphc.front.schema import Schema
from graphc.ir.graph import near
from graphc.limits import Limits

_PLACE = re.compile(r"\d+:\d+ : (.*)", re.DOTALL)
_NO_FIELD = re.compile(r'Message type "([\w.]+)" has no field named "([^"]*)"')
_NO_VALUE = re.compile(r'Enum type "([\w.]+)" has no value named (\w+)')
_LONGEST = 200
_SOLVER = "SolverParameter"
_BOM = b"\xef\xbb\xbf"


def decode_text(data: bytes | memoryview) -> str:
    """Bytes of a text file as text: UTF-8 (with or without mark) or Latin-1; lines end in \\n."""
    raw = bytes(data).removeprefix(_BOM).replace(b"\r\n", b"\n")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def parse(
    text: str, kind: str, schema: Schema, *, file: str = "<text>", limits: Limits | None = None
) -> tuple[Any, Scan]:
    """Read `text` as the message `kind` ("NetParameter"); returns it and what the scan counted.

    Raises GC-L001 before any work where a limit is exceeded, else GC-P001 with file and line.
    """
    message = schema.new(kind)
    return message, parse_into(text, message, schema, file=file, limits=limits)


def parse_into(
    text: str, message: Any, schema: Schema, *, file: str = "<text>", limits: Limits | None = None
) -> Scan:
    """Read `text` into an empty message; as `parse`."""
    limits, kind = limits or Limits(), message.DESCRIPTOR.name
    try:
        limits.check("text_bytes", len(text), "the length of the text")
        text.encode()
    except GraphError as error:
        raise error.at(loc=Loc(file)) from None
    except UnicodeEncodeError as error:
        raise GraphError("GC-P001", f"the text is no Unicode: {error}", loc=Loc(file)) from None
    counted = scan(text, limits, file)
    text = counted.condensed(text)
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise _located(error, text, file, schema, kind) from None
    except Exception as error:  # whatever else the parser runs into is the text's fault
        what = f"{type(error).__name__}: {error}"[:_LONGEST]
        raise GraphError("GC-P001", f"{kind} cannot be read: {what}", loc=Loc(file)) from None
    return counted


def _located(
    error: text_format.ParseError, text: str, file: str, schema: Schema, kind: str
) -> GraphError:
    line, column = error.GetLine() or 0, error.GetColumn() or 0
    whole = str(error)
    match = _PLACE.match(whole)
    said = match.group(1) if match else whole
    if line:  # the parser may repeat the whole line, however long
        quoted = f"'{text.split(chr(10), line)[line - 1]}': "
        said = said.removeprefix(quoted)
    said = said.replace(f"{PACKAGE}.", "").rstrip(".")
    if len(said) > _LONGEST:
        said = said[:_LONGEST] + "..."
    message = f"{said} (column {column})" if column else said
    return GraphError("GC-P001", message, _hint(whole, schema, kind), loc=Loc(file, line))


def _hint(whole: str, schema: Schema, kind: str) -> str:
    found = _NO_FIELD.search(whole)
    if found:
        message, name = schema.descriptor(_local(found.group(1))), found.group(2)
        if message.name == "NetParameter" and name in schema.descriptor(_SOLVER).fields_by_name:
            return "this is a solver; give the file that its net: field names"
        own = "a field of your own layer is known when its file is given with --ops f.py"
        return near(name, message.fields_by_name) or (own if kind == "NetParameter" else "")
    found = _NO_VALUE.search(whole)
    if found:
        values = schema.enum(_local(found.group(1))).values_by_name
        return near(found.group(2), values) or f"one of {', '.join(values)}"
    return ""


def _local(full_name: str) -> str:
    return full_name.removeprefix(f"{PACKAGE}.")


__all__ = ["decode_text", "parse", "parse_into"]
