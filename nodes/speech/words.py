"""Words as they are compared: whatever their case and punctuation, they are the same words."""

from __future__ import annotations


def plain(word: str) -> str:
    """A word as it sounds, however it is written; empty for what is no word."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def after(said: str, heard: str) -> str:
    """What ``heard`` goes on with after the words ``said``; empty when it begins otherwise, or goes on with nothing."""
    words = heard.split()
    place = 0
    for word in filter(None, map(plain, said.split())):
        while place < len(words) and not plain(words[place]):
            place += 1
        if place == len(words) or plain(words[place]) != word:
            return ""
        place += 1
    rest = " ".join(words[place:]).lstrip("-–—, ")
    return rest[:1].upper() + rest[1:]
