const { Worker } = require('worker_threads')
const { fact, report } = require('./attempt.js')

let workers = 0
const more = () => {
  const worker = new Worker('setInterval(() => {}, 1000)', { eval: true, resourceLimits: { maxOldGenerationSizeMb: 16 } })
  worker.on('online', () => { workers++; more() })
  worker.on('error', error => { report('start one more', error.code); fact('workers', workers); process.exit(0) })
}
more()
