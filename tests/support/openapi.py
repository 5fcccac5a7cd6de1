"""Holds answers against the OpenAPI document of the service that gave them.

The part of JSON Schema that the document uses is checked here, strictly: an object whose schema
names its members may have no others, so that nothing goes out undocumented.
"""

import datetime
import re

TYPES = {"string": str, "boolean": bool, "object": dict, "array": list, "null": type(None)}


def _is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


class Document:
    def __init__(self, document):
        self.document = document
        self.patterns = [(re.compile("^" + re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$"), path)
                         for path in sorted(document["paths"], key=lambda path: path.count("{"))]

    def path_of(self, target):
        path = target.split("?")[0]
        for pattern, name in self.patterns:
            if pattern.match(path):
                return name
        raise AssertionError(f"{path} is not in the document")

    def resolve(self, schema):
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def check_answer(self, target, answer, method="get"):
        operation = self.document["paths"][self.path_of(target)][method]
        responses = operation["responses"]
        described = responses.get(str(answer.status), responses["default"])
        media = answer.headers["Content-Type"].split(";")[0]
        assert media in described["content"], f"{target}: {answer.status} {media} is not documented"
        if media.endswith("json") and not media.endswith("ndjson"):
            self.check(answer.json(), described["content"][media]["schema"], target)

    def check(self, value, schema, where="$"):
        schema = self.resolve(schema)
        for part in schema.get("allOf", ()):
            self.check_open(value, part, where)
        if "allOf" in schema:
            known = set()
            for part in schema["allOf"]:
                known |= set(self.resolve(part).get("properties", {}))
            assert set(value) <= known, f"{where}: undocumented {set(value) - known}"
        self.check_open(value, schema, where)
        if "properties" in schema and isinstance(value, dict):
            extra = set(value) - set(schema["properties"])
            assert not extra, f"{where}: undocumented {extra}"

    def check_open(self, value, schema, where):
        """As JSON Schema has it: other members than the named ones are no fault."""
        schema = self.resolve(schema)
        if "type" in schema:
            names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            assert any(_is_type(value, name) for name in names), f"{where}: {value!r} is not {names}"
        if "enum" in schema:
            assert value in schema["enum"], f"{where}: {value!r} is none of {schema['enum']}"
        if "const" in schema:
            assert value == schema["const"], f"{where}: {value!r} is not {schema['const']!r}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert schema.get("minimum", value) <= value <= schema.get("maximum", value), f"{where}: {value} is out of range"
        if isinstance(value, str):
            self._check_format(value, schema.get("format"), where)
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                self.check(item, schema["items"], f"{where}[{i}]")
        if isinstance(value, dict):
            for name in schema.get("required", ()):
                assert name in value, f"{where}: {name} is missing"
            for name, member in value.items():
                if name in schema.get("properties", {}):
                    self.check(member, schema["properties"][name], f"{where}.{name}")
                elif isinstance(schema.get("additionalProperties"), dict):
                    self.check(member, schema["additionalProperties"], f"{where}.{name}")

    @staticmethod
    def _check_format(value, name, where):
        if name == "date-time":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", value), f"{where}: {value!r}"
            datetime.datetime.fromisoformat(value[:19])
        if name == "date":
            datetime.date.fromisoformat(value)
