function* numbers() {
  try {
    yield 1;
    yield 2;
  } finally {
    console.log('closed');
  }
}
for (const number of numbers()) {
  console.log(number);
  break;
}
(async () => {
  for await (const value of (async function* () { yield 'a'; yield 'b'; })()) console.log(value);
})();
