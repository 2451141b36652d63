'use strict';
// Node: `node node_client.js fetch|http|each URL MARK COUNT METHOD`; `each` opens a connection for each request,
// and over TLS resumes the session.
const [kind, url, mark, count, method] = process.argv.slice(2);
const http = url.startsWith('https:') ? require('https') : require('http');
const body = method === 'POST' ? 'y'.repeat(2000) : undefined;
const agent = new http.Agent({ keepAlive: kind !== 'each', maxSockets: 1 });

async function byFetch(target) {
  const response = await fetch(target, { method, body });
  await response.arrayBuffer();
  return response.status;
}

function byHttp(target) {
  return new Promise((resolve, reject) => {
    const headers = body ? { 'Content-Length': body.length } : {};
    const request = http.request(target, { method, agent, headers }, (response) => {
      response.on('data', () => {});
      response.on('end', () => resolve(response.statusCode));
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function main() {
  const request = kind === 'fetch' ? byFetch : byHttp;
  for (let i = 0; i < Number(count); i += 1) {
    const name = `${mark}-${i}`;
    const began = process.hrtime.bigint();
    const start = (BigInt(Date.now()) * 1000000n).toString();
    const status = await request(`${url}?n=${name}`);
    const took = (process.hrtime.bigint() - began).toString();
    console.log(`{"n": "${name}", "start_ns": ${start}, "duration_ns": ${took}, "status": ${status}}`);
  }
  agent.destroy();
}

main();
