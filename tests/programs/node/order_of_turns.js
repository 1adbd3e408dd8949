require('fs').readFile(__filename, () => {
  setTimeout(() => console.log('timeout'), 0);
  setImmediate(() => console.log('immediate'));
});
process.nextTick(() => console.log('tick'));
Promise.resolve().then(() => console.log('promise'));
queueMicrotask(() => console.log('microtask'));
process.nextTick(() => Promise.resolve().then(() => console.log('promise in tick')));
(async () => {
  console.log('sync');
  await null;
  console.log('after await');
})();
console.log('main ends');
