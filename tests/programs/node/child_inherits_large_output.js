const { execSync } = require('child_process');
execSync('i=0; while [ $i -lt 20000 ]; do echo "line $i of the child"; i=$((i+1)); done', { stdio: 'inherit' });
console.log('done');
