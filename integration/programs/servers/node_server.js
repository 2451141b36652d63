'use strict';
// Node's HTTP server: `node node_server.js PORT [CERTIFICATE KEY]`. The common paths and /bytes/N; its
// chunked answers go out by writev.
const fs = require('fs');
const http = require('http');
const https = require('https');

const [port, certificate, key] = process.argv.slice(2);

const big = Buffer.alloc(1 << 20, 'x');

function answer(request, response) {
  const path = request.url.split('?')[0];
  if (path === '/chunked') {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    // Corked, so that head and chunks leave in one writev of many vectors.
    response.cork();
    for (const part of ['one', 'two', 'three']) response.write(part);
    response.end();
    response.uncork();
    return;
  }
  let status = 200;
  let body = JSON.stringify({ path });
  if (path === '/big') body = big;
  if (path.startsWith('/bytes/')) {
    body = big.subarray(0, Number(path.split('/')[2]));
    response.setHeader('Peer-Port', request.socket.remotePort);
  }
  if (path.startsWith('/status/')) status = Number(path.split('/')[2]);
  const finish = () => {
    response.writeHead(status, { 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  };
  if (path === '/echo') {
    let length = 0;
    request.on('data', (piece) => { length += piece.length; });
    request.on('end', () => { body = String(length); finish(); });
  } else if (path === '/slow') {
    setTimeout(finish, 50);
  } else {
    finish();
  }
}

const server = certificate
  ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, answer)
  : http.createServer(answer);
server.listen(Number(port), '127.0.0.1');
