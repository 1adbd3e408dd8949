try {
  eval('let a = ;');
} catch (error) {
  console.log(error.stack.split('\n').slice(0, 3));
}
require('vm').runInNewContext('\n\nthrow new Error("in a context")', {}, { filename: 'given.js' });
