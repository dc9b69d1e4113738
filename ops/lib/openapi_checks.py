"""What schemathesis cannot know of the API from its OpenAPI document alone; check-openapi loads it."""

import re
import uuid

import schemathesis

POSITION = re.compile("0|[ac][0-7][0-9a-hjkmnp-tv-z]{25}")
KEY_ENDERS = {"revokeAPIKey", "rollAPIKey"}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Replaces values that a client gets from answers or uses once, so that the rest of the request counts.

    A cursor and a key of idempotency are replaced when they are the example of the document. A position that was made
    up lies in the future: the node would wait for it and then answer 503, as the document says. And schemathesis takes
    ids from answers: it would end the key with which it makes its requests.
    """
    headers = case.headers or {}
    if headers.get("Idempotency-Key") == "invoice-2026-01":
        headers["Idempotency-Key"] = str(uuid.uuid4())
    if POSITION.fullmatch(headers.get("QuotaStack-Min-Position", "")):
        headers["QuotaStack-Min-Position"] = "0"
    if case.operation.definition.raw["operationId"] in KEY_ENDERS and case.path_parameters["id"].startswith("key_"):
        case.path_parameters["id"] = "key_00000000cvevd0000000000001"
    if case.query and case.query.get("cursor") == "5b317d":
        del case.query["cursor"]


@schemathesis.check
def listed_refusal(context, response, case):
    """Wants the code of every refusal to be among the codes that the operation lists for the status."""
    responses = case.operation.definition.raw["responses"]
    codes = responses.get(str(response.status_code), {}).get("x-problem-codes")
    if codes and response.json()["code"] not in codes:
        raise AssertionError(f"the document does not list the code {response.json()['code']}")
