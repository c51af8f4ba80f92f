"""One line of what TensorFlow has to say."""

import pytest

from freezing.running.reasons import reason

LONG = """Graph execution error:

Detected at node 'MatMul' defined at (most recent call last):
    File "train.py", line 8, in <module>
      main()
Node: 'MatMul'
Matrix size-incompatible: In[0]: [1,2], In[1]: [3,4]
     [[{{node MatMul}}]]

Original stack trace for 'MatMul':
  File "train.py", line 8, in <module>
"""
SEVERAL = """Graph execution error:

2 root error(s) found.
  (0) FAILED_PRECONDITION: Attempting to use uninitialized value w
     [[{{node w/read}}]]
"""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Something is wrong.\nMore of it.", "Something is wrong"),
        (LONG, "Matrix size-incompatible: In[0]: [1,2], In[1]: [3,4]"),
        (SEVERAL, "Attempting to use uninitialized value w"),
        ("", "ValueError"),
    ],
)
def test_the_line_that_says_something_is_found(message: str, expected: str) -> None:
    assert reason(ValueError(message)) == expected
