"""Object storage on loopback behind a proxy that can be slow, cut connections, refuse, and be full."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from surroundings import CREDENTIALS, STORE

_WRITES = {"PUT", "POST", "DELETE"}
_HOP = {
    "connection",
    "expect",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "proxy-connection",
}
_REFUSALS = {
    "read-only": (403, "AccessDenied"),
    "full": (507, "XMinioStorageFull"),
    "failing": (503, "SlowDown"),
    "broken": (500, "InternalError"),
}


class ObjectStorage:
    """Serves a bucket through a proxy; `mode` is what is wrong with it now.

    Modes: `sound`; `slow` (every answer late); `cut` (every third connection is closed without an
    answer); `failing` and `broken` (every other request is answered 503 or 500); `read-only` and `full`
    (every write is refused).
    """

    def __init__(self, bucket: str) -> None:
        import boto3
        from moto.server import ThreadedMotoServer

        os.environ.update(CREDENTIALS)
        self.mode = "sound"
        self.num_spoilt = 0
        self.num_requests = 0
        self._lock = threading.Lock()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.upstream = self._server.get_host_and_port()
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._proxy.daemon_threads = True
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        host, port = self.upstream
        self._client = boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",  # noqa: S106
        )  # fmt: skip
        self._bucket = bucket
        self._client.create_bucket(Bucket=bucket)
        self._mirrored: dict[str, str] = {}
        place = f"scheme=http&endpoint_override=127.0.0.1%3A{self._proxy.server_port}"
        self.uri = f"s3://{bucket}/{STORE}?{place}&region=us-east-1"

    @contextlib.contextmanager
    def spoilt(self, mode: str) -> Iterator[None]:
        """Have something wrong with the storage for the duration of a block."""
        self.mode = mode
        try:
            yield
        finally:
            self.mode = "sound"

    def mirror(self, folder: Path, views: Iterable[str]) -> Path:
        """Bring a folder of this machine to the state of the store's views; give the store there.

        What changed is known by its digest. Files merged meanwhile are looked for again.
        """
        while True:
            found = self._digests(views)
            with contextlib.suppress(self._client.exceptions.NoSuchKey):
                self._fetch(folder, found)
                if found.keys() <= self._digests(views).keys():
                    return folder / STORE

    def _digests(self, views: Iterable[str]) -> dict[str, str]:
        list_objects = self._client.get_paginator("list_objects_v2").paginate
        return {
            item["Key"]: item["ETag"]
            for view in views
            for page in list_objects(Bucket=self._bucket, Prefix=f"{STORE}/{view}/")
            for item in page.get("Contents", [])
            if not item["Key"].endswith("/")
        }

    def _fetch(self, folder: Path, digests: dict[str, str]) -> None:
        for key in self._mirrored.keys() - digests.keys():
            (folder / key).unlink()
            del self._mirrored[key]
        for key, digest in digests.items():
            if self._mirrored.get(key) != digest:
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
                (folder / key).parent.mkdir(parents=True, exist_ok=True)
                (folder / key).write_bytes(answer["Body"].read())
                self._mirrored[key] = answer["ETag"]

    def close(self) -> None:
        """End proxy and storage."""
        self._client.close()
        self._proxy.shutdown()
        self._proxy.server_close()
        self._server.stop()

    def verdict(self, method: str) -> str:
        """Say what becomes of a request now: `pass`, `slow`, `cut`, or a refusal."""
        with self._lock:
            self.num_requests += 1
            count, mode = self.num_requests, self.mode
        if mode == "sound" or (mode in {"read-only", "full"} and method not in _WRITES):
            return "pass"
        if (mode == "cut" and count % 3) or (mode in {"failing", "broken"} and count % 2):
            return "pass"
        self.num_spoilt += 1
        return mode


def _handler(storage: ObjectStorage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle_one_request()

        def _serve(self) -> None:
            body = self._body()
            verdict = storage.verdict(self.command)
            if verdict == "cut":
                self.close_connection = True
            elif verdict in _REFUSALS:
                self._refuse(*_REFUSALS[verdict])
            else:
                if verdict == "slow":
                    time.sleep(0.3)
                self._pass_on(body)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", "0")))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)

        def _refuse(self, status: int, code: str) -> None:
            text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            self._answer(status, [("Content-Type", "application/xml")], text)

        def _pass_on(self, body: bytes) -> None:
            upstream = http.client.HTTPConnection(*storage.upstream, timeout=60)
            headers = {key: text for key, text in self.headers.items() if key.lower() not in _HOP}
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            kept = [
                (k, v) for k, v in answer.getheaders() if k.lower() not in {*_HOP, "content-length"}
            ]
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self._answer(answer.status, kept, content, length)

        def _answer(
            self,
            status: int,
            headers: list[tuple[str, str]],
            body: bytes,
            length: str | None = None,
        ) -> None:
            self.send_response_only(status)
            for key, text in headers:
                self.send_header(key, text)
            self.send_header("Content-Length", length or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815  # the library's names

        def log_message(self, *_: object) -> None:
            pass

    return Handler
