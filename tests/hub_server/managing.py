"""Accounts, the making of repositories, and the variables and secrets of Spaces."""

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
    settings = {"sdk": asked["sdk"]} if "sdk" in asked else {}
    settings["variables"] = {each["key"]: each["value"] for each in asked.get("variables", [])}
    settings["secrets"] = [each["key"] for each in asked.get("secrets", [])]
    private = asked.get("visibility") == "private"
    address = f"http://{request.host}/{'' if kind == 'model' else kind + 's/'}{name}"
    try:
        request.repositories.create((kind, name), private, **settings)
    except Refused as refused:
        return Answer({"error": str(refused), "url": address}, refused.status)
    return Answer({"url": address, "name": name, "id": name})


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


def _space(request: Request) -> dict:
    return request.writable().settings
