"""Keys, certificates, tokens and kubeconfigs of a cluster, all made on the spot."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from hack.cluster.commands import run
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.settings import Settings

HINT = "install openssl; if a file is damaged, `down` and `up` make all of them afresh"
DAYS = "3650"
SECRET = 0o600
# user: (name in Kubernetes, groups). The names are those that the default roles are bound to.
USERS: dict[str, tuple[str, str]] = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "dns": ("cluster:dns", ""),
    "prometheus": ("cluster:prometheus", ""),
    "kwok": ("cluster:kwok", "system:masters"),
}


def node_name(paths: ClusterPaths) -> str:
    """Return the name of the cluster's only real node."""
    return f"{paths.name}-node"


def _key(path: Path, *, rsa: bool = False) -> None:
    if path.exists():
        return
    kind = ["-algorithm", "RSA"] if rsa else ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    temporary = path.with_suffix(".partial")
    run(["openssl", "genpkey", *kind, "-out", temporary], hint=HINT)
    temporary.chmod(SECRET)
    temporary.replace(path)


def _authority(folder: Path) -> None:
    if (folder / "ca.crt").exists():
        return
    temporary = folder / "ca.partial"
    extensions = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    subject = ["-subj", "/CN=modelrelease-local-cluster"]
    key: list[str | Path] = ["-key", folder / "ca.key", "-sha256", "-days", DAYS]
    run(["openssl", "req", "-x509", "-new", *key, *subject, *extensions, "-out", temporary], hint=HINT)
    temporary.replace(folder / "ca.crt")


def _certificate(folder: Path, name: str, subject: str, usage: str, names: str) -> None:
    """Sign a certificate; `names` is a subjectAltName, or empty for a client."""
    if (folder / f"{name}.crt").exists():
        return
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    temporary = folder / f"{name}.partial"
    lines = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={usage}",
        "subjectKeyIdentifier=hash",
        "authorityKeyIdentifier=keyid",
        *([f"subjectAltName={names}"] if names else []),
    ]
    extensions.write_text("\n".join(lines) + "\n", encoding="ascii")
    run(
        ["openssl", "req", "-new", "-key", folder / f"{name}.key", "-subj", subject, "-out", request],
        hint=HINT,
    )
    authority: list[str | Path] = ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial"]
    signing = ["openssl", "x509", "-req", *authority, "-sha256", "-days", DAYS]
    run([*signing, "-in", request, "-extfile", extensions, "-out", temporary], hint=HINT)
    temporary.replace(folder / f"{name}.crt")
    request.unlink()
    extensions.unlink()


def _tokens(paths: ClusterPaths) -> dict[str, str]:
    """Return each user's token, and keep them where the API server reads them."""
    store = paths.pki / "tokens.json"
    if store.exists():
        tokens: dict[str, str] = json.loads(store.read_text(encoding="utf-8"))
    else:
        tokens = {user: secrets.token_hex(24) for user in [*USERS, "kubelet"]}
        write_if_changed(store, json.dumps(tokens), SECRET)
    users = {**USERS, "kubelet": (f"system:node:{node_name(paths)}", "system:nodes")}
    lines = [f'{tokens[user]},{name},{user},"{groups}"' for user, (name, groups) in users.items()]
    write_if_changed(paths.pki / "tokens.csv", "\n".join(lines) + "\n", SECRET)
    return tokens


def kubeconfig(server: str, authority: Path, user: str, token: str) -> str:
    """Return a kubeconfig, in JSON, which is YAML too."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "modelrelease",
                    "cluster": {"server": server, "certificate-authority": str(authority)},
                }
            ],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "modelrelease", "context": {"cluster": "modelrelease", "user": user}}],
            "current-context": "modelrelease",
        },
        indent=1,
    )


def ensure(paths: ClusterPaths, settings: Settings) -> str:
    """Make every key, certificate, token and kubeconfig that is not there.

    Parameters
    ----------
    paths : ClusterPaths
        The cluster.
    settings : Settings
        Its addresses.

    Returns
    -------
    str
        A note when there was nothing to do.
    """
    before = paths.kubeconfig.exists()
    folder = paths.pki
    for name in ("ca", "apiserver", "kubelet-client", "kubelet"):
        _key(folder / f"{name}.key")
    _key(folder / "service-accounts.key", rsa=True)
    _authority(folder)
    inside = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
    addresses = ["127.0.0.1", settings.api_service_ip, settings.node_ip]
    names = ",".join([f"DNS:{name}" for name in inside] + [f"IP:{address}" for address in addresses])
    _certificate(folder, "apiserver", "/CN=kube-apiserver", "serverAuth", names)
    client = "/O=system:masters/CN=kube-apiserver-kubelet-client"
    _certificate(folder, "kubelet-client", client, "clientAuth", "")
    node = f"IP:{settings.node_ip},DNS:{node_name(paths)}"
    _certificate(folder, "kubelet", f"/CN={node_name(paths)}", "serverAuth", node)
    server = f"https://127.0.0.1:{settings.port('api')}"
    for user, token in _tokens(paths).items():
        target = paths.kubeconfig if user == "admin" else paths.pki / f"{user}.kubeconfig"
        write_if_changed(target, kubeconfig(server, folder / "ca.crt", user, token), SECRET)
    return "present" if before else ""
