# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Facts about clouds and runtimes that validation needs. Only data; date: 2025-11-20."""

from __future__ import annotations

#: Runtimes that a blueprint can name, most specific first where a project has several.
RUNTIMES = (
    "node",
    "bun",
    "deno",
    "python",
    "go",
    "rust",
    "ruby",
    "php",
    "java",
    "dotnet",
    "elixir",
    "gleam",
    "cpp",
    "zig",
    "swift",
    "dart",
    "scala",
    "clojure",
    "crystal",
    "haskell",
    "static",
)

#: Versions that nobody should start from: no image of a supported Debian has ever carried them.
TOO_OLD = {
    "node": r"^(?:[0-9]|1[01])(?:\.|$)",
    "python": r"^(?:[012](?:\.|$)|3\.[0-5](?:\.|$))",
    "go": r"^1\.(?:[0-9]|1[0-2])(?:\.|$)",
    "ruby": r"^(?:[01](?:\.|$)|2\.[0-4](?:\.|$))",
    "php": r"^(?:[0-6](?:\.|$)|7\.[01](?:\.|$))",
    "java": r"^(?:1\.)?[1-7](?:\.|$)",
    "dotnet": r"^(?:1|2)(?:\.|$)",
    "rust": r"^(?:0\.|1\.(?:[0-9]|[12][0-9])(?:\.|$))",
    "elixir": r"^(?:0\.|1\.[0-7](?:\.|$))",
    "deno": r"^0(?:\.|$)",
    "bun": r"^0\.[0-4](?:\.|$)",
}

#: First word of an EC2 instance type.
INSTANCE_FAMILIES = (
    "a1 c4 c5 c5a c5ad c5d c5n c6a c6g c6gd c6gn c6i c6id c6in c7a c7g c7gd c7gn c7i c7i-flex c8g c8gd c8gn "
    "c8i c8i-flex "
    "d2 d3 d3en g4ad g4dn g5 g5g g6 g6e gr6 h1 hpc6a hpc6id hpc7a hpc7g i2 i3 i3en i4g i4i i7i i7ie i8g i8ge "
    "im4gn inf1 inf2 is4gen "
    "m4 m5 m5a m5ad m5d m5dn m5n m5zn m6a m6g m6gd m6i m6id m6idn m6in m7a m7g m7gd m7i m7i-flex m8a m8g m8gd "
    "m8i m8i-flex "
    "p3 p3dn p4d p4de p5 p5e p5en r4 r5 r5a r5ad r5b r5d r5dn r5n r6a r6g r6gd r6i r6id r6idn r6in r7a r7g "
    "r7gd r7i r7iz "
    "r8g r8gd r8i t2 t3 t3a t4g trn1 trn1n trn2 x1 x1e x2gd x2idn x2iedn x2iezn x8g z1d"
).split()

INSTANCE_SIZES = "nano micro small medium large xlarge [0-9]{1,3}xlarge metal metal-[0-9]{1,3}xl".split()

#: Machine sizes of Fly.io.
FLY_SIZES = "shared-cpu-[1248]x performance-(?:1|2|4|8|16)x".split()

REGIONS = (
    "af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 "
    "ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 "
    "cn-north-1 cn-northwest-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 "
    "eu-west-3 "
    "il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 "
    "us-west-1 us-west-2 "
    "ams arn atl bog bom bos cdg den dfw ewr eze fra gdl gig gru hkg iad jnb lax lhr mad mia nrt ord otp phx "
    "qro scl sea "
    "sin sjc syd waw yul yyz"
).split()

#: Environment variables that change how programs are found, loaded or logged in, and so are not a blueprint's to set.
DENIED_ENV = (
    "PATH HOME USER LOGNAME SHELL IFS ENV BASH_ENV SHELLOPTS BASHOPTS PS4 PROMPT_COMMAND CDPATH GLOBIGNORE MAIL PWD "
    "OLDPWD LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT PYTHONSTARTUP PYTHONHOME PERL5OPT RUBYOPT NODE_REPL_EXTERNAL_MODULE "
    "GIT_SSH GIT_SSH_COMMAND GIT_ASKPASS GIT_PROXY_COMMAND GIT_EXEC_PATH GIT_EXTERNAL_DIFF GIT_TEMPLATE_DIR "
    "SSH_ASKPASS "
    "SSH_AUTH_SOCK SSH_CLIENT SSH_CONNECTION SSH_ORIGINAL_COMMAND SSH_TTY"
).split()
DENIED_ENV_PREFIXES = "LD_ DYLD_ BASH_FUNC_ GIT_CONFIG SUDO_ FUEL_CODE_".split()
