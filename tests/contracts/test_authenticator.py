"""The contract of every `Authenticator`."""

from __future__ import annotations

import pytest

from dirclient.config.ports import Identity
from dirclient.model.directory_objects import Guid
from dirclient.model.errors import (
    BadCredentials,
    Locked,
    PasswordRejected,
    PasswordWasRight,
    Refused,
)
from tests.contracts.backends import PASSWORD, REFUSALS, Backend, SambaBackend

ODD_NAMES = [
    "Comma, Anna",
    "Anna+Plus",
    'Anna "The" Quote',
    "#1 Anna",
    " Anna Blank",
    "Anna Blank ",
    "Jürgen Größe",
    "Sinéad O'Connor",
    "Smile 😀",
    "שרה כהן",
    "Anna \\ Slash",
    "Anna <b>;=</b>",
    "Anna (*) Star",
    "山田 太郎",
]

ODD_PASSWORDS = [
    'P "w\\ö€1 A',
    "pass  word 1 A!",
    " Leading1!",
    "שלוםA1!שלום",
    "😀Smile1!",
    "Pa1" * 40,
]


def test_the_right_password_is_accepted_by_one_bind(backend: Backend) -> None:
    john = backend.add("john")
    before = backend.operations
    backend.client.authenticate(john, PASSWORD)
    assert backend.operations - before == 1


def test_a_wrong_password_is_refused_by_one_bind(backend: Backend) -> None:
    john = backend.add("john")
    before = backend.operations
    with pytest.raises(BadCredentials) as caught:
        backend.client.authenticate(john, "wrong")
    assert type(caught.value) is BadCredentials
    assert backend.operations - before == 1


def test_an_unknown_person_is_refused_like_a_wrong_password(backend: Backend) -> None:
    nobody = Identity(Guid.parse("00000000-0000-4000-8000-000000000000"), "cn=nobody,dc=x")
    with pytest.raises(BadCredentials) as unknown:
        backend.client.authenticate(nobody, PASSWORD)
    with pytest.raises(BadCredentials) as wrong:
        backend.client.authenticate(backend.add("john"), "wrong")
    assert str(unknown.value) == str(wrong.value)


def test_case_counts_in_passwords(backend: Backend) -> None:
    john = backend.add("john")
    with pytest.raises(BadCredentials):
        backend.client.authenticate(john, PASSWORD.swapcase())


@pytest.mark.parametrize("password", ["", " ", "\u00a0\t", "\0", f"{PASSWORD}\0", f"\0{PASSWORD}"])
def test_a_hollow_password_is_refused_unasked(backend: Backend, password: str) -> None:
    john = backend.add("john")
    before = backend.operations
    with pytest.raises(BadCredentials):
        backend.client.authenticate(john, password)
    assert backend.operations == before


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_in_the_dn_signs_in(backend: Backend, name: str) -> None:
    odd = backend.add("odd", cn=name)
    backend.client.authenticate(odd, PASSWORD)
    with pytest.raises(BadCredentials):
        backend.client.authenticate(odd, "wrong")


@pytest.mark.parametrize("password", ODD_PASSWORDS)
def test_an_odd_password_signs_in(backend: Backend, password: str) -> None:
    backend.client.authenticate(backend.add("odd", password=password), password)


def test_a_rename_and_a_move_change_nothing_in_ad(ad: Backend) -> None:
    john = ad.add("john")
    if isinstance(ad, SambaBackend):
        ad.dc.rename(ad.dc.move(john.dn, ad.outside), "Somebody Else")
    ad.client.authenticate(Identity(john.guid, "CN=where it was"), PASSWORD)


def test_after_a_refusal_the_next_person_is_judged_alone(backend: Backend) -> None:
    """A server may keep the old identity on the connection; nobody may profit from that."""
    john, jane = backend.add("john"), backend.add("jane", password="Other!Pass22")
    backend.client.authenticate(john, PASSWORD)
    for _ in range(3):
        with pytest.raises(BadCredentials):
            backend.client.authenticate(jane, PASSWORD)
        with pytest.raises(BadCredentials):
            backend.client.authenticate(john, "Other!Pass22")
    backend.client.authenticate(jane, "Other!Pass22")


# -- the states of an AD account


@pytest.mark.parametrize(("state", "refusal"), REFUSALS.items())
def test_a_state_is_told_only_to_who_knows_the_password(
    ad: Backend, state: str, refusal: type[Refused]
) -> None:
    person = ad.add("state")
    ad.set_state(person, state)
    before = ad.operations
    with pytest.raises(Refused) as right:
        ad.client.authenticate(person, PASSWORD)
    assert type(right.value) is refusal
    with pytest.raises(Refused) as wrong:
        ad.client.authenticate(person, "wrong")
    expected = Locked if refusal is Locked else BadCredentials
    assert type(wrong.value) is expected
    assert not isinstance(wrong.value, PasswordWasRight)
    assert ad.operations - before == 2


# -- changing a password

NEW = "Brand!New2027"


def test_a_changed_password_signs_in(backend: Backend) -> None:
    person = backend.add("change")
    if backend.is_ad:
        backend.set_state(person, "must change")
    backend.client.change_password(person, PASSWORD, NEW)
    backend.client.authenticate(person, NEW)


def test_when_a_password_was_set_moves_with_every_change(backend: Backend) -> None:
    person = backend.add("change")
    if backend.is_ad:  # which lets nobody change a password twice in a day otherwise
        backend.set_state(person, "must change")
    before = backend.client.find_guid(person.guid).password_set
    if before is None:  # a server that does not tell
        assert not backend.is_ad
        return
    backend.client.change_password(person, PASSWORD, NEW)
    after = backend.client.find_guid(person.guid).password_set
    assert after is not None
    assert before < after
    assert backend.client.read().people[person.guid].password_set == after


@pytest.mark.parametrize("state", ["must change", "password expired"])
def test_who_must_change_can(ad: Backend, state: str) -> None:
    person = ad.add("change")
    ad.set_state(person, state)
    with pytest.raises(PasswordWasRight):
        ad.client.authenticate(person, PASSWORD)
    ad.client.change_password(person, PASSWORD, 'Brand "new"\\ ö€ 2027')
    ad.client.authenticate(person, 'Brand "new"\\ ö€ 2027')


def test_a_wrong_old_password_changes_nothing(backend: Backend) -> None:
    person = backend.add("change")
    with pytest.raises(PasswordRejected) as caught:
        backend.client.change_password(person, "wrong", NEW)
    assert caught.value.reason == "old_password"
    backend.client.authenticate(person, PASSWORD)


@pytest.mark.parametrize("old", ["", "   ", "\0"])
def test_without_the_old_password_nothing_is_asked(backend: Backend, old: str) -> None:
    """An empty old value would make an administrator's reset of it."""
    person = backend.add("change")
    before = backend.operations
    with pytest.raises(PasswordRejected) as caught:
        backend.client.change_password(person, old, NEW)
    assert caught.value.reason == "old_password"
    assert backend.operations == before
    backend.client.authenticate(person, PASSWORD)


@pytest.mark.parametrize("new", ["", "   ", "a\0b"])
def test_a_hollow_new_password_is_not_asked_for(backend: Backend, new: str) -> None:
    person = backend.add("change")
    before = backend.operations
    with pytest.raises(PasswordRejected) as caught:
        backend.client.change_password(person, PASSWORD, new)
    assert caught.value.reason == "policy"
    assert backend.operations == before


def test_a_new_password_against_the_rules_is_told_so(ad: Backend) -> None:
    person = ad.add("change")
    ad.set_state(person, "must change")
    with pytest.raises(PasswordRejected) as caught:
        ad.client.change_password(person, PASSWORD, "short")
    assert caught.value.reason == "policy"


def test_a_locked_account_cannot_change_its_password(ad: Backend) -> None:
    person = ad.add("change")
    ad.set_state(person, "locked")
    with pytest.raises(PasswordRejected) as caught:
        ad.client.change_password(person, PASSWORD, NEW)
    assert caught.value.reason == "locked"
