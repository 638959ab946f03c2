# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What looks like a secret: by the name of its variable, or by its own form."""

from __future__ import annotations

import re

_NAME = re.compile(
    r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIALS?|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY|MASTER_KEY|"
    r"ENCRYPTION_KEY|AUTH_KEY|SIGNING_KEY|SECRETKEY|PWD)(?:$|_)|(?:PASSWORD|SECRET|TOKEN|APIKEY)$",
    re.IGNORECASE,
)
#: About a secret, and none itself.
_ABOUT = re.compile(
    r"_(?:FILE|PATH|DIR|TTL|LENGTH|EXPIR\w*|LIFETIME|TIMEOUT|NAME|ID|DUMMY|MIN|MAX|ENABLED|REQUIRED|HEADER|ALGORITHM|"
    r"TYPE|ISSUER|AUDIENCE|ROTATION|COST|ROUNDS|HOST|LIMIT|REGION)$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"_UR[LI]$", re.IGNORECASE)
#: Shipped to every browser, or public by its nature.
_PUBLIC = re.compile(r"(?:^|_)PUBLIC_|^(?:VITE|REACT_APP|GATSBY)_|PUBLISHABLE", re.IGNORECASE)
#: What may be a secret: keys of any kind, and addresses that hold a password more often than not.
_MAYBE = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|SIGNING|ENCRYPT|COOKIE|_SALT$|_DSN$"
    r"|_KEY$|_KEY_BASE$|CONNECTION_STRING|WEBHOOK_URL"
    r"|(?:DATABASE|REDIS|VALKEY|MONGO\w*|POSTGRES\w*|PG|MYSQL|MARIADB|AMQP|RABBITMQ)_UR[LI]$"
    r"|(?:CLICKHOUSE|ELASTICSEARCH|SMTP)_UR[LI]$"
)
_VALUES = (
    ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    ("a token of GitHub", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    ("a token of GitLab", r"\bglpat-[A-Za-z0-9_-]{18,}"),
    ("a token of Slack", r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    ("a key of Stripe", r"\b[sr]k_live_[A-Za-z0-9]{16,}"),
    ("a key of OpenAI or Anthropic", r"\bsk-[A-Za-z0-9_-]{20,}"),
    ("a key of Google", r"\bAIza[0-9A-Za-z_-]{35}\b"),
    ("a token of Fly.io", r"\b(?:FlyV1 |fm[12][ar]?_)[A-Za-z0-9+/=_-]{20,}"),
    ("a token of npm", r"\bnpm_[A-Za-z0-9]{30,}"),
    ("a key of SendGrid", r"\bSG\.[A-Za-z0-9_-]{16,}\."),
    ("a signed token (JWT)", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."),
    ("a password in an address", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,100}:(?![$<{*x@])[^\s/@]{1,200}@"),
)
_COMPILED = tuple((what, re.compile(pattern)) for what, pattern in _VALUES)
#: Stand-ins for values that come from elsewhere.
_PLACEHOLDER = re.compile(
    r"^(?:|\$.*|<.*>|\{\{.*|x{3,}|\*{3,}|true|false|yes|no|none|null|-?[0-9.]{1,6}|unset|build-only|dummy|placeholder)$",
    re.IGNORECASE,
)


def named(name: str) -> bool:
    """Whether a variable of this name holds a secret, so surely that its value in a file is a fault."""
    return bool(_NAME.search(name)) and not (_ABOUT.search(name) or _ADDRESS.search(name) or _PUBLIC.search(name))


def private(name: str) -> bool:
    """Whether its value is better set as a secret: every one that is `named`, and what may hold one."""
    return not (_PUBLIC.search(name) or _ABOUT.search(name)) and bool(_NAME.search(name) or _MAYBE.search(name))


def looks(value: str) -> str:
    """What kind of secret a value is by its form, "" for none."""
    return next((what for what, pattern in _COMPILED if pattern.search(value)), "")


def found(name: str, value: str) -> str:
    """Why `name = value` is a secret, in words without the value; "" when it is none."""
    what = looks(value)
    if what:
        return f"{name} holds {what}"
    if named(name) and not _PLACEHOLDER.match(value.strip()):
        return f"{name} is a secret by its name"
    return ""
