"""Failing on demand: which request fails, how often, and how."""

# Fluid's error shapes, by name: status and body.
SHAPES = {
    "401_message": (401, {"message": "Unauthorized"}),
    "403_scope": (403, {"error": "Token does not have the required scope: webhooks.write"}),
    "404_html": (404, "<html><body>No such page</body></html>"),
    "403_html": (403, "<html><body>Blocked</body></html>"),
    "404_null": (404, {"error_message": "Webhook not found", "errors": None, "meta": {}}),
    "422_string": (422, {"error_message": "Invalid", "errors": "url: must be https", "meta": {}}),
    "422_array": (422, {"error_message": "Invalid", "errors": ["Url must be https",
                                                               "Event is unknown"], "meta": {}}),
    "422_object": (422, {"error_message": "Invalid", "errors": {"url": ["must be https"]},
                         "meta": {}}),
    "422_nested": (422, {"errors": {"webhook": {"url": ["must be https", "is too long"]}}}),
    "422_objects": (422, {"errors": [{"field": "url", "message": "must be https"}]}),
    "422_old_message": (422, {"message": "url must be https"}),
    "422_old_error": (422, {"error": "url must be https", "errors": []}),
    "429_empty": (429, None),
    "500_html": (500, "<html><body>We are sorry</body></html>"),
    "503_empty": (503, None),
}

# How a request can fail, and whether what it asks for is done all the same.
KINDS = {
    "answer": False,    # `status` and `body`, with `headers`
    "slow": True,       # the right answer, after `seconds`
    "reset": False,     # the connection is reset
    "close": False,     # the connection is closed without an answer
    "half": True,       # the first half of the right answer
    "huge": True,       # an answer of 10 MB
    "redirect": False,  # 302 to `location`
    "invalid": True,    # 200 with something that is no JSON
}


class Fault:
    """kind: one of KINDS. method, path: which requests; path is the beginning of it; None is any.

    times: how many requests fail before it is over. skip: how many are let pass before. shape: a name
    out of SHAPES instead of status and body. done: whether what is asked for is done all the same.
    """

    def __init__(self, kind="answer", method=None, path=None, times=1, skip=0, shape=None,
                 status=500, body=None, headers=None, seconds=60.0, location=None, done=None):
        if kind not in KINDS:
            raise ValueError(f"no such kind of fault: {kind}")
        if shape is not None:
            status, body = SHAPES[shape]
        self.kind = kind
        self.method = method
        self.path = path
        self.times = times
        self.skip = skip
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.seconds = seconds
        self.location = location
        self.done = KINDS[kind] if done is None else done

    def takes(self, method, path):
        """Whether this request is to fail; counts it."""
        if self.times <= 0 or (self.method and self.method != method) or \
                (self.path and not path.startswith(self.path)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True
