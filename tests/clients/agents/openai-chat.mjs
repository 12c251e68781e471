import OpenAI from "openai";
import { check, description, finish, model, parameters, second, shell, task } from "./work.mjs";

const client = new OpenAI();
const tools = [{ type: "function", function: { name: "shell", description, parameters } }];
const messages = [{ role: "user", content: task }];

async function work(ask) {
  for (;;) {
    const message = await ask({ model, messages, tools });
    messages.push(message);
    if (!message.tool_calls?.length) return message.content;
    for (const call of message.tool_calls) {
      messages.push({ role: "tool", tool_call_id: call.id, content: shell(JSON.parse(call.function.arguments)) });
    }
  }
}

await work(async (request) => (await client.chat.completions.create(request)).choices[0].message);
check("1");
messages.push({ role: "user", content: second });
const text = await work((request) => client.chat.completions.stream(request).finalMessage());
check("2");
finish(text);
