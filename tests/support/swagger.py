"""Is a request what a Swagger 2.0 document allows? Path, method, query, types and bodies, as far as the document tells."""

import glob
import json
import os
import re
import urllib.parse


class Specification:
    """Several documents, each for hosts of its own. The one parameter they leave to prose is api-version."""

    def __init__(self, folder):
        self.operations = []
        for path in sorted(glob.glob(os.path.join(folder, "*-7.1-*.json"))):
            with open(path, encoding="utf-8-sig") as text:
                document = json.load(text)
            for template, item in {**document["paths"], **document.get("x-ms-paths", {})}.items():
                for method, operation in item.items():
                    if method in ("get", "post", "put", "patch", "delete", "head"):
                        self._add(document, template, method, operation)

    def _add(self, document, template, method, operation):
        bare, _, query = template.partition("?")
        parameters = [self._resolve(document, parameter) for parameter in operation.get("parameters", [])]
        optional = {p["name"] for p in parameters if p["in"] == "path" and not p.get("x-ms-required", p.get("required", True))}
        pattern = ""
        for segment in bare.strip("/").split("/"):
            name = segment[1:-1] if segment.startswith("{") else None
            # A team stands only below its project, and both may be left out where the document says so.
            piece = "[^/]+" if name else re.escape(segment)
            pattern += f"(?:/{piece})?" if name in optional or name == "team" else f"/{piece}"
        required = {name for name, _ in urllib.parse.parse_qsl(query)}
        self.operations.append({"document": document, "host": document["host"], "method": method.upper(), "required": required,
                                "pattern": re.compile(pattern + "/?", re.IGNORECASE), "parameters": parameters, "template": template})

    @staticmethod
    def _resolve(document, node):
        while "$ref" in node:
            found = document
            for part in node["$ref"].lstrip("#/").split("/"):
                found = found[part]
            node = found
        return node

    def faults(self, host, method, path, query, body):
        """Why no operation takes the request: lines of text, none if one does. `path` begins with the organisation."""
        fitting = [operation for operation in self.operations if operation["host"] == host and operation["method"] == method
                   and operation["pattern"].fullmatch(path)]
        if not fitting:
            return [f"{host} has no {method} {path}"]
        found = [self._operation_faults(operation, query, body) for operation in fitting]
        return min(found, key=len)

    def _operation_faults(self, operation, query, body):
        given = dict(query)
        found = [f"{name} is given twice" for name in given if sum(name == other for other, _ in query) > 1]
        known = {p["name"].lower(): p for p in operation["parameters"] if p["in"] == "query"}
        required = {p["name"].lower() for p in known.values() if p.get("required")} | operation["required"]
        found += [f"{name} is missing" for name in required if name.lower() not in {key.lower() for key in given}]
        for name, value in given.items():
            parameter = known.get(name.lower())
            if parameter is None:
                if name.lower() not in {key.lower() for key in operation["required"]}:
                    found.append(f"{operation['template']} knows no parameter {name}")
                continue
            found += value_faults(name, value, parameter)
        version = given.get("api-version", "")
        if not re.fullmatch(r"7\.1(-preview\.\d+)?", version):
            found.append(f"api-version is {version!r}")
        schema = next((p["schema"] for p in operation["parameters"] if p["in"] == "body"), None)
        if schema is None:
            return found + (["a body where none is known"] if body else [])
        if not body:
            return found + ["the body is missing"]
        return found + self._body_faults(operation["document"], "body", json.loads(body), schema)

    def _body_faults(self, document, where, value, schema):
        schema = self._resolve(document, schema)
        kind = schema.get("type")
        if kind == "array":
            if not isinstance(value, list):
                return [f"{where} is no array"]
            return [fault for i, item in enumerate(value) for fault in self._body_faults(document, f"{where}[{i}]", item, schema["items"])]
        if kind == "object" or "properties" in schema:
            if not isinstance(value, dict):
                return [f"{where} is no object"]
            unknown = [f"{where} has no {name}" for name in value if name not in schema.get("properties", {})]
            return unknown + [fault for name, item in value.items() if name in schema.get("properties", {})
                              for fault in self._body_faults(document, f"{where}.{name}", item, schema["properties"][name])]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{where} is {value!r}, not one of {schema['enum']}"]
        types = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}
        fits = kind is None or isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))
        return [] if fits else [f"{where} is {value!r}, not {kind}"]


def value_faults(name, text, parameter):
    kind = parameter.get("type")
    if kind == "array":
        return [fault for part in text.split(",") for fault in value_faults(name, part, parameter["items"])]
    if kind == "integer" and not re.fullmatch(r"-?\d+", text):
        return [f"{name} is {text!r}, not an integer"]
    if kind == "boolean" and text not in ("true", "false"):
        return [f"{name} is {text!r}, not a boolean"]
    if "enum" in parameter and text.lower() not in [str(value).lower() for value in parameter["enum"]]:
        return [f"{name} is {text!r}, not one of {parameter['enum']}"]
    return []
