"""From a schema and an object that satisfies it: one wrong object for every rule of the schema.

The rules are the plain words of the schema (required, enum, pattern, bounds, type); CEL rules have
samples written by hand in api/testdata.
"""
import copy


class Mutation:
    def __init__(self, rule, path, parent, key, value, expected):
        self.rule = rule          # path without indexes and the schema's word: what is covered
        self.path = path          # as the API server names the field
        self._where = parent      # keys from the root to the container
        self._key = key
        self._value = value       # None removes the field
        self.expected = expected  # a part of the message

    def apply(self, obj):
        obj = copy.deepcopy(obj)
        container = obj
        for step in self._where:
            container = container[step]
        if self._value is None:
            del container[self._key]
        else:
            container[self._key] = self._value
        return obj


WORDS = ("enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
         "minProperties", "maxProperties", "type")


def rules(schema, path=""):
    """Every rule of a schema, as (path, word)."""
    found = set()
    for word in WORDS:
        if word in schema:
            found.add((path, word))
    for name in schema.get("required", []):
        found.add((f"{path}.{name}", "required"))
    for name, sub in schema.get("properties", {}).items():
        found |= rules(sub, f"{path}.{name}")
    for sub in (schema.get("items"), schema.get("additionalProperties")):
        if sub:
            found |= rules(sub, path + "[]")
    return found


def _wrong_values(schema, value):
    """(word, wrong value, part of the message) for each word of this node."""
    if "enum" in schema:
        yield "enum", "NotAmongThem", "Unsupported value"
    if "pattern" in schema:
        yield "pattern", "!" * max(3, schema.get("minLength", 0)), "should match"
    if "maxLength" in schema:
        yield "maxLength", "a" * (schema["maxLength"] + 1), "Too long"
    if schema.get("minLength", 0) > 0:
        yield "minLength", "", "should be at least"
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - 1, "should be greater than or equal to"
    if "maximum" in schema:
        yield "maximum", schema["maximum"] + 1, "should be less than or equal to"
    if "minItems" in schema:
        yield "minItems", [], "should have at least"
    if "maxItems" in schema and value:
        yield "maxItems", [value[0]] * (schema["maxItems"] + 1), "must have at most"
    if "minProperties" in schema:
        yield "minProperties", {}, "should have at least"
    if "maxProperties" in schema:
        many = {f"k{i}": "v" for i in range(schema["maxProperties"] + 1)}
        yield "maxProperties", many, "must have at most"
    if "type" in schema:
        wrong = 7 if schema["type"] == "string" else "text"
        yield "type", wrong, "must be of type"


def mutations(schema, value, where=(), path="", rule_path=""):
    """Yields a Mutation for every rule that `value` gives an occasion to break."""
    for name in schema.get("required", []):
        if name in value:
            yield Mutation((f"{rule_path}.{name}", "required"), f"{path}.{name}".lstrip("."), where,
                           name, None, "Required value")
    children = []
    if "properties" in schema:
        children = [(sub, name, f"{path}.{name}".lstrip("."), f"{rule_path}.{name}")
                    for name, sub in schema["properties"].items() if name in value]
    elif "items" in schema and value:
        children = [(schema["items"], i, f"{path}[{i}]", rule_path + "[]")
                    for i in range(len(value))]
    elif "additionalProperties" in schema and value:
        children = [(schema["additionalProperties"], key, path, rule_path + "[]") for key in value]
    for sub, key, sub_path, sub_rule in children:
        for word, wrong, expected in _wrong_values(sub, value[key]):
            yield Mutation((sub_rule, word), sub_path, where, key, wrong, expected)
        if isinstance(value[key], (dict, list)):
            yield from mutations(sub, value[key], where + (key,), sub_path, sub_rule)
