"""The forms of text that resources accept, with the words an error uses for each."""

NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
NAMESPACE = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
RUNTIME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
ENV_NAME = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$"
NO_NUL = r"^[^\x00]*$"
DURATION = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?([0-9]{1,5}ms)?$"
ENDPOINT = r"^(https?|grpc)://[-.a-zA-Z0-9:\[\]]+(/[-._~%/a-zA-Z0-9]*)?$"

QUANTITY = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m|k|Ki|[MGTPE]i?|[eE][-+]?[0-9]{1,2})?"
PROVIDER = r"^https?://[!-?A-~]+$"
REDIS = r"^rediss?://[!-?A-~]+$"
MODEL = r"^[!-~]+$"
VOLUME_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
IMAGE = (
    r"^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?/)?"
    rf"{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[a-f0-9]{{64}})?$"
)

WORDS = {
    NAME: "a name: lower-case letters, digits, '-' and '.'",
    NAMESPACE: "a namespace: lower-case letters, digits and '-'",
    RUNTIME: "a runtime's name: at most 63 lower-case letters, digits and '-'",
    ENV_NAME: "the name of an environment variable: letters, digits, '_', '-' and '.'",
    NO_NUL: "text without NUL characters",
    DURATION: "a duration such as 30s or 1m30s",
    ENDPOINT: "a URL such as http://otel-collector:4318, without credentials",
    PROVIDER: "a URL such as https://api.example/v1, without credentials",
    REDIS: "a URL such as redis://redis:6379, without credentials",
    MODEL: "a model's name: ASCII without spaces",
    IMAGE: "an image reference such as registry.example/name:tag",
}
