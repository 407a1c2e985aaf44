"""A real Samba AD domain controller: provisioned and populated once, cached, restored for each use.

The cache is a tarball named after a hash of the recipe and of Samba's version. Restoring and
starting takes about a second.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from demo import company
from tests.servers import company as domain
from tests.servers.pki import CertificateAuthority
from tests.servers.process import CACHE, Server, listening, loopback
from tests.servers.samba_admin import OFFLINE, PLAIN, SCRIPT, Administration, Scratch, filetime

ROOT_MARK = "@ROOT@"


@functools.cache
def _tarball(recipe: str) -> Path:
    """The cached domain, made when it is not there yet. Safe between processes."""
    version = subprocess.run(["samba", "--version"], check=True, capture_output=True).stdout
    digest = hashlib.sha256(recipe.encode() + SCRIPT.read_bytes() + version).hexdigest()[:16]
    folder = CACHE / "samba"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{digest}.tgz"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _provision(recipe, target)
    return target


def _provision(recipe: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="kerauno-samba-") as scratch:
        done = subprocess.run(
            [*OFFLINE, "provision", f"{scratch}/dc"],
            input=recipe.encode(),
            capture_output=True,
            timeout=600,  # two thousand people take a minute
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"samba provision failed\n{done.stderr.decode()[-4000:]}")
        settings = Path(scratch, "dc/etc/smb.conf")
        settings.write_text(settings.read_text().replace(scratch, ROOT_MARK))
        part = target.with_suffix(f".{os.getpid()}")
        subprocess.run(["tar", "czf", str(part), "-C", scratch, "dc"], check=True)
        part.rename(target)


class SambaDC(Administration):
    """One running domain controller. All changes go over LDAPS as the administrator."""

    realm = domain.REALM
    netbios = company.NETBIOS
    port = 389
    service = domain.READER  # plain, read-only
    tracker = domain.TRACKER  # may also see Deleted Objects
    sso = domain.SINGLE_SIGN_ON
    users_dn = f"OU=Staff,{company.BASE}"
    phone_users_dn = f"CN={company.PHONE_USERS},OU=Groups,{company.BASE}"
    departments_dn = f"OU=Departments,{company.BASE}"
    odd_people_dn = f"{domain.ODD_PEOPLE},{company.BASE}"
    odd_departments_dn = f"{domain.ODD_DEPARTMENTS},{company.BASE}"

    def __init__(
        self,
        folder: Path,
        *,
        model: str = "single",
        options: Mapping[str, str] | None = None,
        authority: CertificateAuthority | None = None,
        content: Mapping[str, object] | None = None,
    ) -> None:
        """Restore into `folder` (made when missing). `start()` runs it.

        `model` is Samba's process model; "prefork" answers several clients at once. `options`
        are smb.conf options, such as {"ldap server require strong auth": "no"}. `content` is
        another domain in the shape of `tests.servers.company.domain`.
        """
        super().__init__(loopback(), folder / "pki/ca.pem", folder / "dc")
        self.folder = folder
        self.model = model
        self.options = dict(options or {})
        self.authority = authority or CertificateAuthority()
        self._content = domain.domain() if content is None else content
        self._restore()
        self.server: Server | None = None

    # -- running it ---------------------------------------------------------------------------

    def _restore(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._unpack()
        settings = self.folder / "dc/etc/smb.conf"
        settings.write_text(settings.read_text().replace(ROOT_MARK, str(self.folder)))
        pki = self.folder / "pki"
        pki.mkdir()
        self.authority.issue(pki, [self.dns_name], [self.host])
        self.authority.write(pki)

    def _unpack(self) -> None:
        tarball = _tarball(json.dumps(self._content, sort_keys=True, ensure_ascii=False))
        subprocess.run(["tar", "xzf", str(tarball), "-C", str(self.folder)], check=True)

    @property
    def ca_pem(self) -> str:
        """The certificate of the authority that signed the server's."""
        return self.authority.pem

    def start(self) -> SambaDC:
        """Start, and return when LDAP and LDAPS answer."""
        run = self.dc_folder / "run"
        options = {
            "server services": "ldap,cldap,kdc",
            "interfaces": f"{self.host}/8",
            "bind interfaces only": "yes",
            "pid directory": str(run),
            "ncalrpc dir": str(run / "ncalrpc"),
            "log file": str(self.dc_folder / "log/samba.log"),
            "ldb:nosync": "true",
            "tls keyfile": str(self.folder / "pki/server.key"),
            "tls certfile": str(self.folder / "pki/server.pem"),
            "tls cafile": str(self.ca_file),
        } | self.options
        run.mkdir(exist_ok=True)
        (self.dc_folder / "log").mkdir(exist_ok=True)
        self.server = Server(
            [
                *(*PLAIN, "samba", "-s", str(self.dc_folder / "etc/smb.conf")),
                *("-F", "--no-process-group", "-M", self.model, "--maximum-runtime=5400"),
                *(f"--option={name}={value}" for name, value in options.items()),
            ],
            log=self.dc_folder / "log/output.log",
        )
        self.server.wait_for(lambda: all(listening(self.host, port) for port in (636, 389)))
        return self

    def stop(self) -> None:
        """Stop in an orderly way."""
        self._forget()
        if self.server:
            self.server.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._forget()
        if self.server:
            self.server.signal(signal.SIGKILL)
            self.server.stop()

    def freeze(self) -> None:
        """It keeps accepting connections, and never answers (process model "single" only)."""
        assert self.server
        self.server.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        assert self.server
        self.server.signal(signal.SIGCONT)

    def _forget(self) -> None:
        if self._admin is not None and self.server and self.server.process.poll() is None:
            self._admin.unbind()
        self._admin = None

    def use_certificate(
        self, names: Iterable[str] = (), addresses: Iterable[str] = (), **validity: Any
    ) -> None:
        """Exchange the server's certificate; restart to use it."""
        self.authority.issue(self.folder / "pki", names, addresses, **validity)

    # -- what a client needs ------------------------------------------------------------------

    def profile(self, **overrides: Any) -> dict[str, Any]:
        """Fields for `dirclient.config.profile.Profile`: StartTLS, the reader, the whole staff."""
        return {
            "servers": (self.host,),
            "port": self.port,
            "tls_name": self.dns_name,
            "encryption": "starttls",
            "ca_certificates": self.ca_pem,
            "username": self.service.upn,
            "password": self.service.password,
            "user_search_dn": self.users_dn,
            "department_search_dn": self.departments_dn,
        } | overrides

    def export_keytab(self, target: Path, principal: str = f"HTTP/{domain.SSO_HOST}") -> Path:
        """The keytab of a service principal; `sso` holds HTTP/sso.goodcompany.local."""
        self._offline("keytab", principal, str(target))
        return target

    def krb5_conf(self, target: Path) -> Path:
        """A Kerberos configuration that knows this domain controller alone."""
        target.write_text(
            f"""[libdefaults]
 default_realm = {self.realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 rdns = false
 dns_canonicalize_hostname = false
[realms]
 {self.realm} = {{
  kdc = {self.host}
 }}
[domain_realm]
 .{self.dns_domain} = {self.realm}
 {self.dns_domain} = {self.realm}
"""
        )
        return target


def remove(dc: SambaDC) -> None:
    """Stop the domain controller and delete its files."""
    dc.stop()
    shutil.rmtree(dc.folder, ignore_errors=True)


__all__ = ["Administration", "SambaDC", "Scratch", "filetime", "remove"]
