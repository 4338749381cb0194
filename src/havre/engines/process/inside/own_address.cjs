"use strict";
// A replica has one address of its own: a Node server that would listen on every address listens there.
const { Server } = require("node:net");

const own = process.env.HOST;
const listen = Server.prototype.listen;
const isEvery = (host) => [undefined, null, "", "0.0.0.0", "::"].includes(host);
const isPort = (value) => /^[1-9]\d*$/.test(String(value));

function atOwnAddress([first, ...rest]) {
  if (isPort(first)) {
    const host = typeof rest[0] === "string" ? rest.shift() : undefined;
    return [first, isEvery(host) ? own : host, ...rest.filter((value) => value !== undefined && value !== null)];
  }
  if (first !== null && typeof first === "object" && isPort(first.port) && first.path === undefined) {
    return [isEvery(first.host) ? { ...first, host: own } : first, ...rest];
  }
  return [first, ...rest];
}

if (own) {
  Server.prototype.listen = function (...given) {
    return given.length > 0 ? listen.apply(this, atOwnAddress(given)) : listen.call(this);
  };
}
