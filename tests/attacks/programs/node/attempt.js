// Beside every attack: report what came of an attempt, one JSON object a line, past any buffer.
'use strict'
const fs = require('fs')

const say = object => fs.writeSync(1, JSON.stringify(object) + '\n')
const report = (attempt, result) => say({ attempt, result })
const fact = (name, value) => say({ fact: name, value })

function attempt(name, action) {
  try {
    action()
    report(name, 'ok')
  } catch (error) {
    report(name, error.code || error.name)
  }
}

module.exports = { attempt, fact, report }
