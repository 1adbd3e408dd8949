async function work() {
  await null;
  throw new Error('nobody catches');
}
work();
setTimeout(() => console.log('never'), 1000);
