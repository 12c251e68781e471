import { openai } from "@ai-sdk/openai";
import { generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";
import { check, description, finish, model, second, shell, task } from "./work.mjs";

const tools = { shell: tool({ description, inputSchema: z.object({ command: z.string() }), execute: async (input) => shell(input) }) };
const settings = { model: openai(model), tools, stopWhen: isStepCount(10) };
const messages = [{ role: "user", content: task }];

const first = await generateText({ ...settings, messages });
check("1");
messages.push(...first.responseMessages, { role: "user", content: second });
const result = streamText({ ...settings, messages });
for await (const part of result.textStream) void part;
const text = await result.text;
check("2");
finish(text);
