// Durable steps, sleeps, signals and children for a program that Caisson runs. Needs nothing but Node 18 or later.

/** The recorded outcome is a failure. Thrown in a step, it is that step's outcome, and not tried again. */
export class StepFailed extends Error {
  constructor(message, code = "step_failed") {
    super(message);
    this.code = code;
  }
}

export async function step(name, work, input = null, options = {}) {
  const path = `steps/${encodeURIComponent(name)}`;
  let answer = await ask("PUT", path, { input, ...options });
  while (answer.run) {
    let end;
    try {
      end = { result: (await work(answer)) ?? null };
    } catch (problem) {
      end = problem instanceof StepFailed
        ? { error: { message: problem.message, code: problem.code, retryable: false } }
        : { error: { message: String(problem) } };
    }
    answer = await ask("POST", `${path}/complete`, { token: answer.token, ...end });
  }
  return answer.recorded;
}

export const heartbeat = async (attempt, note = null) => void (await ask("PUT", "heartbeat", { token: attempt.token, note }));

export const sleep = async (seconds, name = null) => void (await ask("POST", "sleep", { seconds, name }));

export const signal = async (name, timeout = null) => (await ask("POST", `signals/${name}`, { timeout })).signal;

export const child = (manifest, input = "", options = {}) => ask("POST", "children", { wait: true, manifest, input, ...options });

async function ask(method, path, body) {
  const headers = { "content-type": "application/json" };
  const told = await (await fetch(`${process.env.CAISSON_URL}/caisson/v1/${path}`, { method, headers, body: JSON.stringify(body) })).json();
  const wrong = told.error ?? told.failed;
  if (wrong) throw new StepFailed(wrong.message, wrong.code);
  return told;
}
