"""Keys, certificates and kubeconfigs, made with the openssl command (EC P-256, ten years)."""

import secrets
import subprocess
from pathlib import Path
from typing import Sequence

from . import limits
from .wait import LocalClusterError

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def _openssl(*args: str) -> None:
    done = subprocess.run(
        ["openssl", *args], capture_output=True, text=True, timeout=limits.COMMAND_DEADLINE
    )
    if done.returncode != 0:
        raise LocalClusterError(f"openssl {args[0]} failed: {done.stderr.strip()}")


class Pki:
    """One certificate authority and what it signed, as NAME.crt and NAME.key in a directory."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _openssl(
            "req",
            "-x509",
            *NEW_KEY,
            "-subj",
            "/CN=sluice-local-ca",
            "-days",
            "3650",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
            "-keyout",
            self.key("ca"),
            "-out",
            self.crt("ca"),
        )

    def crt(self, name: str) -> str:
        return str(self.dir / f"{name}.crt")

    def key(self, name: str) -> str:
        return str(self.dir / f"{name}.key")

    def client(self, name: str, user: str, groups: Sequence[str] = ()) -> None:
        self._sign(name, "".join(f"/O={g}" for g in groups) + f"/CN={user}", "clientAuth", [])

    def server(self, name: str, subject: str, sans: Sequence[str]) -> None:
        self._sign(name, subject, "serverAuth", ["-addext", "subjectAltName=" + ",".join(sans)])

    def _sign(self, name: str, subject: str, usage: str, extra: list[str]) -> None:
        _openssl(
            "req",
            "-x509",
            *NEW_KEY,
            "-subj",
            subject,
            "-days",
            "3650",
            "-CA",
            self.crt("ca"),
            "-CAkey",
            self.key("ca"),
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            f"extendedKeyUsage={usage}",
            *extra,
            "-keyout",
            self.key(name),
            "-out",
            self.crt(name),
        )

    def signing_pair(self, name: str) -> None:
        """A bare key pair, NAME.key and NAME.pub (service-account tokens)."""
        _openssl(
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            self.key(name),
        )
        _openssl("pkey", "-in", self.key(name), "-pubout", "-out", str(self.dir / f"{name}.pub"))


def kubeconfig(path: Path, server: str, ca: str, crt: str, key: str, user: str) -> None:
    """A kubeconfig with everything inline, so that the file alone is enough."""
    import base64

    def data(file: str) -> str:
        return base64.b64encode(Path(file).read_bytes()).decode()

    path.touch(mode=0o600)
    path.write_text(f"""apiVersion: v1
kind: Config
clusters:
- name: local
  cluster:
    server: {server}
    certificate-authority-data: {data(ca)}
users:
- name: {user}
  user:
    client-certificate-data: {data(crt)}
    client-key-data: {data(key)}
contexts:
- name: local
  context:
    cluster: local
    user: {user}
current-context: local
""")


def tokens(directory: Path, users: dict[str, list[str]]) -> Path:
    """Static bearer tokens: one file per user, and the API server's token-auth-file, which is
    returned.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    rows = []
    for user, groups in users.items():
        token = secrets.token_hex(20)
        (directory / user).touch(mode=0o600)
        (directory / user).write_text(token)
        rows.append(
            f'{token},{user},{user},"{",".join(groups)}"' if groups else f"{token},{user},{user}"
        )
    table = directory / "tokens.csv"
    table.touch(mode=0o600)
    table.write_text("\n".join(rows) + "\n")
    return table
