"""What is asked of Ray by names that a release may change."""

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
    """An application as its controller sees it; ``fault`` is why it cannot be used, if it cannot.

    ``running`` are the names of its replicas, with the ids of their processes.
    """

    running: dict[str, int] = field(default_factory=dict)
    fault: str = ""
    ready: bool = False
    failed: bool = False


def seen(app: str) -> Seen:
    """Ask the controller, which may take a while; raises what Ray raises where it cannot be."""
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
    told = " ".join(str(one).strip() for one in messages if one)
    failed = status in ("DEPLOY_FAILED", "UNHEALTHY") and not running
    fault = "" if running else f"No replica is up ({status.lower().replace('_', ' ')})."
    if failed and told:
        fault = f"No replica comes up: {_last(told)}"
    return Seen(running, fault, ready=bool(running), failed=failed)


def keep_apart() -> None:
    """Have Ray begin no cluster of its own where something is asked while there is none."""
    auto_init_hook.enable_auto_connect = False


def show_token() -> None:
    """Send this user's token of Ray, if there is one, as ``ray start`` would have it."""
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def address_of(cluster: str) -> str:
    """The address of a head node; of "auto" that of this machine's cluster.

    ``ConnectionError`` where this machine is part of none.
    """
    found: str = services.get_ray_address_from_environment(cluster, None)
    return found


def cluster_id(head: str) -> Any:
    """The id of the cluster whose head node this is; raises what Ray raises, after long."""
    return GcsClient(address=head).cluster_id


def _word(status: Any) -> str:
    """A status as its word, whether it is an enumeration's or a text."""
    return str(getattr(status, "value", status) or "")


def _last(told: str) -> str:
    """The sentence of an error in a message that holds a traceback."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return (errors[-1].partition("Error: ")[2] if errors else lines[-1])[:500]
