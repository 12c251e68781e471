import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { createDeepAgent } from "deepagents";
import { z } from "zod";
import { description, model, shell, task } from "./work.mjs";

// Two sub-agents at once, by the model's own wish, whose prompts differ by an id.
const tools = [tool(shell, { name: "shell", description, schema: z.object({ command: z.string() }) })];
const agent = createDeepAgent({ model: new ChatOpenAI({ model }), tools });
const state = await agent.invoke({ messages: [{ role: "user", content: task }] });
const answers = state.messages.filter((message) => message.getType() === "tool").map((message) => `${message.tool_call_id}: ${message.text}`);
console.log(answers.sort().join("\n"));
