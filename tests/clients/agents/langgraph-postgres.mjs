import { tool } from "@langchain/core/tools";
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { description, model, shell, task } from "./work.mjs";

const saver = PostgresSaver.fromConnString(process.env.DATABASE_URL);
await saver.setup();
const tools = [tool(shell, { name: "shell", description, schema: z.object({ command: z.string() }) })];
const agent = createReactAgent({ llm: new ChatOpenAI({ model }), tools, checkpointSaver: saver });
const thread = { configurable: { thread_id: process.env.THREAD } };

// A thread that was begun goes on from its last checkpoint; one that is through stays as it is.
const begun = (await agent.getState(thread)).values.messages !== undefined;
const state = await agent.invoke(begun ? null : { messages: [{ role: "user", content: task }] }, thread);
const outputs = state.messages.filter((message) => message.getType() === "tool").map((message) => message.text.trim());
console.log(state.messages.at(-1).text, outputs.join(" "), begun ? "resumed" : "at once");
await saver.end();
