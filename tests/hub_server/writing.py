"""How files come to the Hub: where each is to be put, uploads by checksum, commits, branches, tags."""

from __future__ import annotations

import base64
import json

from tests.hub_server.messages import Answer, Request
from tests.hub_server.store import Refused, git_oid, is_lfs


def preupload(request: Request) -> Answer:
    request.writable()
    there = request.repositories.tree(request.key, request.values["revision"])
    found = []
    for file in request.json["files"]:
        entry = there.get(file["path"])
        lfs = is_lfs(file["path"], base64.b64decode(file["sample"]), file["size"])
        oid = entry and (entry["sha256"] if entry["lfs"] else entry["oid"])
        mode = "lfs" if lfs else "regular"
        found.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return Answer({"files": found})


def lfs_batch(request: Request) -> Answer:
    """Where each object that is not there yet is to be put, in one part or in several."""
    request.writable()
    objects = []
    for each in request.json["objects"]:
        found = {"oid": each["oid"], "size": each["size"]}
        if not request.repositories.blob(each["oid"]).is_file():
            put = f"{request.storage}/{each['oid']}"
            parts = -(-each["size"] // request.repositories.part_bytes)
            upload = {"href": f"{put}?signature=1"}
            if parts > 1:
                upload["href"] = f"http://{request.host}/api/complete-multipart?signature=1"
                upload["header"] = {"chunk_size": str(request.repositories.part_bytes)}
                upload["header"] |= {str(n): f"{put}/{n}?signature=1" for n in range(1, parts + 1)}
            address = f"http://{request.host}/api/lfs-verify/{'/'.join(request.key)}"
            found["actions"] = {"upload": upload, "verify": {"href": address}}
        objects.append(found)
    return Answer({"transfer": "basic", "objects": objects})


def upload(request: Request) -> Answer:
    request.note_leak()
    request.repositories.put_blob(request.body, request.values["sha256"])
    return Answer({})


def upload_part(request: Request) -> Answer:
    request.note_leak()
    part = f"{request.values['sha256']}.{request.values['part']}"
    (request.repositories.home / "uploads" / part).write_bytes(request.body)
    return Answer({}, headers={"ETag": f'"{git_oid(request.body)}"'})


def complete_upload(request: Request) -> Answer:
    """Puts parts together, if they are what the client was told that came."""
    asked, content = request.json, b""
    for part in asked["parts"]:
        file = request.repositories.home / "uploads" / f"{asked['oid']}.{part['partNumber']}"
        piece = file.read_bytes()
        if part["etag"].strip('"') != git_oid(piece):
            raise Refused(400, "another part came")
        content += piece
    request.repositories.put_blob(content, asked["oid"])
    return Answer({})


def lfs_verify(request: Request) -> Answer:
    asked = request.json
    blob = request.repositories.blob(asked["oid"])
    if not blob.is_file() or blob.stat().st_size != asked["size"]:
        raise Refused(404, "the object has not come")
    return Answer({})


def commit(request: Request) -> Answer:
    request.writable()
    operations = [json.loads(line) for line in request.body.splitlines()]
    done = request.repositories.commit(request.key, request.values["revision"], operations)
    return Answer(
        {
            "success": True,
            "commitUrl": f"http://{request.host}/{request.key[1]}/commit/{done}",
            "commitOid": done,
        }
    )


def branch(request: Request) -> Answer:
    request.writable()
    start = request.json.get("startingPoint") or "main"
    request.repositories.branch(request.key, request.values["revision"], start)
    return Answer({})


def tag(request: Request) -> Answer:
    request.writable()
    request.repositories.tag(request.key, request.json["tag"], request.values["revision"])
    return Answer({})
