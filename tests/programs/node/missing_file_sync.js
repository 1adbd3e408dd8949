require('fs').readFileSync('not/there.txt');
