"""OpenID Connect provider: one sign-in opens every app, one departure closes all of them.

authorization_request  the request of an app in the browser, checked; pure
authorize              the authorization endpoint: sign in, agree, and back with a code
pending_request        a request that waits while a person signs in or agrees
response_modes         the answer to the app: a redirect or a form
token_endpoint         the grants of the token endpoint, on Authlib
client_auth            the apps' own authentication
endpoints              discovery, keys, userinfo, introspection, revocation, pushed requests
claims                 claims about a person, by scope; pure
scope_labels           labels of scopes for the consent page
keyring                signing and checking tokens with joserfc
rp_initiated_logout    an app signs the person out
backchannel_logout     the other apps are told
device                 sign-in for devices without a keyboard
connected_apps         the person's connected apps
"""
