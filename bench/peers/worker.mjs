// What both workers share: the step's work, and the protocol. A line on standard input is a command, and each is
// answered with one line on standard output; the end of the input ends the worker.
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';

const RESULT_BYTES = 2048;
const pool = randomBytes(96 * 1024).toString('base64');
let starts = [];
let next = 0;

// Standard output is the protocol's; what libraries have to say goes elsewhere.
for (const level of ['log', 'info', 'debug', 'warn']) console[level] = console.error;
const answer = (line) => process.stdout.write(`${line}\n`);

/** A step's work: the tool's time, and 2 KiB of text that no compression makes smaller. */
export async function work(toolMs) {
  starts.push(performance.now());
  if (toolMs > 0) await new Promise((resolve) => setTimeout(resolve, toolMs));
  next = (next + 7919) % (pool.length - RESULT_BYTES);
  return pool.slice(next, next + RESULT_BYTES);
}

/** Milliseconds between the beginnings of steps since the last call, "P50 P99". */
export function gaps() {
  const sorted = starts.slice(1).map((at, i) => at - starts[i]).sort((a, b) => a - b);
  starts = [];
  const at = (part) => (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(4);
  return `${at(0.5)} ${at(0.99)}`;
}

/** Answers commands, one after another. `commands` maps a name to a function of the numbers that follow it. */
export async function serve(commands) {
  answer('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...numbers] = line.split(' ');
    answer(await commands[name](...numbers.map(Number)));
  }
  process.exit(0);
}
