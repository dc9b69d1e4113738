"""Makes the three calls of the README with a client that openapi-python-client has generated as `generated_client`.

Needs QUOTASTACK_URL and QUOTASTACK_TEST_KEY of an installation that ops/up has started.
"""

import os
import uuid

from generated_client import AuthenticatedClient
from generated_client.api.credits_ import get_balance, grant_credits
from generated_client.api.entitlements import check
from generated_client.api.usage import record_usage
from generated_client.models import GrantCreditsBody, RecordUsageBody

client = AuthenticatedClient(
    base_url=os.environ["QUOTASTACK_URL"],
    token=os.environ["QUOTASTACK_TEST_KEY"],
    raise_on_unexpected_status=True,
)
user = str(uuid.uuid4())
granted = grant_credits.sync(client=client, body=GrantCreditsBody(end_user_id=user, credits_=50_000))
assert granted.balance == 50_000, granted

checked = check.sync(client=client, end_user_id=user, feature_key="api_calls")
assert checked.allowed and checked.balance == 50_000 and checked.affordable_units == 50, checked
assert checked.estimated_cost == 1_000 and checked.balance_after == 49_000, checked

used = record_usage.sync(client=client, body=RecordUsageBody(end_user_id=user, feature_key="api_calls", units=1))
assert used.cost == 1_000 and used.balance == 49_000, used
assert used.entry.type_ == "use" and used.entry.amount == -1_000, used

balance = get_balance.sync(client=client, end_user_id=user)
assert balance.balance == balance.effective_balance == 49_000 and balance.lifetime_granted == 50_000, balance
print("the generated client made the three calls")
