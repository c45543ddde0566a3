// Ask one question with the openai or @anthropic-ai/sdk package, and print what they made of the answer as JSON.
// In: {"url", "key", "api": "chat" | "responses" | "messages", "body"} on stdin.
// Out: {"whole", "events", "final"}; in place of each that failed {"error": {"name", "status", "code", "message"}}.
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";

const listed = async (stream) => {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
};

const apis = {
  chat: ({ url, key, body }) => {
    const { completions } = new OpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat;
    const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
    return {
      whole: () => completions.create(body),
      events: () => completions.create(streamed).then(listed),
      final: () => completions.stream(streamed).finalChatCompletion(),
    };
  },
  responses: ({ url, key, body }) => {
    const { responses } = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
    return {
      whole: () => responses.create(body),
      events: () => responses.create({ ...body, stream: true }).then(listed),
      final: () => responses.stream(body).finalResponse(),
    };
  },
  messages: ({ url, key, body }) => {
    const { messages } = new Anthropic({ baseURL: url, apiKey: key });
    return {
      whole: () => messages.create(body),
      events: () => messages.create({ ...body, stream: true }).then(listed),
      final: () => messages.stream(body).finalMessage(),
    };
  },
};

const told = ({ name, constructor, status, code, message, error }) => ({
  name: constructor.name || name,
  status,
  code: code ?? error?.error?.code,
  message,
});

const input = [];
for await (const piece of process.stdin) input.push(piece);
const asked = JSON.parse(Buffer.concat(input).toString("utf8"));
const ways = apis[asked.api](asked);
const answer = {};
for (const [way, answered] of Object.entries(ways)) {
  answer[way] = await answered().catch((error) => ({ error: told(error) }));
}
process.stdout.write(JSON.stringify(answer));
