// An OpenID provider for the tests: oidc-provider, which is certified, with a form that believes whoever signs in.
// Usage: node provider.mjs people.json      prints its issuer, and goes on until it is ended. Clients register themselves.
//
// people.json has by login: {"sub": …, "groups": […], "email": …, "email_verified": …}. "forged" makes a person's ID token anew,
// with other "claims" or another "key": "strange" (not published), "none" (no signature), "next" (published when they sign in).
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { randomUUID } from "node:crypto";
import { SignJWT, UnsecuredJWT, decodeJwt, exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";

const people = JSON.parse(readFileSync(process.argv[2], "utf8"));
const personOf = (sub) => Object.values(people).find((person) => person.sub === sub);

const makeKey = async (kid) => ({ kid, ...(await generateKeyPair("RS256", { extractable: true })) });
const asJwk = async (kid, key) => ({ ...(await exportJWK(key)), kid, alg: "RS256", use: "sig" });
// Who does not know the strange key takes it for the provider's own.
const keys = { own: await makeKey("1"), strange: await makeKey("1"), next: await makeKey("2") };
let published = [];

async function forged(token, { claims = {}, key = "own" }) {
    const made = { ...decodeJwt(token), ...claims };
    if (key === "none") return new UnsecuredJWT(made).encode();
    const { kid, privateKey } = keys[key];
    return new SignJWT(made).setProtectedHeader({ alg: "RS256", kid }).sign(privateKey);
}

// Whoever signs in agrees to all that is asked for.
async function loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope([...oidc.requestParamOIDCScopes].join(" "));
    await grant.save();
    return grant;
}

const SIGN_IN = "/sign-in/";
const FORM = `<!doctype html><html lang="en"><head><title>Provider</title><link rel="icon" href="data:,"></head><body>
<h1>Provider</h1><form method="post"><label>Name <input name="login"></label> <button>Sign in</button></form></body></html>`;

async function signIn(ctx) {
    if (ctx.method === "GET") {
        ctx.body = FORM;
        return;
    }
    const { sub, forged } = people[new URLSearchParams(await text(ctx.req)).get("login")];
    if (forged?.key === "next") published = [await asJwk(keys.next.kid, keys.next.publicKey)];
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, { login: { accountId: sub } }));
}

const server = createServer().listen(0, "127.0.0.1");
await new Promise((listening) => server.once("listening", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
    claims: { openid: ["sub", "groups"], email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: false,
    cookies: { keys: [randomUUID()] },
    features: { devInteractions: { enabled: false }, registration: { enabled: true } },
    findAccount: (ctx, sub) => ({ accountId: sub, claims: () => personOf(sub) }),
    interactions: { url: (ctx, { uid }) => SIGN_IN + uid },
    jwks: { keys: [await asJwk(keys.own.kid, keys.own.privateKey)] },
    loadExistingGrant,
    pkce: { required: () => true },
});
provider.use(async (ctx, next) => {
    if (ctx.path.startsWith(SIGN_IN)) return signIn(ctx);
    await next();
    if (ctx.path === "/jwks") ctx.body = { keys: [...ctx.body.keys, ...published] };
    const forgery = ctx.body?.id_token && personOf(decodeJwt(ctx.body.id_token).sub).forged;
    if (forgery) ctx.body.id_token = await forged(ctx.body.id_token, forgery);
});
server.on("request", provider.callback());
console.log(issuer);
