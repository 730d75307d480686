"""The uses of Ray's private names, which a release may change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ray._private import auto_init_hook, services
from ray._private.authentication.authentication_token_setup import (
    maybe_enable_token_auth_if_token_available,
)
from ray._raylet import GcsClient
from ray.serve.context import _get_global_client


@dataclass(frozen=True)
class Seen:
    """The state of an application in its controller; ``fault`` is why it cannot be used, if so.

    ``running`` are the names of its replicas, with the ids of their processes.
    """

    running: dict[str, int] = field(default_factory=dict)
    fault: str = ""
    ready: bool = False
    failed: bool = False


def seen(app: str) -> Seen:
    """The state of an application, requested from the controller, which may take seconds.

    Raises Ray's own errors where the controller cannot be reached.
    """
    details: dict[str, Any] = _get_global_client().get_serve_details()
    found = details.get("applications", {}).get(app)
    if found is None:
        return Seen(fault="The cluster serves no such model.")
    deployments = list(found.get("deployments", {}).values())
    replicas = [one for deployment in deployments for one in deployment.get("replicas", ())]
    running = {
        str(one["replica_id"]): int(one.get("pid") or 0)
        for one in replicas
        if _word(one.get("state")) == "RUNNING"
    }
    status = _word(found.get("status", ""))
    messages = [found.get("message"), *(one.get("message") for one in deployments)]
    message = " ".join(str(one).strip() for one in messages if one)
    failed = status in ("DEPLOY_FAILED", "UNHEALTHY") and not running
    fault = "" if running else f"No replica is up ({status.lower().replace('_', ' ')})."
    if failed and message:
        fault = f"No replica comes up: {_last(message)}"
    return Seen(running, fault, ready=bool(running), failed=failed)


def keep_apart() -> None:
    """Keep Ray from starting a cluster by itself where a call finds none."""
    auto_init_hook.enable_auto_connect = False


def show_token() -> None:
    """Send this user's token of Ray with every call, if there is one, as ``ray start`` does."""
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def address_of(cluster: str) -> str:
    """The address of a head node; for "auto" that of this machine's cluster.

    Raises ``ConnectionError`` where this machine is part of no cluster.
    """
    # Ray looks through the processes once: it would name the head node of before for ever.
    services.find_gcs_addresses.cache_clear()
    found: str = services.get_ray_address_from_environment(cluster, None)
    return found


def cluster_id(head: str) -> Any:
    """The id of the cluster with this head node. Raises Ray's own errors, after a long time."""
    return GcsClient(address=head).cluster_id


def _word(status: Any) -> str:
    """A status as a string, whether Ray has it as an enumeration or as a string."""
    return str(getattr(status, "value", status) or "")


def _last(message: str) -> str:
    """The last error's sentence in a message with a traceback."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return (errors[-1].partition("Error: ")[2] if errors else lines[-1])[:500]
