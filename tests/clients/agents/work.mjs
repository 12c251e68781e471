// What every agent here does with its own hands: it reads its task, runs commands in its folder, and tells its result.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export const model = process.env.MODEL ?? "worker";
export const task = readFileSync(0, "utf8").trim();
export const second = "Now the second part.";
export const description = "Runs a command line in the working directory and answers its output.";
export const parameters = {
  type: "object",
  properties: { command: { type: "string" } },
  required: ["command"],
  additionalProperties: false,
};

export function shell({ command }) {
  return execFileSync("sh", ["-c", command], { encoding: "utf8" });
}

// Whoever runs an agent may have its work checked after each part.
export function check(part) {
  execFileSync("sh", ["-c", process.env.CHECK ?? "true", "check", part]);
}

export function finish(text) {
  console.log(text, readFileSync("notes.txt", "utf8").split("\n").filter(Boolean).join(" "));
}
