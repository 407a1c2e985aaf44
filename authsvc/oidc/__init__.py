"""OpenID Connect provider: one sign-in opens every app, one departure closes all of them.

request    what an app asks of the browser it sends here, checked (pure)
authorize  the authorization endpoint: sign in, agree, and back with a code
waiting    how a request waits while a person signs in or agrees
replies    how the app gets its answer: by a redirect or a form
grants     the token endpoint's grants, on Authlib
client_auth  the apps' own authentication
endpoints  discovery, keys, userinfo, introspection, revocation, pushed requests
claims     what scopes tell of a person (pure)
keyring    signing and checking tokens with joserfc
logout     an app signs the person out; delivery tells the others
device     sign-in for devices without a keyboard
apps       the person's connected apps
"""
