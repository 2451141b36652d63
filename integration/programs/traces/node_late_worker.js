// Starts a thread, which awaits often, when it is asked: PORT. Answers when the thread has ended.
const http = require("http");
const { Worker, isMainThread } = require("worker_threads");

async function wait() {
  for (let number = 0; number < 20000; number++) await null;
}

if (!isMainThread) wait();
else
  http
    .createServer(async (request, response) => {
      await null;
      new Worker(__filename).on("exit", (status) => response.end(`${status}\n`));
    })
    .listen(Number(process.argv[2]), "127.0.0.1");
