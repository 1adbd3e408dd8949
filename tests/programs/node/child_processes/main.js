const { execSync, execFileSync, fork, spawn, spawnSync } = require('child_process');
if (process.argv[2] === 'child') {
  process.on('message', (message) => {
    process.send({ got: message, argv: process.argv.slice(2), execArgv: process.execArgv });
    process.disconnect();
  });
} else {
  console.log(execSync('echo hello').toString(), spawnSync('sh', ['-c', 'kill -9 $$']).signal);
  console.log(spawnSync(process.execPath, ['-e', 'throw new Error("x")']).stderr.toString());
  const child = spawn('sh', ['-c', 'echo inherited; echo error >&2; exit 3'], { stdio: 'inherit' });
  child.on('exit', (code) => {
    console.log('code', code);
    const forked = fork(__filename, ['child']);
    forked.on('message', (message) => console.log(message));
    forked.send({ n: 1 });
  });
}
