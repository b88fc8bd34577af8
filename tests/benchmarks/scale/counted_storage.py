"""Object storage on loopback in a process of its own, which counts the requests made to it.

Its objects lie in that process's memory, so that the benchmark's own stays small.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "chaos"))


@dataclass(frozen=True)
class CountedStorage:
    """The URI of a store in an empty bucket, and how many requests its server has had."""

    uri: str
    num_requests: Callable[[], int]


@contextlib.contextmanager
def counted_storage(bucket: str) -> Iterator[CountedStorage]:
    """Serve a bucket for the duration of a block."""
    server = subprocess.Popen(
        [sys.executable, __file__, bucket],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def num_requests() -> int:
        print(file=server.stdin, flush=True)
        return int(server.stdout.readline())

    with server:  # which ends once its standard input does
        yield CountedStorage(server.stdout.readline().strip(), num_requests)


def main() -> None:
    """Serve until standard input ends, and answer every line of it with the number of requests."""
    from object_storage import ObjectStorage  # the server, which the benchmark itself needs not

    storage = ObjectStorage(sys.argv[1])
    print(storage.uri, flush=True)
    for _ in sys.stdin:
        print(storage.num_requests, flush=True)
    storage.close()


if __name__ == "__main__":
    main()
