"""What befalls every source under load and during upgrades: faults of foz-sim and their options."""

# What a source does under load and during upgrades; with `count` it passes, without it lasts.
TROUBLE = [
    ("error_500", {}),
    ("cancelled_500", {}),
    ("bad_gateway_502", {}),
    ("unavailable_503", {}),
    ("unavailable_503", {"seconds": 1}),
    ("gateway_timeout_504", {}),
    ("accepted_202", {}),
    ("rate_429", {"seconds": 1}),
    ("rate_429", {"seconds": 1, "mode": "date"}),
    ("rate_429", {"mode": "none"}),
    ("cut_chunk", {}),
    ("cut_chunk", {"share": 0.01}),
    ("partial_array", {}),
    ("partial_array", {"mode": "object"}),
    ("partial_array", {"mode": "comma"}),
    ("partial_array", {"mode": "invalid"}),
    ("slow_drip", {"rate": 50}),
    ("hang", {}),
]
