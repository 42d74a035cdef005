"""Valid values out of an OpenAPI schema: random ones, and another one for a field of an object.

What CEL rules say is not read: the API server is asked (dry run), and a refused value is left.
"""
import copy
import re._parser as parser  # the pattern's own syntax tree; stable since Python 3.11

MAX_REPEAT = 6   # of unbounded repeats in patterns; more where what comes out stays too short
MAX_DEPTH = 12
_TYPES = {str: "string", int: "integer", list: "array", dict: "object"}


def text(rng, pattern, low=0, high=40):
    """A string that matches the pattern and has low..high characters."""
    for tried in range(200):
        made = _parts(rng, parser.parse(pattern), MAX_REPEAT + tried // 10)
        if low <= len(made) <= high:
            return made
    raise ValueError(f"no string of {low}..{high} characters for {pattern}")


def _parts(rng, tree, repeat):
    return "".join(_part(rng, str(op).lower(), value, repeat) for op, value in tree)


def _part(rng, op, value, repeat):
    if op == "literal":
        return chr(value)
    if op == "not_literal":
        return "a" if value != ord("a") else "b"
    if op == "in":
        return _one_of(rng, value)
    if op in ("max_repeat", "min_repeat"):
        low, high, inner = value
        count = rng.randint(low, min(int(high), low + repeat))
        return "".join(_parts(rng, inner, repeat) for _ in range(count))
    if op == "subpattern":
        return _parts(rng, value[3], repeat)
    if op == "branch":
        return _parts(rng, rng.choice(value[1]), repeat)
    if op == "any":
        return rng.choice("abcxyz09")
    if op == "at":
        return ""
    raise ValueError(f"patterns with {op} are not generated")


def _one_of(rng, items):
    if str(items[0][0]).lower() == "negate":
        taken = {chr(v) for op, v in items[1:] if str(op).lower() == "literal"}
        return rng.choice([c for c in "abcxyz09" if c not in taken])
    op, value = rng.choice(items)
    return chr(value) if str(op).lower() == "literal" else chr(rng.randint(*value))


def value(rng, schema, references, name="", depth=0):
    """A random value. `references`: {field name: values to prefer}, for what names other things; of a
    name with several meanings the value of the field's type counts."""
    named = [v for v in references.get(name, []) if _TYPES[type(v)] == schema.get("type")]
    if named and rng.random() < 0.8:
        return copy.deepcopy(rng.choice(named))
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return rng.choice([1, 2, "50%"])
    kind = schema.get("type")
    if kind == "object":
        return _object(rng, schema, references, depth)
    if kind == "array":
        return _array(rng, schema, references, name, depth)
    if kind == "integer":
        low = schema.get("minimum", 0)
        return rng.randint(low, min(schema.get("maximum", low + 100), low + 100))
    if kind == "boolean":
        return rng.random() < 0.5
    if schema.get("format") == "date-time":
        return "2026-01-01T00:00:00Z"
    low, high = schema.get("minLength", 0), min(schema.get("maxLength", 40), 100)
    return text(rng, schema.get("pattern", "^[a-z][a-z0-9]{0,8}$"), low, high)


def _object(rng, schema, references, depth):
    if "additionalProperties" in schema:
        count = max(schema.get("minProperties", 0), rng.randint(0, 2))
        return {text(rng, "^[a-z][a-z0-9]{0,5}$"):
                value(rng, schema["additionalProperties"], references, depth=depth + 1)
                for _ in range(count)}
    required = set(schema.get("required", []))
    # One of several: the schema says so by a rule, so only one of the optional ones is tried there.
    return {name: value(rng, sub, references, name, depth + 1)
            for name, sub in schema.get("properties", {}).items()
            if name in required or (depth < MAX_DEPTH and rng.random() < 0.4)}


def _array(rng, schema, references, name, depth):
    low = schema.get("minItems", 0)
    items, keys = [], schema.get("x-kubernetes-list-map-keys")
    for _ in range(min(max(low, rng.randint(0, 2)), schema.get("maxItems", 2))):
        item = value(rng, schema["items"], references, name + "[]", depth + 1)
        identity = [item.get(k) for k in keys] if keys else item
        if all(identity != ([i.get(k) for k in keys] if keys else i) for i in items):
            items.append(item)
    return items


def least(rng, schema, references, name=""):
    """A value with nothing that is optional."""
    return value(rng, schema, references, name, MAX_DEPTH)


def leaves(schema, thing, path=()):
    """(path, schema) of every leaf of the schema, whether `thing` sets it or not; of a list that it does not
    set, those of a first item."""
    if "properties" in schema:
        for name, sub in schema["properties"].items():
            inner = thing.get(name) if isinstance(thing, dict) else None
            yield from leaves(sub, inner, path + (name,))
    elif schema.get("type") == "array" and "properties" in schema["items"]:
        for at_, item in enumerate(thing or [None]):
            yield from leaves(schema["items"], item, path + (at_,))
    else:
        yield path, schema


def fields(schema, thing):
    """`leaves`, but of several items of a list each field once: where it is set, if it is anywhere."""
    found = {}
    for path, sub in leaves(schema, thing):
        name = tuple(step for step in path if isinstance(step, str))
        if name not in found or not has(thing, found[name][0]) and has(thing, path):
            found[name] = path, sub
    return list(found.values())


def has(thing, path):
    for step in path:
        if isinstance(step, str) and step not in thing or isinstance(step, int) and step >= len(thing):
            return False
        thing = thing[step]
    return True


def at(thing, path):
    for step in path:
        thing = thing[step]
    return thing


def put(rng, schema, references, thing, path, new):
    """`thing` with `new` at `path`; what is missing on the way there gets what it requires."""
    thing = copy.deepcopy(thing)
    node = thing
    name = ""
    for step, following in zip(path, path[1:]):
        schema = schema["items"] if isinstance(step, int) else schema["properties"][step]
        name = name + "[]" if isinstance(step, int) else step
        if isinstance(step, int):
            if step >= len(node):
                node.append(least(rng, schema, references, name))
        elif step not in node:
            node[step] = [] if isinstance(following, int) else least(rng, schema, references, step)
        node = node[step]
    node[path[-1]] = new
    return thing


def without(thing, path):
    thing = copy.deepcopy(thing)
    del at(thing, path[:-1])[path[-1]]
    return thing


def instead_of_neighbours(thing, new, path):
    """`new`, and forms of it that lack one of the fields that `thing` has beside what was added on the way to
    `path`: where only one of several may be set."""
    yield new
    for depth in range(len(path)):
        if not has(thing, path[:depth + 1]):
            if isinstance(at(thing, path[:depth]), dict):
                for neighbour in at(thing, path[:depth]):
                    yield without(new, path[:depth] + (neighbour,))
            return


def another(rng, schema, now, references=None, name=""):
    """A valid value that is not `now`; None where there is none."""
    for _ in range(20):
        if isinstance(now, dict):  # a map, such as labels
            made = {key: "other" for key in now}
        else:
            made = value(rng, schema, references or {}, name)
        if made != now:
            return made
    return None
