'use strict';
// Be a warm worker (PROTOCOL.md), then let node run main.js as if nothing had been here.
//
// Node loads this file before the program, because the manifest puts it into NODE_OPTIONS. It warms node up, waits for
// the go message, takes on the run's arguments and environment, and returns. What follows is node's own run of
// the file: stacks, warnings, unhandled rejections and the end need no imitation. In any other process of the
// sandbox, and in the program's worker threads, it does nothing.
//
// The manifest starts node in /, not in the work directory: node looks for a package.json where it starts, and would
// remember that there was none. The name `node`, without a directory, is what process.argv0 and process.title then say.

// Node reads these when it starts and never again: a run that changes one of them gets a new node. HOME decides where
// global modules are looked for.
const READ_AT_START = /^(NODE_|UV_|LC_|LANG|TZ$|HOME$|LD_|MALLOC_|GLIBC_|ICU_|OPENSSL_|SSL_)/;

const fs = require('fs');
const Module = require('module');

for (const cache of [require.cache, Module._pathCache]) {
  for (const key of Object.keys(cache)) if (key.includes(__filename)) delete cache[key];
}
process._preload_modules?.splice(0);
const channel = process.env.PETRI_WORKER_FD;
if (channel !== undefined) {
  if (!process.execve) throw new Error(`node ${process.version} cannot be a worker: process.execve came with 22.15`);
  const startedWith = withoutOurs(process.env);
  warm();
  fs.writeSync(Number(channel), 'R');
  become(receive(Number(channel)), startedWith);
}

function withoutOurs(env) {
  const { NODE_OPTIONS, PETRI_WORKER_FD, ...rest } = env;
  return rest;
}

// The first write to a stream costs 3 ms when the program makes it, nearly all of it loading and compiling what is behind
// it. So one is made here, on a description of the pipe of its own: process.stdout itself would set O_NONBLOCK on the one
// that the program gets, and a program that only ever uses fs.writeSync(1) would meet EAGAIN. Nothing is written. Only
// the handle is closed: stream.destroy() asks whether it is process.stderr, which makes process.stderr.
function warm() {
  const { Socket } = require('net');
  const stream = new Socket({ fd: fs.openSync('/proc/self/fd/1', 'w'), readable: false, writable: true });
  stream._type = 'pipe';
  stream.write('');
  stream.unref(); // closing takes a turn of the loop, and until then it would count among the active resources
  stream._handle.close();
  import('node:os'); // starts the ES module loader: 0.4 ms
}

function receive(channel) {
  const piece = Buffer.allocUnsafe(65536);
  let message = Buffer.alloc(0);
  while (message.length < 4 || message.length < 4 + message.readUInt32BE(0)) {
    const length = fs.readSync(channel, piece);
    if (length === 0) process.reallyExit(0);
    message = Buffer.concat([message, piece.subarray(0, length)]);
  }
  fs.closeSync(channel);
  return JSON.parse(message.toString('utf8', 4));
}

function become({ program, args, env, cwd }, startedWith) {
  process.chdir(cwd);
  const main = isModuleBySyntax(program) ? renamed(program) : program;
  const names = new Set([...Object.keys(startedWith), ...Object.keys(env)]);
  const changed = [...names].filter((name) => startedWith[name] !== env[name]);
  if (program !== process.argv[1] || changed.some((name) => READ_AT_START.test(name))) {
    process.execve(process.execPath, ['node', main, ...args], env);
  }
  for (const name of ['NODE_OPTIONS', 'PETRI_WORKER_FD', ...changed]) {
    if (Object.hasOwn(env, name)) process.env[name] = env[name];
    else delete process.env[name];
  }
  process.argv.push(...args);
  if (main !== program) {
    // Node asks this function first for the file that it is about to run, and it asks it once.
    const findPath = Module._findPath;
    Module._findPath = () => {
      Module._findPath = findPath;
      process.argv[1] = main;
      return main;
    };
  }
}

// Whether the file is an ES module to node, by its own rule: the parser says so, and no package.json decides.
function isModuleBySyntax(program) {
  if (!program.endsWith('.js')) return false;
  let source;
  try {
    source = fs.readFileSync(program, 'utf8');
  } catch {
    return false; // node will say what is wrong with it
  }
  if (!/\b(?:import|export|await)\b/.test(source)) return false; // cheap, and right for nearly every script
  if (!process.binding('contextify').containsModuleSyntax(source, program)) return false;
  for (let at = program; at !== '/'; ) {
    at = require('path').dirname(at);
    let text;
    try {
      text = fs.readFileSync(`${at === '/' ? '' : at}/package.json`, 'utf8');
    } catch {
      continue;
    }
    try {
      return JSON.parse(text).type === undefined;
    } catch {
      return false;
    }
  }
  return true;
}

// main.js → main.mjs, unless the run brought a main.mjs of its own: then node's detection takes main.js as it is.
function renamed(program) {
  const main = program.replace(/\.js$/, '.mjs');
  if (fs.existsSync(main)) return program;
  fs.renameSync(program, main);
  return main;
}
