"""Ask the head of a cluster for its nodes: `python -m orchestrator.driver.head_question ADDRESS`, one line of JSON.

In a process of its own, since Ray aborts the one that has no token, and waits long for a head that is gone.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from urllib.parse import urlsplit

import ray
from ray._private import services
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # ray has no types
from ray.core.generated.gcs_pb2 import GcsNodeInfo

_HTTP_2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME_BYTES, _KIND_PLACE, _SETTINGS = 9, 3, 4
"""Of RFC 9113: who speaks HTTP/2, as every server of Ray does, begins with a frame of settings."""
_SECONDS = 10.0


def head_facts(address: str) -> dict[str, str | bool]:
    """Return `address` (host:port), and `is_here`: whether a node of the cluster is on this machine.

    Of a head that refuses us `refusal` alone, of one that is not there `silence`: why.
    """
    try:
        found = address
        if address == "auto":
            found = services.canonicalize_bootstrap_address_or_die(address)
        refuse_no_head(found)
        alive = GcsClient(address=found).get_all_node_info(
            timeout=_SECONDS, state_filter=GcsNodeInfo.GcsNodeState.ALIVE
        )
    except ray.exceptions.AuthenticationError as error:
        return {"refusal": str(error).split(". ")[0]}  # the advice that follows is for all tools
    except (OSError, ray.exceptions.RayError) as error:
        return {"silence": str(error) or type(error).__name__}
    here = set(services.find_node_ids())
    return {"address": found, "is_here": any(node_id.hex() in here for node_id in alive)}


def refuse_no_head(address: str, seconds: float = 10.0) -> None:
    """Refuse an address where nobody answers, or somebody else, within seconds; Ray itself takes minutes.

    Raises:
        OSError: Nobody answers at the address, or not as Ray does.
    """
    parts = urlsplit(f"//{address}")
    with socket.create_connection((parts.hostname, parts.port), seconds) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in {"1", "true"}:
            return  # it speaks to those only who show a certificate
        connection.sendall(_HTTP_2_HELLO)
        with connection.makefile("rb") as answers:
            answer = answers.read(_FRAME_BYTES)
    if len(answer) < _FRAME_BYTES or answer[_KIND_PLACE] != _SETTINGS:
        raise ConnectionError("what listens there is not Ray")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(head_facts(sys.argv[1])))
