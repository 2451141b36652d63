// Runs another program: storage|worker|cluster PROGRAM WORDS...
//
// "storage" with an AsyncLocalStorage in use, "worker" in a thread of its own, "cluster" in four processes.
const { AsyncLocalStorage } = require("async_hooks");
const cluster = require("cluster");
const path = require("path");
const { Worker } = require("worker_threads");

const [how, program, ...words] = process.argv.slice(2);

function run() {
  process.argv.splice(1, process.argv.length, program, ...words);
  require(path.resolve(program));
}

if (how === "storage") new AsyncLocalStorage().enterWith("something");
if (how === "worker") new Worker(path.resolve(program), { argv: words });
else if (how === "cluster" && cluster.isPrimary) for (let number = 0; number < 4; number++) cluster.fork();
else run();
