import Anthropic from "@anthropic-ai/sdk";
import { check, description, finish, model, parameters, second, shell, task } from "./work.mjs";

const client = new Anthropic();
const tools = [{ name: "shell", description, input_schema: parameters }];
const messages = [{ role: "user", content: task }];

async function work(ask) {
  for (;;) {
    const message = await ask({ model, max_tokens: 1024, messages, tools });
    messages.push({ role: "assistant", content: message.content });
    const calls = message.content.filter((block) => block.type === "tool_use");
    if (calls.length === 0) return message.content.map((block) => block.text ?? "").join("");
    messages.push({
      role: "user",
      content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: shell(call.input) })),
    });
  }
}

await work((request) => client.messages.create(request));
check("1");
messages.push({ role: "user", content: second });
const text = await work((request) => client.messages.stream(request).finalMessage());
check("2");
finish(text);
