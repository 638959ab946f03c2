# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Commands and flags of flyctl that plans and skills may use. Only data.

Source: https://fly.io/docs/flyctl/ (flyctl/cmd/*.mdx of github.com/superfly/docs), read on 2026-11-21. It is not all of
flyctl: what is not in it, nothing of ours may use, and a test holds that.
"""

from __future__ import annotations

from typing import Dict

SOURCE = "https://fly.io/docs/flyctl/"
READ_ON = "2026-11-21"

#: Of every command. A name that ends in `=` takes a value; `x:name` has the short form -x.
GLOBAL_FLAGS = "t:access-token= debug verbose h:help"

_APP = "a:app= c:config="
_DEPLOY = (
    f"{_APP} build-arg= build-only build-secret= build-target= buildkit depot= depot-scope= detach deploy-retries="
    " dns-checks dockerfile= e:env= exclude-machines= exclude-regions= file-literal= file-local= file-secret="
    " flycast ha"
    " ignorefile= i:image= image-label= label= lease-timeout= local-only max-concurrent= max-unavailable= nixpacks"
    " no-cache no-public-ips now only-machines= primary-region= process-groups= push recreate-builder regions="
    " release-command-timeout= remote-only s:signal= smoke-checks strategy= vm-cpu-kind= vm-cpus= vm-memory= vm-size="
    " volume-initial-size= wait-timeout= wg y:yes"
)

#: Words of a command after `fly` -> its flags.
COMMANDS: Dict[str, str] = {
    "apps create": "generate-name j:json name= network= o:org= save y:yes",
    "apps destroy": "y:yes",
    "apps list": "",
    "apps restart": "force-stop skip-health-checks",
    "auth login": "",
    "auth logout": "",
    "auth whoami": "",
    "certs add": f"{_APP} j:json",
    "certs check": f"{_APP} j:json",
    "certs setup": f"{_APP} j:json",
    "checks list": f"{_APP} check-name= j:json",
    "config env": "",
    "config save": f"{_APP} json yaml y:yes",
    "config show": f"{_APP} local toml yaml",
    "config validate": f"{_APP} s:strict",
    "console": f"{_APP} C:command= machine= s:select u:user= i:image= e:env= r:region= vm-memory= vm-size=",
    "deploy": f"{_DEPLOY} skip-release-command update-only",
    "doctor": "",
    "image show": f"{_APP} j:json",
    "incidents list": "",
    "ips allocate-egress": "",
    "ips allocate-v4": f"{_APP} r:region= shared y:yes",
    "ips allocate-v6": f"{_APP} network= o:org= private r:region=",
    "ips list": f"{_APP} j:json",
    "ips release": _APP,
    "launch": (
        f"{_DEPLOY} attach auto-stop= command= copy-config db= dockerignore-from-gitignore from= generate-name"
        " internal-port= into= json name= no-db no-deploy no-github-workflow no-object-storage no-redis o:org= path="
        " r:region= secret= v:volume= yaml"
    ),
    "logs": f"{_APP} j:json m:machine= n:no-tail r:region= s:select",
    "machine clone": (
        f"{_APP} attach-volume= clear-auto-destroy clear-cmd detach from-snapshot= name= override-cmd= r:region="
        " standby-for= vm-cpu-kind= vm-cpus= vm-memory= vm-size= volume-requires-unique-zone"
    ),
    "machine cordon": "",
    "machine destroy": f"{_APP} f:force i:image=",
    "machine exec": f"{_APP} j:json timeout=",
    "machine list": f"{_APP} j:json q:quiet",
    "machine restart": f"{_APP} force s:signal= skip-health-checks time=",
    "machine run": (
        f"{_APP} autostart autostop= detach dockerfile= entrypoint= e:env= m:metadata= n:name= org= p:port= r:region="
        " restart= rm schedule= shell user= vm-cpu-kind= vm-cpus= vm-memory= vm-size= v:volume="
    ),
    "machine start": _APP,
    "machine status": f"{_APP} d:display-config",
    "machine stop": f"{_APP} s:signal= timeout= w:wait-timeout=",
    "machine uncordon": "",
    "machine update": (
        f"{_APP} autostart autostop= C:command= detach e:env= i:image= m:metadata= restart= schedule="
        f" skip-health-checks"
        " skip-start vm-cpu-kind= vm-cpus= vm-memory= vm-size= y:yes"
    ),
    "mpg attach": f"{_APP} d:database= u:username= variable-name=",
    "mpg backup create": "type=",
    "mpg backup list": "all j:json",
    "mpg connect": "d:database= u:username=",
    "mpg create": "enable-postgis-support n:name= o:org= pg-major-version= plan= r:region= volume-size=",
    "mpg list": "deleted j:json o:org=",
    "mpg proxy": "b:bind-addr= p:local-port=",
    "mpg restore": "backup-id= n:name= pitr-time=",
    "mpg status": "",
    "platform regions": "",
    "platform status": "",
    "platform vm-sizes": "",
    "proxy": f"{_APP} b:bind-addr= o:org= q:quiet s:select",
    "redis create": (
        "disable-eviction enable-auto-upgrade enable-eviction n:name= no-replicas o:org= plan= r:region="
        " replica-regions="
    ),
    "releases": f"{_APP} image j:json",
    "scale count": (
        f"{_APP} e:env= from-snapshot= max-per-region= g:process-group= r:region= vm-cpu-kind= vm-cpus= vm-memory="
        " vm-size= with-new-volumes y:yes"
    ),
    "scale memory": f"{_APP} g:process-group=",
    "scale show": f"{_APP} j:json",
    "scale vm": f"{_APP} g:process-group= vm-memory=",
    "secrets deploy": f"{_APP} detach dns-checks",
    "secrets import": f"{_APP} detach dns-checks stage",
    "secrets list": f"{_APP} j:json",
    "secrets set": f"{_APP} detach dns-checks stage",
    "secrets unset": f"{_APP} detach dns-checks stage",
    "ssh console": (
        f"A:address= {_APP} C:command= machine= o:org= g:process-group= pty q:quiet r:region= s:select u:user="
    ),
    "status": f"all {_APP} deployment j:json rate= watch",
    "storage create": f"{_APP} n:name= o:org= p:public shadow-endpoint= shadow-name= shadow-region= y:yes",
    "tokens create deploy": f"{_APP} x:expiry= j:json n:name=",
    "tokens list": "",
    "tokens revoke": "",
    "version": "",
    "version update": "",
    "volumes create": (
        f"{_APP} n:count= j:json no-encryption r:region= require-unique-zone scheduled-snapshots s:size= snapshot-id="
        " snapshot-retention= unique-zone-app-wide vm-cpu-kind= vm-cpus= vm-memory= vm-size= y:yes"
    ),
    "volumes destroy": "",
    "volumes extend": f"{_APP} j:json s:size= y:yes",
    "volumes fork": f"{_APP} j:json n:name= r:region= require-unique-zone unique-zone-app-wide",
    "volumes list": f"all {_APP} j:json",
    "volumes show": "",
    "volumes snapshots create": "a:app= j:json",
    "volumes snapshots list": "a:app= j:json",
    "wireguard create": "network=",
}

#: Command -> how many words it takes beside flags at most; what is not here takes none.
ARGUMENTS: Dict[str, int] = {
    **dict.fromkeys(
        (
            "apps destroy",
            "ips release",
            "machine cordon",
            "machine destroy",
            "machine exec",
            "machine restart",
            "machine run",
            "machine start",
            "machine stop",
            "machine uncordon",
            "secrets set",
            "secrets unset",
            "tokens revoke",
        ),
        99,
    ),
    **dict.fromkeys(
        (
            "apps create",
            "apps restart",
            "certs add",
            "certs check",
            "certs setup",
            "deploy",
            "machine clone",
            "machine status",
            "machine update",
            "mpg attach",
            "mpg backup create",
            "mpg backup list",
            "mpg connect",
            "mpg proxy",
            "mpg restore",
            "mpg status",
            "scale count",
            "scale memory",
            "scale vm",
            "volumes create",
            "volumes destroy",
            "volumes extend",
            "volumes fork",
            "volumes show",
            "volumes snapshots create",
            "volumes snapshots list",
        ),
        1,
    ),
    "proxy": 2,
    "wireguard create": 4,
}
