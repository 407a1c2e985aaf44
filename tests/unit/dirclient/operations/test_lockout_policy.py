"""OpenLDAP's password policies, as slapo-ppolicy(5) keeps them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from dirclient.client import DirectoryClient
from dirclient.config.profile import Encryption, PresetName, Profile
from dirclient.model.directory_objects import Guid, LockoutPolicy
from dirclient.operations.lockout_policy import FOREVER
from dirclient.wire import decode
from tests.unit.dirclient.ldap_peer import SEARCH, Peer, Request, Script, entry, polite, result

GUID = Guid.parse("11223344-5566-7788-99aa-bbccddeeff00")
LOOSE = {
    "cn": [b"default"],
    "pwdLockout": [b"TRUE"],
    "pwdMaxFailure": [b"10"],
    "pwdFailureCountInterval": [b"600"],
    "pwdLockoutDuration": [b"900"],
}
STRICT = {"cn": [b"strict"], "pwdLockout": [b"TRUE"], "pwdMaxFailure": [b"3"]}
OFF = {"cn": [b"off"], "pwdLockout": [b"FALSE"], "pwdMaxFailure": [b"1"]}


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A server to be scripted."""
    with Peer() as peer:
        yield peer


def directory(policies: dict[str, dict[str, list[bytes]]], own: str = "") -> Script:
    """A script: an OpenLDAP server with these policies, and whose `own` John's is."""

    def script(request: Request) -> object:
        if request.kind != SEARCH:
            return polite(request)
        number = request.number
        base = request.body[2 : 2 + request.body[1]].decode()
        found = b""
        if not base:
            found = entry(number, "", {"namingContexts": [b"dc=x"]})
        elif base in policies:
            found = entry(number, base, policies[base])
        elif b"pwdPolicySubentry" in request.body:
            named = {"pwdPolicySubentry": [own.encode()]} if own else {}
            found = entry(number, "uid=john,dc=x", named)
        elif b"objectClass" in request.body and b"pwdPolicy" in request.body:
            found = b"".join(entry(number, dn, values) for dn, values in policies.items())
        return found + result(number, decode.SEARCH_DONE)

    return script


def policy(peer: Peer, guid: Guid | None = None) -> LockoutPolicy:
    """Return what a client reads there."""
    client = DirectoryClient(
        Profile(
            preset=PresetName.OPENLDAP,
            servers=(peer.host,),
            port=peer.port,
            encryption=Encryption.NONE,
            plaintext_accepted=True,
            username="cn=svc",
            password=SecretStr("service"),
        )
    )
    found = client.lockout_policy(guid)
    client.close()
    return found


def test_without_a_policy_nothing_locks(peer: Peer) -> None:
    peer.script = directory({})
    assert policy(peer).threshold == 0
    assert policy(peer, GUID).threshold == 0


def test_a_policy_that_does_not_lock_does_not_count(peer: Peer) -> None:
    peer.script = directory({"cn=off,dc=x": OFF})
    assert policy(peer).threshold == 0


def test_the_strictest_of_all_may_hold_for_anybody(peer: Peer) -> None:
    peer.script = directory(
        {"cn=default,dc=x": LOOSE, "cn=strict,dc=x": STRICT, "cn=off,dc=x": OFF}
    )
    strictest = LockoutPolicy(3, FOREVER, FOREVER, "strict")
    assert policy(peer) == strictest
    assert policy(peer, GUID) == strictest


def test_the_policy_an_account_names_holds_for_it(peer: Peer) -> None:
    policies = {"cn=default,dc=x": LOOSE, "cn=strict,dc=x": STRICT}
    peer.script = directory(policies, own="cn=default,dc=x")
    assert policy(peer, GUID) == LockoutPolicy(10, 600, 900, "default")
