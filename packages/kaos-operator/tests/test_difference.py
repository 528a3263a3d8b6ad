"""The merge patch turns one status into the other, and is empty when there is nothing to write."""

from hypothesis import given
from hypothesis import strategies as st

from kaos_operator.difference import merge_patch

# Never null: in a merge patch that means "remove", and a status has none.
values = st.recursive(
    st.text(max_size=3) | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def merged(target, patch):
    """RFC 7386, as its pseudo-code has it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(objects, objects)
def test_it_turns_the_one_into_the_other(before, after):
    assert merged(before, merge_patch(before, after)) == after


@given(objects)
def test_equal_statuses_need_no_write(status):
    assert merge_patch(status, status) == {}
