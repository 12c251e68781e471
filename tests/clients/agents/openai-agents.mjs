import { Agent, run, tool, user } from "@openai/agents";
import { z } from "zod";
import { check, description, finish, model, second, shell, task } from "./work.mjs";

const tools = [tool({ name: "shell", description, parameters: z.object({ command: z.string() }), execute: async (input) => shell(input) })];
const agent = new Agent({ name: "Worker", instructions: "Do the task.", model, tools });

const first = await run(agent, task);
check("1");
const streamed = await run(agent, [...first.history, user(second)], { stream: true });
for await (const event of streamed) void event;
await streamed.completed;
check("2");
finish(streamed.finalOutput);
