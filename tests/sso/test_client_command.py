"""`authsvc client` and `authsvc signing-keys`, as contract and operators' guide have them."""

from __future__ import annotations

import json

from joserfc.jwk import RSAKey

from tests.servers.web import Installation

REDIRECT = "https://wiki.goodcompany.local/callback"


def _ready(installation: Installation) -> Installation:
    installation.must("authsvc", "db", "upgrade")
    return installation


def test_apps_are_added_listed_and_removed(installation: Installation) -> None:
    _ready(installation)
    assert installation.json("authsvc", "client", "list") == []
    added = installation.json("authsvc", "client", "add", "Wiki", "--redirect-uri", REDIRECT)
    assert set(added) == {"client_id", "client_secret"}
    assert added["client_id"].startswith("wiki-")
    assert len(added["client_secret"]) == 43
    public = installation.json(
        *("authsvc", "client", "add", "Desk app", "--public"),
        *("--redirect-uri", "http://127.0.0.1/cb", "--redirect-uri", "com.goodcompany.desk:/cb"),
    )
    assert public["client_secret"] is None
    desk, wiki = installation.json("authsvc", "client", "list")
    assert (desk["name"], desk["public"], len(desk["redirect_uris"])) == ("Desk app", True, 2)
    assert (wiki["client_id"], wiki["public"]) == (added["client_id"], False)
    assert added["client_secret"] not in json.dumps(wiki)
    installation.must("authsvc", "client", "remove", added["client_id"])
    left = installation.json("authsvc", "client", "list")
    assert [one["client_id"] for one in left] == [public["client_id"]]
    again = installation.run("authsvc", "client", "remove", added["client_id"])
    assert (again.returncode, again.stdout) == (1, "")


def test_an_address_without_encryption_is_warned_of(installation: Installation) -> None:
    _ready(installation)
    addresses = ("http://intranet/cb", "http://127.0.0.1/cb", "https://wiki/cb")
    given = [part for uri in addresses for part in ("--redirect-uri", uri)]
    done = installation.run("authsvc", "client", "add", "Wiki", *given, "--json")
    assert (done.returncode, set(json.loads(done.stdout))) == (0, {"client_id", "client_secret"})
    warning = "Warning: http://intranet/cb is not encrypted"
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["Warning"]
    assert done.stderr.startswith(warning)


def test_every_fault_is_told_and_nothing_is_added(installation: Installation) -> None:
    _ready(installation)
    done = installation.run(
        *("authsvc", "client", "add", "Wiki", "--redirect-uri", "http://x/#y"),
        *("--backchannel-logout-uri", "ftp://x", "--scope", "a b"),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
        "redirect_uris",
        "backchannel_logout_uri",
        "scopes",
    ]
    assert installation.json("authsvc", "client", "list") == []


def test_an_app_with_keys_of_its_own(installation: Installation) -> None:
    _ready(installation)
    keys = installation.folder / "jwks.json"
    keys.write_text(json.dumps({"keys": [RSAKey.generate_key(2048).as_dict(private=False)]}))
    added = installation.json(
        *("authsvc", "client", "add", "Signer", "--redirect-uri", REDIRECT),
        *("--jwks-file", str(keys)),
    )
    assert added["client_secret"] is None
    (listed,) = installation.json("authsvc", "client", "list")
    assert listed["auth_method"] == "private_key_jwt"
    keys.write_text("no json")
    command = ("authsvc", "client", "add", "Bad", "--redirect-uri", REDIRECT)
    assert installation.run(*command, "--jwks-file", str(keys)).returncode == 1
    assert installation.run(*command, "--jwks-file", str(keys), "--public").returncode == 2


def test_a_secret_is_rotated(installation: Installation) -> None:
    _ready(installation)
    added = installation.json("authsvc", "client", "add", "Wiki", "--redirect-uri", REDIRECT)
    rotated = installation.json("authsvc", "client", "rotate-secret", added["client_id"])
    assert rotated["client_id"] == added["client_id"]
    assert rotated["client_secret"] != added["client_secret"]


def test_signing_keys_are_rotated_and_replaced(installation: Installation) -> None:
    _ready(installation)
    installation.must("authsvc", "signing-keys", "rotate")
    first = installation.json("authsvc", "signing-keys", "list")
    assert sorted(key["algorithm"] for key in first) == ["ES256", "RS256"]
    installation.must("authsvc", "signing-keys", "rotate", "--at-once")
    second = installation.json("authsvc", "signing-keys", "list")
    assert not {key["kid"] for key in first} & {key["kid"] for key in second}
