console.log(require('in-node-path'));
