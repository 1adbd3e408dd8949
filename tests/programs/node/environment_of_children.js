const { execFileSync, fork } = require('child_process');
const code = 'console.log(Object.keys(process.env).filter((n) => n !== "HOSTNAME").sort(), process.execArgv, require.cache)';
console.log(execFileSync(process.execPath, ['-e', code]).toString());
