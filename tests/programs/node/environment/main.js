const { execSync } = require('child_process');
for (const name of Object.keys(process.env).sort()) if (name !== 'HOSTNAME') console.log(name, '=', process.env[name]);
process.env.ADDED = 1;
delete process.env.GREETING;
console.log(execSync('echo added $ADDED greeting [$GREETING]; env | grep -c PETRI || true; env | grep -c NODE_OPTIONS || true').toString());
