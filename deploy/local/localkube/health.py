"""Asking the API server, and waiting until a component is healthy."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Callable, Optional

from . import limits, procs
from .instance import Instance
from .wait import Deadline, LocalClusterError, tail, until


class Api:
    """The few requests the scripts themselves make, as admin."""

    def __init__(self, state: Path, ip: str, port: int) -> None:
        self._tls = ssl.create_default_context(cafile=str(state / "pki" / "ca.crt"))
        self._tls.load_cert_chain(state / "pki" / "admin.crt", state / "pki" / "admin.key")
        self._at = (ip, port)

    def request(self, method: str, path: str, body: Optional[dict] = None) -> tuple[int, Any]:
        """HTTP status and the decoded JSON body (text when it is no JSON); 0 when unreachable."""
        connection = http.client.HTTPSConnection(
            *self._at, context=self._tls, timeout=limits.REQUEST_TIMEOUT
        )
        try:
            kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
            connection.request(
                method,
                path,
                json.dumps(body) if body is not None else None,
                {"Content-Type": kind, "Accept": "application/json"},
            )
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def apply(self, path: str, body: dict) -> None:
        status, answer = self.request(
            "PATCH", f"{path}?fieldManager=local-cluster&force=true", body
        )
        if status not in (200, 201):
            raise LocalClusterError(f"applying {path}: {status} {answer}")


def wait_healthy(
    instance: Instance, name: str, deadline: Deadline, probe: Callable[[], tuple[bool, str]]
) -> None:
    """Until `probe` (→ (healthy, reason)) holds; at once an error when the component's process
    ends.
    """
    last = [""]

    def look() -> bool:
        if procs.pid_of(instance, name) is None:
            raise LocalClusterError(f"{name} ended:\n{tail(procs.log_path(instance, name))}")
        healthy, last[0] = probe()
        return healthy

    def why() -> str:
        return f"{last[0]}\n{tail(procs.log_path(instance, name))}"

    until(f"{name} to be healthy", deadline, look, why)


def api_ready(api: Api) -> tuple[bool, str]:
    status, answer = api.request("GET", "/readyz?verbose")
    return status == 200, f"readyz {status}: {answer}"


def http_ok(ip: str, port: int, path: str, tls: bool = False) -> tuple[bool, str]:
    """Health by status code alone; TLS identity is not checked (own address, own process)."""
    if tls:
        context = ssl._create_unverified_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            ip, port, context=context, timeout=limits.REQUEST_TIMEOUT
        )
    else:
        connection = http.client.HTTPConnection(ip, port, timeout=limits.REQUEST_TIMEOUT)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
        return status == 200, f"{path} {status}"
    except (OSError, http.client.HTTPException) as error:
        return False, str(error)
    finally:
        connection.close()
