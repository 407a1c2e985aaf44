"""OpenID Connect provider: one sign-in opens every app, one departure closes all of them.

request    what an app asks of the browser it sends here, checked (pure)
authorize  the authorization endpoint: sign in, agree, and back with a code
server     the token endpoint's grants and the apps' own authentication, on Authlib
endpoints  discovery, keys, userinfo, introspection, revocation, pushed requests
claims     what scopes tell of a person (pure)
keyring    signing and checking tokens with joserfc
logout     an app signs the person out; delivery tells the others
device     sign-in for devices without a keyboard
apps       the person's connected apps
"""
