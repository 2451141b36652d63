// Asks a name server for NAME, and makes a request to the address without saying the name; SECONDS later another
// by a new connection: node_remembers.js NAME PORT SECONDS.
const dns = require('dns');
const net = require('net');

const [name, port, seconds] = process.argv.slice(2);

dns.resolve4(name, (error, [address]) => {
  const request = () => net.connect(Number(port), address).end('GET / HTTP/1.0\r\n\r\n').resume();
  request();
  setTimeout(request, Number(seconds) * 1000);
});
