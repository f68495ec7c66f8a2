"""A described file, what may be wrong in it, and what is told of that."""

API = """\
apiVersion: poolwright/v1
kind: Api
base_url: https://api.test/v1
parameters:
  rack: {}
  site: {default: paris}
auth: {bearer: {env: TOKEN}}
read:
  url: /{site}/{rack}
  desired: /count
  ready: /up
set:
  url: /{site}/{rack}
  body: {count: "{count}"}
errors:
  - {status: [409], at: /code, is: SOLD_OUT, means: no_capacity}
"""

# what is wrong: (what is written, what instead, where it is told, the message, the hint)
WRONG = {
    "key": ("desired:", "desird:", "10:3", "unknown key `desird`", "did you mean `desired`?"),
    "version": (
        "poolwright/v1",
        "v2",
        "1:13",
        "`apiVersion` cannot be `v2`",
        "write poolwright/v1",
    ),
    "missing": ("  desired: /count\n", "", "9:3", "`desired` is missing", "add desired: …"),
    "empty": (
        "ready: /up",
        "ready:",
        "11:3",
        "`ready` is empty",
        "write its value, or delete the line",
    ),
    "pointer": ("/up", "up", "11:10", "`up` is no JSON pointer", "begin with a slash: /up"),
    "tilde": (
        "/up",
        "/u~p",
        "11:10",
        "`/u~p` has a tilde that stands for nothing",
        "write ~0 for a tilde and ~1 for a slash within a key",
    ),
    "base": (
        "https://api.test/v1",
        "api.test",
        "3:11",
        "`api.test` is no base of addresses",
        "write https://HOST, or https://HOST/PATH",
    ),
    "port": (
        "https://api.test/v1",
        "https://api.test:eu",
        "3:11",
        "`https://api.test:eu` is no base of addresses",
        "write https://HOST, or https://HOST/PATH",
    ),
    "user": (
        "https://api",
        "https://me:pa55word@api",
        "3:11",
        "credentials in `base_url`",
        "write them under auth: basic",
    ),
    "url": (
        "url: /{site}/{rack}\n  desired",
        "url: https://other.test/{site}/{rack}\n  desired",
        "9:8",
        "`https://other.test/{site}/{rack}` is no path",
        "begin with one slash; the host is base_url's",
    ),
    "secret": (
        "{env: TOKEN}",
        "pa55word-of-the-test",
        "7:16",
        "a secret must not stand in a file",
        "write {env: NAME} or {file: PATH}; change the secret if others saw the file",
    ),
    "two places": (
        "{env: TOKEN}",
        "{env: TOKEN, file: /x}",
        "7:16",
        "a secret is found in exactly one place",
        "write {env: NAME} or {file: PATH}",
    ),
    "two ways": (
        "{env: TOKEN}}",
        "{env: TOKEN}, basic: {username: a, password: {env: B}}}",
        "7:7",
        "`auth` says not exactly one way",
        "write one of bearer, basic, hmac",
    ),
    "no way": (
        "{bearer: {env: TOKEN}}",
        "{}",
        "7:7",
        "`auth` says not exactly one way",
        "write one of bearer, basic, hmac",
    ),
    "method": (
        "set:\n",
        "set:\n  method: DELETE\n",
        "13:11",
        "`method` cannot be `DELETE`",
        "write PUT, POST or PATCH",
    ),
    "kind of error": (
        "no_capacity",
        "nocapacity",
        "16:53",
        "`means` cannot be `nocapacity`",
        "did you mean `no_capacity`?",
    ),
    "status": (
        "[409]",
        "409",
        "16:14",
        "`status` must be a list, not `409`",
        "begin each entry with `- `",
    ),
    "status too large": (
        "409",
        "4090",
        "16:15",
        "`4090` is too much for `entry 1 of status`",
        "write 599 or less",
    ),
    "at alone": (
        ", is: SOLD_OUT",
        "",
        "16:5",
        "`at` and `is` belong together",
        "write both, or neither",
    ),
    "ready twice": (
        "ready: /up",
        "ready: /up\n  replicas: {list: /a, state: /s, ready: [up]}",
        "9:3",
        "`read` says not in exactly one way what is ready",
        "write ready, or replicas",
    ),
    "place": (
        "/{site}/{rack}\n  body",
        "/{site}/{rak}\n  body",
        "13:8",
        "nothing fills `{rak}`",
        "did you mean `{rack}`?",
    ),
    "place in a body": (
        '"{count}"}',
        '"{count}", by: "{me}"}',
        "14:32",
        "nothing fills `{me}`",
        "declare it: parameters: {me: {}}",
    ),
    "count in a read": (
        "desired: /count",
        "desired: /{count}",
        "10:12",
        "nothing fills `{count}`",
        "declare it: parameters: {count: {}}",
    ),
    "no count": (
        '"{count}"',
        "3",
        "14:9",
        "the count is nowhere in the order",
        "write '{count}' where it belongs",
    ),
    "no body": (
        '  body: {count: "{count}"}\n',
        "",
        "13:8",
        "the count is nowhere in the order",
        "write '{count}' where it belongs",
    ),
    "unused": (
        "  site:",
        "  zone: {}\n  site:",
        "6:9",
        "no place has the parameter `zone`",
        "write {zone} where it belongs, or delete it",
    ),
    "drain": (
        '"{count}"}',
        '"{count}"}\n  drain: count',
        "15:10",
        "`count` is in the body, too",
        "delete one of them",
    ),
    "tls": (
        "read:\n",
        "tls: {key: {file: /k}}\nread:\n",
        "8:6",
        "a key without its certificate",
        "add cert: {file: PATH}",
    ),
    "tls as text": (
        "read:\n",
        "tls: {ca: /ca.pem}\nread:\n",
        "8:11",
        "`ca` must have keys, not be `/ca.pem`",
        "write ca: {file: …}",
    ),
}
