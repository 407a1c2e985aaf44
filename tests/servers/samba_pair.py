"""Two domain controllers of one domain that replicate when a test says so, and never else.

Joining the second one takes some seconds; both are cached together, as `tests.servers.samba` does
with one. Neither runs Samba's replication service: Samba's own tool pulls one cycle, over DRSUAPI,
into the database of the controller that is to catch up.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from demo import company
from tests.servers import company as domain
from tests.servers.pki import CertificateAuthority
from tests.servers.process import CACHE
from tests.servers.samba import ROOT_MARK, SambaDC
from tests.servers.samba_admin import PLAIN, SCRIPT

_SERVICES = {"server services": "ldap,cldap,kdc,rpc"}
_NAMES = ("dc1", "dc2")
_LOGIN = (
    *("-U", f"administrator%{domain.ADMIN_PASSWORD}", "-W", company.NETBIOS),
    *("--use-kerberos=off", "--option=ldb:nosync=true"),
)


class _Controller(SambaDC):
    """One of the two, whose files are there already."""

    def _unpack(self) -> None:
        """`SambaPair` did it."""


class SambaPair:
    """`dc1` and `dc2`, both running."""

    def __init__(self, folder: Path) -> None:
        """Restore into `folder` and start. `stop()` ends both."""
        subprocess.run(["tar", "xzf", str(_tarball()), "-C", str(folder)], check=True)
        authority = CertificateAuthority()
        self.dc1, self.dc2 = (
            _Controller(folder / name, options=_SERVICES, authority=authority) for name in _NAMES
        )
        self.dc1.start()
        self.dc2.start()

    def replicate(self, source: SambaDC, target: SambaDC) -> None:
        """Let `target` catch up with `source`: one whole cycle of the domain."""
        name = "DC1" if target is self.dc1 else "DC2"
        _samba_tool(
            *("drs", "replicate", name, source.host, company.BASE, "--local"),
            *("-s", str(target.dc_folder / "etc/smb.conf")),
        )

    def stop(self) -> None:
        """Stop both."""
        self.dc1.stop()
        self.dc2.stop()


def _tarball() -> Path:
    """The cached pair, made when it is not there yet. Safe between processes."""
    version = subprocess.run(["samba", "--version"], check=True, capture_output=True).stdout
    recipe = repr(domain.domain()).encode() + SCRIPT.read_bytes() + Path(__file__).read_bytes()
    digest = hashlib.sha256(recipe + version).hexdigest()[:16]
    folder = CACHE / "samba"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"pair-{digest}.tgz"
    with (folder / "lock-pair").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix="kerauno-samba-pair-") as scratch:
                _join(Path(scratch), target)
    return target


def _join(scratch: Path, target: Path) -> None:
    first = SambaDC(scratch / "dc1", options=_SERVICES).start()
    joined = scratch / "dc2/dc"
    for name in ("run", "log"):
        (joined / name).mkdir(parents=True)
    try:
        _samba_tool(
            *("domain", "join", company.DNS_DOMAIN, "DC"),
            *(f"--server={first.host}", f"--targetdir={joined}", f"--realm={domain.REALM}"),
            *("--dns-backend=NONE", "--option=netbios name=DC2"),
            *("--option=bind interfaces only=yes", "--option=interfaces=127.0.0.1/8"),
            f"--option=log file={joined}/log/join.log",
        )
    finally:
        first.stop()
    for name in _NAMES:
        settings = scratch / name / "dc/etc/smb.conf"
        settings.write_text(settings.read_text().replace(str(scratch / name), ROOT_MARK))
    part = target.with_suffix(f".{os.getpid()}")
    trees = [f"{name}/dc" for name in _NAMES]
    pack = ["tar", "czf", str(part), "--warning=no-file-ignored", "-C", str(scratch), *trees]
    subprocess.run(pack, check=True)
    part.rename(target)


def _samba_tool(*arguments: str) -> None:
    done = subprocess.run(
        [*PLAIN, "samba-tool", *arguments, *_LOGIN],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"samba-tool {arguments[:2]} failed\n{done.stderr[-4000:]}")
