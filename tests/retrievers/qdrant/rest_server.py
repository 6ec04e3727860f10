"""As much of Qdrant's REST interface as is asked for, over real HTTP, with what was sent kept for looking at."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

KEY = "a key"
Vectors = dict[int, list[float]]


@dataclass
class Held:
    url: str = ""
    collections: dict[str, Vectors] = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)


class MissingError(Exception):
    pass


@contextmanager
def qdrant() -> Iterator[Held]:
    held, lock = Held(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status: int
            result: Any
            with lock:
                held.bodies.append(body)
                try:
                    if self.headers.get("api-key") != KEY:
                        status, result = 401, None
                    else:
                        path = self.path.partition("?")[0]
                        status, result = 200, answer(held, self.command, path, json.loads(body or "{}"))
                except MissingError:
                    status, result = 404, None
            content = json.dumps({"result": result, "status": "ok" if status == 200 else {"error": "no"}, "time": 0.0})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names that the library calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(held: Held, method: str, path: str, body: dict[str, Any]) -> Any:
    if path == "/collections":
        return {"collections": [{"name": name} for name in held.collections]}
    matched = re.fullmatch(r"/collections/([^/]+)(/.*)?", path)
    assert matched, path
    name, rest = matched[1], matched[2] or ""
    if rest == "/exists":
        return {"exists": name in held.collections}
    if (method, rest) == ("PUT", ""):
        held.collections[name] = {}
        return True
    if name not in held.collections:
        raise MissingError
    if (method, rest) == ("DELETE", ""):
        del held.collections[name]
        return True
    return _points(held.collections[name], rest, body)


def _points(points: Vectors, rest: str, body: dict[str, Any]) -> Any:
    if rest == "/points":
        points.update(zip(body["batch"]["ids"], body["batch"]["vectors"], strict=True))
    elif rest == "/points/delete":
        for one in body["points"]:
            points.pop(one, None)
    elif rest == "/points/count":
        return {"count": len(points)}
    elif rest == "/points/scroll":
        ids = sorted(one for one in points if one >= body.get("offset", 0))
        here, more = ids[: body["limit"]], ids[body["limit"] :]
        return {"points": [{"id": one} for one in here], "next_page_offset": more[0] if more else None}
    elif rest == "/points/query":
        gone = {one for part in (body.get("filter") or {}).get("must_not", []) for one in part["has_id"]}
        ids = [one for one in points if one not in gone]
        vector = body["query"]["nearest"] if isinstance(body["query"], dict) else body["query"]
        scores = np.array([points[one] for one in ids]) @ np.array(vector) if ids else np.zeros(0)
        best = np.argsort(-scores)[: body["limit"]]
        return {"points": [{"id": ids[k], "version": 0, "score": float(scores[k])} for k in best]}
    else:
        raise AssertionError(rest)
    return {"operation_id": 0, "status": "completed"}
