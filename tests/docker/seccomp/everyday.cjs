'use strict';
// Runs in a sandbox: what people's Node programs do, each in a few lines. Prints the names of those that failed.

const assert = require('assert');
const { execFile, execSync, fork, spawn, spawnSync } = require('child_process');
const cluster = require('cluster');
const crypto = require('crypto');
const dgram = require('dgram');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const { pipeline } = require('stream/promises');
const { promisify } = require('util');
const { Worker } = require('worker_threads');
const zlib = require('zlib');

const everyday = {
  async childProcesses() {
    assert.equal(execSync('printf a | tr a b').toString(), 'b');
    assert.equal((await promisify(execFile)('echo', ['x'])).stdout, 'x\n');
    assert.equal(spawnSync('sh', ['-c', 'exit 3']).status, 3);
    const child = spawn('cat');
    child.stdin.end('through');
    const [chunk] = await once(child.stdout, 'data');
    assert.equal(String(chunk), 'through');
    const sleeper = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    sleeper.kill();
    assert.deepEqual(await once(sleeper, 'exit'), [null, 'SIGTERM']);
    fs.writeFileSync('forked.js', "process.on('message', (m) => { process.send(m + 1); process.disconnect(); })");
    const forked = fork('./forked.js');
    forked.send(1);
    assert.equal((await once(forked, 'message'))[0], 2);
  },
  async workers() {
    const source = "const { parentPort, workerData } = require('worker_threads'); Atomics.add(new Int32Array(workerData), 0, 1); parentPort.postMessage('done')";
    const shared = new SharedArrayBuffer(4);
    const workers = [1, 2, 3].map(() => new Worker(source, { eval: true, workerData: shared }));
    await Promise.all(workers.map((worker) => once(worker, 'exit')));
    assert.equal(new Int32Array(shared)[0], 3);
  },
  async clusters() {
    fs.writeFileSync('member.js', "require('http').createServer((_, r) => r.end('member')).listen(0, '127.0.0.1')");
    cluster.setupPrimary({ exec: './member.js' });
    const member = cluster.fork();
    const [, address] = await once(cluster, 'listening');
    assert.equal(await (await fetch(`http://127.0.0.1:${address.port}`)).text(), 'member');
    member.kill();
    await once(member, 'exit');
  },
  async httpOnLocalhost() {
    const server = http.createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${server.address().port}`;
    assert.equal(await (await fetch(url)).text(), 'hello');
    const [response] = await once(http.get(url), 'response');
    response.resume();
    await once(response, 'end');
    server.closeAllConnections();
    server.close();
  },
  async sockets() {
    const server = net.createServer((socket) => socket.end('unix')).listen('/tmp/node.sock');
    await once(server, 'listening');
    const [said] = await once(net.connect('/tmp/node.sock'), 'data');
    assert.equal(String(said), 'unix');
    server.close();
    const datagrams = dgram.createSocket('udp4');
    datagrams.bind(0, '127.0.0.1');
    await once(datagrams, 'listening');
    datagrams.send('d', datagrams.address().port, '127.0.0.1');
    await once(datagrams, 'message');
    datagrams.close();
    assert.deepEqual(Object.keys(os.networkInterfaces()), ['lo']);
  },
  async files() {
    await fs.promises.mkdir('tree/below', { recursive: true });
    await fs.promises.writeFile('tree/a', crypto.randomBytes(100000));
    await fs.promises.cp('tree', 'copy', { recursive: true });
    await fs.promises.copyFile('tree/a', 'b');
    await fs.promises.chmod('b', 0o600);
    await fs.promises.chown('b', process.getuid(), process.getgid());
    await pipeline(fs.createReadStream('b'), zlib.createGzip(), fs.createWriteStream('b.gz'));
    assert.deepEqual(zlib.gunzipSync(fs.readFileSync('b.gz')), fs.readFileSync('tree/a'));
    const watcher = fs.watch('tree');
    const changed = once(watcher, 'change');
    fs.writeFileSync('tree/new', '');
    await changed;
    watcher.close();
    fs.rmSync('copy', { recursive: true });
    fs.statfsSync('.');
    const handle = await fs.promises.open('b', 'r+');
    await handle.datasync();
    await handle.truncate(1);
    await handle.close();
  },
  async threadPool() {
    const scrypt = promisify(crypto.scrypt);
    const keys = await Promise.all([1, 2, 3, 4, 5].map((n) => scrypt('p', 's' + n, 32)));
    assert.equal(keys.length, 5);
    await promisify(crypto.generateKeyPair)('ec', { namedCurve: 'P-256' });
    await require('dns').promises.lookup('127.0.0.1');
  },
  async databases() {
    const { DatabaseSync } = require('node:sqlite');
    const base = new DatabaseSync('base.db');
    base.exec('pragma journal_mode=wal; create table t (x); insert into t values (1), (2)');
    assert.equal(base.prepare('select sum(x) as sum from t').get().sum, 3);
    base.close();
  },
  async machineCode() {
    const add = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
    const { instance } = await WebAssembly.instantiate(add);
    assert.equal(instance.exports.add(2, 40), 42);
    let sum = 0;
    for (let i = 0; i < 3e6; i++) sum += i & 1;
    assert.equal(sum, 1.5e6);
  },
  async signalsAndPriorities() {
    const came = once(process, 'SIGUSR2');
    const untilThen = setTimeout(() => assert.fail('no signal'), 10000); // a listener keeps no program alive
    process.kill(process.pid, 'SIGUSR2');
    await came;
    clearTimeout(untilThen);
    os.setPriority(5);
    assert.equal(os.getPriority(), 5);
    assert.ok(os.cpus().length && os.totalmem() && os.uptime() && process.resourceUsage());
  },
};

process.removeAllListeners('warning'); // node:sqlite calls itself experimental
(async () => {
  const failed = [];
  for (const [name, program] of Object.entries(everyday)) {
    try {
      await program();
    } catch (error) {
      console.error(error);
      failed.push(name);
    }
  }
  console.log(['failed:', ...failed].join(' '));
  process.exit(failed.length ? 1 : 0);
})();
