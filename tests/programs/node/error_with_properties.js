class Broken extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = 'Broken';
    this.detail = { a: 1 };
  }
}
throw new Broken('own class', { cause: new AggregateError([new Error('one'), new RangeError('two')], 'several') });
