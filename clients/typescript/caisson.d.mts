/** One execution of a step. Send the key with whatever must not happen twice. */
export interface Attempt {
  token: string;
  idempotency_key: string;
  attempt: number;
}

export interface StepOptions {
  /** Default: `idempotent`. What is `at_most_once` and was interrupted is never silently repeated. */
  effect?: "read" | "idempotent" | "at_most_once";
  /** What becomes of an interrupted step whose outcome nobody knows. Default: `report`, as a failure `step_unknown`. */
  on_unknown?: "report" | "ask_human" | "fail";
  /** The step's own identity instead of name, input and occurrence; used twice it is an error. */
  key?: string;
}

export interface Signal<T = unknown> {
  name: string;
  data: T;
  by: string;
}

export interface ChildOptions {
  key?: string;
  /** Where there is no manifest: the program's own agent, by its name. */
  agent?: string;
  /** It lives on when its parent ends. */
  detach?: boolean;
  /** Default: true. Otherwise only `child` is answered, its run id. */
  wait?: boolean;
}

export interface ChildEnd {
  child: string;
  status?: "completed" | "failed" | "cancelled";
  result?: string | null;
  failure?: { code: string; message: string };
}

/** The recorded outcome is a failure. Thrown in a step, it is that step's outcome, and not tried again. */
export class StepFailed extends Error {
  constructor(message: string, code?: string);
  code: string;
}

/** The result of `work`, executed once: JSON of at most 1 MiB. */
export function step<T>(name: string, work: (attempt: Attempt) => T | Promise<T>, input?: unknown, options?: StepOptions): Promise<T>;

/** Tells that the step of this attempt is at work. */
export function heartbeat(attempt: Attempt, note?: string | null): Promise<void>;

/** A program that begins again sleeps for what is left. */
export function sleep(seconds: number, name?: string | null): Promise<void>;

/** The next signal of this name; `null` when so many seconds are over. */
export function signal<T = unknown>(name: string, timeout?: number | null): Promise<Signal<T> | null>;

/** Starts a run and waits for its end. */
export function child(manifest: string | null, input?: string, options?: ChildOptions): Promise<ChildEnd>;
