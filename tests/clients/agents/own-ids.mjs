import { randomUUID } from "node:crypto";
import { tool } from "@langchain/core/tools";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { description, model, shell } from "./work.mjs";

// Two agents at once, each with an id that this program makes anew whenever it begins.
const tools = [tool(shell, { name: "shell", description, schema: z.object({ command: z.string() }) })];
const agent = createReactAgent({ llm: new ChatOpenAI({ model }), tools });

async function ownAnswer(id) {
  const state = await agent.invoke({ messages: [{ role: "user", content: `Look after ${id}` }] });
  const said = state.messages.slice(1).map((message) => `${message.text}${JSON.stringify(message.tool_calls ?? "")}`).join(" ");
  return state.messages.length === 4 && said.split(id).length === 4 && said.match(/[0-9a-f-]{36}/g).every((found) => found === id);
}

console.log(await Promise.all([ownAnswer(randomUUID()), ownAnswer(randomUUID())]));
