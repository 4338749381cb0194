// What people see. Every value that came from outside passes through `html`, which escapes it.

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

class Markup extends String {}

function html(parts, ...values) {
  const shown = values.map((value) => [value].flat().map((one) => (one instanceof Markup ? one : escape(one))).join(""));
  return new Markup(String.raw({ raw: parts }, ...shown));
}

function escape(value) {
  return String(value ?? "").replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

export function home({ version }) {
  return page("Lexikon", html`
    <p>The words of the harbour, and what they mean.</p>
    <p><a href="/words">All words</a> · <a href="/register">Register</a></p>
    <footer>Backend ${version}</footer>`);
}

export function wordList({ words }) {
  return page("All words", html`<ul>${words.map((word) => html`<li><a href="/words/${encodeURIComponent(word)}">${word}</a></li>`)}</ul>`);
}

export function wordPage({ word, meaning }) {
  return page(word, html`<p>${meaning}</p><p><a href="/words">All words</a></p>`);
}

export function registration({ problem, values = {} }) {
  return page("Register", html`
    ${problem ? html`<p role="alert">${problem}</p>` : ""}
    <form method="post" action="/register">
      <label>First name <input name="first_name" required value="${values.first_name}"></label>
      <label>Last name <input name="last_name" required value="${values.last_name}"></label>
      <label>Email <input name="email" type="email" required value="${values.email}"></label>
      <label>Password <input name="password" type="password" minlength="8" required></label>
      <button>Register</button>
    </form>`);
}

export function welcome({ first_name }) {
  return page("Welcome", html`<p>Welcome, ${first_name}.</p><p><a href="/words">All words</a></p>`);
}

export function failure({ title, message }) {
  return page(title, html`<p>${message}</p>`);
}

function page(title, content) {
  const canonical = process.env.FRONTEND_URL ?? "";
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>${title}</title>
  ${canonical ? html`<link rel="canonical" href="${canonical}">` : ""}
  <style>body { font: 1.1rem/1.5 serif; margin: 3rem auto; max-width: 34rem } label { display: block }</style>
</head>
<body>
  <h1>${title}</h1>
  ${content}
</body>
</html>
`.toString();
}
