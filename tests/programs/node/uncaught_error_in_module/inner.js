export function inner() {
  throw new TypeError('thrown in another file', { cause: new Error('the cause') });
}
