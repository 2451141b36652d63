// A hop on Node's http module, with callbacks alone: [queue|close] PORT. See hops.py.
//
// "queue" has two connections to each port, for which requests wait; "close" has them closed after each.
const http = require("http");

const [how, port] = process.argv.length > 3 ? process.argv.slice(2) : ["", process.argv[2]];
const agents = {
  "": { keepAlive: true },
  queue: { keepAlive: true, maxSockets: 2 },
  close: { maxSockets: 2 },
};
const agent = new http.Agent(agents[how]);

function ask(hop, path, done) {
  const own = hop.endsWith("c") ? false : agent;
  const request = http.get({ host: "127.0.0.1", port: parseInt(hop, 10), path, agent: own }, (answer) => {
    answer.resume();
    answer.on("end", done);
  });
  request.on("error", done);
}

function askAll(hops, path, done) {
  if (!hops.length) return done();
  ask(hops[0], path, (error) => (error ? done(error) : askAll(hops.slice(1), path, done)));
}

function walk(target, done) {
  const [path, query] = target.split("?");
  const [, name, number, ...hops] = path.split("/");
  if (name !== "walk" || !hops.length) return done();
  askAll(hops[0].split("+"), `/${[name, number, ...hops.slice(1)].join("/")}?${query}`, done);
}

http
  .createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    walk(request.url, (error) => {
      if (error) response.writeHead(500).end(String(error));
      else response.end("end\n");
    });
  })
  .listen(Number(port), "127.0.0.1");
