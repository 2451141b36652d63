// A hop on Node's http module in the styles that programs have: STYLE PORT. See hops.py.
const { AsyncResource } = require("async_hooks");
const events = require("events");
const fs = require("fs");
const http = require("http");
const { promisify } = require("util");
const zlib = require("zlib");

const [style, port] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });
const sleep = promisify(setTimeout);

function get(hop, path, done) {
  const own = hop.endsWith("c") ? false : agent;
  http
    .get({ host: "127.0.0.1", port: parseInt(hop, 10), path, agent: own }, (answer) => {
      let body = "";
      answer.on("data", (piece) => (body += piece));
      answer.on("end", () => done(null, body));
    })
    .on("error", done);
}

const ask = promisify(get);

async function inTurn(hops, path) {
  for (const hop of hops) await ask(hop, path);
}

// Three requests share what two may have at once, and wake each other.
class Semaphore {
  constructor(free) {
    this.free = free;
    this.waiting = [];
  }

  acquire() {
    if (this.free-- > 0) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  release() {
    this.free++;
    const next = this.waiting.shift();
    if (next) next();
  }
}

const semaphore = new Semaphore(2);

// Whoever has it keeps it for a while, and hands it to who waits.
class Pool {
  constructor(items) {
    this.items = items;
    this.waiting = [];
  }

  take() {
    const item = this.items.pop();
    return item ? Promise.resolve(item) : new Promise((resolve) => this.waiting.push(resolve));
  }

  giveBack(item) {
    const next = this.waiting.shift();
    if (next) next(item);
    else this.items.push(item);
  }
}

const clients = new Pool([1, 2, 3].map(() => ({ agent: new http.Agent({ keepAlive: true, maxSockets: 1 }) })));

function askBy(client, hop, path) {
  return new Promise((resolve, reject) => {
    const own = client.agent;
    const request = http.request({ host: "127.0.0.1", port: parseInt(hop, 10), path, agent: own });
    request.on("response", (answer) => answer.resume().on("end", resolve));
    request.on("error", reject);
    request.end();
  });
}

let shared = null; // what the first of several asks for, and all wait for

// Work that callers queue, done by whoever comes to it, in the caller's own scope.
const queue = [];
let busy = 0;

function pump() {
  while (busy < 2 && queue.length) {
    const job = queue.shift();
    busy++;
    job.resource.runInAsyncScope(() =>
      job.work((error) => {
        busy--;
        job.done(error);
        pump();
      }),
    );
  }
}

function enqueue(work, done) {
  const resource = new AsyncResource("Job");
  queue.push({ resource, work, done: (error) => resource.runInAsyncScope(done, null, error) });
  pump();
}

const styles = {
  all: (hops, path) => Promise.all(hops.map((hop) => ask(hop, path))),

  settled: async (hops, path) => {
    await Promise.allSettled(
      hops.map(async (hop, number) => {
        await sleep(number);
        await ask(hop, path);
        await null;
      }),
    );
  },

  semaphore: async (hops, path) => {
    for (const hop of hops) {
      await semaphore.acquire();
      try {
        await ask(hop, path);
      } finally {
        semaphore.release();
      }
    }
  },

  pool: async (hops, path) => {
    for (const hop of hops) {
      const client = await clients.take();
      await askBy(client, hop, path);
      clients.giveBack(client);
    }
  },

  shared: async (hops, path) => {
    shared = shared || sleep(2);
    await shared;
    shared = null;
    await inTurn(hops, path);
  },

  thens: (hops, path) =>
    hops.reduce((before, hop) => before.then(() => ask(hop, path)), Promise.resolve()),

  resource: (hops, path) =>
    hops.reduce(
      (before, hop) => before.then(() => new Promise((resolve) => enqueue((done) => get(hop, path, done), resolve))),
      Promise.resolve(),
    ),

  // The whole heap is collected, and what is young in it moved, while the function waits.
  collected: async (hops, path) => {
    for (const hop of hops) {
      const asked = ask(hop, path);
      setImmediate(gc);
      await asked;
    }
  },

  mixed: async (hops, path) => {
    await sleep(1);
    await fs.promises.readFile(__filename);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => process.nextTick(() => process.nextTick(resolve)));
    await promisify(zlib.gzip)("something");
    await inTurn(hops, path);
  },

  events: async (hops, path) => {
    for (const hop of hops) {
      const own = hop.endsWith("c") ? false : agent;
      const request = http.get({ host: "127.0.0.1", port: parseInt(hop, 10), path, agent: own });
      const [answer] = await events.once(request, "response");
      for await (const piece of answer) piece.toString();
    }
  },

  fetch: async (hops, path) => {
    for (const hop of hops) await (await fetch(`http://127.0.0.1:${parseInt(hop, 10)}${path}`)).text();
  },
};

const late = {
  late: async (hops, path) => {
    await sleep(5);
    await inTurn(hops, path);
  },

  "late-callbacks": (hops, path) => {
    setTimeout(() => hops.forEach((hop) => get(hop, path, () => {})), 5);
    return Promise.resolve();
  },
};

const callbacks = {
  timers: (hops, path, done) => {
    if (!hops.length) return done();
    let left = hops.length;
    for (const hop of hops)
      setTimeout(() => setImmediate(() => get(hop, path, () => --left || done())), 1);
  },

  ticks: (hops, path, done) => {
    const next = ([hop, ...others]) => {
      if (!hop) return done();
      process.nextTick(() => process.nextTick(() => process.nextTick(get, hop, path, () => next(others))));
    };
    next(hops);
  },

  files: (hops, path, done) => {
    const next = ([hop, ...others]) => {
      if (!hop) return done();
      fs.readFile(__filename, () => zlib.gzip("x", () => get(hop, path, () => next(others))));
    };
    next(hops);
  },

  scopes: (hops, path, done) => {
    const next = ([hop, ...others]) => (hop ? enqueue((end) => get(hop, path, end), () => next(others)) : done());
    next(hops);
  },
};

function parts(target) {
  const [path, query] = target.split("?");
  const [, name, number, ...hops] = path.split("/");
  if (name !== "walk" || !hops.length) return [[], ""];
  return [hops[0].split("+"), `/${[name, number, ...hops.slice(1)].join("/")}?${query}`];
}

async function answer(request, response) {
  const [hops, path] = parts(request.url);
  if (style in late) response.end("end\n");
  await (late[style] || styles[style])(hops, path);
  if (!(style in late)) response.end("end\n");
}

http
  .createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const failed = (error) => (response.headersSent ? console.error(error) : response.writeHead(500).end(String(error)));
    if (style in callbacks) callbacks[style](...parts(request.url), () => response.end("end\n"));
    else answer(request, response).catch(failed);
  })
  .listen(Number(port), "127.0.0.1");
