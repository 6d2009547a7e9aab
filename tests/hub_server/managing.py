"""Accounts, the making of repositories, their settings, and what is special to Spaces."""

from __future__ import annotations

import re

import yaml

from tests.hub_server.messages import Answer, Request
from tests.hub_server.store import Refused


def whoami(request: Request) -> Answer:
    if not request.has_token:
        raise Refused(401, "Invalid username or password.")
    return Answer({"type": "user", "name": "someone", "orgs": [], "auth": {"type": "access_token"}})


def create(request: Request) -> Answer:
    asked = request.json
    user = asked.get("organization") or "someone"
    if not request.has_token:
        raise Refused(401, "Invalid username or password.")
    request.refuse_foreign(user)
    kind, name = asked.get("type", "model"), f"{user}/{asked['name']}"
    settings = {key: asked[key] for key in ("sdk", "hardware") if key in asked}
    settings["variables"] = {each["key"]: each["value"] for each in asked.get("variables", [])}
    settings["secrets"] = [each["key"] for each in asked.get("secrets", [])]
    private = asked.get("visibility") == "private"
    address = f"http://{request.host}/{'' if kind == 'model' else kind + 's/'}{name}"
    try:
        request.repositories.create((kind, name), private, **settings)
    except Refused as refused:
        return Answer({"error": str(refused), "url": address}, refused.status)
    return Answer({"url": address, "name": name, "id": name})


def delete_repository(request: Request) -> Answer:
    asked = request.json
    request.values = {"kind": asked.get("type", "model"), "name": f"{asked['organization']}/{asked['name']}"}
    request.writable()
    request.repositories.delete(request.key)
    return Answer({})


def validate_yaml(request: Request) -> Answer:
    """As the Hub does it: the block between the lines of dashes must be a mapping of YAML."""
    found = re.match(r"\s*---\r?\n(.*?)\n---\r?\n", request.json["content"], re.DOTALL)
    if not found:
        return Answer(
            {"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]}
        )
    try:
        metadata = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return Answer({"errors": [{"message": str(error)}], "warnings": []}, 400)
    if not isinstance(metadata, dict):
        return Answer({"errors": [{"message": "no mapping"}], "warnings": []}, 400)
    return Answer({"errors": [], "warnings": []})


def auth_check(request: Request) -> Answer:
    request.readable()
    if request.values.get("write"):
        request.writable()
    return Answer({})


def settings(request: Request) -> Answer:
    request.writable()
    asked = request.json
    is_private = asked["visibility"] == "private" if "visibility" in asked else asked.get("private")
    request.repositories.change(request.key, private=is_private)
    return Answer({"private": is_private})


def variables(request: Request) -> Answer:
    return Answer({name: {"value": value} for name, value in _space(request).get("variables", {}).items()})


def set_variable(request: Request) -> Answer:
    known, asked = _space(request).get("variables", {}), request.json
    request.repositories.change(request.key, variables={**known, asked["key"]: asked["value"]})
    return variables(request)


def set_secret(request: Request) -> Answer:
    known = _space(request).get("secrets", [])
    request.repositories.change(request.key, secrets=[*known, request.json["key"]])
    return Answer({})


def runtime(request: Request) -> Answer:
    hardware = {"current": None, "requested": "cpu-basic"}
    return Answer({"stage": "BUILDING", "hardware": hardware, "gcTimeout": None, "storage": None})


def _space(request: Request) -> dict:
    return request.writable().settings
