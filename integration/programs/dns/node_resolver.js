// Looks up a name for each request, GET /?host=NAME: node_resolver.js PORT resolve4|lookup, which is by questions
// to the name server, or by the C library in a thread of libuv.
const dns = require('dns');
const http = require('http');

http.createServer((request, response) => {
  const host = new URL(request.url, 'http://localhost').searchParams.get('host');
  dns[process.argv[3]](host, (error, found) => response.end(`${error} ${found}\n`));
}).listen(Number(process.argv[2]), '127.0.0.1');
