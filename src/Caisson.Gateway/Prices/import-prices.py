#!/usr/bin/env python3
"""Writes model-prices.json from the genai-prices dataset (see NOTICE.txt).

    import-prices.py DATASET.json SOURCE DATE > model-prices.json

Facts only, in our own format: integer pico-USD per token, one line per model. Where the source has several prices by
time, each rate is the dearest of those in force or to come, because a hold must be an upper bound.
"""
import json
import re
import sys
from decimal import Decimal

PROVIDERS = ["openai", "anthropic", "google", "groq", "mistral", "deepseek", "x-ai", "cerebras", "moonshotai",
             "together", "fireworks"]
RATES = {"input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cached", "cache_write_mtok": "cache_write"}
NOT_CHAT = re.compile(r"audio|realtime|tts|transcribe|image|embed|^(ada|babbage|curie|davinci|text-)")


def patterns(match):
    """The source's match as globs: * is any text, ? one character."""
    [(kind, value)] = match.items()
    if kind == "or":
        return [p for m in value for p in patterns(m)]
    if kind == "regex":
        value = value.replace("\\.", ".")
        value = re.sub(r"\\d\{(\d)\}", lambda m: "?" * int(m[1]), value).replace("\\d", "?")
        value = value[1:-1] if value.endswith("$") else value[1:] + "*"
        assert not re.search(r"[\\^$\[\](){}+|]", value), value
        return [value]
    return [{"equals": "{}", "starts_with": "{}*", "ends_with": "*{}", "contains": "*{}*"}[kind].format(value)]


def pico(usd_per_million):
    scaled = Decimal(str(usd_per_million)) * 1_000_000
    return int(scaled.to_integral_value(rounding="ROUND_CEILING"))


def rates(prices):
    """(base rates, rates above the tier's start, the tier's start)"""
    base, over, start = {}, {}, None
    for key, name in RATES.items():
        value = prices.get(key)
        if isinstance(value, dict):
            [tier] = value["tiers"]
            base[name], over[name], start = pico(value["base"]), pico(tier["price"]), tier["start"]
        elif value is not None:
            base[name] = over[name] = pico(value)
    return base, over, start


def in_force(prices, date):
    if isinstance(prices, dict):
        return [prices]
    dated = [p for p in prices if "start_date" in p.get("constraint", {"start_date": ""})]
    current = max((p for p in dated if p.get("constraint", {}).get("start_date", "") <= date),
                  key=lambda p: p.get("constraint", {}).get("start_date", ""))
    return [p["prices"] for p in prices if p is current or p not in dated
            or p.get("constraint", {}).get("start_date", "") > date]


def entry(model, date):
    alternatives = [rates(p) for p in in_force(model["prices"], date)]
    dearest = lambda i: {n: max(a[i][n] for a in alternatives if n in a[i]) for n in RATES.values()
                         if any(n in a[i] for a in alternatives)}
    base, over, start = dearest(0), dearest(1), next((a[2] for a in alternatives if a[2]), None)
    if not base.get("input") or not base.get("output") or NOT_CHAT.search(model["id"]):
        return None
    line = {"match": sorted({p.lower() for p in patterns(model["match"])})} | base
    if start:
        line["over"] = {"tokens": start} | over
    if model.get("context_window"):
        line["context"] = model["context_window"]
    return line


def main(dataset, source, date):
    by_id = {p["id"]: p for p in json.load(open(dataset))}
    head = {"source": source, "licence": "MIT, see NOTICE.txt", "date": date, "unit": "pico-USD per token"}
    print(json.dumps(head)[:-1] + ',\n"providers": {')
    blocks = []
    for name in PROVIDERS:
        lines = [json.dumps(e) for e in (entry(m, date) for m in by_id[name]["models"]) if e]
        blocks.append(f'"{name}": [\n  ' + ",\n  ".join(lines) + "\n]")
    print(",\n".join(blocks) + "\n}}")


main(*sys.argv[1:])
