import { GoogleGenAI } from "@google/genai";
import { check, description, finish, model, parameters, second, shell, task } from "./work.mjs";

const client = new GoogleGenAI({});
const config = { tools: [{ functionDeclarations: [{ name: "shell", description, parametersJsonSchema: parameters }] }] };
const contents = [{ role: "user", parts: [{ text: task }] }];

async function work(ask) {
  for (;;) {
    const parts = await ask({ model, contents, config });
    contents.push({ role: "model", parts });
    const calls = parts.filter((part) => part.functionCall).map((part) => part.functionCall);
    if (calls.length === 0) return parts.map((part) => part.text ?? "").join("");
    contents.push({
      role: "user",
      parts: calls.map((call) => ({ functionResponse: { id: call.id, name: call.name, response: { output: shell(call.args) } } })),
    });
  }
}

async function streamed(request) {
  const parts = [];
  for await (const chunk of await client.models.generateContentStream(request)) {
    parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
  }
  return parts;
}

await work(async (request) => (await client.models.generateContent(request)).candidates[0].content.parts);
check("1");
contents.push({ role: "user", parts: [{ text: second }] });
const text = await work(streamed);
check("2");
finish(text);
