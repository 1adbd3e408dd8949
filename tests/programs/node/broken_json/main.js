require('./broken.json');
