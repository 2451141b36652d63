'use strict';
// Node's HTTP server: the common paths. Its chunked answers go out by writev.
const http = require('http');

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

http.createServer(answer).listen(Number(process.argv[2]), '127.0.0.1');
