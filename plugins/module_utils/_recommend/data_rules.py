# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Everything about hosting that is an opinion: questions, options, rules, what goes where. Only data.

A condition (`when`) is words that must all hold: `word`, `!word`, `one|other`. Words are answers (`scale:large`) and
facts of the repository (FACTS). Points are added to 50 and the sum is kept within 0 and 100; NEVER takes an option out.
Sources, read on 2026-11-21: https://fly.io/docs/ (apps/going-to-production, reference/aws-to-fly-guide,
about/healthcare, volumes/overview, monitoring/metrics), https://kubernetes.io/docs/concepts/, https://docs.aws.amazon.com/ecs/.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

NEVER = -1000


class Question(NamedTuple):
    """A question: its answers in order from least to most, the one that is taken where nobody answers."""

    text: str
    answers: Tuple[str, ...]
    default: str


#: `state` has a better default where the repository shows one.
QUESTIONS: Dict[str, Question] = {
    "scale": Question("How much traffic will it have?", ("hobby", "small", "medium", "large"), "small"),
    "team": Question("Who operates it?", ("solo", "small", "platform"), "small"),
    "budget": Question("What may it cost?", ("low", "medium", "high"), "medium"),
    "state": Question("What must it keep?", ("none", "files", "database"), "none"),
    "latency": Question("Where are its users?", ("regional", "global"), "regional"),
    "compliance": Question("What must it comply with?", ("none", "standard", "strict"), "none"),
}

#: Facts of a repository -> what they mean.
FACTS: Dict[str, str] = {
    "site": "it is built into files that any web server can serve",
    "server": "a process has to answer requests",
    "worker": "a process works in the background",
    "gpu": "it computes on GPUs",
    "postgres": "it uses Postgres or another SQL database",
    "cache": "it uses Redis or another cache",
    "many": "four or more parts run side by side",
    "image": "it has a Dockerfile",
    "fly": "it is set up for Fly.io",
    "kubernetes": "it is set up for Kubernetes (manifests, Helm, Kustomize)",
    "aws": "it is set up for AWS",
}


class Option(NamedTuple):
    """A way of hosting: its name, what speaks for and against it whoever asks, how one begins."""

    name: str
    gains: str
    costs: str
    first: str


OPTIONS: Dict[str, Option] = {
    "fly": Option(
        "Fly.io",
        "A Dockerfile and one file are enough; Machines near users, stopped when nobody asks; private network and TLS"
        " are there.",
        "Volumes lie on one host each and are not replicated; scaling by metrics is yours to run; alerting is not"
        " built in.",
        "fuelctl fly init",
    ),
    "kubernetes": Option(
        "Kubernetes",
        "Every kind of workload under one interface that all clouds offer; autoscaling, policies, operators.",
        "A cluster costs before the first request, and somebody has to upgrade, watch and understand it.",
        "kubectl create deployment, or a Helm chart: helm create",
    ),
    "aws": Option(
        "AWS EC2/ECS",
        "Managed services for nearly everything (RDS, SQS, S3, IAM), the widest list of certifications, any machine.",
        "Network, roles, load balancer and deployment are yours to put together; small things cost as much work as"
        " big.",
        "an ECS service on Fargate behind a load balancer, described in Terraform or CDK",
    ),
    "static": Option(
        "Static hosting",
        "Files from a CDN: nothing to operate, nothing to break, near everybody, often free.",
        "Nothing is computed per request: forms, logins and data need a service elsewhere.",
        "build the site and upload its output folder (object storage with a CDN, GitHub Pages, Netlify, Cloudflare"
        " Pages)",
    ),
}


class Rule(NamedTuple):
    """When the condition holds, these points are added, for this reason."""

    name: str
    when: str
    points: Dict[str, int]
    reason: str


RULES: Tuple[Rule, ...] = (
    # What it is.
    Rule(
        "site",
        "site !server",
        {"static": 45, "kubernetes": -25, "aws": -10},
        "It is built into files: no process has to run.",
    ),
    Rule("server", "server", {"static": NEVER}, "A process has to answer requests; files alone are not enough."),
    Rule("nothing-built", "!site !server", {"static": -20}, "Nothing shows that it is built into files."),
    Rule(
        "worker",
        "worker",
        {"static": NEVER, "kubernetes": 4, "aws": 3, "fly": 2},
        "Work in the background needs a process.",
    ),
    Rule(
        "many",
        "many",
        {"kubernetes": 15, "aws": 6, "fly": -4},
        "Many parts side by side are what an orchestrator is for.",
    ),
    Rule(
        "gpu",
        "gpu",
        {"fly": -30, "kubernetes": 10, "aws": 20, "static": -10},
        "It wants GPUs, which Fly.io has given up.",
    ),
    Rule(
        "image",
        "image",
        {"fly": 6, "kubernetes": 6, "aws": 4},
        "It has a Dockerfile, so it runs wherever containers run.",
    ),
    Rule(
        "cache",
        "cache",
        {"fly": 2, "aws": 4, "kubernetes": 2},
        "A cache is offered beside the app (Upstash, ElastiCache, a chart).",
    ),
    Rule(
        "database",
        "postgres",
        {"fly": 4, "aws": 8, "kubernetes": -4},
        "A SQL database is best bought: RDS, or Fly.io's Managed Postgres; in a cluster it is yours.",
    ),
    # Where it is already.
    Rule("on-fly", "fly", {"fly": 25}, "It is set up for Fly.io already."),
    Rule("on-kubernetes", "kubernetes", {"kubernetes": 25}, "It is set up for Kubernetes already."),
    Rule("on-aws", "aws", {"aws": 25}, "It is set up for AWS already."),
    # Scale.
    Rule(
        "hobby",
        "scale:hobby",
        {"fly": 12, "kubernetes": -15, "aws": -6, "static": 4},
        "A Machine that stops when nobody asks costs least; a cluster costs before the first request.",
    ),
    Rule(
        "modest", "scale:hobby|scale:small", {"fly": 8, "kubernetes": -10}, "This much traffic needs no orchestrator."
    ),
    Rule(
        "busy",
        "scale:medium|scale:large",
        {"kubernetes": 8, "aws": 8},
        "With steady load, autoscaling and reserved machines pay.",
    ),
    Rule(
        "large",
        "scale:large",
        {"kubernetes": 14, "aws": 10, "fly": -6},
        "At this scale scheduling, quotas and placement are worth their work.",
    ),
    # Team.
    Rule(
        "alone",
        "team:solo",
        {"fly": 12, "kubernetes": -20, "aws": -8, "static": 6},
        "One person cannot keep a cluster and build a product.",
    ),
    Rule(
        "few",
        "team:solo|team:small",
        {"fly": 8, "kubernetes": -8},
        "Without somebody for the platform, less platform is better.",
    ),
    Rule(
        "platform-team",
        "team:platform",
        {"kubernetes": 22, "aws": 10},
        "A platform team turns a cluster into an advantage.",
    ),
    # Budget.
    Rule(
        "thrifty",
        "budget:low",
        {"fly": 6, "kubernetes": -14, "aws": -4, "static": 6},
        "Control planes, load balancers and NAT gateways cost when idle.",
    ),
    Rule(
        "generous", "budget:high", {"kubernetes": 5, "aws": 6}, "There is money for redundancy that runs all the time."
    ),
    # State.
    Rule(
        "stateless",
        "state:none",
        {"fly": 4, "kubernetes": 4, "static": 4},
        "What keeps nothing can be replaced and moved at any time.",
    ),
    Rule(
        "files",
        "state:files",
        {"aws": 6, "fly": -4, "static": -15},
        "Files must outlive a machine: a Fly volume lies on one host; EBS, EFS and S3 are replicated.",
    ),
    Rule(
        "data",
        "state:database",
        {"aws": 6, "fly": 2, "kubernetes": -4, "static": -30},
        "Data want backups and failover that somebody else runs.",
    ),
    # Latency.
    Rule(
        "everywhere",
        "latency:global",
        {"fly": 20, "static": 6, "kubernetes": -10, "aws": -4},
        "Anycast to the"
        " nearest of many regions is built in there; elsewhere it is several deployments and a global balancer.",
    ),
    # Compliance.
    Rule(
        "audited",
        "compliance:standard|compliance:strict",
        {"aws": 8, "kubernetes": 2},
        "All of them are audited (SOC 2); AWS has the most to show an auditor.",
    ),
    Rule(
        "regulated",
        "compliance:strict",
        {"aws": 18, "kubernetes": 8, "fly": -15, "static": -5},
        "Rules such as"
        " FedRAMP, PCI DSS or residency of data are met by AWS's programs; ask Fly.io (SOC 2 Type 2, HIPAA agreements)"
        " first.",
    ),
    # Together.
    Rule("global-small", "latency:global team:solo|team:small", {"fly": 5}, "Many regions without many people."),
    Rule(
        "cluster-worth",
        "scale:medium|scale:large team:platform",
        {"kubernetes": 12},
        "Load and people together make a cluster worth its price.",
    ),
    Rule(
        "cluster-people",
        "kubernetes team:platform",
        {"kubernetes": 6},
        "The manifests have somebody who looks after them.",
    ),
    Rule(
        "cluster-orphan",
        "kubernetes team:solo",
        {"kubernetes": -4},
        "The manifests are there, but nobody who operates a cluster.",
    ),
    Rule("site-on-fly", "site !server fly", {"fly": -10}, "A server for files only is one more thing to run."),
)


class Place(NamedTuple):
    """A part of a system and where it is placed; `{best}` is the winner. The first line of a part that holds counts."""

    part: str
    when: str
    where: str
    reason: str


PLACES: Tuple[Place, ...] = (
    Place("site", "site", "Static hosting", "Files need no process, and a CDN is nearer to everybody."),
    Place("web", "server fly latency:global", "Fly.io", "It answers people: near them, and stopped where nobody asks."),
    Place("web", "server", "{best}", "It scores highest for what answers requests."),
    Place(
        "worker",
        "worker kubernetes !team:solo",
        "Kubernetes",
        "Queues and schedules are what its autoscaling and CronJobs are for.",
    ),
    Place("worker", "worker aws", "AWS EC2/ECS", "ECS scales by the length of a queue, and Spot makes it cheap."),
    Place("worker", "worker", "{best}", "Beside the web process: one image, one release."),
    Place("gpu", "gpu aws", "AWS EC2/ECS", "Machines with GPUs are there, also by the hour."),
    Place("gpu", "gpu kubernetes", "Kubernetes", "A node pool with GPUs, scaled down to none."),
    Place("gpu", "gpu", "AWS EC2/ECS", "Fly.io and static hosting have none."),
    Place(
        "database",
        "postgres|state:database aws",
        "AWS EC2/ECS",
        "RDS is beside what is there already; from Fly.io it is reached by a proxy with a fixed egress address.",
    ),
    Place(
        "database",
        "postgres|state:database fly",
        "Fly.io",
        "Managed Postgres, in the primary region of the web processes.",
    ),
    Place(
        "database",
        "postgres|state:database",
        "a managed service",
        "Backups and failover are bought, not built in a cluster.",
    ),
    Place("cache", "cache", "with the web processes", "Every request asks it: milliseconds count."),
    Place("files", "state:files aws", "AWS EC2/ECS", "S3, which everything else can read as well."),
    Place("files", "state:files fly", "Fly.io", "Tigris, which speaks S3; a volume only for what one Machine needs."),
    Place("files", "state:files", "object storage", "It outlives machines and is reached from all of them."),
)

#: Names of the parts for people.
PARTS: Dict[str, str] = {
    "site": "Web site (files)",
    "web": "Web processes",
    "worker": "Background work",
    "gpu": "Work on GPUs",
    "database": "Database",
    "cache": "Cache",
    "files": "Files",
}

#: Detected platforms -> the fact that they are one sign of.
PLATFORMS: Dict[str, str] = {
    "fly.io": "fly",
    "kubernetes": "kubernetes",
    "helm": "kubernetes",
    "kustomize": "kubernetes",
    "aws-cdk": "aws",
    "aws-sam": "aws",
    "aws-copilot": "aws",
    "aws-apprunner": "aws",
    "aws-codedeploy": "aws",
    "aws-terraform": "aws",
    "aws-ecs": "aws",
}

#: Words in manifests (package.json, requirements.txt, ...) -> the fact that they are a sign of.
DEPENDENCIES: Dict[str, str] = {
    "site": (
        r"[\"'](?:vite|astro|gatsby|@docusaurus/core|vitepress|vuepress|@11ty/eleventy|react-scripts|@angular/core|hexo)[\"']"
        r"|^\s*(?:mkdocs|pelican)\b"
    ),
    "server": (
        r"[\"'](?:express|fastify|koa|@nestjs/core|next|nuxt|@remix-run/node|hono|@hapi/hapi|@sveltejs/adapter-node|apollo-server"
        r"|socket\.io|@strapi/strapi)[\"']|\b(?:django|flask|fastapi|starlette|sanic|tornado|aiohttp|litestar|gunicorn|uvicorn)\b"
        r"|gem ['\"](?:rails|sinatra|hanami|puma)['\"]|:(?:phoenix|plug_cowboy|bandit)\b"
        r"|github\.com/(?:gin-gonic|labstack/echo|gofiber|go-chi)|^\s*(?:actix-web|axum|rocket|warp)\s*="
        r"|laravel/framework|symfony/framework-bundle|spring-boot-starter-web"
    ),
    "worker": (
        r"[\"'](?:bullmq|bull|agenda|bee-queue|amqplib)[\"']|\b(?:celery|dramatiq|rq|huey|arq)\b[^/]"
        r"|gem ['\"](?:sidekiq|good_job|solid_queue|resque)['\"]|:oban\b|hibiken/asynq|riverqueue/river"
    ),
    "gpu": r"^\s*[\"']?(?:torch|tensorflow|jax|vllm|cupy|onnxruntime-gpu)\b",
    "postgres": (
        r"[\"'](?:pg|postgres|mysql2?|@prisma/client|typeorm|sequelize|knex|drizzle-orm)[\"']"
        r"|\b(?:psycopg2?(?:-binary)?|asyncpg|mysqlclient|sqlalchemy)\b|gem"
        r" ['\"](?:pg|mysql2)['\"]|:(?:postgrex|myxql)\b"
        r"|jackc/pgx|lib/pq"
    ),
    "cache": r"[\"'](?:redis|ioredis|memcached)[\"']|^\s*(?:redis|pymemcache)\b|gem"
    " ['\"](?:redis|dalli)['\"]|:redix\b|redis/go-redis",
}

#: Files that are manifests, and files that are a sign by their name alone.
MANIFESTS: Tuple[str, ...] = (
    "package.json",
    "requirements.txt",
    "pyproject.toml",
    "Pipfile",
    "Gemfile",
    "mix.exs",
    "go.mod",
    "Cargo.toml",
    "composer.json",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
)
SIGNS: Dict[str, str] = {
    "mkdocs.yml": "site",
    "hugo.toml": "site",
    "_config.yml": "site",
    "docusaurus.config.js": "site",
    "manage.py": "server",
    "Dockerfile": "image",
    "Containerfile": "image",
}
#: The same by what is in them.
SIGNS_INSIDE: Dict[str, Dict[str, str]] = {
    "Procfile": {"server": r"^web:", "worker": r"^(?!web:|release:)\w+:"},
    "fly.toml": {"server": r"^\s*\[\[?(?:http_service|services)\]", "worker": r"^\s*worker\w*\s*="},
}
