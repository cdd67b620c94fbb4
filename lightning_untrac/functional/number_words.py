"""Numbers written in English words."""

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def number_in_words(number: int) -> str:
    """Write a number from 0 to 999 in words.

    Args:
        number: the number.

    Returns:
        The number in words, British fashion.

    Raises:
        ValueError: if the number is below 0 or above 999.

    Example:
        >>> number_in_words(40), number_in_words(719)
        ('forty', 'seven hundred and nineteen')
    """
    if not 0 <= number <= 999:
        raise ValueError(f"number_in_words writes numbers from 0 to 999, got {number}.")
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")
    hundreds, rest = divmod(number, 100)
    return f"{_ONES[hundreds]} hundred" + (f" and {number_in_words(rest)}" if rest else "")
