const net = require('net')
const dns = require('dns')
const { report } = require('./attempt.js')

const reach = (name, options) =>
  new Promise(done => {
    const socket = net.connect({ ...options, timeout: 500 })
    const say = result => { report(name, result); socket.destroy(); done() }
    socket.on('connect', () => say('ok'))
    socket.on('timeout', () => say('timeout'))
    socket.on('error', error => say(error.code))
  })

;(async () => {
  await reach('the internet', { host: '1.1.1.1', port: 443 })
  await reach('metadata of a cloud', { host: '169.254.169.254', port: 80 })
  await reach('socket docker.sock', { path: '/var/run/docker.sock' })
  await dns.promises.lookup('example.com').then(() => report('a name', 'ok'), error => report('a name', error.code))
  await dns.promises.resolve4('example.com').then(() => report('a name, by query', 'ok'), error => report('a name, by query', error.code))
})()
