"""Durable steps, sleeps, signals and children for a program that Caisson runs. Needs nothing but Python."""
import json
import os
import urllib.error
import urllib.parse
import urllib.request

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class StepFailed(Exception):
    """The recorded outcome is a failure. Raised in a step, it is that step's outcome, and not tried again."""

    def __init__(self, message, code="step_failed"):
        super().__init__(message)
        self.code = code


def step(name, work, input=None, **options):
    """The result of `work(attempt)`, executed once. Options: effect, on_unknown, key."""
    path = "steps/" + urllib.parse.quote(name, safe="")
    answer = _ask("PUT", path, {"input": input, **options})
    while "run" in answer:
        try:
            end = {"result": work(answer)}
        except StepFailed as failed:
            end = {"error": {"message": str(failed), "code": failed.code, "retryable": False}}
        except Exception as problem:
            end = {"error": {"message": f"{type(problem).__name__}: {problem}"}}
        answer = _ask("POST", path + "/complete", {"token": answer["token"], **end})
    return answer["recorded"]


def heartbeat(attempt, note=None):
    """Tells that the step of this attempt is at work."""
    _ask("PUT", "heartbeat", {"token": attempt["token"], "note": note})


def sleep(seconds, name=None):
    _ask("POST", "sleep", {"seconds": seconds, "name": name})


def signal(name, timeout=None):
    """The next signal of this name, or None when the time is over."""
    return _ask("POST", "signals/" + name, {"timeout": timeout})["signal"]


def child(manifest, input="", **options):
    """Starts a run and waits for its end: its status, result and failure. Options: key, agent, detach, wait."""
    return _ask("POST", "children", {"wait": True, "manifest": manifest, "input": input, **options})


def _ask(method, path, body):
    request = urllib.request.Request(os.environ["CAISSON_URL"] + "/caisson/v1/" + path, json.dumps(body).encode(), {"content-type": "application/json"}, method=method)
    try:
        with _open(request) as answer:
            told = json.load(answer)
    except urllib.error.HTTPError as problem:
        told = json.load(problem)
    wrong = told.get("error") or told.get("failed")
    if wrong:
        raise StepFailed(wrong["message"], wrong["code"])
    return told
