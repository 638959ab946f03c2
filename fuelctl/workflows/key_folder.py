# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of key pairs and pinned host keys that a playbook works with (`remote_keys_path`).

On SQLite it is the state folder's own. On a team's Postgres the database has them: each run gets a copy in memory, what
it changes is written back while it goes on, and nothing of it stays on the worker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fuelctl import _run_files, paths, provider_traits
from fuelctl.store.files import Files, keys_key

_KEEP_EVERY = 1.0
_PAIR = "id_ed25519"
#: Host keys that environments of one provider share.
_SHARED = "machines"


class KeyFolder:
    """One run's folder. `keep` is to be called now and then; what the run has changed is written back."""

    def __init__(self, files: Files, path: Path, known: dict[str, bytes]) -> None:
        self.path = path
        self._files = files
        self._known = known
        self._stats = self._look()
        self._kept_at = monotonic()

    def keep(self, *, now: bool = False, gone: bool = False) -> None:
        """Store what is new or another; with `gone`, forget what the run has removed."""
        if self._files.is_folder or (not now and monotonic() - self._kept_at < _KEEP_EVERY):
            return
        self._kept_at = monotonic()
        found = self._look()
        if not self.path.is_dir():
            # This process is about to end, and nothing of it stays here; the run has removed none of it.
            return
        for key, stamp in found.items():
            if self._stats.get(key) != stamp:
                content = (self.path.parent / key).read_bytes()
                if self._known.get(key) != content:
                    self._files.put(key, content, private=True)
                    self._known[key] = content
        self._stats = found
        if gone:
            for key in self._known.keys() - found.keys():
                self._files.delete(key)

    def _look(self) -> dict[str, tuple[int, int]]:
        """Key -> when it was last written, and its size. What begins with a dot is the modules' own."""
        found = {}
        for file in self.path.rglob("*") if not self._files.is_folder else ():
            if file.is_file() and not file.name.startswith(".") and not file.parent.name.startswith("."):
                facts = file.stat()
                found[file.relative_to(self.path.parent).as_posix()] = (facts.st_mtime_ns, facts.st_size)
        return found


@contextmanager
def at_hand(files: Files, environment_ids: Collection[str]) -> Iterator[KeyFolder]:
    """The folder with what is known of these environments; what the run leaves of it is kept."""
    if files.is_folder:
        yield KeyFolder(files, paths.private_folder(paths.keys_folder()), {})
        return
    with _run_files.private_data(paths.runs_folder("keys")) as memory:
        folder = paths.private_folder(memory / "keys")
        known = files.read_below([keys_key(one) for one in (*environment_ids, _SHARED)])
        for key, content in known.items():
            file = memory / key
            paths.private_folder(file.parent)
            file.touch(mode=0o644 if file.suffix == ".pub" else 0o600)
            file.write_bytes(content)
        made = KeyFolder(files, folder, known)
        yield made
        made.keep(now=True, gone=True)


def make_pairs(files: Files, environment_id: str, provider: str) -> None:
    """Have the key pairs of a new environment in the database before anything is made with them.

    Whoever takes its provisioning up, on whatever machine, works with the same ones. Safe to repeat.
    """
    folder = keys_key(environment_id)
    # The last one that is stored; its public half stays when the private one has been handed out.
    if files.is_folder or files.size(f"{folder}/{_PAIR}.pub") is not None:
        return
    for name in (*provider_traits.of(provider).key_names, _PAIR):
        private, public = _pair(f"fuel-code-{environment_id}")
        files.put(f"{folder}/{name}", private, private=True)
        files.put(f"{folder}/{name}.pub", public, private=True)


def _pair(comment: str) -> tuple[bytes, bytes]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private, public + f" {comment}\n".encode("ascii")
