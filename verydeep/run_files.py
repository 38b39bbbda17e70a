"""The names of the files in a run folder; they need no framework to be known."""

CONFIG = "config.yaml"  # the resolved settings; `--config` reads it back
METRICS = "metrics.jsonl"  # one line an epoch, equal to the bit for equal runs
METRICS_TABLE = "metrics.csv"
TIMINGS = "timings.jsonl"  # one line an epoch: what differs between equal runs
CHECKPOINTS = "checkpoints"
MODEL = "model.safetensors"  # weights, network, preprocessing and class names
RESULT = "result.json"  # the final accuracies
NETWORK = "network.json"  # the description that `verydeep show` and `resume` read
ENVIRONMENT = "environment.json"
CURVES = "curves.svg"
CONFUSION = "confusion.svg"
REPORT = "report.html"
CARD = "MODEL_CARD.md"
