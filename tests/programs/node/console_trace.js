function traced() {
  console.trace('here');
}
traced();
console.log(new Error('not thrown').stack);
console.log([new Error('in an array')]);
