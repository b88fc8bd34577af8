"""From an address as people write it to the host and port of a head that answers, or to what is wrong with it.

Every step has a limit in time and ends with a signal: `ray.init` itself has neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from urllib.parse import urlsplit

from workers.contract.errors import UserError, user_error

_QUESTION_SECONDS = 20.0
"""Ray's import takes some seconds of it where the disk is slow."""
_START = (
    "start one with `ray start --head`, or mend the address; without one a local cluster is started"
)


def resolve_address(address: str, seconds: float = _QUESTION_SECONDS) -> str:
    """Return host:port of the head of the cluster at an address, which has answered and knows this machine.

    Args:
        address: host:port, or "auto" for the cluster that runs on this machine.
        seconds: A head that has not answered by then is none.

    Raises:
        UserError: The address is of another form, nobody answers there, somebody else does, the head
            refuses our token, or no node of the cluster is on this machine.
    """
    where = where_of(address)
    if address != "auto":
        _refuse_other_forms(address, where)
    facts = _ask_head(address, where, seconds)
    if "silence" in facts:
        raise no_cluster(str(facts["silence"]), where)
    if "refusal" in facts:
        raise user_error(
            f"the cluster refuses our token: {facts['refusal']}",
            where=where,
            mend="set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the token that the "
            "cluster was started with",
        )
    if not facts["is_here"]:
        raise user_error(
            f"this machine is no node of the cluster at {facts['address']}",
            where=where,
            mend="run the command on one of its nodes, submit it there with `ray job submit`, or make this "
            f"machine one with `ray start --address={facts['address']}`",
        )
    return str(facts["address"])


def no_cluster(reason: str, where: str) -> UserError:
    """Return the fault of an address where no cluster answers."""
    return user_error(f"no Ray cluster answers: {reason}", where=where, mend=_START)


def where_of(address: str) -> str:
    """Return where an address came from: the variable or the option."""
    is_of_variable = os.environ.get("RAY_ADDRESS") == address
    return f"RAY_ADDRESS={address}" if is_of_variable else f"--address {address}"


def _refuse_other_forms(address: str, where: str) -> None:
    if address.startswith("ray://"):
        raise user_error(
            "ray:// is the address of a Ray client, which cannot drive a sweep",
            where=where,
            mend="run the command on a node of the cluster, with the head's own address, host:6379 by "
            "default, or submit it there with `ray job submit`",
        )
    try:
        parts = urlsplit(f"//{address}")
        is_good = bool(parts.hostname and parts.port) and parts.netloc == address
    except ValueError:  # a port that is no number, or too large
        is_good = False
    if not is_good:
        raise user_error(f"{address!r} is not host:port", where=where, mend=_START)


def _ask_head(address: str, where: str, seconds: float) -> dict[str, str | bool]:
    command = [sys.executable, "-P", "-m", "orchestrator.driver.head_question", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise no_cluster(f"the head says nothing within {seconds:.0f} s", where) from error
    try:
        facts: dict[str, str | bool] = json.loads(done.stdout)
    except ValueError as error:
        if "Token authentication is enabled" in done.stderr:  # Ray aborts without one
            return {"refusal": "RAY_AUTH_MODE is token, and there is no token"}
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise no_cluster(lines[-1] if lines else "the head says nothing", where) from error
    return facts
