const { spawnSync } = require('child_process')
const fs = require('fs')
const { report } = require('./attempt.js')

const [, soft, hard] = /Max core file size +(\S+) +(\S+)/.exec(fs.readFileSync('/proc/self/limits', 'utf8'))
report('core limit', `${soft} to ${hard}`)
let last
for (let i = 0; i < 5; i++) last = spawnSync(process.execPath, ['-e', 'process.abort()']).signal
report('crash five times', last)
