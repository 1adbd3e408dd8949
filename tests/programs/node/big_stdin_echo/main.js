let length = 0;
process.stdin.on('data', (piece) => {
  length += piece.length;
});
process.stdin.on('end', () => console.log(length));
