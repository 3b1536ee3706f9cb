import pytest

from flowcore.errors import UsageError
from nodes.ringcx.rest.ids import path_segment


def test_ids_are_encoded_for_a_path():
    assert path_segment("dialog id", "s-v-93bd-1721690897808") == "s-v-93bd-1721690897808"
    assert path_segment("sub-account id", "a/b?c#d%") == "a%2Fb%3Fc%23d%25"


@pytest.mark.parametrize("value", ["", ".", "..", "two words", "a\nb", "\x1b[31m", "é", "x" * 201])
def test_an_id_that_would_lead_elsewhere_is_refused(value):
    with pytest.raises(UsageError, match="is no dialog id: give 1 to 200 letters") as refused:
        path_segment("dialog id", value)
    assert str(refused.value).isprintable()
