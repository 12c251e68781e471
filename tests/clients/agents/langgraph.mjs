import { tool } from "@langchain/core/tools";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { check, description, finish, model, second, shell, task } from "./work.mjs";

const tools = [tool(shell, { name: "shell", description, schema: z.object({ command: z.string() }) })];
const agent = createReactAgent({ llm: new ChatOpenAI({ model }), tools });

const first = await agent.invoke({ messages: [{ role: "user", content: task }] });
check("1");
const input = { messages: [...first.messages, { role: "user", content: second }] };
let state;
for await (const [mode, part] of await agent.stream(input, { streamMode: ["messages", "values"] })) {
  if (mode === "values") state = part;
}
check("2");
finish(state.messages.at(-1).text);
