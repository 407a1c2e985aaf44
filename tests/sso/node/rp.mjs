// A relying party on the openid-client library. Settings come from the environment:
// ISSUER, CLIENT_ID, CLIENT_SECRET, HOST, PORT.
import http from 'node:http'
import { randomUUID, webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // the libraries use the global one, which Node 18 lacks
const client = await import('openid-client')
const { createRemoteJWKSet, jwtVerify } = await import('jose')

const { ISSUER, CLIENT_ID, CLIENT_SECRET, HOST, PORT } = process.env
const HERE = `http://${HOST}:${PORT}`
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
const sessions = new Map() // cookie -> { tokens, claims }, or { pending }

const config = await client.discovery(
  new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, client.ClientSecretBasic(CLIENT_SECRET),
  { execute: [client.allowInsecureRequests] })
const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))

const pages = {
  async '/login' (request, response) {
    const pending = {
      verifier: client.randomPKCECodeVerifier(),
      state: client.randomState(),
      nonce: client.randomNonce()
    }
    const cookie = randomUUID()
    sessions.set(cookie, { pending })
    const to = client.buildAuthorizationUrl(config, {
      redirect_uri: `${HERE}/callback`,
      scope: 'openid profile email offline_access',
      code_challenge: await client.calculatePKCECodeChallenge(pending.verifier),
      code_challenge_method: 'S256',
      state: pending.state,
      nonce: pending.nonce
    })
    response.writeHead(302, { Location: to.href, 'Set-Cookie': `rp=${cookie}; Path=/; HttpOnly` })
    response.end()
  },

  async '/callback' (request, response, session) {
    const { pending } = session
    const tokens = await client.authorizationCodeGrant(config, new URL(request.url, HERE), {
      pkceCodeVerifier: pending.verifier,
      expectedState: pending.state,
      expectedNonce: pending.nonce
    })
    Object.assign(session, { tokens, claims: tokens.claims(), pending: undefined })
    response.writeHead(302, { Location: '/me' })
    response.end()
  },

  async '/me' (request, response, session) {
    if (!session?.claims) return send(response, 401, {})
    const info = await client.fetchUserInfo(config, session.tokens.access_token, session.claims.sub)
    send(response, 200, { claims: session.claims, userinfo: info })
  },

  async '/refresh' (request, response, session) {
    session.tokens = await client.refreshTokenGrant(config, session.tokens.refresh_token)
    send(response, 200, { scope: session.tokens.scope, claims: session.tokens.claims() })
  },

  async '/logout' (request, response, session) {
    const to = client.buildEndSessionUrl(config, {
      id_token_hint: session.tokens.id_token,
      post_logout_redirect_uri: `${HERE}/bye`
    })
    response.writeHead(302, { Location: to.href })
    response.end()
  },

  async '/bye' (request, response) {
    send(response, 200, { bye: true })
  },

  async '/backchannel' (request, response) {
    let body = ''
    for await (const chunk of request) body += chunk
    const { payload } = await jwtVerify(new URLSearchParams(body).get('logout_token'), keys, {
      issuer: ISSUER, audience: CLIENT_ID, typ: 'logout+jwt', requiredClaims: ['iat', 'jti', 'sub']
    })
    if (!payload.events[EVENT] || payload.nonce !== undefined) throw new Error('no logout token')
    for (const [cookie, { claims }] of sessions) {
      if (claims?.sub === payload.sub && (!payload.sid || claims.sid === payload.sid)) {
        sessions.delete(cookie)
      }
    }
    send(response, 200, {})
  }
}

function send (response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(body))
}

http.createServer(async (request, response) => {
  const cookie = /rp=([0-9a-f-]+)/.exec(request.headers.cookie ?? '')?.[1]
  const page = pages[new URL(request.url, HERE).pathname]
  if (!page) return send(response, 404, {})
  try {
    await page(request, response, sessions.get(cookie))
  } catch (error) {
    send(response, 400, { error: error.error ?? error.code ?? String(error) })
  }
}).listen(Number(PORT), HOST)
