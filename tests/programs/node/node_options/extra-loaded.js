module.exports = globalThis.extra = { loaded: true };
