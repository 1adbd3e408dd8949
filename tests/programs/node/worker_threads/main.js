const { Worker, isMainThread, parentPort, workerData, threadId } = require('worker_threads');
if (isMainThread) {
  const worker = new Worker(__filename, { workerData: 20, argv: ['x'], env: { ONLY: 'this' } });
  worker.on('message', (message) => console.log(message));
  worker.on('exit', (code) => console.log('worker exit', code));
} else {
  parentPort.postMessage({ doubled: workerData * 2, threadId, env: process.env, argv: process.argv.slice(2), main: require.main === module, cached: Object.keys(require.cache) });
  process.exit(5);
}
