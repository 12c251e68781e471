import OpenAI from "openai";
import { check, description, finish, model, parameters, second, shell, task } from "./work.mjs";

const client = new OpenAI();
const tools = [{ type: "function", name: "shell", description, parameters, strict: true }];
const input = [{ role: "user", content: task }];

async function work(ask) {
  for (;;) {
    const response = await ask({ model, input, tools, store: false });
    input.push(...response.output);
    const calls = response.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) return response.output_text;
    for (const call of calls) {
      input.push({ type: "function_call_output", call_id: call.call_id, output: shell(JSON.parse(call.arguments)) });
    }
  }
}

await work((request) => client.responses.create(request));
check("1");
input.push({ role: "user", content: second });
const text = await work((request) => client.responses.stream(request).finalResponse());
check("2");
finish(text);
