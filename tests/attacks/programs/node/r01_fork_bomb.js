const { spawn } = require('child_process')
const { report } = require('./attempt.js')

// One that multiplies by itself, then one after the other until no more can be had.
spawn('/bin/sh', ['-c', 'trap "" TERM HUP INT; bomb() { bomb & bomb & wait; }; bomb'], { detached: true, stdio: 'ignore' })
let told = false
setInterval(() => {
  const child = spawn('/bin/sleep', ['1000'], { detached: true, stdio: 'ignore' })
  child.on('error', error => {
    if (!told) report('start one more', error.code)
    told = true
  })
})
