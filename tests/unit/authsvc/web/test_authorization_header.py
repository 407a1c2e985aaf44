"""The Authorization header: read as RFC 7617 and RFC 6750 have it, and never an error."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.datastructures import Authorization

from authsvc.web.authorization_header import basic, bearer


@given(st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"])), st.text(
    st.characters(exclude_categories=["Cs"])))  # fmt: skip
def test_name_and_password_come_back(name: str, password: str) -> None:
    header = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    assert basic(header) == (name, password)
    second = Authorization.from_header(header)
    assert second is not None
    assert (second.username, second.password) == (name, password)


@given(st.text(st.characters(max_codepoint=255)))
@example("Basic \xf1")
@example("Basic ====")
@example("Basic /////w==")
def test_no_header_is_an_error(header: str) -> None:
    for text in (header, f"Basic {header}", f"Bearer {header}"):
        assert basic(text) is None or text.lower().startswith("basic ")
        assert bearer(text) == "" or text.lower().startswith("bearer ")


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic Og", "Bearer YTpi", "basic YQ==", "Basic \xf1"]
)
def test_what_is_no_basic_is_none(header: str) -> None:
    assert basic(header) is None
