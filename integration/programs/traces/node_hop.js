// A hop on Node's http module, with connections that are kept: PORT. See hops.py.
const http = require("http");

const agent = new http.Agent({ keepAlive: true });

function ask(port, path) {
  return new Promise((resolve, reject) => {
    http.get({ host: "127.0.0.1", port, path, agent }, (answer) => {
      answer.resume();
      answer.on("end", resolve);
    }).on("error", reject);
  });
}

async function walk(target) {
  const [path, query] = target.split("?");
  const [, name, number, ...hops] = path.split("/");
  if (name !== "walk" || !hops.length) return;
  const rest = `/${[name, number, ...hops.slice(1)].join("/")}?${query}`;
  for (const hop of hops[0].split("+")) await ask(parseInt(hop, 10), rest);
}

http
  .createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    walk(request.url).then(
      () => response.end("end\n"),
      (error) => response.writeHead(500).end(String(error)),
    );
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
