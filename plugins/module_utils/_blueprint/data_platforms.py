# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Signals of platforms. Only data: adding a platform is adding an entry. Weights add up; 0.7 makes a platform."""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Signal(NamedTuple):
    """One sign of a platform.

    `file`: pattern of paths; `text`: pattern of the content ("" for none); `toml`: it must be TOML with one of these
    keys; `beside`: some other file must match this.
    """

    what: str
    weight: float
    file: str
    text: str = ""
    toml: Tuple[str, ...] = ()
    beside: str = ""


class Platform(NamedTuple):
    """A platform and from which confidence it counts as detected."""

    signals: Tuple[Signal, ...]
    threshold: float = 0.7


_SCRIPTS = (
    r"(?:^|/)(?:package\.json|Makefile|justfile|Justfile|Taskfile\.ya?ml|[^/]+\.sh)$"
    r"|^\.github/workflows/[^/]+\.ya?ml$|^(?:bin|scripts)/[^/]+$"
)
_CONFIG = r"(?:^|/)(?:\.env\.(?:example|sample|template)|[^/]+\.(?:ya?ml|json|toml|js|ts|rb|py|exs|env))$"
_YAML = r"\.ya?ml$"

PLATFORMS: Dict[str, Platform] = {
    "fly.io": Platform(
        (
            Signal(
                "fly.toml parsed and valid",
                0.7,
                r"(?:^|/)fly(?:\.[\w-]+)?\.toml$",
                r"^[ \t]*(?:app|primary_region|kill_signal)\s*="
                r"|^[ \t]*\[\[?(?:http_service|services|vm|mounts|processes|deploy|build)",
                ("app", "http_service", "services", "primary_region", "vm"),
            ),
            Signal(
                "flyctl commands in scripts",
                0.3,
                _SCRIPTS,
                r"\b(?:flyctl|fly)\s+(?:deploy|launch|apps|secrets|ssh|logs|status|scale|machine|proxy|postgres)\b|superfly/flyctl-actions",
            ),
            Signal(
                "Fly domains or variables in configuration",
                0.2,
                _CONFIG,
                r"\.fly\.dev\b|\bFLY_(?:APP_NAME|REGION|MACHINE_ID|ALLOC_ID|API_TOKEN)\b|\.internal:5432|\.flycast\b",
            ),
            Signal(
                "hints in the Dockerfile",
                0.1,
                r"(?:^|/)(?:Dockerfile|Containerfile)[^/]*$",
                r"fly\.io|flyctl|FLY_|flyio/",
            ),
        )
    ),
    "kubernetes": Platform(
        (
            Signal(
                "manifest of a workload",
                0.7,
                _YAML,
                r"^kind:\s*(?:Deployment|StatefulSet|DaemonSet|CronJob|Job|Pod|ReplicaSet)\s*$",
                beside=_YAML,
            ),
            Signal("manifest of a network object", 0.3, _YAML, r"^kind:\s*(?:Service|Ingress|Gateway|HTTPRoute)\s*$"),
            Signal(
                "apiVersion of Kubernetes",
                0.1,
                _YAML,
                r"^apiVersion:\s*(?:apps/v1|batch/v1|networking\.k8s\.io/v1|v1)\s*$",
            ),
            Signal(
                "kubectl or Skaffold in scripts",
                0.2,
                _SCRIPTS,
                r"\bkubectl\s+(?:apply|rollout|set|create)\b|\bskaffold\s+(?:run|dev|deploy)\b",
            ),
            Signal("skaffold.yaml or Tiltfile", 0.4, r"^(?:skaffold\.ya?ml|Tiltfile)$"),
        )
    ),
    "helm": Platform(
        (
            Signal("Chart.yaml", 0.8, r"(?:^|/)Chart\.yaml$", r"^apiVersion:\s*v[12]\s*$"),
            Signal("values.yaml beside a chart", 0.1, r"(?:^|/)values[\w.-]*\.ya?ml$", beside=r"(?:^|/)Chart\.yaml$"),
            Signal("helm in scripts", 0.3, _SCRIPTS, r"\bhelm\s+(?:upgrade|install|lint|template|package)\b"),
            Signal("helmfile", 0.7, r"(?:^|/)helmfile\.ya?ml$"),
        )
    ),
    "kustomize": Platform(
        (
            Signal("kustomization file", 0.8, r"(?:^|/)(?:kustomization\.ya?ml|Kustomization)$"),
            Signal("kustomize in scripts", 0.3, _SCRIPTS, r"\bkustomize\s+build\b|\bkubectl\s+apply\s+-k\b"),
        )
    ),
    "aws-cdk": Platform(
        (
            Signal("cdk.json with an app", 0.8, r"(?:^|/)cdk\.json$", r'"app"\s*:'),
            Signal(
                "CDK library",
                0.3,
                r"(?:^|/)(?:package\.json|requirements\.txt|pyproject\.toml|go\.mod|pom\.xml)$",
                r"aws-cdk-lib|aws-cdk",
            ),
            Signal("cdk in scripts", 0.2, _SCRIPTS, r"\bcdk\s+(?:deploy|synth|diff|bootstrap)\b"),
        )
    ),
    "aws-sam": Platform(
        (
            Signal(
                "template with the serverless transform",
                0.8,
                r"(?:^|/)[\w-]*template[\w.-]*\.(?:ya?ml|json)$",
                r"AWS::Serverless-2016-10-31",
            ),
            Signal("samconfig.toml", 0.4, r"(?:^|/)samconfig\.toml$"),
            Signal("sam in scripts", 0.3, _SCRIPTS, r"\bsam\s+(?:build|deploy|local|package)\b"),
        )
    ),
    "aws-copilot": Platform(
        (
            Signal("Copilot manifest", 0.8, r"^copilot/(?:[\w-]+/)?manifest\.ya?ml$", r"^(?:name|type):"),
            Signal("Copilot workspace", 0.7, r"^copilot/\.workspace$", r"^application:"),
            Signal("copilot in scripts", 0.3, _SCRIPTS, r"\bcopilot\s+(?:deploy|svc|env|app|init)\b"),
        )
    ),
    "aws-apprunner": Platform((Signal("apprunner.yaml", 0.9, r"(?:^|/)apprunner\.ya?ml$", r"^runtime:"),)),
    "aws-codedeploy": Platform(
        (
            Signal(
                "appspec file",
                0.8,
                r"(?:^|/)appspec\.(?:ya?ml|json)$",
                r"(?:^|\")(?:os|version|Resources|hooks|files)\"?\s*:",
            ),
            Signal("CodeDeploy in scripts", 0.3, _SCRIPTS, r"\baws\s+deploy\s+(?:create-deployment|push)\b"),
        )
    ),
    "aws-terraform": Platform(
        (
            Signal(
                "AWS provider in Terraform",
                0.8,
                r"\.tf(?:\.json)?$",
                r'provider\s+"aws"|hashicorp/aws|resource\s+"aws_',
            ),
            Signal("terraform in scripts", 0.2, _SCRIPTS, r"\b(?:terraform|tofu)\s+(?:apply|plan|init)\b"),
        )
    ),
    "aws-ecs": Platform(
        (
            Signal(
                "ECS task definition",
                0.8,
                r"(?:^|/)[\w-]*task-?def(?:inition)?[\w.-]*\.json$",
                r'"containerDefinitions"',
            ),
            Signal("ECS deployment action", 0.3, r"^\.github/workflows/", r"amazon-ecs-deploy-task-definition"),
        )
    ),
}
