"""The venue's published OpenAPI documents as a judge of recorded answers and requests.

``Published.problems`` compares one HTTP exchange with the operation it belongs to: path and
query, JSON body, status, headers, and the body of the answer against its schema, with the
formats checked and fields that no schema names reported. The documents describe no error
bodies; those are held to the structure that ALPACA.md (section 2, *Errors*) records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
import yaml
from openapi_schema_validator import (
    OAS30Validator,
    OAS31Validator,
    oas30_format_checker,
    oas31_format_checker,
)
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4, DRAFT202012

Json = dict[str, Any]
SPECS = next(
    (p / "shared" / "specs" for p in Path(__file__).resolve().parents if (p / "shared" / "specs").is_dir()), None
)
NO_SPECS = "the venue's OpenAPI documents are not on this machine (../shared/specs)"

# Errors as the venue was observed to send them: a message, a code of eight digits, extras that are texts.
ERROR_BODY = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "message": {"type": "string", "minLength": 1},
        "code": {"type": "integer", "minimum": 10_000_000, "maximum": 99_999_999},
    },
    "additionalProperties": {"type": "string"},
}
CODED = {"trading": {403, 404, 422}, "market-data": set[int]()}  # where every error carries a code
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path of a document."""

    document: str
    method: str
    path: str
    content: Mapping[str, Any]

    @property
    def route(self) -> str:
        """As the simulator's request book writes it."""
        return re.sub(r"\{[^}]*\}", "{}", self.path)


class Published:
    """Both documents, loaded once."""

    def __init__(self, folder: Path) -> None:
        self._documents: dict[str, Json] = {}
        for name in ("trading", "market-data"):
            with (folder / f"{name}-openapi.yaml").open(encoding="utf-8") as file:
                self._documents[name] = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        kinds = {"trading": DRAFT202012, "market-data": DRAFT4}
        self._registry: Registry[Any] = Registry().with_resources(
            (f"urn:{name}", Resource(contents=document, specification=kinds[name]))
            for name, document in self._documents.items()
        )

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that ``path`` belongs to; literal paths win over patterns."""
        found = [
            Operation(name, method, template, content[method.lower()])
            for name, document in self._documents.items()
            for template, content in document["paths"].items()
            if method.lower() in content
            and re.fullmatch(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template)), path)
        ]
        return min(found, key=lambda o: o.path.count("{"), default=None)

    # --- one exchange ---------------------------------------------------------------------------

    def problems(self, response: requests.Response) -> list[str]:
        """What is not as published in the request behind ``response`` and in the answer; empty when all is."""
        request = response.request
        url = urlsplit(request.url or "")
        operation = self.operation(request.method or "", unquote(url.path))
        if operation is None:
            return [f"{request.method} {url.path}: no such operation is published"]
        where = f"{operation.method} {operation.path} {response.status_code}"
        found = [*self._request(operation, url.query, request.body), *self._headers(response)]
        if str(response.status_code) not in operation.content["responses"]:
            found.append("status: not among the published ones")
        found += self._answer(operation, response)
        return [f"{where}: {text}" for text in found]

    def _request(self, operation: Operation, query: str, body: str | bytes | None) -> Iterator[str]:
        parameters = {
            p["name"]: p
            for p in (self._resolved(operation.document, p) for p in operation.content.get("parameters", ()))
            if p["in"] == "query"
        }
        sent = dict(parse_qsl(query, keep_blank_values=True))
        for name, value in sent.items():
            if name not in parameters:
                yield f"query {name}: not a published parameter"
                continue
            schema = parameters[name].get("schema", {})
            yield from self._broken(operation.document, schema, _typed(value, schema), f"query {name}")
        for name, parameter in parameters.items():
            if parameter.get("required") and name not in sent:
                yield f"query {name}: required and not sent"
        wanted = operation.content.get("requestBody")
        if wanted is None:
            if body:
                yield "body: none is published"
            return
        schema = wanted["content"]["application/json"]["schema"]
        content = json.loads(body or b"null")
        yield from self._broken(operation.document, schema, content, "body")
        yield from self._unnamed(operation.document, schema, content, "body")

    def _headers(self, response: requests.Response) -> Iterator[str]:
        for name in RATE_HEADERS:
            if not response.headers.get(name, "").isdecimal():
                yield f"header {name}: {response.headers.get(name)!r} is not an integer"

    def _answer(self, operation: Operation, response: requests.Response) -> Iterator[str]:
        status = response.status_code
        if status >= 500:
            return  # a gateway's page or a message: nothing is promised
        if status >= 400:
            body = response.json()
            yield from self._broken(operation.document, ERROR_BODY, body, "error")
            if status in CODED[operation.document] and "code" not in body:
                yield "error: no code"
            return
        content = self._resolved(operation.document, operation.content["responses"].get(str(status), {})).get(
            "content"
        )
        if content is None:
            if response.content:
                yield "answer: a body, none is published"
            return
        schema = content["application/json"]["schema"]
        answer = response.json()
        yield from self._broken(operation.document, schema, answer, "answer")
        yield from self._unnamed(operation.document, schema, answer, "answer")

    # --- schemas --------------------------------------------------------------------------------

    def broken(self, document: str, schema: str, value: Any) -> list[str]:
        """What of ``value`` is not as the named component schema says."""
        reference = {"$ref": f"#/components/schemas/{schema}"}
        return [
            *self._broken(document, reference, value, schema),
            *self._unnamed(document, reference, value, schema),
        ]

    def _broken(self, document: str, schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
        kind, formats = (
            (OAS31Validator, oas31_format_checker)
            if document == "trading"
            else (OAS30Validator, oas30_format_checker)
        )
        validator = kind(_anchored(schema, f"urn:{document}"), registry=self._registry, format_checker=formats)
        for error in validator.iter_errors(value):
            place = _generic(f"{where}{error.json_path[1:]}")
            yield f"{place}: {error.validator} {error.message[:150]}"

    def _unnamed(self, document: str, schema: Any, value: Any, where: str) -> Iterator[str]:
        """Fields that no schema names: the documents allow them, a simulator must not invent them."""
        shape = self._resolved(document, schema)
        for part in (*shape.get("allOf", ()), *shape.get("oneOf", ()), *shape.get("anyOf", ())):
            resolved = self._resolved(document, part)
            merged = {**shape.get("properties", {}), **resolved.get("properties", {})}
            shape = {**resolved, **shape, "properties": merged}
        if isinstance(value, list):
            for item in value:
                yield from self._unnamed(document, shape.get("items", {}), item, f"{where}[]")
        elif isinstance(value, dict):
            named, others = shape.get("properties", {}), shape.get("additionalProperties")
            for name, content in value.items():
                if name in named:
                    yield from self._unnamed(document, named[name], content, f"{where}.{name}")
                elif isinstance(others, dict):
                    yield from self._unnamed(document, others, content, f"{where}.*")
                else:
                    yield f"{where}.{name}: not a published field"

    def _resolved(self, document: str, node: Any) -> Json:
        while isinstance(node, dict) and "$ref" in node:
            target: Any = self._documents[document]
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node if isinstance(node, dict) else {}


def _anchored(schema: Any, base: str) -> Any:
    """``schema`` with its references made absolute, so that a fragment finds the rest of its document."""
    if isinstance(schema, dict):
        return {
            k: f"{base}{v}" if k == "$ref" and isinstance(v, str) and v.startswith("#") else _anchored(v, base)
            for k, v in schema.items()
        }
    return [_anchored(item, base) for item in schema] if isinstance(schema, list) else schema


def _typed(value: str, schema: Mapping[str, Any]) -> Any:
    """A query's text as the type that its schema asks for, where it can be read so."""
    kind = schema.get("type")
    if kind == "integer" and value.lstrip("-").isdecimal():
        return int(value)
    if kind == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind == "number":
        try:
            return float(value)
        except ValueError:
            return value
    return value.split(",") if kind == "array" else value


def _generic(place: str) -> str:
    """One place for all entries of a list and all symbols of a map."""
    place = re.sub(r"\[\d+\]", "[]", place)
    return re.sub(r"\.(bars|trades|quotes)(\.[A-Z.]+|\['[^']+'\])(\[\])?", r".\1.*\3", place)


@cache
def published() -> Published:
    """Both documents; asked only where they exist."""
    if SPECS is None:
        raise AssertionError(NO_SPECS)
    return Published(SPECS)
