"""Asks every model in the way of each Python library, and prints what the library made of the answers."""

import json
import sys

import anthropic
import openai
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

given = json.load(sys.stdin)
url, key, question = given["url"], given["key"], given["question"]
function = {"name": given["toolName"], "description": "Tells the weather.", "parameters": given["toolSchema"]}
tool = {"type": "function", "function": function}
user = [{"role": "user", "content": question}]


def ask_openai(model):
    client = openai.OpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0)
    chat = client.chat.completions
    whole = chat.create(model=model, messages=user)
    with chat.stream(model=model, messages=user, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    called = chat.create(model=f"{model}-tools", messages=user, tools=[tool], tool_choice="required")
    call = called.choices[0].message.tool_calls[0].function
    return {
        "texts": [whole.choices[0].message.content, streamed.choices[0].message.content],
        "tokens": [whole.usage.completion_tokens, streamed.usage.completion_tokens],
        "call": {"name": call.name, "input": json.loads(call.arguments)},
    }


def ask_openai_responses(model):
    responses = openai.OpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0).responses
    whole = responses.create(model=model, input=question)
    with responses.stream(model=model, input=question) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_response()
    flat = {"type": "function", **function, "strict": False}
    called = responses.create(model=f"{model}-tools", input=question, tools=[flat], tool_choice="required")
    call = next(item for item in called.output if item.type == "function_call")
    return {
        "texts": [whole.output_text, streamed.output_text],
        "tokens": [whole.usage.output_tokens, streamed.usage.output_tokens],
        "call": {"name": call.name, "input": json.loads(call.arguments)},
    }


def ask_anthropic(model):
    messages = anthropic.Anthropic(api_key=key, base_url=url, max_retries=0).messages
    whole = messages.create(model=model, messages=user, max_tokens=300)
    with messages.stream(model=model, messages=user, max_tokens=300) as stream:
        streamed = stream.get_final_message()
    definition = {"name": function["name"], "input_schema": function["parameters"]}
    with messages.stream(
        model=f"{model}-tools",
        messages=user,
        max_tokens=300,
        tools=[definition],
        tool_choice={"type": "any"},
    ) as stream:
        called = stream.get_final_message()
    call = next(block for block in called.content if block.type == "tool_use")
    return {
        "texts": ["".join(block.text for block in answer.content if block.type == "text") for answer in (whole, streamed)],
        "tokens": [whole.usage.output_tokens, streamed.usage.output_tokens],
        "call": {"name": call.name, "input": call.input},
    }


def ask_langchain(model):
    def chat(name):
        return ChatOpenAI(model=name, api_key=key, base_url=f"{url}/v1", max_retries=0, stream_usage=True)

    asked = [HumanMessage(question)]
    whole = chat(model).invoke(asked)
    streamed = None
    for chunk in chat(model).stream(asked):
        streamed = chunk if streamed is None else streamed + chunk
    call = chat(f"{model}-tools").bind_tools([tool], tool_choice="required").invoke(asked).tool_calls[0]
    return {
        "texts": [whole.content, streamed.content],
        "tokens": [answer.usage_metadata["output_tokens"] for answer in (whole, streamed)],
        "call": {"name": call["name"], "input": call["args"]},
    }


asks = {
    "openai: chat completions": ask_openai,
    "openai: responses": ask_openai_responses,
    "anthropic: messages": ask_anthropic,
    "langchain-openai": ask_langchain,
}

print(json.dumps({name: {model: ask(model) for model in given["models"]} for name, ask in asks.items()}))
