"""The raw limit of a sign-in: rebinds on kept, encrypted connections by OpenLDAP's C library.

`libldap` is called through ctypes, which lets go of the interpreter while a bind is under way.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_SUCCESS = 0
_PROTOCOL_VERSION = 0x0011
_TLS_CA_FILE = 0x6002
_TLS_REQUIRE = 0x6006
_TLS_NEVER = ctypes.c_int(0)  # the address is an IP; the name is not what is measured


def _library() -> ctypes.CDLL:
    for name in ("libldap-2.5.so.0", "libldap.so.2", "libldap-2.4.so.2"):
        try:
            found = ctypes.CDLL(name)
        except OSError:
            continue
        found.ldap_initialize.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p)
        found.ldap_set_option.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        found.ldap_simple_bind_s.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
        return found
    raise RuntimeError("libldap is not installed: apt-get install ldap-utils")


def rebinds_per_second(
    uri: str, ca_file: Path, accounts: Sequence[tuple[str, str]], concurrency: int
) -> float:
    """Bind as every (name, password) once, on as many kept connections as `concurrency`."""
    library = _library()
    library.ldap_set_option(None, _TLS_CA_FILE, str(ca_file).encode())
    library.ldap_set_option(None, _TLS_REQUIRE, ctypes.byref(_TLS_NEVER))
    handles = [_connected(library, uri, accounts[0]) for _ in range(concurrency)]
    numbers = itertools.count()
    failures: list[int] = []

    def work(handle: ctypes.c_void_p) -> None:
        while (number := next(numbers)) < len(accounts):
            name, password = accounts[number]
            code = library.ldap_simple_bind_s(handle, name.encode(), password.encode())
            if code != _SUCCESS:
                failures.append(code)

    threads = [threading.Thread(target=work, args=(handle,)) for handle in handles]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begun
    if failures:
        raise RuntimeError(f"{len(failures)} raw binds failed, the first with {failures[0]}")
    return len(accounts) / wall


def _connected(library: ctypes.CDLL, uri: str, account: tuple[str, str]) -> ctypes.c_void_p:
    handle = ctypes.c_void_p()
    library.ldap_initialize(ctypes.byref(handle), uri.encode())
    version = ctypes.c_int(3)
    library.ldap_set_option(handle, _PROTOCOL_VERSION, ctypes.byref(version))
    code = library.ldap_simple_bind_s(handle, account[0].encode(), account[1].encode())
    if code != _SUCCESS:
        raise RuntimeError(f"the first raw bind failed with {code}")
    return handle
