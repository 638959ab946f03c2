# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands and flags of kubectl and helm that skills may use.

An allow-list by hand, kept short on purpose: what is not in it has to be looked up there before a skill may say it:
https://kubernetes.io/docs/reference/kubectl/generated/ and https://helm.sh/docs/helm/.
"""

from __future__ import annotations

_KUBECTL_GLOBAL = "context namespace kubeconfig help"
_HELM_GLOBAL = "namespace kube-context kubeconfig debug help"
_HELM_VALUES = "values set set-string set-file version repo"

#: Words of a command -> its long flags, with those that all have.
KUBECTL: dict[str, str] = {
    "apply": "filename kustomize dry-run server-side prune selector wait",
    "auth can-i": "list all-namespaces",
    "config current-context": "",
    "debug": "image target stdin tty copy-to",
    "delete": "filename force grace-period selector",
    "describe": "selector",
    "diff": "filename kustomize server-side",
    "drain": "force ignore-daemonsets",
    "edit": "",
    "exec": "container stdin tty",
    "get": "output selector sort-by watch all-namespaces",
    "kustomize": "enable-helm",
    "logs": "container previous follow since tail selector",
    "port-forward": "address",
    "rollout restart": "",
    "rollout status": "timeout watch",
    "rollout undo": "to-revision",
    "set image": "",
    "top": "containers sort-by",
}
HELM: dict[str, str] = {
    "create": "starter",
    "dependency build": "",
    "get manifest": "revision",
    "get values": "all revision output",
    "history": "max output",
    "lint": f"{_HELM_VALUES} strict",
    "list": "all all-namespaces output",
    "package": "destination version app-version",
    "push": "",
    "rollback": "wait timeout",
    "status": "output revision",
    "template": f"{_HELM_VALUES} show-only output-dir",
    "test": "logs timeout",
    "uninstall": "keep-history wait",
    "upgrade": f"{_HELM_VALUES} install atomic wait timeout dry-run reuse-values reset-then-reuse-values",
    "version": "short",
}
PROGRAMS = {"kubectl": (KUBECTL, _KUBECTL_GLOBAL), "helm": (HELM, _HELM_GLOBAL)}


def problems(argv: list[str]) -> list[str]:
    """What of `kubectl ...` or `helm ...` is not in the list."""
    commands, common = PROGRAMS[argv[0]]
    name = next((name for count in (2, 1) if (name := " ".join(argv[1 : 1 + count])) in commands), "")
    if not name:
        return [f"{argv[0]} has no command {' '.join(argv[1:3])!r}"]
    words = argv[: argv.index("--")] if "--" in argv else argv
    flags = {word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")}
    return [
        f"{argv[0]} {name} has no flag --{flag}" for flag in sorted(flags - {*commands[name].split(), *common.split()})
    ]
