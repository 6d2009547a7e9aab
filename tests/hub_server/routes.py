"""Which function answers what: the routes that `huggingface_hub` 2.x takes."""

from __future__ import annotations

from collections.abc import Callable

from tests.hub_server import managing, reading, writing
from tests.hub_server.messages import Answer, Request

API = r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
PAGE = r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+/[^/]+?)"
REVISION = r"(?P<revision>[^/]+)"
STORAGE = r"/storage/(?P<sha256>[0-9a-f]{64})"
ROUTES: list[tuple[str, Callable[[Request], Answer]]] = [
    (r"GET /api/whoami-v2", managing.whoami),
    (r"POST /api/repos/create", managing.create),
    (r"POST /api/validate-yaml", managing.validate_yaml),
    (r"POST /api/complete-multipart", writing.complete_upload),
    (r"POST /api/lfs-verify/.+", writing.lfs_verify),
    (rf"GET {API}", reading.info),
    (rf"GET {API}/revision/{REVISION}", reading.info),
    (rf"GET {API}/refs", reading.refs),
    (rf"GET {API}/tree/{REVISION}(?:/(?P<path>.+))?", reading.tree),
    (rf"POST {API}/paths-info/{REVISION}", reading.paths_info),
    (rf"GET {API}/auth-check(?P<write>/write)?", managing.auth_check),
    (rf"POST {API}/preupload/{REVISION}", writing.preupload),
    (rf"POST {API}/commit/{REVISION}", writing.commit),
    (rf"POST {API}/branch/{REVISION}", writing.branch),
    (rf"POST {API}/tag/{REVISION}", writing.tag),
    (rf"GET {API}/variables", managing.variables),
    (rf"POST {API}/variables", managing.set_variable),
    (rf"POST {API}/secrets", managing.set_secret),
    (rf"POST {PAGE}\.git/info/lfs/objects/batch", writing.lfs_batch),
    (rf"(?:GET|HEAD) {PAGE}/resolve/{REVISION}/(?P<path>.+)", reading.resolve),
    (rf"(?:GET|HEAD) {STORAGE}", reading.download),
    (rf"PUT {STORAGE}", writing.upload),
    (rf"PUT {STORAGE}/(?P<part>\d+)", writing.upload_part),
]
