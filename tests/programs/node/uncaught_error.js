function outer() {
  inner({ a: 1 });
}

function inner(value) {
  // a comment, so that the numbers have to be right
  return value.missing.property;
}

console.log('before');
outer();
