process.stdout.on('error', (error) => console.error('stream error', error.code));
process.stdout.end('the last\n');
process.stdout.write('too late\n');
