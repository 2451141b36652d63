'use strict';
// Many connections of one Node thread, all asking at once: as many_httpx.py.
const https = require('https');

const [mark, rounds, connections, ...urls] = process.argv.slice(2);
const agent = new https.Agent({ keepAlive: true });

function ask(number) {
  const name = `${mark}-${number}`;
  const size = Math.floor(Math.random() * 50000);
  const target = `${urls[number % urls.length]}/bytes/${size}?n=${name}`;
  const began = process.hrtime.bigint();
  const start = (BigInt(Date.now()) * 1000000n).toString();
  return new Promise((resolve, reject) => {
    https.get(target, { agent }, (response) => {
      const ports = `"local_port": ${response.socket.localPort}, "peer_port": ${response.headers['peer-port']}`;
      let length = 0;
      response.on('data', (piece) => { length += piece.length; });
      response.on('end', () => {
        const took = (process.hrtime.bigint() - began).toString();
        if (length !== size) reject(new Error(`${length} bytes of ${size}`));
        const times = `"start_ns": ${start}, "duration_ns": ${took}`;
        console.log(`{"n": "${name}", ${times}, "status": ${response.statusCode}, ${ports}}`);
        resolve();
      });
    }).on('error', reject);
  });
}

async function main() {
  const width = Number(connections);
  for (let first = 0; first < Number(rounds) * width; first += width) {
    await Promise.all(Array.from({ length: width }, (_, i) => ask(first + i)));
    await new Promise(setImmediate); // so that the last connections are free again
  }
  agent.destroy();
}

main();
