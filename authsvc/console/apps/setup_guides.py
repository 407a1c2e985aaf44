"""Settings to copy into common apps, with the app's own values filled in."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from authsvc.i18n.translate import N_
from authsvc.i18n.translate import gettext as _
from kerauno.tables.oauth import Client

_SECRET = N_("(the client secret)")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One app's settings as text to copy. `where` says where it goes."""

    id: str
    title: str
    where: str
    text: str


def for_client(issuer: str, row: Client, secret: str | None) -> list[Recipe]:
    """The recipes that fit this app; those for servers only where it keeps a secret."""
    shown = secret or _(_SECRET)
    made = [_anything(issuer, row, shown)]
    if row.auth_method == "client_secret_basic" and row.redirect_uris:
        site = _site(row.redirect_uris[0])
        made += [
            _apache(issuer, row, shown, site),
            _grafana(issuer, row, shown),
            _gitlab(issuer, row, shown),
            _nextcloud(issuer, row, shown),
        ]
    return made


def _site(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def _anything(issuer: str, row: Client, secret: str) -> Recipe:
    lines = [
        (_("Issuer"), issuer),
        (_("Discovery"), f"{issuer}/.well-known/openid-configuration"),
        (_("Client ID"), row.id),
        (_("Client secret"), secret if row.auth_method == "client_secret_basic" else _("none")),
        (_("Scopes"), " ".join(row.scopes)),
        ("PKCE", _("S256 (required)")),
        (_("Username claim"), "preferred_username"),
        (_("Groups claim"), "groups"),
    ]
    width = max(len(name) for name, _ in lines)
    text = "\n".join(f"{name:<{width}}  {value}" for name, value in lines)
    return Recipe("any", _("Any app"), _("Most apps ask for these."), text)


def _apache(issuer: str, row: Client, secret: str, site: str) -> Recipe:
    text = (
        f"Define KERAUNO {issuer}\n"
        f"Define SITE {site}\n"
        'Define KERAUNO_PASSPHRASE "(32 random letters)"\n'
        f"OIDCClientID {row.id}\n"
        f"OIDCClientSecret {secret}\n"
        "Include /etc/apache2/kerauno.conf"
    )
    where = _(
        "In the site's virtual host, with %(file)s beside it. Its redirect address is %(address)s.",
        file="config/apache/kerauno.conf",
        address=f"{site}/.oidc/callback",
    )
    return Recipe("apache", "Apache (mod_auth_openidc)", where, text)


def _grafana(issuer: str, row: Client, secret: str) -> Recipe:
    text = (
        "[auth.generic_oauth]\n"
        "enabled = true\n"
        "name = Kerauno\n"
        f"client_id = {row.id}\n"
        f"client_secret = {secret}\n"
        "scopes = openid profile email groups offline_access\n"
        f"auth_url = {issuer}/oauth/authorize\n"
        f"token_url = {issuer}/oauth/token\n"
        f"api_url = {issuer}/oauth/userinfo\n"
        "use_pkce = true\n"
        "use_refresh_token = true\n"
        "login_attribute_path = preferred_username\n"
        "groups_attribute_path = groups"
    )
    where = _(
        "In %(file)s. The redirect address ends in %(end)s.",
        file="grafana.ini",
        end="/login/generic_oauth",
    )
    return Recipe("grafana", "Grafana", where, text)


def _gitlab(issuer: str, row: Client, secret: str) -> Recipe:
    text = (
        "gitlab_rails['omniauth_providers'] = [{\n"
        '  name: "openid_connect", label: "Kerauno",\n'
        "  args: {\n"
        '    name: "openid_connect", scope: ["openid", "profile", "email"],\n'
        f'    response_type: "code", issuer: "{issuer}", discovery: true, pkce: true,\n'
        '    client_auth_method: "basic", uid_field: "sub",\n'
        "    client_options: {\n"
        f'      identifier: "{row.id}", secret: "{secret}",\n'
        f'      redirect_uri: "{row.redirect_uris[0]}"\n'
        "    }\n"
        "  }\n"
        "}]"
    )
    where = _(
        "In %(file)s. The redirect address ends in %(end)s.",
        file="gitlab.rb",
        end="/users/auth/openid_connect/callback",
    )
    return Recipe("gitlab", "GitLab", where, text)


def _nextcloud(issuer: str, row: Client, secret: str) -> Recipe:
    text = (
        f"occ user_oidc:provider Kerauno --clientid={row.id} --clientsecret={secret} "
        f"--discoveryuri={issuer}/.well-known/openid-configuration "
        '--scope="openid profile email groups" --mapping-uid=sub '
        "--mapping-display-name=name --mapping-groups=groups"
    )
    where = _(
        "On the server, with the app %(app)s. The redirect address ends in %(end)s.",
        app="user_oidc",
        end="/apps/user_oidc/code",
    )
    return Recipe("nextcloud", "Nextcloud", where, text)
