// Restate's part of the fan: its server, a worker with one handler of no-op steps, and a driver that keeps CONCURRENCY
// invocations going. Everything else is as the server comes: its log is synced (rocksdb-disable-wal-fsync = false).
//
// Usage: node restate.mjs FOLDER WORKFLOWS STEPS CONCURRENCY, with ANNEAL_BENCH_PEER = the folder of node_modules' parent.
// Prints one line of JSON: { steps, seconds, cpu_seconds } over the invocations; CPU is that of server, worker and driver.
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { pathToFileURL } from "node:url";

const installed = process.env.ANNEAL_BENCH_PEER;
const TICKS_PER_SECOND = 100; // proc(5): fields 14 and 15 of /proc/PID/stat
const DEADLINE_MS = 180_000; // for everything: the server tries a handler that fails again, without end

async function serve(port, steps) {
  // The SDK uses what node has from version 22 on; this is all that it misses in version 20.
  Promise.withResolvers ??= () => {
    const made = {};
    made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
    return made;
  };
  const require = createRequire(path.join(installed, "package.json"));
  const restate = await import(pathToFileURL(require.resolve("@restatedev/restate-sdk")).href);
  const fan = restate.service({
    name: "fan",
    handlers: {
      run: async (ctx) => {
        for (let step = 0; step < steps; step++) await ctx.run(`s${step}`, () => {});
        return steps;
      },
    },
  });
  restate.endpoint().bind(fan).listen(port);
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const listener = net.createServer().once("error", reject);
    listener.listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });

const agent = new http.Agent({ keepAlive: true, maxSockets: 1024 });

const ask = (port, method, at, body) =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const request = http.request({ host: "127.0.0.1", port, method, path: at, agent, headers }, (answer) => {
      let got = "";
      answer.setEncoding("utf8").on("data", (part) => (got += part));
      answer.on("end", () => {
        if (answer.statusCode < 300) resolve(got);
        else reject(new Error(`${method} ${at}: ${answer.statusCode} ${got}`));
      });
    });
    request.on("error", reject).end(text);
  });

async function until(what, attempt) {
  const deadline = Date.now() + DEADLINE_MS / 3;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${what}: ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** CPU seconds of processes, all threads. */
const cpuOf = (children) =>
  children
    .map(({ pid }) => fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop().split(" "))
    .reduce((sum, fields) => sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND, 0);

async function drive(folder, workflows, steps, concurrency) {
  const [bind, ingress, admin, worker] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const server = path.join(installed, "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server");
  const log = fs.openSync(path.join(folder, "restate.log"), "w");
  const stdio = ["ignore", log, log];
  const local = (port) => `127.0.0.1:${port}`;
  const children = [
    spawn(server, ["--base-dir", folder, "--listen-mode", "tcp", "--no-logo", "--log-filter", "warn"], {
      stdio,
      env: {
        ...process.env,
        RESTATE_BIND_ADDRESS: local(bind),
        RESTATE_INGRESS__BIND_ADDRESS: local(ingress),
        RESTATE_ADMIN__BIND_ADDRESS: local(admin),
        RESTATE_DISABLE_TELEMETRY: "true",
      },
    }),
    spawn(process.execPath, [process.argv[1], "--serve", worker, steps], { stdio }),
  ];
  setTimeout(() => fail(new Error(`not done after ${DEADLINE_MS} ms; see ${folder}/restate.log`)), DEADLINE_MS).unref();
  process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));
  await until("register the worker", () => ask(admin, "POST", "/deployments", { uri: `http://127.0.0.1:${worker}` }));
  await until("the first invocation", () => ask(ingress, "POST", "/fan/run"));

  const [began, before, own] = [process.hrtime.bigint(), cpuOf(children), process.cpuUsage()];
  let left = workflows;
  const lane = async () => {
    while (left-- > 0) {
      const done = Number(await ask(ingress, "POST", "/fan/run"));
      if (done !== steps) throw new Error(`an invocation did ${done} steps`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const { user, system } = process.cpuUsage(own);
  const cpu_seconds = cpuOf(children) - before + (user + system) / 1e6;
  const ends = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
  children.forEach((child) => child.kill("SIGKILL"));
  await Promise.all(ends);
  console.log(JSON.stringify({ steps: workflows * steps, seconds, cpu_seconds }));
  process.exit(0);
}

function fail(error) {
  console.error(error);
  process.exit(1); // and with it the server and the worker
}

process.on("SIGTERM", () => process.exit(1));
process.on("unhandledRejection", fail);
if (process.argv[2] === "--serve") await serve(Number(process.argv[3]), Number(process.argv[4]));
else await drive(process.argv[2], ...process.argv.slice(3).map(Number));
