require('child_process').execSync('cat', { stdio: 'inherit' });
console.log('read');
