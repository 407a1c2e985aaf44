"""The web service: sign-in, single sign-on, and the administrators' console.

Rooms, from the floor up; each may import the ones before it:

http_server   the gunicorn worker; it knows nothing of what is asked
i18n          translation and formatting of texts
signin        the decision who may sign in, its ports, its store
web           what every page shares: errors, session, CSRF, headers, layout, form reader
login         the sign-in form with every outcome, password change, Kerberos
forward_auth  protected sites: verify, access rules, the way in
ops           health, metrics, background tasks
api           /api/v1
portal        a person's own pages: home, phone book, departments
oidc          the OpenID Connect provider
console       the administrators' console, one room for each tab
cli           the commands of `authsvc`

`app` puts the web service together from `current_services`.
"""
