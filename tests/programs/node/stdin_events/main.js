let text = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (piece) => (text += piece));
process.stdin.on('end', () => console.log(text.split('\n').map((line) => line.toUpperCase())));
